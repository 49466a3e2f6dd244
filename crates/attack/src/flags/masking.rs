//! Attacks on the gradients beside attacks that ask for none.

use super::Flag;
use crate::{AttackKind, Evaluation, SampleRecord};

/// AutoAttack's own threshold: its Square attack must not break more than this share of what the others left.
const TOLERANCE: f64 = 0.002;

/// Those that are not the crate's own are taken to.
fn asks_for_gradients(kind: Option<AttackKind>) -> bool {
    kind.is_none_or(AttackKind::needs_gradients)
}

/// Whether an attack on the gradients broke the image, or it is misclassified as it is.
fn broken_by_gradients(evaluation: &Evaluation, record: &SampleRecord) -> bool {
    let by = match &record.found_by {
        Some(attack) => attack.parse().ok(),
        None => evaluation.parameters.kind(),
    };
    record.broken && (!record.is_right() || asks_for_gradients(by))
}

/// Compares, for every norm and radius, what the attacks on the gradients leave with what all leave.
pub(super) fn gradient_masking(evaluations: &[&Evaluation]) -> Vec<Flag> {
    let ball = |evaluation: &Evaluation| {
        let parameters = &evaluation.parameters;
        (parameters.norm, parameters.eps)
    };
    let mut flags = Vec::new();
    for (index, first) in evaluations.iter().enumerate() {
        let earlier = evaluations.iter().take(index);
        if earlier.into_iter().any(|other| ball(other) == ball(first)) {
            continue;
        }
        let group: Vec<&&Evaluation> = evaluations
            .iter()
            .filter(|other| ball(other) == ball(first))
            .collect();
        if !group
            .iter()
            .any(|e| asks_for_gradients(e.parameters.kind()))
        {
            continue;
        }
        let accuracy = |broken: &dyn Fn(&Evaluation, &SampleRecord) -> bool| {
            let held = (0..first.samples.len()).filter(|&row| {
                !group.iter().any(|evaluation| {
                    let record = evaluation.samples.get(row);
                    record.is_some_and(|record| broken(evaluation, record))
                })
            });
            held.count() as f64 / first.samples.len().max(1) as f64
        };
        let with_gradients = accuracy(&broken_by_gradients);
        let with_all = accuracy(&|_, record| record.broken);
        if with_gradients - with_all > TOLERANCE {
            let (norm, eps) = ball(first);
            flags.push(Flag::GradientMasking {
                norm,
                eps,
                with_gradients,
                with_all,
            });
        }
    }
    flags
}

pub(super) fn no_gradients(evaluations: &[&Evaluation], reason: Option<&str>) -> Vec<Flag> {
    let any = evaluations
        .iter()
        .any(|e| asks_for_gradients(e.parameters.kind()));
    if any || evaluations.is_empty() {
        return Vec::new();
    }
    vec![Flag::NoGradients {
        reason: reason.map(str::to_owned),
    }]
}
