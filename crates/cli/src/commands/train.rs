use std::path::PathBuf;

use anyhow::Result;
use buckler_data::{DataSource, Dataset, LoadOptions, Split};
use buckler_train::{ComputeDevice, EpochRecord, Recipe, TrainOptions, train};
use serde::Serialize;

use crate::output::{Output, percent};

/// Train a network by a recipe
///
/// The checkpoint with the best accuracy under attack on held-out images is kept, and the last one. A run that was
/// interrupted goes on with --resume after its last finished epoch.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler train mnist-he --data mnist:path/to/idx-files --out runs/mnist-he\n  buckler export runs/mnist-he --out models/mnist-he/1\n\nBuilt-in recipes: digits-he, digits-plain, mnist-he, mnist-plain"
)]
pub struct Args {
    /// A built-in recipe's name, or a TOML file
    recipe: String,
    /// Data set as NAME[:DIR], instead of the recipe's
    #[arg(long)]
    data: Option<DataSource>,
    /// `cpu` or `cuda:N`
    #[arg(long, env = "BUCKLER_DEVICE", default_value = "cpu")]
    device: ComputeDevice,
    /// Folder of the run [default: runs/RECIPE]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in the folder
    #[arg(long)]
    resume: bool,
}

#[derive(Serialize)]
struct Report {
    run: PathBuf,
    best: Option<EpochRecord>,
    epochs: Vec<EpochRecord>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let mut recipe = Recipe::find(&args.recipe)?;
    if let Some(data) = &args.data {
        recipe.data = data.name().to_owned();
    }
    let source = match &args.data {
        Some(source) => source.clone(),
        None => recipe.data.parse()?,
    };
    let (images, validation) = load_data(&recipe, &source)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(&recipe.name));
    let options = TrainOptions {
        resume: args.resume,
    };
    let device = args.device.open()?;
    let run = train(&recipe, &images, &validation, &device, &out, options)?;
    let report = Report {
        run: out,
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

/// The training images and, cut from their end, the validation images of a recipe.
pub fn load_data(recipe: &Recipe, source: &DataSource) -> Result<(Dataset, Dataset)> {
    let options = LoadOptions {
        size: recipe
            .training
            .images
            .map(|images| images + recipe.validation.images),
        seed: recipe.seed,
    };
    let mut images = source.load(Split::Train, &options)?;
    let validation = images.split_off(recipe.validation.images)?;
    Ok((images, validation))
}
