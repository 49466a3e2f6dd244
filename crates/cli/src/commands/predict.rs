use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_attack::{Prediction, Victim};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::images::load_images;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};

/// Classify images
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler predict models/mnist-he/1/model.onnx seven.png")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Image files
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    predictions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    image: PathBuf,
    #[serde(flatten)]
    prediction: Prediction,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    let (images, notes) = load_images(&classifier, &args.images)?;
    let logits = Runtime::new()?.block_on(classifier.logits(images))?;
    let predictions = args
        .images
        .iter()
        .zip(logits.outer_iter())
        .map(|(image, row)| {
            let prediction = Prediction::new(&row.to_vec(), classifier.class_names())
                .with_context(|| format!("{}: the logits are not finite", image.display()))?;
            Ok(Row {
                image: image.clone(),
                prediction,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: [classifier.assumptions(), &notes].concat(),
        predictions,
    };
    output.print(&report, |report| {
        let rows = report.predictions.iter().map(|row| {
            vec![
                row.image.display().to_string(),
                row.prediction.name.clone(),
                percent(f64::from(row.prediction.probability)),
                format!("{:.3}", row.prediction.margin),
            ]
        });
        table(&["image", "class", "probability", "margin"], rows)
    })
}
