//! The prediction and the loss of one record: whether one answer of the model can have both.

use std::f64::consts::LN_2;

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
        let (least, most) = losses(kind, truth.target, fools, self.classes);
        let undefined = kind == ObjectiveKind::Dlr && stated.loss == f32::MIN;
        let inside = (least - LOSS_TOLERANCE..=most + LOSS_TOLERANCE).contains(&loss);
        let possible = inside || undefined;
        (!possible).then(|| {
            format!(
                "the report says a loss of {loss} where class {class} is predicted: a {kind} is from {least:.4} to {most:.4} there"
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

/// The least and the largest value of an objective where the class predicted is, or is not, what the attack wants.
fn losses(kind: ObjectiveKind, target: Option<usize>, fools: bool, classes: usize) -> (f64, f64) {
    let any = f64::INFINITY;
    // The class predicted has at least an equal share of the probability, and every other at most half.
    let even = (classes as f64).ln();
    match (kind, target, fools) {
        (ObjectiveKind::CrossEntropy, None, true) => (LN_2, any),
        (ObjectiveKind::CrossEntropy, None, false) => (0.0, even),
        (ObjectiveKind::CrossEntropy, Some(_), true) => (-even, 0.0),
        (ObjectiveKind::CrossEntropy, Some(_), false) => (-any, -LN_2),
        // Another class than the label and the target may be predicted.
        (ObjectiveKind::Dlr, Some(_), false) => (-any, any),
        (ObjectiveKind::Margin | ObjectiveKind::Dlr, _, true) => (0.0, any),
        (ObjectiveKind::Margin | ObjectiveKind::Dlr, _, false) => (-any, 0.0),
    }
}
