use ndarray::{Array1, Array2, Array4};
use serde::{Deserialize, Serialize};

use crate::Objective;

/// The images a classifier takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InputSpec {
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

impl InputSpec {
    /// The number of values in one image, `channels * height * width`.
    pub fn values(self) -> usize {
        self.channels * self.height * self.width
    }
}

/// One gradient query, answered.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// `[batch, classes]`.
    pub logits: Array2<f32>,
    /// The objective's value, `[batch]`.
    pub loss: Array1<f32>,
    /// The objective's gradient with respect to the pixels, `[batch, channels, height, width]`.
    /// Attacks take values that are NaN or infinite as 0, and count them.
    pub input: Array4<f32>,
}

/// A classifier that answers forward and gradient queries, one row per image, each row on its own.
///
/// Implementations may merge the rows of concurrent callers into one batch; a row's answer does not depend on its
/// neighbours. Dropping a returned future withdraws the query.
pub trait Victim: Send + Sync {
    /// The shape of one image.
    fn input(&self) -> InputSpec;

    /// The number of classes.
    fn classes(&self) -> usize;

    /// The logits `[batch, classes]` of `images` `[batch, channels, height, width]`. Images are in `[0, 1]`; noise may have
    /// taken values out of it, which is no reason to refuse them.
    fn logits(
        &self,
        images: Array4<f32>,
    ) -> impl Future<Output = Result<Array2<f32>, VictimError>> + Send;

    /// Logits, objective values and input gradients, with one objective per image.
    fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> impl Future<Output = Result<Gradient, VictimError>> + Send;

    /// Whether the model's own answer for an image depends on the others of its batch, so that each has to be run alone.
    fn depends_on_batch(&self) -> bool {
        false
    }

    /// The number of features that [`Victim::features_of`] answers with; `None` where the model exposes none.
    fn features(&self) -> Option<usize> {
        None
    }

    /// The features `[batch, features]` of `images` `[batch, channels, height, width]`, those of which
    /// [`Objective::FeatureDistance`] tells the distance.
    ///
    /// # Errors
    /// [`VictimError::NoFeatures`] where the model exposes none, as it is by default.
    fn features_of(
        &self,
        _images: Array4<f32>,
    ) -> impl Future<Output = Result<Array2<f32>, VictimError>> + Send {
        std::future::ready(Err(VictimError::NoFeatures))
    }
}

/// Why a victim did not answer.
#[derive(Debug, thiserror::Error)]
pub enum VictimError {
    /// The query does not fit the model.
    #[error("{what}: expected {expected}, got {got}")]
    Query {
        /// Which part of the query.
        what: &'static str,
        /// What the model takes.
        expected: String,
        /// What came.
        got: String,
    },
    /// The model has no gradient graph.
    #[error("the model cannot be attacked with gradients: {0}")]
    NoGradient(String),
    /// The model has no features.
    #[error(
        "the model exposes no features: give it an output `features` of shape [batch, features], or a linear last layer"
    )]
    NoFeatures,
    /// The victim is shutting down.
    #[error("the model is being unloaded; try again on its successor")]
    Closed,
    /// Too many queries wait already.
    #[error(
        "the model's queue is full: {queued} bytes of images wait, {limit} are allowed; try again later"
    )]
    Overloaded {
        /// Bytes waiting.
        queued: usize,
        /// The limit.
        limit: usize,
    },
    /// The runtime failed.
    #[error("the model failed to run: {0}")]
    Runtime(Box<dyn std::error::Error + Send + Sync>),
}
