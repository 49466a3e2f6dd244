use std::path::PathBuf;

use anyhow::Result;
use buckler_onnx::{Card, Model, Obstacle, Port, Summary, check};
use serde::Serialize;

use crate::output::{Output, percent, port};

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
    attackable: bool,
    obstacles: Vec<Obstacle>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let model = Model::read(&args.model)?;
    let obstacles = check(&model).err().unwrap_or_default();
    let report = Report {
        model: args.model.clone(),
        summary: Summary::of(&model),
        card: model.card()?,
        attackable: obstacles.is_empty(),
        obstacles,
    };
    output.print(&report, text)
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
        format!("parameters  {}", summary.parameters),
        format!("operators   {}", operators.join(", ")),
    ];
    if report.attackable {
        lines.push("attackable  yes, every operator on the path has a gradient".to_owned());
    } else {
        lines.push("attackable  no".to_owned());
        lines.extend(
            report
                .obstacles
                .iter()
                .map(|obstacle| format!("  {obstacle}")),
        );
    }
    match &report.card {
        None => lines
            .push("card        none: classes are numbered and pixels taken as [0, 1]".to_owned()),
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
