//! What to write instead of a key that a card does not have.

use super::keys::{self, KEYS, Key};
use crate::printable;
pub(super) use crate::printable::shortened;

/// Keys of other tools (timm, Hugging Face, MMPretrain, torchvision, Keras) without case and signs, and what a card has instead.
pub(super) const FOREIGN: &[(&[&str], &str)] = &[
    (
        &[
            "imagemean",
            "pixelmean",
            "rgbmean",
            "imgmean",
            "means",
            "inputmean",
            "normmean",
        ],
        "write `input.normalization.mean`, in units of pixels in [0, 1]",
    ),
    (
        &[
            "imagestd", "pixelstd", "rgbstd", "imgstd", "stds", "stddev", "inputstd", "normstd",
        ],
        "write `input.normalization.std`, in units of pixels in [0, 1]",
    ),
    (
        &[
            "normalisation",
            "normalize",
            "normalise",
            "normcfg",
            "imgnormcfg",
            "datapreprocessor",
        ],
        "write `input.normalization` with `mean` and `std`",
    ),
    (
        &["donormalize"],
        "leave it out: where `input.normalization` is stated it is applied",
    ),
    (
        &[
            "dorescale",
            "rescalefactor",
            "rescale",
            "inputrange",
            "pixelrange",
            "range",
        ],
        "leave it out: pixels are in [0, 1]; for a graph that takes 0 to 255 write `input.normalization` with a mean of 0 and a std \
         of 0.003921569",
    ),
    (
        &[
            "shape",
            "inputshape",
            "inputsize",
            "imagesize",
            "imgsize",
            "imgsz",
            "size",
            "resolution",
            "cropsize",
            "testinputsize",
        ],
        "write `input.channels`, `input.height` and `input.width`",
    ),
    (
        &["h", "rows", "imageheight", "inputheight"],
        "write `input.height`",
    ),
    (
        &["w", "cols", "columns", "imagewidth", "inputwidth"],
        "write `input.width`",
    ),
    (
        &["c", "inchans", "inchannels", "numchannels", "nchannels"],
        "write `input.channels`",
    ),
    (
        &[
            "colororder",
            "colourorder",
            "colorspace",
            "inputspace",
            "colorformat",
            "colormode",
            "pixelformat",
            "bgr",
            "rgb",
            "torgb",
            "bgrtorgb",
            "swaprb",
            "flipchannelorder",
            "doflipchannelorder",
            "doconvertrgb",
        ],
        "write `input.channel_order`, \"rgb\" or \"bgr\"",
    ),
    (
        &[
            "layout",
            "dataformat",
            "channelslast",
            "inputdataformat",
            "imagelayout",
        ],
        "leave it out: the graph tells where its channels are",
    ),
    (
        &[
            "id2label",
            "idxtoclass",
            "idxtolabel",
            "idtolabel",
            "labels",
            "labelnames",
            "names",
            "classnames",
            "categories",
        ],
        "write `classes`, a list of names in the order of the logits or {\"0\": \"cat\", \"1\": \"dog\"}",
    ),
    (
        &["label2id", "classtoidx", "labeltoid"],
        "write `classes` from numbers to names: {\"0\": \"cat\", \"1\": \"dog\"}",
    ),
    (
        &["numclasses", "nbclasses", "nclasses", "numlabels", "nc"],
        "leave it out: the graph tells the number of classes, and `classes` names them",
    ),
    (
        &[
            "outputname",
            "outputnames",
            "outputs",
            "logits",
            "outputlayer",
        ],
        "write `output`, the name of one output of the graph",
    ),
    (
        &["croppercent", "testcroppct", "testcropratio"],
        "write `input.preprocessing.crop_pct`",
    ),
    (
        &[
            "docentercrop",
            "centercrop",
            "cropmode",
            "doresize",
            "resizemode",
            "resizesize",
            "shortestedge",
        ],
        "write `input.preprocessing.resize`, \"center_crop\" or \"stretch\", and `input.preprocessing.crop_pct`",
    ),
    (
        &[
            "interpolation",
            "resample",
            "resamplefilter",
            "filter",
            "antialias",
        ],
        "leave it out: images are scaled by an antialiased bilinear filter",
    ),
    (
        &[
            "backgroundcolor",
            "fillcolor",
            "padcolor",
            "backgroundcolour",
        ],
        "write `input.preprocessing.background`",
    ),
    (
        &["gray", "grayscale", "greyscale", "tograyscale", "luma"],
        "write `input.preprocessing.grey`, \"refuse\" or \"luma\"",
    ),
    (
        &[
            "preprocess",
            "preprocessor",
            "transform",
            "transforms",
            "imageprocessor",
            "pretrainedcfg",
        ],
        "write `input.preprocessing` and `input.normalization`",
    ),
    (&["image", "inputs"], "write `input`"),
    (
        &["modelname", "title", "arch", "architecture", "model"],
        "write `name`",
    ),
    (
        &[
            "imageprocessortype",
            "featureextractortype",
            "processorclass",
            "firstconv",
            "classifier",
            "globalpool",
            "poolsize",
            "numfeatures",
            "modeltype",
            "architectures",
            "torchdtype",
            "license",
            "url",
            "tag",
        ],
        "leave it out",
    ),
];

