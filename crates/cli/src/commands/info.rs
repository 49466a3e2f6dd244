use std::path::PathBuf;

use anyhow::Result;
use buckler_onnx::{Card, Layout, Model, Obstacle, Port, Summary};
use buckler_runtime::LoadOptions;
use serde::Serialize;

use crate::output::{Output, percent, port};

/// Obstacles that are spelled out: a file may have any number.
const SHOWN: usize = 20;

/// Say what a model is, what was measured on it, and whether it can be attacked
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler info models/mnist-he/1/model.onnx")]
pub struct Args {
    /// The model
    model: PathBuf,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    #[serde(flatten)]
    summary: Summary,
    card: Option<Card>,
    /// Channels, height and width of an image; 0 where the graph leaves them open.
    image: Option<[usize; 3]>,
    range: String,
    attackable: bool,
    obstacles: Vec<Obstacle>,
    changes: Vec<String>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let model = Model::read(&args.model)?;
    let card = model.card()?;
    let (obstacles, changes) = buckler_runtime::obstacles(&model, &LoadOptions::default())?;
    let summary = Summary::of(&model);
    let report = Report {
        model: args.model.clone(),
        image: image(&summary),
        range: range(card.as_ref()),
        summary,
        card,
        attackable: obstacles.is_empty(),
        obstacles,
        changes,
    };
    output.print(&report, text)
}

/// Channels, height and width of the images that the only input takes.
fn image(summary: &Summary) -> Option<[usize; 3]> {
    let [input] = summary.inputs.as_slice() else {
        return None;
    };
    let sizes: Vec<Option<u64>> = input
        .shape
        .as_ref()?
        .iter()
        .map(|size| size.parse().ok())
        .collect();
    Layout::of(&sizes).map(|(_, image)| image)
}

/// What the pixels are that the graph takes.
fn range(card: Option<&Card>) -> String {
    match card.map(|card| &card.input.normalization) {
        Some(Some(normalization)) => format!(
            "(x - mean) / std of pixels x in [0, 1], mean {:?}, std {:?}",
            normalization.mean, normalization.std
        ),
        Some(None) => "[0, 1]".to_owned(),
        None => "taken as [0, 1]: the model does not say; --mean and --std of `attack` and `evaluate` change it".to_owned(),
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
        format!("pixels      {}", report.range),
        format!("parameters  {}", summary.parameters),
        format!(
            "FLOPs       {}",
            summary.flops.map_or("unknown".to_owned(), |flops| format!(
                "{flops} for one image, in convolutions and matrix products"
            ))
        ),
        format!("operators   {}", operators.join(", ")),
    ];
    if report.attackable {
        lines.push(
            "attackable  yes, every operator on the way to the logits has a gradient".to_owned(),
        );
    } else {
        lines.push("attackable  no".to_owned());
        let shown = report.obstacles.iter().take(SHOWN);
        lines.extend(shown.map(|obstacle| format!("  {obstacle}")));
        let more = report.obstacles.len().saturating_sub(SHOWN);
        if more > 0 {
            lines.push(format!("  and {more} more, listed by --json"));
        }
    }
    lines.extend(
        report
            .changes
            .iter()
            .map(|change| format!("note        {change}")),
    );
    match &report.card {
        None => lines.push("card        none: classes are numbered".to_owned()),
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
