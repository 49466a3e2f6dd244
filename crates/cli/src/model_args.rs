use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_onnx::Normalization;
use buckler_runtime::{Classifier, LoadOptions};

/// A model to be run.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// The classifier
    pub model: PathBuf,
    /// Mean that the model wants subtracted from pixels in [0, 1], one for each channel or one for all
    #[arg(long, value_delimiter = ',', requires = "std", value_name = "MEAN,...")]
    mean: Option<Vec<f32>>,
    /// Deviation by which it then wants them divided
    #[arg(long, value_delimiter = ',', requires = "mean", value_name = "STD,...")]
    std: Option<Vec<f32>>,
}

impl ModelArgs {
    /// What the flags say about the model's pixels.
    pub fn normalization(&self) -> Option<Normalization> {
        let (mean, std) = self.mean.clone().zip(self.std.clone())?;
        Some(Normalization { mean, std })
    }

    /// Loads the model, and says what had to be assumed.
    pub fn load(&self) -> Result<Classifier> {
        self.load_normalized(None)
    }

    /// As [`ModelArgs::load`], with a normalisation that the flags go before.
    pub fn load_normalized(&self, default: Option<Normalization>) -> Result<Classifier> {
        let classifier = Classifier::load(&self.model, &self.options(default))
            .with_context(|| format!("cannot load {}", self.model.display()))?;
        for assumption in classifier.assumptions() {
            tracing::warn!("{assumption}");
        }
        Ok(classifier)
    }

    /// How to load it, with a normalisation that the flags go before.
    pub fn options(&self, default: Option<Normalization>) -> LoadOptions {
        LoadOptions {
            normalization: self.normalization().or(default),
            ..LoadOptions::default()
        }
    }
}
