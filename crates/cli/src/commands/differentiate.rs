//! `buckler differentiate`: the gradient graph of a model, made and verified.
use std::path::{Path, PathBuf};

use anyhow::Result;
use buckler_onnx::{Card, Model, Port, Summary};
use buckler_runtime::Verification;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::as_text;
use crate::model_args::ModelArgs;
use crate::output::{Output, port};

/// Write the gradient graph of an ONNX classifier, and verify it
///
/// The second graph returns logits, per-image loss and the gradient of the loss with respect to the image, for
/// cross-entropy, margin, DLR, KL divergence, feature distance, or any linear functional of the logits. It is made of
/// ONNX's own operators and runs wherever the first one does. Before it is written, its logits are compared with the
/// model's, and its gradient with difference quotients of the model.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler differentiate model.onnx --out gradient.onnx")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Where to write [default: gradient.onnx beside the model]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    gradient: PathBuf,
    summary: Summary,
    assumptions: Vec<String>,
    verification: Verification,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let model = &args.model.model;
    let made = buckler_runtime::differentiate_file(model, &args.model.options(None))?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| model.with_file_name("gradient.onnx"));
    made.gradient.write(&out)?;
    update_checksum(&out, &made.gradient)?;
    let report = Report {
        gradient: out,
        summary: Summary::of(&made.gradient),
        assumptions: made.assumptions,
        verification: made.verification,
    };
    output.print(&report, text)
}

/// A card beside the file that states its checksum is given the new one.
fn update_checksum(path: &Path, gradient: &Model) -> Result<()> {
    let card_path = path.with_file_name("card.json");
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    if !card_path.is_file() {
        return Ok(());
    }
    let mut card = Card::read(&card_path)?;
    if let Some(sum) = card.sha256.get_mut(name) {
        *sum = format!("{:x}", Sha256::digest(gradient.to_bytes()));
        card.write(&card_path)?;
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let ports = |ports: &[Port]| {
        let lines: Vec<_> = ports.iter().map(|p| format!("  {}", port(p))).collect();
        lines.join("\n")
    };
    let Verification { logits, slopes } = report.verification;
    let mut lines = vec![
        report.gradient.display().to_string(),
        format!("inputs\n{}", ports(&report.summary.inputs)),
        format!("outputs\n{}", ports(&report.summary.outputs)),
        format!(
            "verified: logits differ from the model's by {logits:.1e} of the largest, slopes from its difference quotients by {slopes:.1e} of their size"
        ),
    ];
    lines.extend(
        report
            .assumptions
            .iter()
            .map(|assumption| format!("assumption: {assumption}")),
    );
    lines.join("\n")
}
