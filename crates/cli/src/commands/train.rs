use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use buckler_data::{DataSource, Dataset, LoadOptions, Split};
use buckler_train::{ComputeDevice, EpochRecord, Recipe, Run, TrainOptions, train};
use serde::Serialize;

use crate::output::{Output, percent};
use crate::training_args::{TrainingArgs, source};

/// Train a network by a recipe
///
/// The checkpoint with the best accuracy under attack on held-out images is kept, and the last one. A run that was
/// interrupted goes on with --resume from its last checkpoint and ends as if it had not been. The run's folder holds
/// the recipe, report.md with curves.svg, and metrics.jsonl with a line per step.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler train mnist-he --data mnist:path/to/idx-files --out runs/mnist-he\n  buckler export runs/mnist-he --out models/mnist-he/1\n  buckler train imagenet-free-at-he --data folder:path/to/imagenet --device cuda:0\n\n`buckler recipes` lists what is built in."
)]
pub struct Args {
    /// A built-in recipe's name, or a TOML file
    recipe: String,
    #[command(flatten)]
    training: TrainingArgs,
    /// Folder of the run [default: runs/RECIPE]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in the folder, from its last checkpoint
    #[arg(long)]
    resume: bool,
    /// Minutes between checkpoints inside an epoch; there is one after every epoch too
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    checkpoint_every: f64,
    /// Threads that load images [default: one per core, at most 8]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Leave out images that cannot be read, naming them, instead of stopping
    #[arg(long)]
    skip_broken: bool,
}

#[derive(Serialize)]
struct Report {
    run: PathBuf,
    stopped: Option<String>,
    best: Option<EpochRecord>,
    epochs: Vec<EpochRecord>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let recipe = args.training.recipe(&args.recipe)?;
    let source = source(args.training.data.as_ref(), &recipe)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(&recipe.name));
    let minutes = args.checkpoint_every;
    let checkpoint_every = Duration::try_from_secs_f64(60.0 * minutes)
        .with_context(|| format!("--checkpoint-every {minutes}: not a number of minutes"))?;
    let options = TrainOptions {
        resume: args.resume,
        checkpoint_every,
        workers: args.workers,
        skip_broken: args.skip_broken,
    };
    let run = train_recipe(&recipe, &source, &args.training.device, &out, options)?;
    let report = Report {
        run: out,
        stopped: run.stopped().map(str::to_owned),
        best: run.best().cloned(),
        epochs: run.epochs().to_vec(),
    };
    output.print(&report, |report| {
        let best = report.best.as_ref().map_or(String::new(), |best| {
            let robust = best.robust_accuracy.map_or(String::new(), |share| {
                format!(", {} under PGD", percent(share))
            });
            format!(
                "best epoch {}: {} clean{robust} on the validation images\n",
                best.epoch,
                percent(best.clean_accuracy)
            )
        });
        format!(
            "{best}next: buckler export {} --out models/{}/1",
            report.run.display(),
            recipe.name
        )
    })
}

/// Trains by a recipe on its data and keeps everything in `out`.
pub fn train_recipe(
    recipe: &Recipe,
    source: &DataSource,
    devices: &[ComputeDevice],
    out: &Path,
    options: TrainOptions,
) -> Result<Run> {
    let devices = devices
        .iter()
        .map(|device| device.open())
        .collect::<Result<Vec<_>, _>>()?;
    let (images, validation) = load_data(recipe, source)?;
    let images = Arc::new(images);
    Ok(train(recipe, images, &validation, &devices, out, options)?)
}

/// The training images and, cut from their end, the validation images of a recipe.
fn load_data(recipe: &Recipe, source: &DataSource) -> Result<(Dataset, Dataset)> {
    let options = LoadOptions {
        size: recipe
            .training
            .images
            .map(|images| images + recipe.validation.images),
        seed: recipe.seed,
        image_size: recipe.image_size,
    };
    let mut images = source.load(Split::Train, &options)?;
    if images.ignored() > 0 {
        tracing::warn!(
            "{} files of {source} are no images and were passed over",
            images.ignored()
        );
    }
    let validation = images.split_off(recipe.validation.images)?;
    Ok((images, validation))
}
