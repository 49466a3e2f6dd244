use anyhow::Result;
use buckler_data::DataSource;
use buckler_train::{ComputeDevice, Recipe};

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

/// The data set that was named, or else the recipe's.
pub fn source(given: Option<&DataSource>, recipe: &Recipe) -> Result<DataSource> {
    Ok(match given {
        Some(source) => source.clone(),
        None => recipe.data.parse()?,
    })
}
