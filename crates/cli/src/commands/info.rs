//! `buckler info`: what a model is, and what every other command makes of it.
use std::path::PathBuf;

use anyhow::Result;
use buckler_onnx::{Card, Model, Normalization, Obstacle, Port, Reading, Summary};
use buckler_runtime::{Classifier, LoadOptions};
use serde::Serialize;

use crate::as_text;
use crate::failure;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, port};

/// Obstacles that are spelled out: a file may have any number.
const SHOWN: usize = 20;

/// Say what a model is, how it is opened, what was measured on it, and whether it can be attacked
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler info models/mnist-he/1/model.onnx")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    model: PathBuf,
    #[serde(flatten)]
    summary: Summary,
    card: Option<Card>,
    /// How all other commands open the model; absent where they refuse it.
    classifier: Option<Opened>,
    /// Why they refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the graph takes of pixels in [0, 1].
    range: String,
    attackable: bool,
    obstacles: Vec<Obstacle>,
    assumptions: Vec<String>,
}

#[derive(Serialize)]
struct Opened {
    /// Name of the input that takes images.
    input: String,
    /// Channels, height and width of an image.
    image: [usize; 3],
    /// `rgb` or `bgr`, for images of three channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_order: Option<&'static str>,
    /// The output from which the logits are taken, and why that one.
    output: String,
    reason: String,
    reading: Reading,
    classes: usize,
    /// The tensor before the last linear layer, and its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<(String, u64)>,
    /// The size of a batch that the file fixes; any number of images where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let path = &args.model.model;
    let model = Model::read(path)?;
    // One image is enough to say all this, and larger batches take time to try out.
    let options = LoadOptions {
        max_batch: 1,
        ..args.model.options(None)
    };
    let loaded = Classifier::load(path, &options);
    let beside = path.with_file_name("card.json");
    let card = match (model.card(), &loaded) {
        (Ok(Some(card)), _) => Some(card),
        (_, Ok(_)) if beside.is_file() => Some(Card::read(&beside)?),
        _ => None,
    };
    let (classifier, refused) = match loaded {
        Ok(classifier) => (Some(classifier), None),
        Err(error) => (None, Some(failure::describe(&error.into()))),
    };
    let obstacles = match (&classifier, &refused) {
        (Some(classifier), _) => classifier.obstacles().to_vec(),
        (None, reason) => vec![Obstacle {
            node: model.graph().name.clone(),
            operator: "graph".to_owned(),
            reason: reason.clone().unwrap_or_default(),
        }],
    };
    let report = Report {
        model: path.clone(),
        summary: Summary::of(&model),
        range: range(card.as_ref(), options.normalization.as_ref()),
        attackable: classifier
            .as_ref()
            .is_some_and(|classifier| classifier.can_attack().is_ok()),
        obstacles,
        assumptions: classifier
            .as_ref()
            .map_or_else(Vec::new, |classifier| classifier.assumptions().to_vec()),
        classifier: classifier
            .as_ref()
            .map(|classifier| opened(classifier, &options)),
        refused,
        card,
    };
    output.print(&report, text)
}

fn opened(classifier: &Classifier, options: &LoadOptions) -> Opened {
    let interface = classifier.interface();
    let input = classifier.input();
    let order = options
        .channel_order
        .or(classifier.card().input.channel_order)
        .unwrap_or_default();
    Opened {
        input: interface.image.clone(),
        image: [input.channels, input.height, input.width],
        channel_order: (input.channels == 3).then_some(match order {
            buckler_onnx::ChannelOrder::Rgb => "rgb",
            buckler_onnx::ChannelOrder::Bgr => "bgr",
        }),
        output: interface.output.clone(),
        reason: interface.reason.clone(),
        reading: interface.reading,
        classes: classifier.classes(),
        features: interface
            .features
            .as_ref()
            .map(|features| (features.name.clone(), features.size)),
        batch: interface.shape.first().and_then(buckler_onnx::Dim::known),
    }
}

