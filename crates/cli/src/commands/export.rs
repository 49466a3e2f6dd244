use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use buckler_attack::Victim;
use buckler_data::{DataError, DataSource, Dataset, Split};
use buckler_runtime::{Classifier, LoadOptions as ModelOptions};
use buckler_train::{
    Checkpoint, ComputeDevice, NormalizationConfig, PytorchFile, Recipe, card, preprocessing,
};
use ndarray::{Array4, ArrayView1, Axis};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::output::{Output, percent};
use crate::publish::{Parity, check_outside_runs, check_target, publish};
use crate::test_set;
use crate::training_args::{Normalization, check_normalizes, load_options, source, weights_remedy};

/// Export a checkpoint to ONNX, with its gradient graph and its card
///
/// Writes model.onnx, gradient.onnx and card.json, after checking logits and input gradients in ONNX Runtime against the
/// trainer. A PyTorch file must hold exactly the recipe's network: what is missing or left over is named, and nothing is
/// written. It does not say what its images went through: where the recipe normalises them, --normalization has to say
/// whether the file's network was trained so. With data at hand the clean accuracy shows whether that was right.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler export runs/digits-he --out models/digits-he/1\n  buckler export model_cifar_wrn.pt --recipe cifar10-trades --data cifar10 --out models/trades/1\n  buckler export model-wideres-pgdHE-wide10.pt --recipe cifar10-pgd-at-he --normalization recipe --data cifar10 --out models/pgd-he/1"
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
    /// Replace the model of another run in the folder
    #[arg(long)]
    force: bool,
    /// The recipe whose network a PyTorch file holds
    #[arg(long)]
    recipe: Option<String>,
    /// What images went through before a PyTorch file's network: `none` for plain [0, 1], `recipe` for the recipe's mean
    /// and deviation
    #[arg(long)]
    normalization: Option<Normalization>,
    /// Key of the weights in a PyTorch file with several state dicts, such as `ema`; `.` for those beside the others
    #[arg(long, value_name = "KEY")]
    weights: Option<String>,
    /// Data set as NAME[:DIR] that a PyTorch file's network classifies, instead of the recipe's; its clean accuracy is
    /// measured
    #[arg(long)]
    data: Option<DataSource>,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    name: String,
    epoch: usize,
    parity: Parity,
    /// What was converted or left out of a PyTorch file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Of a PyTorch file's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<Accuracy>,
}

/// Clean accuracy on the first test images.
#[derive(Serialize)]
struct Accuracy {
    data: String,
    images: usize,
    clean: f64,
    /// With the other choice of normalisation, where the recipe has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    with_other_normalization: Option<f64>,
}

/// Test images that an imported network is tried on.
const CHECKED: usize = 500;

pub fn run(args: &Args, output: Output) -> Result<()> {
    check_outside_runs(&args.out)?;
    let (mut checkpoint, notes, check) = load(args)?;
    if let Some(description) = &args.description {
        checkpoint.state.recipe.description.clone_from(description);
    }
    let state = &checkpoint.state;
    let name = args
        .name
        .clone()
        .unwrap_or_else(|| state.recipe.name.clone());
    if !args.force {
        check_target(&args.out, &card(state, &name))?;
    }
    let parity = publish(&checkpoint, &name, &args.out)?;
    let accuracy = match &check {
        Some((data, normalization)) => Some(accuracy(args, data, normalization.as_ref())?),
        None => None,
    };
    let imported = state.epochs == 0 && state.steps == 0;
    let report = Report {
        model: args.out.clone(),
        name,
        epoch: state.epochs,
        parity,
        notes,
        accuracy,
    };
    output.print(&report, |report| {
        let epoch = match imported {
            true => String::new(),
            false => format!(" (epoch {})", report.epoch),
        };
        let mut lines = vec![
            format!(
                "{}{epoch} in {}: model.onnx, gradient.onnx, card.json",
                report.name,
                report.model.display()
            ),
            format!(
                "ONNX Runtime against the trainer: logits within {:.1e}, input gradient within {:.1e} of its length",
                parity.logits_max_abs, parity.gradient_rel_l2
            ),
        ];
        lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
        if let Some(accuracy) = &report.accuracy {
            lines.extend(told(accuracy, args));
        }
        lines.join("\n")
    })
}

