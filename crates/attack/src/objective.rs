use crate::logits::{largest_other, log_softmax};

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
    /// Any linear functional of the logits, `<c, z>`; one value per class.
    Cotangent(Vec<f32>),
}

impl Objective {
    /// The objective's value at `logits` (one per class), computed in double precision. NaN when the class in it is
    /// not among the logits.
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
            Objective::Cotangent(weights) => weights
                .iter()
                .zip(logits)
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
    }

    #[test]
    fn the_margin_of_negative_logits_does_not_see_a_zero_from_the_label() {
        let value = Objective::Margin { label: 0 }.value(&[-1.0, -3.0, -2.0]);
        assert_eq!(value, -1.0);
    }
}
