//! How many queries a search that finds nothing takes.

use buckler_attack::{AnyAttack, Attack, AttackKind, SampleRecord, Status};

use super::super::Verification;
use crate::Entry;

/// The queries of searches that find nothing, under an attack that always makes the same number.
pub(super) struct Effort {
    attack: AnyAttack,
    /// Whether it searches towards several classes.
    to_every_class: bool,
    /// The number of the model's classes.
    classes: usize,
    /// Images that hold.
    held: usize,
    /// How many of them took fewer queries than they should have.
    few: usize,
    /// The fewest queries among these, and how many were due.
    least: Option<(u64, u64)>,
}

impl Effort {
    /// Of attacks that always make the same number of queries.
    pub fn of(entry: &Entry, classes: usize) -> Option<Self> {
        if entry.halvings.is_some() || entry.attack.threat().epsilon.value() <= 0.0 {
            return None;
        }
        Some(Self {
            to_every_class: is_exhaustive(entry.attack.parameters().kind()?)?,
            attack: entry.attack.clone(),
            classes,
            held: 0,
            few: 0,
            least: None,
        })
    }

    /// Whether it depends on the classes that can be chosen at the clean image.
    pub fn to_every_class(&self) -> bool {
        self.to_every_class
    }

    /// Looks at a record; `possible` of the classes can be chosen at the clean image.
    pub fn note(&mut self, record: &SampleRecord, possible: usize) {
        let smooth = !record.zero_gradient && record.non_finite_gradient == 0;
        if record.outcome != Status::NotFound || !smooth || record.demoted.is_some() {
            return;
        }
        // Classes that are never chosen are not attacked, unless there is no other.
        let classes = match possible {
            0 | 1 => self.classes,
            possible => possible.min(self.classes),
        };
        let due = self.attack.most_queries(classes);
        let queries = record
            .gradient_evaluations
            .saturating_add(record.forward_evaluations);
        self.held += 1;
        if queries < due {
            self.few += 1;
            if self.least.is_none_or(|(least, _)| queries < least) {
                self.least = Some((queries, due));
            }
        }
    }

    /// Such an attack must have made its queries on every image that holds.
    pub fn check(&self, checked: &mut Verification) {
        if let Some((least, due)) = self.least {
            checked.problem(format!(
                "{} of {} images that hold under {} took fewer queries ({least} at least) than its steps and restarts make, {due}",
                self.few,
                self.held,
                self.attack.parameters()
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