fn told(accuracy: &Accuracy, args: &Args) -> Vec<String> {
    let mut lines = vec![format!(
        "clean accuracy on the first {} test images of {}: {}",
        accuracy.images,
        accuracy.data,
        percent(accuracy.clean)
    )];
    let other = match args.normalization {
        Some(Normalization::Recipe) => "none",
        _ => "recipe",
    };
    if let Some(share) = accuracy.with_other_normalization {
        let better = share > accuracy.clean;
        let warning = if better { "warning: " } else { "" };
        lines.push(format!(
            "{warning}with --normalization {other} it would be {}",
            percent(share)
        ));
    }
    lines
}

/// What a PyTorch file's network is tried on, and the recipe's normalisation, which may not be the network's.
type Check = (Dataset, Option<NormalizationConfig>);

fn load(args: &Args) -> Result<(Checkpoint, Vec<String>, Option<Check>)> {
    let device = ComputeDevice::Cpu.open()?;
    let path = &args.checkpoint;
    let extension = path.extension().and_then(|text| text.to_str());
    if !path.is_file() && !matches!(extension, Some("pt" | "pth")) {
        for (option, given) in [
            ("--recipe", args.recipe.is_some()),
            ("--normalization", args.normalization.is_some()),
            ("--weights", args.weights.is_some()),
            ("--data", args.data.is_some()),
        ] {
            ensure!(
                !given,
                "{option} is for PyTorch files: {} is a folder, and a run or checkpoint has its own recipe",
                path.display()
            );
        }
        return Ok((Checkpoint::load(path, &device)?, Vec::new(), None));
    }
    let recipe = args
        .recipe
        .as_deref()
        .context("a PyTorch file holds weights alone: --recipe NAME says of which network")?;
    let mut recipe = Recipe::find(recipe)?;
    let normalization = recipe.normalization.clone();
    match (args.normalization, &normalization) {
        (None, Some(config)) => bail!(
            "recipe {} normalises images by mean {:?} and std {:?}, and a PyTorch file does not say whether its network was trained so: give --normalization recipe if it was, --normalization none if it takes plain [0, 1], as the checkpoints of TRADES and MART do",
            recipe.name,
            config.mean,
            config.std
        ),
        (Some(Normalization::None), _) => recipe.normalization = None,
        (Some(Normalization::Recipe), None) => check_normalizes(&recipe, "--normalization")?,
        _ => {}
    }
    let data = data_at_hand(args, &recipe)?;
    let (image, classes) = match &data {
        Ok(data) => (data.shape(), data.classes().to_vec()),
        Err(_) => known(&recipe.data).with_context(|| {
            format!(
                "--data {}:DIR is needed: it says what the classes are",
                recipe.data
            )
        })?,
    };
    let file = PytorchFile {
        path,
        weights: args.weights.as_deref(),
        image,
        classes,
    };
    let imported = Checkpoint::from_pytorch(file, &recipe, &device)
        .map_err(|error| weights_remedy(error, "--weights"))?;
    let mut checkpoint = imported.checkpoint;
    // The card states what the accuracy is measured with.
    checkpoint.state.preprocessing = data.as_ref().ok().and_then(preprocessing);
    let mut notes = imported.notes;
    notes.push(match (&recipe.normalization, &normalization) {
        (Some(config), _) => format!(
            "images are normalised by mean {:?} and std {:?}, as the recipe says",
            config.mean, config.std
        ),
        (None, _) => "images are plain [0, 1], nothing normalises them".to_owned(),
    });
    let check = match data {
        Ok(data) => Some((data, normalization)),
        Err(reason) => {
            notes.push(format!(
                "accuracy was not checked, {reason}: give --data NAME:DIR, or measure it with `buckler evaluate`"
            ));
            None
        }
    };
    Ok((checkpoint, notes, check))
}

