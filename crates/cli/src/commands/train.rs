use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use buckler_data::{DataSource, Dataset, LoadOptions, Split};
use buckler_train::{
    Checkpoint, ComputeDevice, EpochRecord, PytorchFile, Recipe, Run, TrainOptions, train,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::output::{Output, percent};
use crate::test_set;
use crate::training_args::{
    Normalization, TrainingArgs, check_normalizes, load_options, source, weights_remedy,
    with_remedy,
};

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
    /// What images went through before the network of a PyTorch file that is started from: `none` for plain [0, 1],
    /// `recipe` for the recipe's mean and deviation
    #[arg(long, value_name = "NORMALIZATION", requires = "init")]
    init_normalization: Option<Normalization>,
    /// Key of the weights in a PyTorch file with several state dicts that is started from, such as `ema`; `.` for those
    /// beside the others
    #[arg(long, value_name = "KEY", requires = "init")]
    init_weights: Option<String>,
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
    if args.training.data.is_some() {
        ensure!(
            recipe.data == source.name() || recipe.data == source.to_string(),
            "--set data={} and --data {source} name two data sets: leave one of them out",
            recipe.data
        );
    }
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
        init_from: None,
    };
    let init = args.init.as_deref().map(|path| InitialWeights {
        path,
        normalization: args.init_normalization,
        weights: args.init_weights.as_deref(),
    });
    let run = train_recipe(&recipe, &source, &args.training.device, &out, init, options)
        .map_err(with_remedy)?;
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

/// Where a run's weights start, and what a PyTorch file does not say of its own.
pub struct InitialWeights<'a> {
    path: &'a Path,
    normalization: Option<Normalization>,
    weights: Option<&'a str>,
}

/// Trains by a recipe on its data and keeps everything in `out`.
pub fn train_recipe(
    recipe: &Recipe,
    source: &DataSource,
    devices: &[ComputeDevice],
    out: &Path,
    init: Option<InitialWeights<'_>>,
    options: TrainOptions,
) -> Result<Run> {
    let devices = devices
        .iter()
        .map(|device| device.open())
        .collect::<Result<Vec<_>, _>>()?;
    let (images, validation) = load_data(recipe, source)?;
    let mut options = options;
    if let Some(init) = init {
        let (checkpoint, from) = initial_weights(&init, recipe, &images)?;
        options.init = Some(checkpoint);
        options.init_from = from;
    }
    let images = Arc::new(images);
    Ok(train(recipe, images, &validation, &devices, out, options)?)
}

/// The weights to start from, in a checkpoint or in a PyTorch file; of a file, also what is recorded of it.
fn initial_weights(
    init: &InitialWeights<'_>,
    recipe: &Recipe,
    images: &Dataset,
) -> Result<(Checkpoint, Option<String>)> {
    let device = ComputeDevice::Cpu.open()?;
    let path = init.path;
    if !path.is_file() {
        for (option, given) in [
            ("--init-normalization", init.normalization.is_some()),
            ("--init-weights", init.weights.is_some()),
        ] {
            ensure!(
                !given,
                "{option} is for PyTorch files: {} is not a file, and a run or checkpoint has its own recipe",
                path.display()
            );
        }
        return Ok((Checkpoint::load(path, &device)?, None));
    }
    if init.normalization == Some(Normalization::Recipe) {
        check_normalizes(recipe, "--init-normalization")?;
    }
    if let Some(config) = &recipe.normalization {
        ensure!(
            init.normalization == Some(Normalization::Recipe),
            "recipe {} normalises images by mean {:?} and std {:?}, and {} does not say whether its network was trained so: give --init-normalization recipe if it was; if it takes plain [0, 1], train it so too, with --set normalization=false",
            recipe.name,
            config.mean,
            config.std,
            path.display()
        );
    }
    let file = PytorchFile {
        path,
        weights: init.weights,
        image: images.shape(),
        classes: images.classes().to_vec(),
    };
    let imported = Checkpoint::from_pytorch(file, recipe, &device)
        .map_err(|error| weights_remedy(error, "--init-weights"))?;
    for note in &imported.notes {
        tracing::info!("{}: {note}", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let weights = init
        .weights
        .map_or(String::new(), |key| format!(", weights `{key}`"));
    let from = format!(
        "PyTorch file {}, SHA-256 {:x}{weights}; {}",
        path.display(),
        Sha256::digest(bytes),
        imported.notes.join("; ")
    );
    Ok((imported.checkpoint, Some(from)))
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
    let mut images = test_set::load(source, Split::Train, &options)?;
    ensure!(
        images.len() > held_out,
        "validation.images is {held_out}, and {source} has {} images: none are left to train on",
        images.len()
    );
    let validation = images.split_off(held_out)?;
    Ok((images, validation))
}
