use std::path::PathBuf;

use anyhow::Result;
use buckler_attack::{Prediction, Victim};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::as_text;
use crate::images::{self, Images};
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
    #[serde(serialize_with = "as_text::path")]
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    predictions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(serialize_with = "as_text::path")]
    image: PathBuf,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Prediction(Prediction),
    Failed { error: String },
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let classifier = args.model.open(None)?;
    let Images {
        paths,
        pixels,
        notes,
        failed,
    } = Images::load(&classifier, &args.images)?;
    let mut predictions = Vec::new();
    if let Some(pixels) = pixels {
        let logits = Runtime::new()?.block_on(classifier.logits(pixels))?;
        for (image, row) in paths.into_iter().zip(logits.outer_iter()) {
            let prediction = Prediction::new(&row.to_vec(), classifier.class_names());
            let answer = match prediction {
                Some(prediction) => Answer::Prediction(prediction),
                None => Answer::Failed {
                    error: "the model's logits are not finite".to_owned(),
                },
            };
            predictions.push(Row { image, answer });
        }
    }
    let failed = failed.into_iter().map(|(image, error)| Row {
        image,
        answer: Answer::Failed { error },
    });
    predictions.extend(failed);
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: [classifier.assumptions(), &notes].concat(),
        predictions,
    };
    output.print(&report, text)?;
    let failed = report.predictions.iter();
    let failed = failed.filter(|row| matches!(row.answer, Answer::Failed { .. }));
    images::check(failed.count(), args.images.len())
}

fn text(report: &Report) -> String {
    let rows = report
        .predictions
        .iter()
        .filter_map(|row| match &row.answer {
            Answer::Prediction(prediction) => Some(vec![
                row.image.display().to_string(),
                prediction.name.clone(),
                percent(f64::from(prediction.probability)),
                format!("{:.3}", prediction.margin),
            ]),
            Answer::Failed { .. } => None,
        });
    let mut text = table(&["image", "class", "probability", "margin"], rows);
    for row in &report.predictions {
        if let Answer::Failed { error } = &row.answer {
            text.push_str(&format!("\nfailed: {}: {error}", row.image.display()));
        }
    }
    for assumption in &report.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    text
}