/// The data set that was named, or the recipe's where it needs no download; or why there is none, where it is not needed.
fn data_at_hand(args: &Args, recipe: &Recipe) -> Result<Result<Dataset, String>> {
    let source = source(args.data.as_ref(), recipe)?;
    let asked_for = args.data.is_some();
    let needed = asked_for || known(&recipe.data).is_none();
    let stored = std::env::var_os("BUCKLER_DATA")
        .is_some_and(|dir| Path::new(&dir).join(source.name()).is_dir());
    let local = stored || recipe.data.contains(':') || source == DataSource::Digits;
    if !needed && !local {
        return Ok(Err("no data is at hand".to_owned()));
    }
    let options = load_options(recipe, Some(CHECKED));
    match test_set::load(&source, Split::Test, &options) {
        // Images of another size are a fault of the recipe, not of the files.
        Err(error) if !needed && !is_out_of_range(&error) => Ok(Err(format!(
            "the data of the recipe cannot be used ({error:#})"
        ))),
        Err(error) => Err(error),
        Ok(data) => {
            check_order(&data)?;
            Ok(Ok(data))
        }
    }
}

fn is_out_of_range(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<DataError>(),
        Some(DataError::OutOfRange { .. })
    )
}

/// That the logits of a network that was trained elsewhere can be told from the classes of a folder.
fn check_order(data: &Dataset) -> Result<()> {
    if let Some(as_text) = data.classes_as_text() {
        let shown = |classes: &[String]| {
            let first: Vec<_> = classes
                .iter()
                .take(4)
                .map(|name| name.escape_debug().to_string())
                .collect();
            first.join(", ")
        };
        bail!(
            "the classes of the folder come in one order by the numbers in their names ({}, ...) and in another as text ({}, ...), in which torchvision and Keras sort them, and a PyTorch file does not say in which its network was trained: give the numbers the same length by zeros in front if it was the one by numbers, or rename the folders so that their order is that of the network",
            shown(data.classes()),
            shown(&as_text)
        );
    }
    Ok(())
}

/// Shape and classes of data sets that are the same everywhere.
fn known(data: &str) -> Option<([usize; 3], Vec<String>)> {
    data.parse::<DataSource>().ok()?.known()
}

/// Of the exported model; with the other choice of normalisation by giving it images that undo or do what it does not.
fn accuracy(
    args: &Args,
    data: &Dataset,
    normalization: Option<&NormalizationConfig>,
) -> Result<Accuracy> {
    let model = args.out.join("model.onnx");
    let classifier = Classifier::load(&model, &ModelOptions::default())?;
    let [channels, height, width] = data.shape();
    let pixels = data.to_f32(0..data.len())?;
    let images = Array4::from_shape_vec((data.len(), channels, height, width), pixels)?;
    let runtime = Runtime::new()?;
    let share = |images: &Array4<f32>| -> Result<f64> {
        let mut correct = 0;
        for (part, labels) in images
            .axis_chunks_iter(Axis(0), BATCH)
            .zip(data.labels().chunks(BATCH))
        {
            let logits = runtime.block_on(classifier.logits(part.to_owned()))?;
            let rows = logits.rows().into_iter().zip(labels);
            correct += rows
                .filter(|(row, label)| largest(row) == usize::from(**label))
                .count();
        }
        Ok(correct as f64 / data.len().max(1) as f64)
    };
    let clean = share(&images)?;
    let other = normalization.map(|config| {
        let mut other = images.clone();
        for (mut channel, (mean, std)) in other
            .axis_iter_mut(Axis(1))
            .zip(config.mean.iter().zip(&config.std))
        {
            channel.mapv_inplace(|value| match args.normalization {
                Some(Normalization::None) => (value - mean) / std,
                _ => value * std + mean,
            });
        }
        share(&other)
    });
    Ok(Accuracy {
        data: data.name().to_owned(),
        images: data.len(),
        clean,
        with_other_normalization: other.transpose()?,
    })
}

/// Images that are run at once.
const BATCH: usize = 50;

fn largest(row: &ArrayView1<f32>) -> usize {
    let all = row.iter().enumerate();
    all.max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(class, _)| class)
}
