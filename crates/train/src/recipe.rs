use std::path::Path;

use buckler_attack::{Epsilon, Norm, Threat};
use serde::{Deserialize, Serialize};

use crate::adversary::Adversary;
use crate::error::TrainError;
use crate::framework::Framework;
use crate::head::HeadConfig;
use crate::network::NetworkConfig;
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
    /// Determines initial weights, order, starts of the adversary and dropout.
    #[serde(default)]
    pub seed: u64,
    /// Below the head.
    pub network: NetworkConfig,
    /// The last layer.
    pub head: HeadConfig,
    /// What is minimised and for how long.
    pub training: TrainingConfig,
    /// The training adversary; needed by every framework but `plain`.
    #[serde(default)]
    pub adversary: Option<AdversaryConfig>,
    /// Stochastic gradient descent.
    pub optimizer: OptimizerConfig,
    /// Learning rate over time.
    #[serde(default)]
    pub schedule: Schedule,
    /// How the best checkpoint is chosen.
    pub validation: ValidationConfig,
}

/// What is minimised and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// `plain` or `pgd-at`.
    pub framework: Framework,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// How many training images to generate or use; all by default.
    #[serde(default)]
    pub images: Option<usize>,
}

/// Projected gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversaryConfig {
    /// `linf` or `l2`.
    #[serde(default)]
    pub norm: Norm,
    /// Radius in pixel units, `8/255` or `0.3`.
    pub eps: Epsilon,
    /// Gradient steps.
    pub steps: usize,
    /// The length of a step.
    pub step_size: Epsilon,
    /// Epochs over which epsilon rises linearly from 0; large epsilons do not train from scratch without.
    #[serde(default)]
    pub warmup_epochs: f64,
}

impl AdversaryConfig {
    /// The adversary at epoch `t`, fractions included.
    ///
    /// # Errors
    /// Never for a checked recipe.
    pub fn at(&self, t: f64) -> Result<Adversary, TrainError> {
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

/// The recipes built in, by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("digits-he", include_str!("../recipes/digits-he.toml")),
    ("digits-plain", include_str!("../recipes/digits-plain.toml")),
    ("mnist-he", include_str!("../recipes/mnist-he.toml")),
    ("mnist-plain", include_str!("../recipes/mnist-plain.toml")),
];

impl Recipe {
    /// The names of the built-in recipes.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in recipe by its name, or a file when the text is the path of one.
    ///
    /// # Errors
    /// When there is neither, or the text is no valid recipe; names the key and the line.
    pub fn find(name_or_path: &str) -> Result<Self, TrainError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text, name);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let known: Vec<_> = Self::built_in().collect();
            return Err(TrainError::Recipe(format!(
                "recipe `{name_or_path}`: no such file and no such built-in recipe; built in are {}",
                known.join(", ")
            )));
        }
        let text = std::fs::read_to_string(path).map_err(TrainError::file(path))?;
        Self::parse(&text, name_or_path)
    }

    /// From TOML; `source` names it in errors.
    ///
    /// # Errors
    /// When the text is no valid recipe; names the key and the line.
    pub fn parse(text: &str, source: &str) -> Result<Self, TrainError> {
        let recipe: Self = toml::from_str(text)
            .map_err(|error| TrainError::Recipe(format!("recipe {source}: {error}")))?;
        recipe
            .check()
            .map_err(|reason| TrainError::Recipe(format!("recipe {source}: {reason}")))?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(format!("{name} is {value}, it must be above 0"))
            }
        };
        let NetworkConfig::SmallCnn { width, dropout } = self.network;
        positive("network.width", f64::from(width))?;
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!(
                "network.dropout is {dropout}, it must be in [0, 1)"
            ));
        }
        if let HeadConfig::Hypersphere { scale, margin, .. } = self.head {
            positive("head.scale", f64::from(scale))?;
            if !(0.0..=1.0).contains(&margin) {
                return Err(format!("head.margin is {margin}, it must be in [0, 1]"));
            }
        }
        positive("training.epochs", self.training.epochs as f64)?;
        positive("training.batch_size", self.training.batch_size as f64)?;
        positive("optimizer.learning_rate", self.optimizer.learning_rate)?;
        if !(0.0..1.0).contains(&self.optimizer.momentum) {
            let momentum = self.optimizer.momentum;
            return Err(format!(
                "optimizer.momentum is {momentum}, it must be in [0, 1)"
            ));
        }
        positive("validation.images", self.validation.images as f64)?;
        match (&self.adversary, self.training.framework) {
            (None, Framework::Plain) => Ok(()),
            (None, framework) => Err(format!(
                "training.framework {} needs an [adversary] table with eps, steps and step_size",
                framework.name()
            )),
            (Some(_), Framework::Plain) => {
                Err("training.framework plain takes no [adversary] table".to_owned())
            }
            (Some(adversary), _) => {
                if adversary.eps.value() > 1.0 && adversary.norm == Norm::Linf {
                    return Err(format!(
                        "adversary.eps is {}, at most 1 in linf",
                        adversary.eps
                    ));
                }
                positive(
                    "adversary.step_size",
                    f64::from(adversary.step_size.value()),
                )?;
                positive("adversary.steps", adversary.steps as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_recipe_is_valid_and_named_as_it_is_found() {
        for name in Recipe::built_in() {
            assert_eq!(Recipe::find(name).unwrap().name, name);
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let text = include_str!("../recipes/digits-he.toml").replace("batch_size", "batchsize");
        let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
        assert!(
            error.contains("batchsize") && error.contains("batch_size"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_are_named_with_their_limit() {
        for (from, to, expected) in [
            ("epochs = ", "epochs = 0 # ", "training.epochs is 0"),
            ("margin = ", "margin = 7.0 # ", "head.margin is 7"),
            (
                "\neps = ",
                "\neps = 3.0 # ",
                "adversary.eps is 3, at most 1",
            ),
        ] {
            let text = include_str!("../recipes/digits-he.toml").replace(from, to);
            let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_adversarial_framework_without_adversary_is_refused() {
        let text = include_str!("../recipes/digits-plain.toml").replace("\"plain\"", "\"pgd-at\"");
        let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
        assert!(error.contains("[adversary]"), "{error}");
    }
}
