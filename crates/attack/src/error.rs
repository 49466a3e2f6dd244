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
    /// The clean image has no prediction to start from.
    #[error(
        "the model gives no prediction for the clean image {id}: {reason}; check the model's weights and its preprocessing"
    )]
    NotFinite {
        /// The sample's id, such as its index in the data set; of images without ids their place in the request.
        id: u64,
        /// What is wrong with the logits.
        reason: String,
    },
    /// A search waits for something else than an answer of the model.
    #[error("the attack `{0}` stalled: it waits, but not for an answer of the model")]
    Stalled(&'static str),
}

impl AttackError {
    pub(crate) fn not_finite(id: u64, logits: &[f32]) -> Self {
        let wrong = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        let classes = logits.iter().enumerate();
        let reason = match classes.into_iter().find(|(_, logit)| wrong(logit)) {
            Some((class, logit)) => format!("the logit of class {class} is {logit}"),
            None => "the logits of all classes are -inf".to_owned(),
        };
        Self::NotFinite { id, reason }
    }

    /// The image that the model gives no prediction for, if that is why: its id, or its place in a request.
    pub fn image_without_prediction(&self) -> Option<u64> {
        match self {
            Self::NotFinite { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The same error about the image's place among `ids`, for images whose ids mean nothing to anybody.
    pub(crate) fn by_place(self, ids: &[u64]) -> Self {
        match self {
            Self::NotFinite { id, reason } => {
                let place = ids.iter().position(|&other| other == id);
                let id = place.map_or(id, |place| place as u64);
                Self::NotFinite { id, reason }
            }
            error => error,
        }
    }
}
