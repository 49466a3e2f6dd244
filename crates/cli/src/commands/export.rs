use std::path::PathBuf;

use anyhow::Result;
use buckler_train::{Checkpoint, ComputeDevice};
use serde::Serialize;

use crate::output::Output;
use crate::publish::{Parity, publish};

/// Export a checkpoint to ONNX, with its gradient graph and its card
///
/// Writes model.onnx, gradient.onnx and card.json, after checking logits and input gradients in ONNX Runtime against the
/// trainer.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler export runs/digits-he --out models/digits-he/1")]
pub struct Args {
    /// A run's folder (its best checkpoint) or one checkpoint's
    checkpoint: PathBuf,
    /// Model folder, models/NAME/VERSION
    #[arg(long)]
    out: PathBuf,
    /// The model's name on its card [default: the recipe's]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    name: String,
    epoch: usize,
    parity: Parity,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let checkpoint = Checkpoint::load(&args.checkpoint, &ComputeDevice::Cpu.open()?)?;
    let state = &checkpoint.state;
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| state.recipe.name.clone());
    let parity = publish(&checkpoint, &name, &args.out)?;
    let report = Report {
        model: args.out.clone(),
        name,
        epoch: state.epoch.epoch,
        parity,
    };
    output.print(&report, |report| {
        format!(
            "{} (epoch {}) in {}: model.onnx, gradient.onnx, card.json\nONNX Runtime against the trainer: logits within {:.1e}, input gradient within {:.1e} of its length",
            report.name,
            report.epoch,
            report.model.display(),
            parity.logits_max_abs,
            parity.gradient_rel_l2
        )
    })
}
