//! The keys of a card: one table, by which cards are checked, written as a form, and documented.

/// A key of a card.
pub(super) struct Key {
    /// With dots between levels; `[]` stands for each entry of a list.
    pub path: &'static str,
    pub kind: Kind,
    /// Where the key is not given; empty where it has to be.
    pub default: &'static str,
    /// As JSON.
    pub example: &'static str,
    /// One or two sentences, with the unit.
    pub meaning: &'static str,
}

/// What a key holds.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Further keys.
    Object,
    /// A list of objects.
    Objects,
    /// Text of at most so many characters.
    Text(usize),
    /// The same, with line ends.
    Lines(usize),
    Choice(&'static [&'static str]),
    Color,
    /// Names in order, or by their number.
    Names,
    /// A number, or a list of such.
    Numbers,
    Number,
    Integer,
    Truth,
    /// Texts by the names of files.
    Checksums,
}

impl Kind {
    /// For people, with an article.
    pub fn describe(self) -> String {
        match self {
            Self::Object => "an object `{...}`".into(),
            Self::Objects => "a list of objects `[{...}]`".into(),
            Self::Text(_) | Self::Lines(_) => "text".into(),
            Self::Choice(words) => words
                .iter()
                .map(|word| format!("`\"{word}\"`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Self::Color => "a colour `\"#rrggbb\"`".into(),
            Self::Names => "a list of names, or an object of names by number".into(),
            Self::Numbers => "a number, or a list of numbers".into(),
            Self::Number => "a number".into(),
            Self::Integer => "a whole number".into(),
            Self::Truth => "true or false".into(),
            Self::Checksums => "an object of texts by file name".into(),
        }
    }
}

impl Key {
    /// The level that the key is on; empty at the top.
    pub fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    /// The last part of the path.
    pub fn name(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, name)| name)
    }
}

/// The keys on a level.
pub(super) fn on(level: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.parent() == level)
}

/// Keys that an object has to have, by its level.
pub(super) const REQUIRED: &[(&str, &[&str])] = &[
    ("input.normalization", &["mean", "std"]),
    ("head", &["kind"]),
];

/// Longest name of a model or a class, in characters.
pub(super) const MAX_NAME: usize = 200;

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        path,
        kind,
        default,
        example,
        meaning,
    }
}

