use crate::{SampleError, SmoothingError, VictimError};

/// Why an attack or an evaluation gave no result.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// The samples do not fit the model or each other.
    #[error(transparent)]
    Samples(#[from] SampleError),
    /// The model did not answer.
    #[error(transparent)]
    Victim(#[from] VictimError),
    /// A smoothed classifier with parameters that make no sense.
    #[error(transparent)]
    Smoothing(#[from] SmoothingError),
    /// The model answered with another shape than it declares.
    #[error(
        "the model answered {what} of shape {got:?} where {expected:?} was expected: check that its graph keeps one row per image"
    )]
    Answer {
        /// Which part of the answer.
        what: &'static str,
        /// The shape that fits the query.
        expected: Vec<usize>,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// An image of a source cannot be read.
    #[error("an image cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The clean image has no prediction to start from.
    #[error(
        "the logits of the clean image {id} are not finite ({logits}): check the model's weights and its preprocessing"
    )]
    NotFinite {
        /// The sample's id.
        id: u64,
        /// The logits, as text.
        logits: String,
    },
}

impl AttackError {
    pub(crate) fn not_finite(id: u64, logits: &[f32]) -> Self {
        Self::NotFinite {
            id,
            logits: format!("{logits:?}"),
        }
    }
}
