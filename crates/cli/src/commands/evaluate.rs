use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_attack::{Epsilon, Evaluation};
use buckler_data::{DataSource, LoadOptions, Split};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::attack_args::AttackArgs;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};
use crate::{evaluation, publish};

/// Measure accuracy on a test set, clean and under attack
///
/// An image counts as fooled when it is misclassified to begin with, or when an adversarial image was found and passed
/// the re-check: inside the ball, inside [0, 1], misclassified by a fresh forward pass.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler evaluate models/mnist-he/1/model.onnx --data mnist --eps 0.1,0.2,0.3 --steps 40 --limit 1000"
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Data set as NAME[:DIR]
    #[arg(long)]
    data: DataSource,
    /// Radii of the ball in pixel units, separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    eps: Vec<Epsilon>,
    #[command(flatten)]
    attack: AttackArgs,
    /// Only the first so many test images
    #[arg(long)]
    limit: Option<usize>,
    /// Add the figures to the model's card, inside the model and beside it, replacing those of the same attack
    #[arg(long)]
    write_card: bool,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    sha256: String,
    data: String,
    images: usize,
    clean_accuracy: f64,
    evaluations: Vec<Evaluation>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    let attacks = args
        .eps
        .iter()
        .map(|eps| evaluation::checked(&classifier, &args.attack.config(Some(*eps))))
        .collect::<Result<Vec<_>>>()?;
    let options = LoadOptions {
        size: args.limit,
        // A folder is cut to what the model takes.
        image_size: matches!(args.data, DataSource::Folder { .. })
            .then(|| classifier.input().height),
        ..LoadOptions::default()
    };
    let samples = evaluation::samples(&args.data.load(Split::Test, &options)?)?;
    let runtime = Runtime::new()?;
    let name = args.data.name();
    let evaluations = attacks
        .iter()
        .map(|attack| evaluation::run(&runtime, name, &classifier, &samples, attack))
        .collect::<Result<Vec<_>>>()?;
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        data: format!("{name}/{}", Split::Test),
        images: samples.len(),
        clean_accuracy: evaluations
            .first()
            .map_or(0.0, |first| first.clean_accuracy),
        evaluations,
    };
    if args.write_card {
        write_card(args, &report)?;
    }
    output.print(&report, |report| {
        let rows = report.evaluations.iter().map(|evaluation| {
            vec![
                evaluation.parameters.to_string(),
                percent(evaluation.accuracy_under_attack),
                format!(
                    "{:.1}",
                    evaluation.gradient_evaluations as f64 / evaluation.images.max(1) as f64
                ),
            ]
        });
        format!(
            "{} images of {}, clean accuracy {}\n{}",
            report.images,
            report.data,
            percent(report.clean_accuracy),
            table(&["attack", "accuracy", "gradients per image"], rows)
        )
    })
}

fn write_card(args: &Args, report: &Report) -> Result<()> {
    let dir = args
        .model
        .model
        .parent()
        .context("the model's path has no folder")?;
    let mut card = buckler_onnx::Model::read(&args.model.model)?
        .card()?
        .unwrap_or_default();
    if let Some(normalization) = args.model.normalization() {
        card.input.normalization = Some(normalization);
    }
    let command = command_line(args);
    for measured in evaluation::measurements(&report.data, &command, &report.evaluations) {
        card.measured.retain(|old| {
            (&old.data, &old.attack, old.images)
                != (&measured.data, &measured.attack, measured.images)
        });
        card.measured.push(measured);
    }
    publish::update_card(dir, &card)
}

/// What measures the same again, with the data set's name alone: where its files lie is nobody's business.
fn command_line(args: &Args) -> String {
    let eps: Vec<String> = args.eps.iter().map(Epsilon::to_string).collect();
    let attack = &args.attack;
    let mut line = format!(
        "buckler evaluate {} --data {} --attack {} --norm {} --eps {} --seed {}",
        args.model.model.display(),
        args.data.name(),
        attack.attack,
        attack.config(None).threat().norm,
        eps.join(","),
        attack.seed
    );
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" --{flag} {value}"));
        }
    };
    add(
        "objective",
        attack.objective.map(|objective| objective.to_string()),
    );
    add(
        "variants",
        attack.variants.map(|variants| variants.to_string()),
    );
    add("steps", attack.steps.map(|n| n.to_string()));
    add("step-size", attack.step_size.map(|size| size.to_string()));
    add("restarts", attack.restarts.map(|n| n.to_string()));
    add("limit", args.limit.map(|n| n.to_string()));
    line
}
