use std::path::PathBuf;

use anyhow::{Result, bail};
use buckler_attack::{SampleSource, Samples, predictions};
use buckler_data::{ClassMap, Corruption, Severity, corrupt, write_corruption_preview};
use buckler_report::Skipped;
use ndarray::{Array4, Axis};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::as_text;
use crate::evaluation;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};
use crate::test_set::TestSetArgs;

/// Measure accuracy on a test set under common corruptions: noise, blur, weather, digital
///
/// The fifteen corruptions of CIFAR-10-C and ImageNet-C in five severities (Hendrycks & Dietterich 2019), made on the spot
/// for images of any size. Frost is drawn where the published files overlay photographs: its figures are not comparable.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  buckler corruptions models/cifar10-he/1/model.onnx --data cifar10 --limit 1000
  buckler corruptions models/mnist-he/1/model.onnx --data mnist --only fog,contrast --severity 3,5
  buckler corruptions models/cifar10-he/1/model.onnx --data cifar10 --preview sheet.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    test_set: TestSetArgs,
    /// Only these corruptions, separated by commas [default: all fifteen]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Corruption>,
    /// Severities, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5", value_parser = severity)]
    severity: Vec<Severity>,
    /// Seed of all that is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a sheet of the first image under every corruption as a PNG, and measure nothing
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
}

fn severity(text: &str) -> Result<Severity, String> {
    let number: u8 = text
        .trim()
        .parse()
        .map_err(|_| format!("severity `{text}` is not a whole number from 1 to 5"))?;
    Severity::new(number).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    data: String,
    images_sha256: String,
    /// Class of the model for each class of the data set.
    classes: ClassMap,
    skipped: Vec<Skipped>,
    images: usize,
    seed: u64,
    severities: Vec<Severity>,
    clean_accuracy: f64,
    /// Clean images for which the model's logits are not finite: they count as wrong.
    no_prediction: usize,
    /// Over all corruptions and severities.
    mean_accuracy: f64,
    corruptions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    corruption: Corruption,
    /// One for each severity.
    accuracy: Vec<f64>,
    mean_accuracy: f64,
    /// Images for which the model's logits are not finite, for each severity: they count as wrong.
    no_prediction: Vec<usize>,
}

/// What came of images.
#[derive(Clone, Copy, Default)]
struct Counts {
    right: usize,
    no_prediction: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.no_prediction += other.no_prediction;
    }
}

/// Images that are held at a time.
const BLOCK: usize = 128;

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    if let Some(path) = &args.preview {
        let data = args.test_set.dataset(&classifier)?;
        write_corruption_preview(&data, 0, args.seed, path)?;
        tracing::info!(sheet = %path.display(), "written");
        return Ok(());
    }
    let corruptions = match args.only.as_slice() {
        [] => Corruption::ALL.to_vec(),
        only => only.to_vec(),
    };
    if args.severity.is_empty() {
        bail!("no severity was given: name some from 1 to 5");
    }
    let samples = args.test_set.load(&classifier)?;
    let runtime = Runtime::new()?;
    let count = |part: &Samples| -> Result<Counts> {
        part.check(&classifier)?;
        let predictions = runtime.block_on(predictions(&classifier, &part.images))?;
        let pairs = predictions.iter().zip(&part.labels);
        Ok(Counts {
            right: pairs
                .filter(|(class, label)| **class == Some(**label))
                .count(),
            no_prediction: predictions.iter().filter(|class| class.is_none()).count(),
        })
    };
    let bar = evaluation::bar(corruptions.len() * args.severity.len() * samples.len());
    let mut clean = Counts::default();
    let mut counts = vec![vec![Counts::default(); args.severity.len()]; corruptions.len()];
    for start in (0..samples.len()).step_by(BLOCK) {
        let part = samples.block(start..start + BLOCK)?;
        clean.add(count(&part)?);
        for (&corruption, counts) in corruptions.iter().zip(&mut counts) {
            bar.set_prefix(corruption.to_string());
            for (&severity, counts) in args.severity.iter().zip(counts) {
                counts.add(count(&corrupted(&part, corruption, severity, args.seed)?)?);
                bar.inc(part.len() as u64);
            }
        }
    }
    bar.finish_and_clear();
    let share = |counts: Counts| counts.right as f64 / samples.len() as f64;
    let rows: Vec<Row> = corruptions
        .into_iter()
        .zip(counts)
        .map(|(corruption, counts)| {
            let accuracy: Vec<f64> = counts.iter().copied().map(share).collect();
            Row {
                no_prediction: counts.iter().map(|counts| counts.no_prediction).collect(),
                corruption,
                mean_accuracy: mean(&accuracy),
                accuracy,
            }
        })
        .collect();
    let means: Vec<f64> = rows.iter().map(|row| row.mean_accuracy).collect();
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: samples.assumptions(&classifier),
        data: samples.name.clone(),
        images_sha256: samples.images_sha256.clone(),
        classes: samples.classes.clone(),
        skipped: samples.skipped.clone(),
        images: samples.len(),
        seed: args.seed,
        severities: args.severity.clone(),
        clean_accuracy: share(clean),
        no_prediction: clean.no_prediction,
        mean_accuracy: mean(&means),
        corruptions: rows,
    };
    let notes = samples.notes();
    output.print(&report, |report| describe(report, &notes))
}

