use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

/// Where a running attack stands, after a query has been judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Steps taken and judged in this restart; 0 is its starting point, [`Progress::steps`] the last.
    pub step: usize,
    /// Steps in this restart; in each of several attacks, one after the other, those of the one under way.
    pub steps: usize,
    /// The restart under way, from 1; 0 right after the clean forward pass.
    pub restart: usize,
    /// Restarts of this image at most, those towards each of several targets, and of several attacks one after the other,
    /// included.
    pub restarts: usize,
    /// Images broken so far, those misclassified without any attack included.
    pub broken: usize,
    /// Images not broken yet.
    pub remaining: usize,
    /// The largest objective value reached on an image that is not broken yet.
    pub best_loss: Option<f32>,
    /// That image's difference of logits at its best point: the largest of the others minus that of the class to leave, or with a
    /// target the target's minus the largest of the others. The image is broken from 0 on.
    pub margin: Option<f32>,
    /// The probability of the class to leave there.
    pub confidence: Option<f32>,
}

/// Watches an attack and may end it early.
///
/// `()` watches nothing and every `Fn(Progress)` watches without interfering; implement the trait to stop at a
/// deadline.
pub trait Observer: Send + Sync {
    /// Called after every query. On `Break` the attack returns at once: what was found is kept and the images still
    /// open come back as [`Status::Incomplete`](crate::Status::Incomplete).
    fn observe(&self, progress: Progress) -> ControlFlow<()>;
}

impl Observer for () {
    fn observe(&self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: Fn(Progress) + Send + Sync> Observer for F {
    fn observe(&self, progress: Progress) -> ControlFlow<()> {
        self(progress);
        ControlFlow::Continue(())
    }
}
