use std::path::PathBuf;

use anyhow::Result;
use buckler_onnx::{Model, Port, Summary, differentiate};
use serde::Serialize;

use crate::output::{Output, port};

/// Write the gradient graph of an ONNX classifier
///
/// The second graph returns logits, per-image loss and the gradient of the loss with respect to the image, for
/// cross-entropy, margin, or any linear functional of the logits. It runs wherever the first one does.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler differentiate model.onnx --out gradient.onnx")]
pub struct Args {
    /// The classifier
    model: PathBuf,
    /// Where to write [default: gradient.onnx beside the model]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    gradient: PathBuf,
    summary: Summary,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let gradient = differentiate(&Model::read(&args.model)?)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.model.with_file_name("gradient.onnx"));
    gradient.write(&out)?;
    let report = Report {
        gradient: out,
        summary: Summary::of(&gradient),
    };
    output.print(&report, |report| {
        let ports = |ports: &[Port]| {
            let lines: Vec<_> = ports.iter().map(|p| format!("  {}", port(p))).collect();
            lines.join("\n")
        };
        format!(
            "{}\ninputs\n{}\noutputs\n{}",
            report.gradient.display(),
            ports(&report.summary.inputs),
            ports(&report.summary.outputs)
        )
    })
}