/// What the pixels are that the graph takes.
fn range(card: Option<&Card>, asked: Option<&Normalization>) -> String {
    let stated = card.map(|card| card.input.normalization.as_ref());
    match (asked, stated) {
        (Some(normalization), _) | (None, Some(Some(normalization))) => format!(
            "(x - mean) / std of pixels x in [0, 1], mean {:?}, std {:?} in the order RGB",
            normalization.mean, normalization.std
        ),
        (None, Some(None)) => "[0, 1]".to_owned(),
        (None, None) => {
            "taken as [0, 1]: the model does not say; --mean and --std change it".to_owned()
        }
    }
}

fn text(report: &Report) -> String {
    let summary = &report.summary;
    let ports = |ports: &[Port]| ports.iter().map(port).collect::<Vec<_>>().join(", ");
    let operators: Vec<String> = summary
        .operators
        .iter()
        .map(|(operator, count)| format!("{operator} {count}"))
        .collect();
    let mut lines = vec![
        report.model.display().to_string(),
        format!("inputs      {}", ports(&summary.inputs)),
        format!("outputs     {}", ports(&summary.outputs)),
    ];
    match &report.classifier {
        Some(opened) => lines.extend(describe(opened)),
        None => lines.push(format!(
            "classifier  no: {}",
            report.refused.as_deref().unwrap_or("it cannot be opened")
        )),
    }
    lines.extend([
        format!("pixels      {}", report.range),
        format!("parameters  {}", summary.parameters),
        format!(
            "FLOPs       {}",
            summary.flops.map_or("unknown".to_owned(), |flops| format!(
                "{flops} for one image, in convolutions and matrix products"
            ))
        ),
        format!("operators   {}", operators.join(", ")),
    ]);
    if report.attackable {
        lines.push(
            "attackable  yes, every operator on the way to the logits has a gradient".to_owned(),
        );
    } else if report.classifier.is_none() {
        lines.push("attackable  no".to_owned());
    } else {
        lines.push("attackable  no".to_owned());
        let shown = report.obstacles.iter().take(SHOWN);
        lines.extend(shown.map(|obstacle| format!("  {obstacle}")));
        let more = report.obstacles.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!("  and {more} more, listed by --json"));
        }
    }
    let assumptions = report.assumptions.iter();
    lines.extend(assumptions.map(|assumption| format!("assumption  {assumption}")));
    match &report.card {
        None => lines.push("card        none".to_owned()),
        Some(card) => {
            lines.push(format!("card        {}: {}", card.name, card.description));
            lines.extend(card.measured.iter().map(|measured| {
                let attack = match measured.attack.as_str() {
                    "none" => "clean",
                    attack => attack,
                };
                format!(
                    "  {} on {} images of {}: {attack}",
                    percent(measured.accuracy),
                    measured.images,
                    measured.data
                )
            }));
        }
    }
    lines.join("\n")
}

/// How the model is opened, line by line.
fn describe(opened: &Opened) -> Vec<String> {
    let [channels, height, width] = opened.image;
    let order = opened.channel_order.map(|order| format!(", {order}"));
    let taken = match opened.reading {
        Reading::Logits => "they are the output",
        Reading::BeforeSoftmax => "what goes into the softmax at its end",
        Reading::LogOfProbabilities => "the logarithm of its probabilities",
    };
    let probabilities = match opened.reading {
        Reading::Logits => "the softmax of the logits".to_owned(),
        _ => format!("output `{}`", opened.output),
    };
    let features = opened.features.as_ref();
    vec![
        format!(
            "image       `{}`, {channels}x{height}x{width} (channels, height, width){}",
            opened.input,
            order.unwrap_or_default()
        ),
        format!(
            "logits      {} classes from output `{}` ({}): {taken}",
            opened.classes, opened.output, opened.reason
        ),
        format!("probability {probabilities}"),
        format!(
            "features    {}",
            features.map_or("none".to_owned(), |(name, size)| format!(
                "`{name}`, {size}"
            ))
        ),
        format!(
            "batch       {}",
            opened
                .batch
                .map_or("any".to_owned(), |size| format!("{size} at a time"))
        ),
    ]
}
