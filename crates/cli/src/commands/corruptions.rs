use std::path::PathBuf;

use anyhow::{Result, bail};
use buckler_attack::accuracy;
use buckler_data::{
    Corruption, DataSource, Dataset, Severity, Split, corrupted, write_corruption_preview,
};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::evaluation;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};

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
    /// Data set as NAME[:DIR]
    #[arg(long)]
    data: DataSource,
    /// Only these corruptions, separated by commas [default: all fifteen]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Corruption>,
    /// Severities, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5", value_parser = severity)]
    severity: Vec<Severity>,
    /// Only the first so many test images
    #[arg(long)]
    limit: Option<usize>,
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
    model: PathBuf,
    sha256: String,
    data: String,
    images: usize,
    seed: u64,
    severities: Vec<Severity>,
    clean_accuracy: f64,
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
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    let data = evaluation::test_set(&args.data, &classifier, args.limit)?;
    if let Some(path) = &args.preview {
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
    let runtime = Runtime::new()?;
    let measure = |data: &Dataset| -> Result<f64> {
        let samples = evaluation::samples(data)?;
        Ok(runtime.block_on(accuracy(&classifier, &samples))?)
    };
    let clean_accuracy = measure(&data)?;
    let bar = evaluation::bar(corruptions.len() * args.severity.len() * data.len());
    let mut rows = Vec::new();
    for &corruption in &corruptions {
        bar.set_prefix(corruption.to_string());
        let mut accuracies = Vec::new();
        for &severity in &args.severity {
            let data = corrupted(&data, corruption, severity, args.seed)?;
            accuracies.push(measure(&data)?);
            bar.inc(data.len() as u64);
        }
        rows.push(Row {
            corruption,
            mean_accuracy: mean(&accuracies),
            accuracy: accuracies,
        });
    }
    bar.finish_and_clear();
    let means: Vec<f64> = rows.iter().map(|row| row.mean_accuracy).collect();
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        data: format!("{}/{}", args.data.name(), Split::Test),
        images: data.len(),
        seed: args.seed,
        severities: args.severity.clone(),
        clean_accuracy,
        mean_accuracy: mean(&means),
        corruptions: rows,
    };
    output.print(&report, describe)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn describe(report: &Report) -> String {
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
    format!(
        "{} images of {}, clean accuracy {}, mean under corruptions {}\n{}",
        report.images,
        report.data,
        percent(report.clean_accuracy),
        percent(report.mean_accuracy),
        table(&header, rows)
    )
}
