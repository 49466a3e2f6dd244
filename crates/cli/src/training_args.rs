//! What `train`, `compare` and `export` share: recipes, data and remedies.

use anyhow::{Result, anyhow, ensure};
use buckler_data::{
    DEFAULT_IMAGE_SIZE, DataError, DataSource, Grey, LoadOptions, Preprocessing, Resize,
};
use buckler_train::{ComputeDevice, Recipe, TrainError};

/// What and where to train, besides the recipe.
#[derive(clap::Args)]
pub struct TrainingArgs {
    /// Data set as NAME[:DIR], instead of the recipe's
    #[arg(long)]
    pub data: Option<DataSource>,
    /// `cpu`, `cuda:N`, or several separated by commas, which share every batch
    #[arg(
        long,
        env = "BUCKLER_DEVICE",
        default_value = "cpu",
        value_delimiter = ','
    )]
    pub device: Vec<ComputeDevice>,
}

impl TrainingArgs {
    /// A recipe by its name or file, with the data set that it is to be trained on.
    pub fn recipe(&self, name: &str) -> Result<Recipe> {
        let mut recipe = Recipe::find(name)?;
        if let Some(data) = &self.data {
            recipe.data = data.name().to_owned();
        }
        Ok(recipe)
    }
}

/// What images went through before the network of a PyTorch file.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Normalization {
    None,
    Recipe,
}

/// That a recipe has the normalisation that `option` says images went through.
pub fn check_normalizes(recipe: &Recipe, option: &str) -> Result<()> {
    ensure!(
        recipe.normalization.is_some(),
        "{option} recipe: recipe {} has no normalisation; use a recipe with the `normalization` that the network was trained with, or `{option} none` if it takes plain [0, 1]",
        recipe.name
    );
    Ok(())
}

/// Adds to an error of an import the option that chooses between state dicts.
pub fn weights_remedy(error: TrainError, option: &str) -> anyhow::Error {
    match error {
        TrainError::SeveralStateDicts { .. } => anyhow!("{error}, with {option} KEY"),
        error => error.into(),
    }
}

/// The data set that was named, or else the recipe's.
pub fn source(given: Option<&DataSource>, recipe: &Recipe) -> Result<DataSource> {
    Ok(match given {
        Some(source) => source.clone(),
        None => recipe.data.parse()?,
    })
}

/// What to load of a recipe's data set.
pub fn load_options(recipe: &Recipe, size: Option<usize>) -> LoadOptions {
    let [height, width] = recipe
        .image_size
        .map_or([DEFAULT_IMAGE_SIZE; 2], |size| size.sides());
    let channels = recipe.image_channels.unwrap_or(3);
    // As on ImageNet: the shorter side scaled to 256/224 of the image's, the centre cut out.
    let preprocessing = ((channels, height) != (3, width)).then(|| Preprocessing {
        resize: Resize::CenterCrop,
        crop_pct: 0.875,
        grey: Grey::Luma,
        ..Preprocessing::new([channels, height, width])
    });
    LoadOptions {
        size,
        image_size: recipe.image_size.map(|_| height),
        preprocessing,
        ..LoadOptions::default()
    }
}

/// Adds to an error of a comparison's training what to type about it.
pub fn with_remedy_of_compare(error: anyhow::Error) -> anyhow::Error {
    let remedy = match error.downcast_ref::<TrainError>() {
        Some(TrainError::RunDiffers { .. }) => {
            "compare with the --seed, the --epochs and the recipe that it was trained with, or choose another --out"
        }
        Some(TrainError::DataDiffers { .. } | TrainError::RunLocked { .. }) => {
            "or choose another --out"
        }
        Some(TrainError::Device(_)) => "--device cpu trains on the CPU",
        Some(TrainError::Data(DataError::Image { .. })) => "mend it, or move it away",
        _ => return error,
    };
    let text = format!("{error:#}");
    anyhow!("{}; {remedy}", text.trim_end_matches('.'))
}

/// Adds to an error of a training what to type about it.
pub fn with_remedy(error: anyhow::Error) -> anyhow::Error {
    let remedy = match error.downcast_ref::<TrainError>() {
        Some(TrainError::RunExists { .. }) => {
            "go on with it with --resume, or choose another --out".to_owned()
        }
        Some(TrainError::RunDiffers { changeable, .. }) if !changeable.is_empty() => {
            let sets: Vec<_> = changeable
                .iter()
                .map(|key| format!("--set {key}=VALUE"))
                .collect();
            format!(
                "change it in the run with --resume {}, resume with the run's own recipe, or choose another --out",
                sets.join(" ")
            )
        }
        Some(TrainError::RunDiffers { .. }) => {
            "resume with the run's own recipe (recipe.toml there), or choose another --out"
                .to_owned()
        }
        Some(TrainError::DataDiffers { .. } | TrainError::RunLocked { .. }) => {
            "or choose another --out".to_owned()
        }
        Some(TrainError::Diverged {
            learning_rate,
            checkpoint,
            ..
        }) => {
            let resume = if *checkpoint { " --resume" } else { "" };
            format!(
                "train again with{resume} --set optimizer.learning_rate={}",
                learning_rate / 10.0
            )
        }
        Some(TrainError::Device(_)) => "--device cpu trains on the CPU".to_owned(),
        Some(TrainError::Data(DataError::Image { .. })) => {
            "--skip-broken leaves such images out".to_owned()
        }
        _ => return error,
    };
    let text = format!("{error:#}");
    match text.contains("--skip-broken") {
        true => error,
        false => anyhow!("{}; {remedy}", text.trim_end_matches('.')),
    }
}
