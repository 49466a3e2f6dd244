//! The figures of one epoch.

use serde::{Deserialize, Serialize};

/// What one epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// On the validation images, in `[0, 1]`.
    pub clean_accuracy: f64,
    /// The same under PGD with the recipe's threat; absent without an adversary.
    pub robust_accuracy: Option<f64>,
    /// Training and validation together; of an epoch that was interrupted, since it was resumed.
    pub seconds: f64,
    /// Training images left out because they could not be read.
    #[serde(default)]
    pub skipped: usize,
    /// Validation images left out because they could not be read.
    #[serde(default)]
    pub skipped_validation: usize,
    /// Whether nearly all validation images were predicted as one class.
    #[serde(default)]
    pub collapsed: bool,
    /// A reason to distrust the epoch, for people.
    #[serde(default)]
    pub warning: Option<String>,
}

impl EpochRecord {
    /// What the best epoch has most of: more than one answer, accuracy under attack, then clean accuracy.
    pub(super) fn merit(&self) -> (bool, f64, f64) {
        (
            !self.collapsed,
            self.robust_accuracy.unwrap_or(self.clean_accuracy),
            self.clean_accuracy,
        )
    }

    /// That it is the record of epoch number `epoch`, with shares of images.
    pub(super) fn check(&self, epoch: usize) -> Result<(), String> {
        if self.epoch != epoch {
            return Err(format!(
                "epochs[{}].epoch is {}; epochs are numbered from 1, one after the other",
                epoch - 1,
                self.epoch
            ));
        }
        for (key, share) in [
            ("clean_accuracy", Some(self.clean_accuracy)),
            ("robust_accuracy", self.robust_accuracy),
        ] {
            if let Some(share) = share.filter(|share| !(0.0..=1.0).contains(share)) {
                return Err(format!(
                    "epochs[{}].{key} is {share}; it is a share of images, in [0, 1]",
                    epoch - 1
                ));
            }
        }
        Ok(())
    }
}
