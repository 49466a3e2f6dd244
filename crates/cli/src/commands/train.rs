use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use buckler_data::{DataSource, Dataset, LoadOptions, Split};
use buckler_train::{
    Checkpoint, ComputeDevice, EpochRecord, PytorchFile, Recipe, Run, TrainOptions, train,
};
use serde::Serialize;

use crate::output::{Output, percent};
use crate::training_args::{TrainingArgs, load_options, source, with_remedy};

/// Train a network by a recipe
///
/// The checkpoint with the best accuracy under attack on held-out images is kept, and the last one. A run that was
/// interrupted goes on with --resume from its last checkpoint and ends as if it had not been, with the same recipe and the
/// same data; only the learning rate, gradient clipping, the number of epochs, early stopping and the device may change
/// (--set). The run's folder holds the recipe, report.md with curves.svg, and metrics.jsonl with a line per step.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler train mnist-he --data mnist:path/to/idx-files --out runs/mnist-he\n  buckler export runs/mnist-he --out models/mnist-he/1\n  buckler train mnist-he --data mnist --resume --set optimizer.learning_rate=0.01\n  buckler train imagenet-free-at-he --data folder:path/to/imagenet --device cuda:0\n\n`buckler recipes` lists what is built in."
)]
pub struct Args {
    /// A built-in recipe's name, or a TOML file
    recipe: String,
    #[command(flatten)]
    training: TrainingArgs,
    /// Folder of the run [default: runs/RECIPE]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Change a value of the recipe, by its dotted key; the value is TOML
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Go on with the run in the folder, from its last checkpoint
    #[arg(long)]
    resume: bool,
    /// Start from the weights of a run, a checkpoint or a PyTorch file of the same network instead of random ones
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    init: Option<PathBuf>,
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

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write KEY=VALUE, such as optimizer.learning_rate=0.01".to_owned()),
    }
}

#[derive(Serialize)]
struct Report {
    run: PathBuf,
    /// Of the best epoch, and of the last.
    warnings: Vec<String>,
    stopped: Option<String>,
    best: Option<EpochRecord>,
    epochs: Vec<EpochRecord>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let mut recipe = args.training.recipe(&args.recipe)?;
    for (key, value) in &args.set {
        recipe = recipe.with(key, value).context("--set")?;
    }
    let source = source(args.training.data.as_ref(), &recipe)?;
    ensure!(
        source.name() == recipe.data,
        "--set data={} and --data {source} name two data sets: leave one of them out",
        recipe.data
    );
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
        changed: args.set.iter().map(|(key, _)| key.clone()).collect(),
        init: None,
    };
    let init = args.init.as_deref();
    let run = train_recipe(&recipe, &source, &args.training.device, &out, init, options)?;
    let report = Report {
        run: out,
        warnings: warnings(&run),
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
        let warnings = report
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect::<String>();
        format!(
            "{best}{warnings}next: buckler export {} --out models/{}/1",
            report.run.display(),
            recipe.name
        )
    })
}

/// Reasons to distrust what a run came to.
fn warnings(run: &Run) -> Vec<String> {
    let best = run.best().map(|best| best.epoch);
    let last = run.epochs().last().map(|last| last.epoch);
    let of_note = run
        .epochs()
        .iter()
        .filter(|record| [best, last].contains(&Some(record.epoch)));
    of_note
        .filter_map(|record| {
            let warning = record.warning.as_ref()?;
            Some(format!("epoch {}: {warning}", record.epoch))
        })
        .collect()
}

/// Trains by a recipe on its data and keeps everything in `out`.
pub fn train_recipe(
    recipe: &Recipe,
    source: &DataSource,
    devices: &[ComputeDevice],
    out: &Path,
    init: Option<&Path>,
    options: TrainOptions,
) -> Result<Run> {
    let devices = devices
        .iter()
        .map(|device| device.open())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| with_remedy(error.into()))?;
    let (images, validation) = load_data(recipe, source)?;
    let init = init
        .map(|path| initial_weights(path, recipe, &images))
        .transpose()?;
    let options = TrainOptions { init, ..options };
    let images = Arc::new(images);
    train(recipe, images, &validation, &devices, out, options)
        .map_err(|error| with_remedy(error.into()))
}

/// The weights to start from, in a checkpoint or, with the normalisation of the recipe, in a PyTorch file.
fn initial_weights(path: &Path, recipe: &Recipe, images: &Dataset) -> Result<Checkpoint> {
    let device = ComputeDevice::Cpu.open()?;
    if !path.is_file() {
        return Ok(Checkpoint::load(path, &device)?);
    }
    let file = PytorchFile {
        path,
        weights: None,
        image: images.shape(),
        classes: images.classes().to_vec(),
    };
    let imported = Checkpoint::from_pytorch(file, recipe, &device)?;
    for note in &imported.notes {
        tracing::info!("{}: {note}", path.display());
    }
    Ok(imported.checkpoint)
}

/// The training images and, cut from their end, the validation images of a recipe.
fn load_data(recipe: &Recipe, source: &DataSource) -> Result<(Dataset, Dataset)> {
    let held_out = recipe.validation.images;
    let size = recipe
        .training
        .images
        .map(|images| images.saturating_add(held_out));
    let options = LoadOptions {
        seed: recipe.seed,
        ..load_options(recipe, size)
    };
    let mut images = source.load(Split::Train, &options)?;
    if images.ignored() > 0 {
        tracing::warn!(
            "{} files of {source} are not images and were left out",
            images.ignored()
        );
    }
    ensure!(
        images.len() > held_out,
        "validation.images is {held_out}, and {source} has {} images: none are left to train on",
        images.len()
    );
    let validation = images.split_off(held_out)?;
    Ok((images, validation))
}
