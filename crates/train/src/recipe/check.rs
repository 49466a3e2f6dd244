//! What a recipe must satisfy beyond its types.

use buckler_attack::Norm;

use super::Recipe;
use crate::framework::{Crafting, Framework};
use crate::head::HeadConfig;
use crate::network::NetworkConfig;

fn positive(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be above 0"))
    }
}

fn within(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in [{low}, {high}]"))
    }
}

/// At least `low`, less than `high`.
fn below(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in [{low}, {high})"))
    }
}

impl Recipe {
    pub(super) fn check(&self) -> Result<(), String> {
        if let NetworkConfig::SmallCnn { width, dropout } = self.network {
            positive("network.width", f64::from(width))?;
            below("network.dropout", dropout, 0.0, 1.0)?;
        }
        if let Some(normalization) = &self.normalization {
            normalization.check()?;
        }
        if let HeadConfig::Hypersphere { scale, margin, .. } = self.head {
            positive("head.scale", f64::from(scale))?;
            within("head.margin", f64::from(margin), 0.0, 1.0)?;
        }
        match self.framework {
            Framework::Alp { beta } | Framework::Trades { beta } | Framework::Mart { beta } => {
                positive("framework.beta", f64::from(beta))?;
            }
            Framework::FreeAt { replays } => positive("framework.replays", replays as f64)?,
            Framework::Plain | Framework::PgdAt | Framework::FastAt => {}
        }
        let training = &self.training;
        positive("training.epochs", training.epochs as f64)?;
        positive("training.batch_size", training.batch_size as f64)?;
        if let Some(part) = training.micro_batch {
            positive("training.micro_batch", part as f64)?;
        }
        within(
            "training.label_smoothing",
            f64::from(training.label_smoothing),
            0.0,
            0.2,
        )?;
        if let Some(decay) = training.ema_decay {
            below("training.ema_decay", decay, 0.0, 1.0)?;
        }
        if let Some(drop) = training.stop_on_drop {
            positive("training.stop_on_drop", drop)?;
        }
        if let Some(awp) = &self.awp {
            positive("awp.gamma", awp.gamma)?;
        }
        positive("optimizer.learning_rate", self.optimizer.learning_rate)?;
        below("optimizer.momentum", self.optimizer.momentum, 0.0, 1.0)?;
        if let Some(norm) = self.optimizer.clip_norm {
            positive("optimizer.clip_norm", norm)?;
        }
        self.schedule.check()?;
        positive("validation.images", self.validation.images as f64)?;
        self.check_adversary()
    }

    fn check_adversary(&self) -> Result<(), String> {
        let framework = self.framework.name();
        let adversary = match (&self.adversary, self.framework.crafting()) {
            (None, Crafting::None) => return Ok(()),
            (None, _) => {
                return Err(format!(
                    "framework {framework} needs an [adversary] table with eps, steps and step_size"
                ));
            }
            (Some(_), Crafting::None) => {
                return Err(format!("framework {framework} takes no [adversary] table"));
            }
            (Some(adversary), _) => adversary,
        };
        if adversary.norm == Norm::L1 {
            return Err(
                "adversary.norm is l1, and networks are trained against linf and l2".into(),
            );
        }
        if adversary.norm == Norm::Linf && adversary.eps.value() > 1.0 {
            return Err(format!(
                "adversary.eps is {}, at most 1 in linf",
                adversary.eps
            ));
        }
        positive(
            "adversary.step_size",
            f64::from(adversary.step_size.value()),
        )?;
        match (adversary.steps, self.framework.crafting()) {
            (steps, Crafting::Iterative(_)) => positive("adversary.steps", steps as f64),
            (1, _) => Ok(()),
            (steps, _) => Err(format!(
                "adversary.steps is {steps}, framework {framework} makes 1 step per pass"
            )),
        }
    }
}
