use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use buckler_attack::{
    AnyAttack, AttackReport, Epsilon, Examination, Prediction, Status, Victim, examine,
};
use buckler_data::ModelClasses;
use buckler_runtime::{Classifier, encode_png};
use ndarray::Axis;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::as_text;
use crate::attack_args::AttackArgs;
use crate::evaluation;
use crate::images::{self, Images};
use crate::model_args::ModelArgs;
use crate::output::{Output, table};
use crate::saved;

/// Attack a classifier on images and report what it takes to fool it
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler attack models/mnist-he/1/model.onnx seven.png --eps 0.3 --steps 40 --save fooled/"
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Image files
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Radius of the ball in pixel units [default: 8/255 in linf, 128/255 in l2]
    #[arg(long)]
    eps: Option<Epsilon>,
    /// Search the smallest radius at which the attack succeeds, from --eps downwards, to a 256th of it
    #[arg(long)]
    min_eps: bool,
    #[command(flatten)]
    attack: AttackArgs,
    /// The class to reach, by name or number; any other class than the label when not given
    #[arg(long)]
    target: Option<String>,
    /// The true class of every image, by name or number; the model's own prediction when not given
    #[arg(long)]
    label: Option<String>,
    /// Write adversarial images as PNG files here
    #[arg(long)]
    save: Option<PathBuf>,
}

/// Of the radius, in search of the smallest.
const HALVINGS: u32 = 8;

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    results: Vec<Row>,
    /// Images that could not be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Failed {
    #[serde(serialize_with = "as_text::path")]
    image: PathBuf,
    error: String,
}

#[derive(Serialize)]
struct Row {
    #[serde(serialize_with = "as_text::path")]
    image: PathBuf,
    #[serde(flatten)]
    report: AttackReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "as_text::optional")]
    saved: Option<PathBuf>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.open(None)?;
    let AttackArgs {
        attack: spec,
        options,
    } = &args.attack;
    let config = spec.over(options.config(spec.attack(), args.eps));
    let attack = evaluation::checked(&classifier, &config)?;
    let class = |text: &Option<String>| {
        text.as_deref()
            .map(|text| find_class(&classifier, text))
            .transpose()
    };
    let (label, target) = (class(&args.label)?, class(&args.target)?);
    if let (Some(text), true) = (&args.target, label.is_some() && label == target) {
        bail!(
            "--label and --target are both class `{}`: choose another target",
            text.escape_debug()
        );
    }
    if let Some(dir) = &args.save {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let names = saved::names(&args.images, ".adversarial.png");
    let Images {
        paths,
        pixels,
        notes,
        failed,
    } = Images::load(&classifier, &args.images)?;
    let mut report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: [classifier.assumptions(), &notes].concat(),
        results: Vec::new(),
        failed: Vec::new(),
    };
    for (image, error) in failed {
        report.failed.push(Failed { image, error });
    }
    if let Some(pixels) = pixels {
        let runtime = Runtime::new()?;
        let logits = runtime.block_on(classifier.logits(pixels.clone()))?;
        let mut rows = Vec::new();
        for (row, path) in paths.iter().enumerate() {
            let logits = logits.row(row).to_vec();
            let clean = Prediction::new(&logits, classifier.class_names());
            let error = match clean {
                None => "the model's logits are not finite".to_owned(),
                Some(clean) if Some(label.unwrap_or(clean.class)) == target => format!(
                    "its class is `{}`, which is the target: choose another",
                    clean.name.escape_debug()
                ),
                Some(_) => {
                    rows.push(row);
                    continue;
                }
            };
            report.failed.push(Failed {
                image: path.clone(),
                error,
            });
        }
        let images = pixels.select(Axis(0), &rows);
        let paths = rows.iter().filter_map(|&row| paths.get(row).cloned());
        let paths: Vec<PathBuf> = paths.collect();
        let request = Examination {
            attack: attack.clone(),
            images,
            labels: label.map(|label| vec![label; paths.len()]),
            target,
            halvings: args.min_eps.then_some(HALVINGS),
            class_names: classifier.class_names().to_vec(),
        };
        let examined = match paths.is_empty() {
            true => Vec::new(),
            false => runtime.block_on(examine(&classifier, &request, &()))?,
        };
        // The files that could be used keep their order, so that each name is found at or after the last one.
        let mut named = args.images.iter().zip(&names);
        for (image, examined) in paths.into_iter().zip(examined) {
            let name = named
                .find(|(path, _)| **path == image)
                .map(|(_, name)| name);
            let saved = match (&args.save, name, &examined.adversarial) {
                (Some(dir), Some(name), Some(pixels)) => {
                    Some(save(&dir.join(name), &encode_png(pixels.view())?)?)
                }
                _ => None,
            };
            report.results.push(Row {
                image,
                report: examined.report,
                saved,
            });
        }
    }
    output.print(&report, |report| text(report, &attack))?;
    images::check(report.failed.len(), args.images.len())
}

fn text(report: &Report, attack: &AnyAttack) -> String {
    let rows = report.results.iter().map(describe);
    let header = [
        "image",
        "outcome",
        "clean",
        "adversarial",
        "linf x 255",
        "l2",
        "as PNG",
        "gradients",
    ];
    let mut text = format!("{attack}\n{}", table(&header, rows));
    for row in &report.results {
        for warning in &row.report.warnings {
            text.push_str(&format!("\nwarning: {}: {warning}", row.image.display()));
        }
    }
    for Failed { image, error } in &report.failed {
        text.push_str(&format!("\nfailed: {}: {error}", image.display()));
    }
    for assumption in &report.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    text
}

fn describe(row: &Row) -> Vec<String> {
    let report = &row.report;
    let outcome = match report.outcome {
        Status::AdversarialFound => "adversarial found",
        Status::NotFound => "not found",
        Status::MisclassifiedClean => "misclassified clean",
        Status::Incomplete => "incomplete",
    };
    let adversarial = report.adversarial.as_ref();
    let png = report.png.as_ref().map_or("", |png| {
        if png.still_adversarial {
            "still fools"
        } else {
            "does not"
        }
    });
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    vec![
        row.image.display().to_string(),
        outcome.to_owned(),
        report.clean.name.clone(),
        or_empty(adversarial.map(|found| found.prediction.name.clone())),
        or_empty(adversarial.map(|found| format!("{:.2}", found.linf_255))),
        or_empty(adversarial.map(|found| format!("{:.3}", found.l2))),
        png.to_owned(),
        report.gradient_evaluations.to_string(),
    ]
}

/// A class by its name or its number.
fn find_class(classifier: &Classifier, text: &str) -> Result<usize> {
    let classes = ModelClasses {
        count: classifier.classes(),
        names: classifier.class_names(),
    };
    classes.find(text).map_err(|error| anyhow!("class {error}"))
}

fn save(path: &Path, png: &[u8]) -> Result<PathBuf> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        buckler_onnx::write_atomic(path, png)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_owned())
}