/// The samples corrupted, each as its id says, by as many threads as there are cores.
fn corrupted(
    part: &Samples,
    corruption: Corruption,
    severity: Severity,
    seed: u64,
) -> Result<Samples> {
    let (count, channels, height, width) = part.images.dim();
    let images: Vec<(u64, Vec<f32>)> = part
        .ids
        .iter()
        .zip(part.images.axis_iter(Axis(0)))
        .map(|(&id, image)| (id, image.iter().copied().collect()))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8));
    let share = count.div_ceil(threads).max(1);
    let parts: Vec<Result<Vec<f32>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = images
            .chunks(share)
            .map(|mine| {
                scope.spawn(move || -> Result<Vec<f32>> {
                    let mut pixels = Vec::new();
                    for (id, image) in mine {
                        let shape = [channels, height, width];
                        pixels.extend(corrupt(image, shape, corruption, severity, seed, *id)?);
                    }
                    Ok(pixels)
                })
            })
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a thread that corrupts images failed")))
            .collect()
    });
    let mut pixels = Vec::with_capacity(part.images.len());
    for part in parts {
        pixels.extend(part?);
    }
    Ok(Samples {
        images: Array4::from_shape_vec((count, channels, height, width), pixels)?,
        ..part.clone()
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn describe(report: &Report, notes: &[String]) -> String {
    let severities: Vec<String> = report.severities.iter().map(Severity::to_string).collect();
    let mut header = vec!["corruption"];
    header.extend(severities.iter().map(String::as_str));
    header.push("mean");
    let rows = report.corruptions.iter().map(|row| {
        let mut cells = vec![row.corruption.to_string()];
        cells.extend(row.accuracy.iter().copied().map(percent));
        cells.push(percent(row.mean_accuracy));
        cells
    });
    let mut text = format!(
        "{} images of {}, clean accuracy {}, mean under corruptions {}\n{}",
        report.images,
        report.data,
        percent(report.clean_accuracy),
        percent(report.mean_accuracy),
        table(&header, rows)
    );
    let most = report.corruptions.iter().flat_map(|row| &row.no_prediction);
    let most = most.copied().max().unwrap_or_default();
    if report.no_prediction > 0 || most > 0 {
        text.push_str(&format!(
            "\nthe model's logits are not finite for {} of the clean images, and for up to {most} of the images under a corruption, which \
             count as wrong",
            report.no_prediction
        ));
    }
    for note in notes {
        text.push_str(&format!("\n{note}"));
    }
    for assumption in &report.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    text
}
