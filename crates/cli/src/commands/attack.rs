use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use buckler_attack::{AttackReport, Epsilon, Examination, Status, examine};
use buckler_runtime::{Classifier, encode_png};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::attack_args::AttackArgs;
use crate::evaluation;
use crate::images::load_images;
use crate::model_args::ModelArgs;
use crate::output::{Output, table};

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
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    results: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    image: PathBuf,
    #[serde(flatten)]
    report: AttackReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<PathBuf>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    let AttackArgs {
        attack: spec,
        options,
    } = &args.attack;
    let config = spec.over(options.config(spec.attack(), args.eps));
    let attack = evaluation::checked(&classifier, &config)?;
    let (images, notes) = load_images(&classifier, &args.images)?;
    let class = |text: &Option<String>| {
        text.as_deref()
            .map(|text| find_class(&classifier, text))
            .transpose()
    };
    let count = args.images.len();
    let request = Examination {
        attack,
        images,
        labels: class(&args.label)?.map(|label| vec![label; count]),
        target: class(&args.target)?,
        halvings: args.min_eps.then_some(HALVINGS),
        class_names: classifier.class_names().to_vec(),
    };
    let examined = Runtime::new()?.block_on(examine(&classifier, &request, &()))?;
    let results = args
        .images
        .iter()
        .zip(examined)
        .map(|(image, examined)| {
            let saved = match (&args.save, &examined.adversarial) {
                (Some(dir), Some(pixels)) => Some(save(dir, image, &encode_png(pixels.view())?)?),
                _ => None,
            };
            Ok(Row {
                image: image.clone(),
                report: examined.report,
                saved,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: [classifier.assumptions(), &notes].concat(),
        results,
    };
    output.print(&report, |report| {
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
        format!("{}\n{}", request.attack, table(&header, rows))
    })
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
    let names = classifier.class_names();
    if let Some(class) = names.iter().position(|name| name == text) {
        return Ok(class);
    }
    match text.parse::<usize>() {
        Ok(class) if class < names.len() => Ok(class),
        _ => bail!(
            "class `{text}` is none of the model's {}: give a name or a number from 0 to {}",
            names.len(),
            names.len().saturating_sub(1)
        ),
    }
}

fn save(dir: &Path, image: &Path, png: &[u8]) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let stem = image.file_stem().unwrap_or(image.as_os_str());
    let path = dir.join(format!("{}.adversarial.png", stem.to_string_lossy()));
    buckler_onnx::write_atomic(&path, png)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