/// All keys, in the order in which they are written.
pub(super) const KEYS: &[Key] = &[
    key(
        "name",
        Kind::Text(MAX_NAME),
        "none",
        r#""mnist-he""#,
        "The model's name.",
    ),
    key(
        "description",
        Kind::Lines(4000),
        "none",
        r#""SmallCNN trained on MNIST""#,
        "One line for people.",
    ),
    key(
        "classes",
        Kind::Names,
        "numbers from 0",
        r#"["cat", "dog", "ship"]"#,
        "Class names in the order of the logits, without blanks at their ends. An object from numbers to names is taken as well: \
         {\"0\": \"cat\", \"1\": \"dog\"}.",
    ),
    key(
        "output",
        Kind::Text(1000),
        "read from the graph",
        r#""logits""#,
        "Name of the output with the logits or probabilities, for graphs with several.",
    ),
    key(
        "input",
        Kind::Object,
        "all its keys",
        "{}",
        "The images that the graph takes.",
    ),
    key(
        "input.channels",
        Kind::Integer,
        "read from the graph",
        "3",
        "Channels of an image: 1 for grey, 3 for colour, at most 4.",
    ),
    key(
        "input.height",
        Kind::Integer,
        "read from the graph",
        "224",
        "Rows of an image in pixels, for graphs that leave them open or take the pixels in a row.",
    ),
    key(
        "input.width",
        Kind::Integer,
        "read from the graph",
        "224",
        "Columns of an image in pixels, likewise.",
    ),
    key(
        "input.channel_order",
        Kind::Choice(&["rgb", "bgr"]),
        "`\"rgb\"`",
        r#""rgb""#,
        "Order of the channels that the graph takes: \"bgr\" for models of Caffe and for those trained on images as OpenCV reads them.",
    ),
    key(
        "input.preprocessing",
        Kind::Object,
        "all its keys",
        r##"{"resize": "center_crop", "crop_pct": 0.875, "background": "#000000", "grey": "refuse"}"##,
        "From an encoded image to pixels in [0, 1] of the size above. Images of another size are scaled by an antialiased bilinear \
         filter.",
    ),
    key(
        "input.preprocessing.resize",
        Kind::Choice(&["stretch", "center_crop"]),
        "`\"stretch\"`",
        r#""center_crop""#,
        "How an image of another size is brought to the model's: \"stretch\" scales both sides, \"center_crop\" scales by one factor \
         and cuts out the centre.",
    ),
    key(
        "input.preprocessing.crop_pct",
        Kind::Number,
        "1.0",
        "0.875",
        "With \"center_crop\": side of the centre over the side that the image is scaled to, from 0.1 to 1; 0.875 (224 of \
         256) is usual for ImageNet. An image of the model's size is taken whole, and that is said.",
    ),
    key(
        "input.preprocessing.background",
        Kind::Color,
        "`\"#000000\"`",
        r##""#ffffff""##,
        "Colour under transparent pixels, red, green and blue from 00 to ff.",
    ),
    key(
        "input.preprocessing.grey",
        Kind::Choice(&["refuse", "luma"]),
        "`\"refuse\"`",
        r#""luma""#,
        "What a model of 1 channel does with colour images: \"refuse\" them, or convert them to \"luma\", 0.299 R + 0.587 G + 0.114 B.",
    ),
    key(
        "input.normalization",
        Kind::Object,
        "none: the graph takes pixels in [0, 1]",
        r#"{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}"#,
        "(x - mean) / std of pixels x in [0, 1], for graphs that do not do so themselves. A graph that wants 255 x - m has mean \
         m / 255 and std 1 / 255 = 0.003921569, one that wants [-1, 1] has mean 0.5 and std 0.5. Usual for ImageNet: mean \
         [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225].",
    ),
    key(
        "input.normalization.mean",
        Kind::Numbers,
        "",
        "[0.485, 0.456, 0.406]",
        "One for each channel in the order red, green, blue, or one for all; in units of pixels in [0, 1], from -1 to 1.",
    ),
    key(
        "input.normalization.std",
        Kind::Numbers,
        "",
        "[0.229, 0.224, 0.225]",
        "One for each channel in the order red, green, blue, or one for all; in units of pixels in [0, 1], at least 0.000001 and at \
         most 1.",
    ),
    key(
        "head",
        Kind::Object,
        "not stated",
        r#"{"kind": "linear"}"#,
        "The last layer.",
    ),
    key(
        "head.kind",
        Kind::Choice(&["linear", "hypersphere"]),
        "",
        r#""hypersphere""#,
        "A plain linear layer with a bias, or hypersphere embedding (Pang et al. 2020), whose logits are scale times cosine. The \
         other keys of `head` belong to \"hypersphere\", which has to have them.",
    ),
    key(
        "head.feature_norm",
        Kind::Truth,
        "",
        "true",
        "Whether features are divided by their length.",
    ),
    key(
        "head.weight_norm",
        Kind::Truth,
        "",
        "true",
        "Whether the weights of each class are divided by their length.",
    ),
    key(
        "head.scale",
        Kind::Number,
        "",
        "15.0",
        "Factor of the cosine, folded into the exported weights.",
    ),
    key(
        "head.margin",
        Kind::Number,
        "",
        "0.2",
        "Margin taken off the label's cosine in training alone.",
    ),
    key(
        "training",
        Kind::Object,
        "not stated",
        r#"{"recipe": "cifar10-he", "framework": "pgd-at", "data": "cifar10", "epochs": 90, "best_epoch": 87, "seed": 0}"#,
        "How the weights came about; written by `buckler export`.",
    ),
    key(
        "training.recipe",
        Kind::Text(MAX_NAME),
        "none",
        r#""cifar10-he""#,
        "The recipe's name.",
    ),
    key(
        "training.framework",
        Kind::Text(MAX_NAME),
        "none",
        r#""pgd-at""#,
        "The training framework, such as \"plain\", \"pgd-at\", \"trades\".",
    ),
    key(
        "training.data",
        Kind::Text(1000),
        "none",
        r#""cifar10""#,
        "The data set's name.",
    ),
    key(
        "training.epochs",
        Kind::Integer,
        "0",
        "90",
        "Epochs of the whole run.",
    ),
    key(
        "training.best_epoch",
        Kind::Integer,
        "0",
        "87",
        "The epoch whose weights these are, from 1.",
    ),
    key(
        "training.seed",
        Kind::Integer,
        "0",
        "0",
        "The seed of the run.",
    ),
    key(
        "training.norm",
        Kind::Text(MAX_NAME),
        "none",
        r#""linf""#,
        "Norm of the training adversary, where there was one.",
    ),
    key(
        "training.eps",
        Kind::Text(MAX_NAME),
        "none",
        r#""8/255""#,
        "Radius of the training adversary in units of pixels in [0, 1], where there was one.",
    ),
    key(
        "measured",
        Kind::Objects,
        "none",
        r#"[{"data": "cifar10/test", "images": 1000, "attack": "none", "accuracy": 0.9, "command": "source of the figure"}]"#,
        "Accuracy, clean and under attack; written by `buckler evaluate --write-card`.",
    ),
    key(
        "measured[].data",
        Kind::Text(1000),
        "none",
        r#""cifar10/test""#,
        "Data set and split.",
    ),
    key(
        "measured[].images",
        Kind::Integer,
        "0",
        "1000",
        "How many images, taken from the front of the split.",
    ),
    key(
        "measured[].attack",
        Kind::Text(4000),
        "none",
        r#""none""#,
        "\"none\" for clean accuracy, else the attack with its parameters.",
    ),
    key(
        "measured[].norm",
        Kind::Text(MAX_NAME),
        "none",
        r#""linf""#,
        "Norm of the threat.",
    ),
    key(
        "measured[].eps",
        Kind::Text(MAX_NAME),
        "none",
        r#""8/255""#,
        "Radius of the threat in units of pixels in [0, 1].",
    ),
    key(
        "measured[].accuracy",
        Kind::Number,
        "0.0",
        "0.9",
        "Share of the images, from 0 to 1.",
    ),
    key(
        "measured[].command",
        Kind::Lines(10_000),
        "none",
        r#""buckler evaluate model.onnx --data cifar10""#,
        "The command that measured it, or the source of a foreign figure.",
    ),
    key(
        "sha256",
        Kind::Checksums,
        "none",
        r#"{"model.onnx": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#,
        "SHA-256 of the files beside `card.json`, in hexadecimal, by file name.",
    ),
];
