use crate::logits::{largest_other, log_softmax, predicted, ranked};

/// What an attack maximises on one image. `z` are the logits, `y` the label to leave, `t` the target to reach.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective {
    /// Cross-entropy `-log softmax(z)_y`.
    CrossEntropy {
        /// The class to leave.
        label: usize,
    },
    /// Negated cross-entropy towards a target, `log softmax(z)_t`.
    TargetedCrossEntropy {
        /// The class to reach.
        target: usize,
    },
    /// Margin `max_{i != y} z_i - z_y` (Carlini & Wagner 2017): positive exactly when the image is misclassified.
    Margin {
        /// The class to leave.
        label: usize,
    },
    /// Targeted margin `z_t - max_{i != t} z_i`: positive exactly when the target is predicted.
    TargetedMargin {
        /// The class to reach.
        target: usize,
    },
    /// Difference of logits ratio, `margin / (z_(1) - z_(3) + 1e-12)` with `z_(j)` the j-th largest logit (Croce & Hein
    /// 2020): invariant under scaling and shifting the logits. Takes 3 classes.
    Dlr {
        /// The class to leave.
        label: usize,
    },
    /// Targeted difference of logits ratio, `(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12)`. Takes 4 classes.
    TargetedDlr {
        /// The class to leave.
        label: usize,
        /// The class to reach.
        target: usize,
    },
    /// Kullback-Leibler divergence `sum_i p_i log(p_i / softmax(z)_i)` from given probabilities, one per class.
    KullbackLeibler(Vec<f32>),
    /// Cosine distance `1 - <f, s> / (||f|| ||s||)` of the image's features f from those of another image, s.
    FeatureDistance(Vec<f32>),
    /// Any linear functional of the logits, `<c, z>`; one value per class.
    Cotangent(Vec<f32>),
}

/// Keeps the difference of logits ratio finite where the logits are equal.
const DLR_OFFSET: f64 = 1e-12;

impl Objective {
    /// The value by which points are compared: the least where there is none, or the logits are no answer.
    pub(crate) fn score(&self, logits: &[f32]) -> f64 {
        let value = match predicted(logits) {
            Some(_) => self.value(logits),
            None => f64::NAN,
        };
        if value.is_nan() {
            f64::NEG_INFINITY
        } else {
            value
        }
    }

    /// The objective's value at `logits` (one per class), computed in double precision. NaN when the class in it is
    /// not among the logits, when they are too few, and for the feature distance, which they do not determine.
    pub fn value(&self, logits: &[f32]) -> f64 {
        let logit = |class: usize| logits.get(class).map_or(f64::NAN, |&z| f64::from(z));
        let log_probability = |class: usize| {
            log_softmax(logits)
                .get(class)
                .map_or(f64::NAN, |&value| value)
        };
        match self {
            Objective::CrossEntropy { label } => -log_probability(*label),
            Objective::TargetedCrossEntropy { target } => log_probability(*target),
            Objective::Margin { label } => largest_other(logits, *label) - logit(*label),
            Objective::TargetedMargin { target } => logit(*target) - largest_other(logits, *target),
            Objective::Dlr { label } => {
                let spread = ranked(logits, 1) - ranked(logits, 3) + DLR_OFFSET;
                (largest_other(logits, *label) - logit(*label)) / spread
            }
            Objective::TargetedDlr { label, target } => {
                let third = (ranked(logits, 3) + ranked(logits, 4)) / 2.0;
                (logit(*target) - logit(*label)) / (ranked(logits, 1) - third + DLR_OFFSET)
            }
            Objective::KullbackLeibler(probabilities) => probabilities
                .iter()
                .map(|&p| f64::from(p))
                .enumerate()
                .filter(|(_, p)| *p != 0.0)
                .map(|(class, p)| p * (p.ln() - log_probability(class)))
                .sum(),
            Objective::FeatureDistance(_) => f64::NAN,
            Objective::Cotangent(weights) => weights
                .iter()
                .zip(logits)
                .filter(|&(&weight, _)| weight != 0.0)
                .map(|(&weight, &logit)| f64::from(weight) * f64::from(logit))
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_their_formulas() {
        let logits = [1.0, 3.0, -2.0];
        let normaliser = (1.0f64.exp() + 3.0f64.exp() + (-2.0f64).exp()).ln();
        let close = |objective: Objective, expected: f64| {
            assert!(
                (objective.value(&logits) - expected).abs() < 1e-12,
                "{objective:?}"
            );
        };
        close(Objective::CrossEntropy { label: 2 }, normaliser + 2.0);
        close(
            Objective::TargetedCrossEntropy { target: 0 },
            1.0 - normaliser,
        );
        close(Objective::Margin { label: 1 }, -2.0);
        close(Objective::Margin { label: 2 }, 5.0);
        close(Objective::TargetedMargin { target: 1 }, 2.0);
        close(Objective::Cotangent(vec![0.5, -1.0, 2.0]), -6.5);
        close(Objective::Dlr { label: 0 }, 2.0 / 5.0);
        let certain = Objective::KullbackLeibler(vec![0.0, 0.0, 1.0]);
        close(certain, Objective::CrossEntropy { label: 2 }.value(&logits));
        let (p, q) = ([0.25, 0.75], [1.0f32, 1.0]);
        let divergence = Objective::KullbackLeibler(p.to_vec()).value(&q);
        let expected = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert!((divergence - expected).abs() < 1e-12);
        let targeted = Objective::TargetedDlr {
            label: 1,
            target: 2,
        };
        assert!((targeted.value(&[3.0, 5.0, 1.0, 0.0]) - -4.0 / 4.5).abs() < 1e-12);
        assert!(targeted.value(&logits).is_nan());
    }

    #[test]
    fn a_class_that_is_never_chosen_spreads_no_nan() {
        let logits = [1.0, f32::NEG_INFINITY, 3.0, -2.0, 0.0];
        let value = |objective: Objective| objective.value(&logits);
        assert_eq!(value(Objective::Margin { label: 2 }), -2.0);
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
        assert!(close(value(Objective::Dlr { label: 2 }), -2.0 / 3.0));
        let targeted = Objective::TargetedDlr {
            label: 2,
            target: 0,
        };
        assert!(close(value(targeted), -0.5));
        let weights = vec![1.0, 0.0, -1.0, 0.0, 0.0];
        assert_eq!(value(Objective::Cotangent(weights)), -2.0);
        assert!(value(Objective::CrossEntropy { label: 2 }).is_finite());
        let never = Objective::TargetedMargin { target: 1 };
        assert_eq!(value(never), f64::NEG_INFINITY);
    }

    #[test]
    fn the_score_of_what_has_no_value_is_the_least() {
        let two = [1.0, f32::NEG_INFINITY, 3.0];
        assert_eq!(Objective::Dlr { label: 2 }.score(&two), f64::NEG_INFINITY);
        let margin = Objective::Margin { label: 0 };
        assert_eq!(margin.score(&[0.0, 1.0, f32::NAN]), f64::NEG_INFINITY);
        assert_eq!(margin.score(&[0.0, 1.0]), 1.0);
    }

    #[test]
    fn the_margin_of_negative_logits_does_not_see_a_zero_from_the_label() {
        let value = Objective::Margin { label: 0 }.value(&[-1.0, -3.0, -2.0]);
        assert_eq!(value, -1.0);
    }
}
