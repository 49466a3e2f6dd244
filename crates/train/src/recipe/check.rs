//! Limits of every key of a recipe, beyond its type.

use buckler_attack::Norm;
use buckler_onnx::Card;

use super::{AdversaryConfig, Recipe};
use crate::framework::{Crafting, Framework};
use crate::head::HeadConfig;

/// The longest name of a recipe.
const MAX_NAME: usize = 64;
/// More is a slip of the pen, and sizes of tensors are multiplied by them.
const MAX_COUNT: usize = 1_000_000;

pub(crate) fn positive(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(format!(
            "{name} is {value}, it must be a finite number above 0"
        ))
    }
}

fn at_least_zero(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(format!(
            "{name} is {value}, it must be a finite number, at least 0"
        ))
    }
}

pub(crate) fn within(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in [{low}, {high}]"))
    }
}

/// At least `low`, less than `high`.
pub(crate) fn below(name: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..high).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in [{low}, {high})"))
    }
}

/// Above 0, at most `high`.
fn above_zero(name: &str, value: f64, high: f64) -> Result<(), String> {
    if value > 0.0 && value <= high {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in (0, {high}]"))
    }
}

fn count(name: &str, value: usize) -> Result<(), String> {
    if (1..=MAX_COUNT).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}, it must be in 1..={MAX_COUNT}"))
    }
}

impl Recipe {
    /// That every value is within its limits.
    ///
    /// # Errors
    /// Names the key, its value and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        self.check_description()?;
        if let Some(size) = self.image_size {
            size.check()?;
        }
        if let Some(channels) = self
            .image_channels
            .filter(|channels| !matches!(channels, 1 | 3))
        {
            return Err(format!(
                "image_channels is {channels}, it must be 1 for grey or 3 for RGB"
            ));
        }
        self.network.check()?;
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
            Framework::FreeAt { replays } => count("framework.replays", replays)?,
            Framework::Plain {} | Framework::PgdAt {} | Framework::FastAt {} => {}
        }
        self.check_training()?;
        if let Some(awp) = &self.awp {
            above_zero("awp.gamma", awp.gamma, 1.0)?;
            at_least_zero("awp.warmup_epochs", awp.warmup_epochs)?;
        }
        self.check_optimizer()?;
        self.schedule.check()?;
        count("validation.images", self.validation.images)?;
        count("validation.steps", self.validation.steps)?;
        self.check_adversary()
    }

    /// What is allowed but rarely meant, for people.
    pub fn warnings(&self) -> Vec<String> {
        let epochs = self.training.epochs as f64;
        let mut warnings = self.schedule.warnings(epochs);
        if let Some(adversary) = &self.adversary
            && adversary.warmup_epochs >= epochs
        {
            warnings.push(format!(
                "adversary.warmup_epochs is {}, and training.epochs is {epochs}: eps never reaches {}",
                adversary.warmup_epochs, adversary.eps
            ));
        }
        if let Some(awp) = &self.awp
            && awp.warmup_epochs >= epochs
        {
            warnings.push(format!(
                "awp.warmup_epochs is {}, and training.epochs is {epochs}: the weights are never perturbed",
                awp.warmup_epochs
            ));
        }
        warnings
    }

    /// That the description can go onto the card of an exported model.
    fn check_description(&self) -> Result<(), String> {
        let card = Card {
            description: self.description.clone(),
            ..Card::default()
        };
        card.check("the recipe").map_err(|error| error.to_string())
    }

    fn check_training(&self) -> Result<(), String> {
        let training = &self.training;
        count("training.epochs", training.epochs)?;
        count("training.batch_size", training.batch_size)?;
        if let Some(part) = training.micro_batch {
            let most = training.batch_size;
            if !(1..=most).contains(&part) {
                return Err(format!(
                    "training.micro_batch is {part}, it must be in 1..={most}, the batch size"
                ));
            }
        }
        if training.images == Some(0) {
            return Err(
                "training.images is 0, it must be at least 1; leave it out to train on all images"
                    .to_owned(),
            );
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
            above_zero("training.stop_on_drop", drop, 1.0)?;
        }
        Ok(())
    }

    fn check_optimizer(&self) -> Result<(), String> {
        let optimizer = &self.optimizer;
        positive("optimizer.learning_rate", optimizer.learning_rate)?;
        below("optimizer.momentum", optimizer.momentum, 0.0, 1.0)?;
        below(
            "optimizer.weight_decay",
            f64::from(optimizer.weight_decay),
            0.0,
            1.0,
        )?;
        match optimizer.clip_norm {
            Some(norm) => positive("optimizer.clip_norm", norm),
            None => Ok(()),
        }
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
        check_radius(adversary)?;
        at_least_zero("adversary.warmup_epochs", adversary.warmup_epochs)?;
        match (adversary.steps, self.framework.crafting()) {
            (steps, Crafting::Iterative(_)) => count("adversary.steps", steps)?,
            (1, _) => {}
            (steps, _) => {
                return Err(format!(
                    "adversary.steps is {steps}, framework {framework} makes 1 step per pass"
                ));
            }
        }
        // One step may overshoot and be brought back (Wong et al. 2020 take 1.25 eps); twice the radius reaches
        // every point of the ball from every other. Of several steps, one is at most the radius.
        let (times, what) = match adversary.steps {
            1 => (2.0, "2 eps"),
            _ => (1.0, "eps"),
        };
        let (step, eps) = (adversary.step_size.value(), adversary.eps.value());
        if step > times * eps {
            return Err(format!(
                "adversary.step_size is {}, at most {what} = {} for {} step(s)",
                adversary.step_size,
                times * eps,
                adversary.steps
            ));
        }
        Ok(())
    }
}

fn check_radius(adversary: &AdversaryConfig) -> Result<(), String> {
    let eps = f64::from(adversary.eps.value());
    if adversary.norm == Norm::Linf && eps > 1.0 {
        return Err(format!(
            "adversary.eps is {}, at most 1 in linf: pixels are in [0, 1], write `8/255` for 8 grey levels",
            adversary.eps
        ));
    }
    positive("adversary.eps", eps)?;
    positive(
        "adversary.step_size",
        f64::from(adversary.step_size.value()),
    )
}

/// A name becomes the name of folders.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if starts && name.len() <= MAX_NAME && name.chars().all(allowed) {
        return Ok(());
    }
    let shown: String = name.escape_debug().take(MAX_NAME).collect();
    Err(format!(
        "name is `{shown}`: folders are named for it, so it must be 1 to {MAX_NAME} of the characters a-z, A-Z, 0-9, `-`, `_` and `.`, with a letter, a digit or `_` first"
    ))
}