/// What to do about a key that is not one of this level.
pub(super) fn remedy(level: &str, name: &str) -> String {
    let wanted = plain(name);
    let written = |found: Vec<&Key>| {
        let paths: Vec<String> = found.iter().map(|key| format!("`{}`", key.path)).collect();
        (!paths.is_empty()).then(|| format!("write {}", paths.join(" or ")))
    };
    let here = || keys::on(level);
    let same = |key: &&Key| plain(key.name()) == wanted;
    let near = |key: &&Key| is_near(&plain(key.name()), &wanted);
    let foreign = || {
        let entry = FOREIGN
            .iter()
            .find(|(names, _)| names.contains(&wanted.as_str()));
        entry.map(|(_, remedy)| (*remedy).to_owned())
    };
    written(here().filter(same).collect())
        .or_else(|| written(KEYS.iter().filter(same).collect()))
        .or_else(foreign)
        .or_else(|| written(here().filter(near).take(1).collect()))
        .or_else(|| written(KEYS.iter().filter(near).take(1).collect()))
        .unwrap_or_else(|| {
            let names: Vec<String> = here().map(|key| format!("`{}`", key.name())).collect();
            let place = if level.is_empty() {
                "at the top"
            } else {
                "here"
            };
            format!("keys {place} are {}", names.join(", "))
        })
}

/// The word of a choice that was probably meant.
pub(super) fn word(words: &[&'static str], found: &str) -> Option<&'static str> {
    let found = plain(found);
    let mut words = words.iter().copied();
    words.find(|word| plain(word) == found || is_near(&plain(word), &found))
}

/// Without case and signs.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).take(64).collect()
}

/// Whether one is the other with a slip or two.
fn is_near(known: &str, found: &str) -> bool {
    let most = known.len().max(found.len()) / 4;
    known.len() > 3 && strsim::damerau_levenshtein(known, found) <= most.min(3)
}

/// A key in backticks, as far as it can be shown.
pub(super) fn shown(level: &str, name: &str) -> String {
    let path = match level {
        "" => name.to_owned(),
        level => format!("{level}.{name}"),
    };
    format!("`{}`", printable(&shortened(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_by_case_by_level_by_other_tools_and_by_slips() {
        for (level, name, expected) in [
            ("", "Normalization", "write `input.normalization`"),
            ("input", "Normalization", "write `input.normalization`"),
            ("", "normalisation", "write `input.normalization`"),
            ("input", "normalisation", "write `input.normalization`"),
            ("input", "mean", "write `input.normalization.mean`"),
            ("", "std", "write `input.normalization.std`"),
            (
                "input",
                "shape",
                "write `input.channels`, `input.height` and `input.width`",
            ),
            (
                "",
                "image_size",
                "write `input.channels`, `input.height` and `input.width`",
            ),
            ("", "channels", "write `input.channels`"),
            ("", "image_mean", "write `input.normalization.mean`"),
            ("", "rescale_factor", "a std of 0.003921569"),
            ("", "id2label", "write `classes`"),
            ("", "crop_pct", "write `input.preprocessing.crop_pct`"),
            ("", "clases", "write `classes`"),
            ("", "Classes", "write `classes`"),
            ("input", "chanels", "write `input.channels`"),
            ("input", "channelOrder", "write `input.channel_order`"),
            (
                "input.preprocessing",
                "crop-pct",
                "write `input.preprocessing.crop_pct`",
            ),
            ("", "epochs", "write `training.epochs`"),
            ("", "accuracy", "write `measured[].accuracy`"),
            ("", "eps", "write `training.eps` or `measured[].eps`"),
            (
                "input.normalization",
                "zebra",
                "keys here are `mean`, `std`",
            ),
            ("", "", "keys at the top are `name`"),
        ] {
            let remedy = remedy(level, name);
            assert!(remedy.contains(expected), "{level} {name}: {remedy}");
        }
    }

    #[test]
    fn no_key_of_another_tool_hides_one_of_a_card() {
        for (names, remedy) in FOREIGN {
            for name in *names {
                assert_eq!(plain(name), *name);
                assert!(KEYS.iter().all(|key| plain(key.name()) != *name), "{name}");
            }
            for path in remedy.split('`').skip(1).step_by(2) {
                assert!(
                    KEYS.iter()
                        .any(|key| key.path == path || key.name() == path),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn long_and_hostile_names_are_shown_short_and_escaped() {
        let shown = shown("input", &format!("\u{1b}[2J{}", "x".repeat(1000)));
        assert!(
            shown.len() < 120 && shown.starts_with("`input.\\u{1b}[2J"),
            "{shown}"
        );
        remedy("", &"é".repeat(100_000));
    }
}
