use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_data::{DataSource, LoadOptions, Split};
use buckler_train::{Checkpoint, ComputeDevice, Recipe};
use serde::Serialize;

use crate::output::Output;
use crate::publish::{Parity, publish};
use crate::training_args::source;

/// Export a checkpoint to ONNX, with its gradient graph and its card
///
/// Writes model.onnx, gradient.onnx and card.json, after checking logits and input gradients in ONNX Runtime against the
/// trainer.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler export runs/digits-he --out models/digits-he/1\n  buckler export trades-he.pt --recipe cifar10-trades-he --data cifar10 --out models/trades-he/1"
)]
pub struct Args {
    /// A run's folder (its best checkpoint), one checkpoint's, or a PyTorch file (.pt, .pth)
    checkpoint: PathBuf,
    /// Model folder, models/NAME/VERSION
    #[arg(long)]
    out: PathBuf,
    /// The model's name on its card [default: the recipe's]
    #[arg(long)]
    name: Option<String>,
    /// A line about the model on its card [default: the recipe's]
    #[arg(long)]
    description: Option<String>,
    /// The recipe whose network a PyTorch file holds
    #[arg(long)]
    recipe: Option<String>,
    /// Data set as NAME[:DIR] that says image size and classes of a PyTorch file, instead of the recipe's
    #[arg(long)]
    data: Option<DataSource>,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    name: String,
    epoch: usize,
    parity: Parity,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let mut checkpoint = load(args)?;
    if let Some(description) = &args.description {
        checkpoint.state.recipe.description.clone_from(description);
    }
    let state = &checkpoint.state;
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| state.recipe.name.clone());
    let parity = publish(&checkpoint, &name, &args.out)?;
    let report = Report {
        model: args.out.clone(),
        name,
        epoch: state.epochs,
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

fn load(args: &Args) -> Result<Checkpoint> {
    let device = ComputeDevice::Cpu.open()?;
    let extension = args.checkpoint.extension().and_then(|text| text.to_str());
    if !matches!(extension, Some("pt" | "pth")) {
        return Ok(Checkpoint::load(&args.checkpoint, &device)?);
    }
    let recipe = args
        .recipe
        .as_deref()
        .context("a PyTorch file holds weights alone: --recipe NAME says of which network")?;
    let recipe = Recipe::find(recipe)?;
    let source = source(args.data.as_ref(), &recipe)?;
    let options = LoadOptions {
        size: Some(1),
        image_size: recipe.image_size,
        ..LoadOptions::default()
    };
    let data = source.load(Split::Test, &options)?;
    let (image, classes) = (data.shape(), data.classes().to_vec());
    let path = &args.checkpoint;
    Ok(Checkpoint::from_pytorch(
        path, &recipe, image, classes, &device,
    )?)
}
