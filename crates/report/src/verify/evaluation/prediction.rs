//! The prediction and the loss of one record: whether one answer of the model can have both.

use std::{f64::consts::LN_2, ops::RangeInclusive};

use buckler_attack::{AttackKind, ObjectiveKind, SampleRecord, Status};

use super::{Check, truth::Truth};

/// Losses in a report are in single precision.
const LOSS_TOLERANCE: f64 = 1e-5;

impl Check<'_> {
    /// What is wrong with the prediction or the loss, if anything is.
    pub(super) fn prediction(&self, stated: &SampleRecord, truth: &Truth<'_>) -> Option<String> {
        let attacked = stated.outcome != Status::MisclassifiedClean;
        let loss = f64::from(stated.loss);
        let Some(class) = stated.prediction else {
            let what = match attacked {
                true => "no prediction, which every image that is attacked has".to_owned(),
                false if loss != 0.0 => format!("a loss of {loss} without a prediction"),
                false => return None,
            };
            return Some(format!("the report says {what}"));
        };
        if class >= self.classes {
            return Some(format!(
                "the report says that class {class} is predicted, and the model has {}, from 0",
                self.classes
            ));
        }
        let fools = truth.fools(Some(class));
        let dropped = stated.demoted.is_some();
        if stated.outcome == Status::NotFound {
            if dropped && !fools {
                return Some(format!(
                    "the report says that an adversarial was dropped, and that it is predicted as {class}, which is not one"
                ));
            }
            if fools && !dropped && !self.may_keep_a_point_outside(stated) {
                return Some(format!(
                    "the report says not_found, and that the strongest image is predicted as {class}, which would be an adversarial"
                ));
            }
        }
        let kind = self.stated.parameters.objective;
        let kind = kind.unwrap_or(ObjectiveKind::Margin);
        let range = losses(kind, truth.target, fools, self.classes);
        let undefined = kind == ObjectiveKind::Dlr && stated.loss == f32::MIN;
        let possible = range.contains(&loss) || undefined;
        (!possible).then(|| {
            format!(
                "the report says a loss of {loss} where class {class} is predicted: a {kind} is from {} to {} there",
                range.start(),
                range.end()
            )
        })
    }

    /// Whether what is left of a search that found nothing may be an adversarial outside the ball, as of attacks that look for the
    /// closest one. Of ensembles this takes points in the ball without logits, whose gradients are not finite either.
    fn may_keep_a_point_outside(&self, stated: &SampleRecord) -> bool {
        match self.stated.parameters.kind() {
            Some(AttackKind::Autoattack | AttackKind::AutoattackPlus) => {
                stated.non_finite_gradient > 0
            }
            Some(kind) => kind.seeks_closest(),
            None => true,
        }
    }
}

/// The values that an objective can have where the class predicted is, or is not, what the attack wants.
fn losses(
    kind: ObjectiveKind,
    target: Option<usize>,
    fools: bool,
    classes: usize,
) -> RangeInclusive<f64> {
    let (most, tolerance) = (f64::INFINITY, LOSS_TOLERANCE);
    // The class predicted has at least an equal share of the probability, and every other at most half.
    let even = (classes as f64).ln() + tolerance;
    let half = LN_2 - tolerance;
    match (kind, target, fools) {
        (ObjectiveKind::CrossEntropy, None, true) => half..=most,
        (ObjectiveKind::CrossEntropy, None, false) => -tolerance..=even,
        (ObjectiveKind::CrossEntropy, Some(_), true) => -even..=tolerance,
        (ObjectiveKind::CrossEntropy, Some(_), false) => -most..=-half,
        // Another class than the label and the target may be predicted.
        (ObjectiveKind::Dlr, Some(_), false) => -most..=most,
        (ObjectiveKind::Margin | ObjectiveKind::Dlr, _, true) => 0.0..=most,
        (ObjectiveKind::Margin | ObjectiveKind::Dlr, _, false) => -most..=0.0,
    }
}
