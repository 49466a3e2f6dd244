//! How many queries a search that finds nothing takes.

use buckler_attack::{Attack, AttackKind, Evaluation, Status};

use super::super::Verification;
use crate::Entry;

/// The queries of a search that finds nothing.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    queries: u64,
    /// Whether it searches towards several classes.
    to_every_class: bool,
}

impl Effort {
    /// Of attacks that always make the same number of queries.
    pub fn of(entry: &Entry, classes: usize) -> Option<Self> {
        if entry.halvings.is_some() {
            return None;
        }
        Some(Self {
            to_every_class: is_exhaustive(entry.attack.parameters().kind()?)?,
            queries: entry.attack.most_queries(classes),
        })
    }

    /// Such an attack must have made them on every image that holds.
    pub fn check(self, made: &Evaluation, checked: &mut Verification) {
        let attack = &made.parameters;
        let held = made.samples.iter().filter(|record| {
            let smooth = !record.zero_gradient && record.non_finite_gradient == 0;
            record.outcome == Status::NotFound && smooth && record.demoted.is_none()
        });
        let held: Vec<u64> = held
            .map(|r| r.gradient_evaluations.saturating_add(r.forward_evaluations))
            .collect();
        if attack.eps.value() <= 0.0 {
            return;
        }
        let Some(&largest) = held.iter().max() else {
            return;
        };
        let due = match self.to_every_class {
            // Classes that are never chosen are not attacked: all images have these in common.
            true if 2 * largest >= self.queries => self.queries.min(largest),
            _ => self.queries,
        };
        let few = held.iter().filter(|&&queries| queries < due).count();
        if few > 0 {
            let least = held.iter().min().copied().unwrap_or_default();
            checked.problem(format!(
                "{few} of {} images that hold under {attack} took fewer queries ({least} at least) than its steps and restarts make, {due}",
                held.len()
            ));
        }
    }
}

/// Whether the attack searches towards several classes; `None` where an image that holds need not take all queries that the attack may make.
fn is_exhaustive(kind: AttackKind) -> Option<bool> {
    match kind {
        AttackKind::Fgsm
        | AttackKind::Pgd
        | AttackKind::ApgdCe
        | AttackKind::ApgdDlr
        | AttackKind::Square => Some(false),
        AttackKind::ApgdT | AttackKind::MultiTargeted | AttackKind::Autoattack => Some(true),
        _ => None,
    }
}
