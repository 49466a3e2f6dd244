use serde::{Deserialize, Serialize};

use crate::{Checked, Norm, Samples, Status};

/// What came of one image in an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The sample's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// The class it was to be taken for, in a targeted attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
    /// How the attack ended.
    pub outcome: Status,
    /// Misclassified as it is, or with a confirmed adversarial.
    pub broken: bool,
    /// Which of several attacks found the adversarial; absent where there is one attack alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<String>,
    /// The class predicted for the clean image.
    pub clean_prediction: usize,
    /// The class predicted for the adversarial, or else for the strongest image tried.
    pub prediction: usize,
    /// The objective's value there.
    pub loss: f32,
    /// The adversarial's L-inf distance from the clean image.
    pub linf: Option<f32>,
    /// The adversarial's L2 distance from the clean image.
    pub l2: Option<f32>,
    /// The adversarial's L1 distance from the clean image.
    pub l1: Option<f32>,
    /// Whether the adversarial still fools the model after rounding to 8 bits.
    pub png_still_adversarial: Option<bool>,
    /// Gradients computed for this image.
    pub gradient_evaluations: u64,
    /// Forward passes without a gradient computed for this image, re-checks included.
    pub forward_evaluations: u64,
    /// A gradient was zero in every pixel.
    pub zero_gradient: bool,
    /// Values of its gradients that were NaN or infinite and counted as 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub non_finite_gradient: u64,
    /// Why a reported adversarial failed its re-check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demoted: Option<String>,
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SampleRecord {
    /// The record of row `row` of `samples`; `None` when there is no such row.
    pub(crate) fn new(samples: &Samples, row: usize, checked: &Checked) -> Option<Self> {
        let outcome = &checked.outcome;
        let label = *samples.labels.get(row)?;
        let found = outcome.status == Status::AdversarialFound;
        let distances = checked
            .exact
            .as_ref()
            .filter(|_| found)
            .map(|look| look.distances);
        Some(Self {
            id: outcome.id,
            label,
            target: samples.targets.as_ref().and_then(|t| t.get(row).copied()),
            outcome: outcome.status,
            broken: found || outcome.clean_prediction != label,
            found_by: outcome.found_by.clone().filter(|_| found),
            clean_prediction: outcome.clean_prediction,
            prediction: outcome.prediction,
            loss: outcome.loss,
            linf: distances.map(|d| d.linf as f32),
            l2: distances.map(|d| d.l2 as f32),
            l1: distances.map(|d| d.l1 as f32),
            png_still_adversarial: checked.rounded.as_ref().map(|look| look.succeeds),
            gradient_evaluations: outcome.gradient_evaluations,
            forward_evaluations: outcome.forward_evaluations,
            zero_gradient: outcome.zero_gradient,
            non_finite_gradient: outcome.non_finite_gradient,
            demoted: checked.demoted.map(|reason| reason.to_string()),
        })
    }

    /// The adversarial's distance from the clean image.
    pub fn distance(&self, norm: Norm) -> Option<f32> {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
        }
    }
}
