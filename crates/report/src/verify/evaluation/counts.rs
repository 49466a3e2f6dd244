//! Queries and marks of one record.

use buckler_attack::{AttackKind, SampleRecord, Status};

use super::{Check, is_ensemble};

impl Check<'_> {
    /// Counts and marks that cannot be.
    pub(super) fn counts(&self, stated: &SampleRecord) -> Option<String> {
        let (gradients, forward) = (stated.gradient_evaluations, stated.forward_evaluations);
        let queries = gradients.saturating_add(forward);
        let least = match stated.outcome {
            Status::AdversarialFound => 3,
            _ => 1,
        };
        if stated.outcome == Status::MisclassifiedClean {
            let quiet = (gradients, forward) == (0, 1)
                && !stated.zero_gradient
                && stated.non_finite_gradient == 0
                && stated.prediction == stated.clean_prediction;
            return (!quiet).then(|| {
                "it was misclassified as it is, and the report speaks of an attack on it".to_owned()
            });
        }
        if queries < least {
            return Some(format!("{queries} queries are too few for what came of it"));
        }
        if let Some(most) = self.most.filter(|&most| queries > most) {
            return Some(format!(
                "{queries} queries are more than the attack makes, {most}"
            ));
        }
        if stated.demoted.is_some() && stated.outcome != Status::NotFound {
            return Some("an adversarial was dropped, and the report says otherwise".to_owned());
        }
        let ensemble = self.stated.parameters.kind().is_some_and(is_ensemble);
        let found = stated.outcome == Status::AdversarialFound;
        let credited = match &stated.found_by {
            None => !(found && ensemble),
            Some(attack) => {
                let kind: Option<AttackKind> = attack.parse().ok();
                ensemble && found && kind.is_some_and(|kind| !is_ensemble(kind))
            }
        };
        (!credited).then(|| {
            format!(
                "it is said to be found by {:?}, which is not one of the attacks",
                stated.found_by
            )
        })
    }
}
