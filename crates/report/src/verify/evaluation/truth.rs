//! What is known of one image, without its record.

use buckler_attack::{SampleRecord, Status};
use ndarray::{Array3, ArrayView3};

/// The classes predicted for a saved image, exact and rounded to 8 bits; `None` where logits are not finite.
pub(super) type Look = (Option<usize>, Option<usize>);

/// What is known of one image.
pub(super) struct Truth<'a> {
    pub image: ArrayView3<'a, f32>,
    pub label: usize,
    pub target: Option<usize>,
    pub clean: Option<usize>,
    pub saved: Option<&'a Array3<f32>>,
    pub look: Option<Look>,
}

impl Truth<'_> {
    /// Whether a prediction is what the attack wants.
    pub fn fools(&self, class: Option<usize>) -> bool {
        match self.target {
            Some(target) => class == Some(target),
            None => class.is_some_and(|class| class != self.label),
        }
    }

    /// An image without a record counts as broken.
    pub fn unknown(&self, id: u64) -> SampleRecord {
        SampleRecord {
            id,
            label: self.label,
            target: self.target,
            outcome: Status::Incomplete,
            broken: true,
            found_by: None,
            clean_prediction: self.clean,
            prediction: self.clean,
            loss: 0.0,
            linf: None,
            l2: None,
            l1: None,
            png_still_adversarial: None,
            gradient_evaluations: 0,
            forward_evaluations: 0,
            zero_gradient: false,
            non_finite_gradient: 0,
            demoted: None,
        }
    }
}
