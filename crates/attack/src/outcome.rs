use std::fmt;

use ndarray::Array3;
use serde::{Deserialize, Serialize};

/// How an attack on one image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// An image inside the threat model reaches the goal.
    AdversarialFound,
    /// Everything was tried and nothing found, which proves nothing about other attacks.
    NotFound,
    /// The clean image reaches the goal already; no attack was made.
    MisclassifiedClean,
    /// Stopped before everything was tried, with nothing found so far.
    Incomplete,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::AdversarialFound => "adversarial_found",
            Status::NotFound => "not_found",
            Status::MisclassifiedClean => "misclassified_clean",
            Status::Incomplete => "incomplete",
        })
    }
}

/// What an attack did to one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The sample's id.
    pub id: u64,
    /// How it ended.
    pub status: Status,
    /// The logits of the clean image, one per class.
    pub clean_logits: Vec<f32>,
    /// The class predicted for the clean image.
    pub clean_prediction: usize,
    /// The adversarial image, `[channels, height, width]`; present exactly when one was found.
    pub adversarial: Option<Array3<f32>>,
    /// The point of highest loss of a search that found nothing, or of one that looks for the closest adversarial the closest
    /// outside the ball; absent when there was no search.
    pub best: Option<Array3<f32>>,
    /// The class predicted for the image kept (the adversarial, else the best, else the clean one).
    pub prediction: usize,
    /// The objective's value at the image kept.
    pub loss: f32,
    /// The distance, in the norm of the attack, of the closest image found that reaches the goal, inside the ball or not;
    /// absent unless the attack looks for the closest.
    pub smallest: Option<f64>,
    /// Which of several attacks found the adversarial; absent where there is one attack alone.
    pub found_by: Option<String>,
    /// Gradients computed for this image.
    pub gradient_evaluations: u64,
    /// Forward passes without a gradient computed for this image, the clean one included.
    pub forward_evaluations: u64,
    /// Steps taken, over all restarts.
    pub steps_used: usize,
    /// Restarts begun.
    pub restarts_used: usize,
    /// A gradient of this image was zero in every pixel: there the objective is flat, or its gradient underflows, and
    /// finding nothing says little.
    pub zero_gradient: bool,
    /// Values of its gradients, over all of them, that were NaN or infinite and counted as 0.
    pub non_finite_gradient: u64,
}
