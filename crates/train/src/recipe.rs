use buckler_attack::{Epsilon, Norm, Threat};
use buckler_data::Augmentation;
use serde::{Deserialize, Serialize};

use crate::adversary::{Adversary, Start};
use crate::error::TrainError;
use crate::framework::{Crafting, Framework, Maximised};
use crate::head::HeadConfig;
use crate::network::{NetworkConfig, NormalizationConfig, Precision, normalization_or_false};
use crate::schedule::Schedule;

/// Everything that determines a training run besides the data itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The run's and, unless another is chosen, the exported model's name.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The data set, as `--data` would name it.
    pub data: String,
    /// Size of the images that a folder is cut to, a side or `[height, width]`; 224 by default, other data sets have
    /// their own.
    #[serde(default)]
    pub image_size: Option<ImageSize>,
    /// 1 to train on the grey levels of a folder's images, 3 for RGB, which is the default; other data sets have their own.
    #[serde(default)]
    pub image_channels: Option<usize>,
    /// Determines initial weights, order, starts of the adversary and dropout.
    #[serde(default)]
    pub seed: u64,
    /// What the pixels go through first; `false` takes away that of the base.
    #[serde(default, deserialize_with = "normalization_or_false")]
    pub normalization: Option<NormalizationConfig>,
    /// Below the head.
    pub network: NetworkConfig,
    /// The last layer.
    pub head: HeadConfig,
    /// What is minimised, and what the adversary maximises.
    pub framework: Framework,
    /// On how many images and for how long.
    pub training: TrainingConfig,
    /// What training images go through.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// The training adversary; needed by every framework but `plain`.
    #[serde(default)]
    pub adversary: Option<AdversaryConfig>,
    /// Adversarial weight perturbation, with any framework.
    #[serde(default)]
    pub awp: Option<AwpConfig>,
    /// Stochastic gradient descent.
    pub optimizer: OptimizerConfig,
    /// Learning rate over time.
    #[serde(default)]
    pub schedule: Schedule,
    /// How the best checkpoint is chosen.
    pub validation: ValidationConfig,
}

/// On how many images and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training images; FreeAT uses every batch of a pass `replays` times.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Images per forward and backward pass where a whole batch does not fit the device; gradients add up, batch norm
    /// sees the parts.
    #[serde(default)]
    pub micro_batch: Option<usize>,
    /// What convolutions compute in, where the device has it: `f32` or `bf16`.
    #[serde(default)]
    pub precision: Precision,
    /// How many training images to generate or use; all by default.
    #[serde(default)]
    pub images: Option<usize>,
    /// The share of the label's probability that is spread over all classes, at most 0.2.
    #[serde(default)]
    pub label_smoothing: f32,
    /// Validate and export a moving average of the weights, `a * average + (1 - a) * weights` after every step.
    #[serde(default)]
    pub ema_decay: Option<f64>,
    /// Stop when accuracy under attack falls by more than this share from its best (catastrophic overfitting, Wong et
    /// al. 2020).
    #[serde(default)]
    pub stop_on_drop: Option<f64>,
}

/// Adversarial weight perturbation (Wu et al. 2020).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwpConfig {
    /// The length of the weights' step over their own length; .01 for AT, .005 for TRADES.
    pub gamma: f64,
    /// Epochs without.
    #[serde(default)]
    pub warmup_epochs: f64,
}

/// Projected gradient descent, or its one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversaryConfig {
    /// `linf` or `l2`.
    #[serde(default)]
    pub norm: Norm,
    /// Radius in pixel units, `8/255` or `0.3`.
    pub eps: Epsilon,
    /// Gradient steps; 1 for FreeAT (per replay) and FastAT.
    pub steps: usize,
    /// The length of a step.
    pub step_size: Epsilon,
    /// Where the first step starts.
    #[serde(default)]
    pub start: Start,
    /// Epochs over which epsilon rises linearly from 0; large epsilons do not train from scratch without.
    #[serde(default)]
    pub warmup_epochs: f64,
}

impl AdversaryConfig {
    /// The adversary at epoch `t`, fractions included.
    ///
    /// # Errors
    /// Never for a checked recipe.
    pub fn at(&self, t: f64, framework: Framework) -> Result<Adversary, TrainError> {
        let share = if self.warmup_epochs > 0.0 {
            (t / self.warmup_epochs).min(1.0) as f32
        } else {
            1.0
        };
        let epsilon = Epsilon::new(self.eps.value() * share)
            .map_err(|error| TrainError::Recipe(format!("adversary.eps: {error}")))?;
        Ok(Adversary {
            threat: Threat {
                norm: self.norm,
                epsilon,
            },
            steps: self.steps,
            step_size: self.step_size.value() * share,
            start: self.start,
            maximised: match framework.crafting() {
                Crafting::Iterative(maximised) => maximised,
                _ => Maximised::CrossEntropy,
            },
        })
    }
}

/// Stochastic gradient descent with momentum, without dampening, as in PyTorch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The full learning rate; the schedule scales it.
    pub learning_rate: f64,
    /// 0.9 in nearly every published recipe.
    pub momentum: f64,
    /// On all weights.
    #[serde(default)]
    pub weight_decay: f32,
    /// All gradients together are scaled down to this length at most.
    #[serde(default)]
    pub clip_norm: Option<f64>,
}

/// The held-out images and the attack on them that choose the best epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationConfig {
    /// Taken from the end of the training split; never trained on.
    pub images: usize,
    /// PGD steps; with no adversary in the recipe the clean accuracy decides.
    #[serde(default = "validation_steps")]
    pub steps: usize,
}

fn validation_steps() -> usize {
    20
}

mod built_in;
pub(crate) mod check;
mod image_size;
mod set;
mod source;

pub use image_size::ImageSize;
pub(crate) use set::Difference;

#[cfg(test)]
mod tests;
