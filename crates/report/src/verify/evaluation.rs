//! One evaluation: that there is one record for each image, and that every record can be true.

mod effort;
mod truth;

use std::collections::{HashMap, hash_map};

use buckler_attack::{
    Attack, AttackKind, Distances, Evaluation, Norm, SampleRecord, SampleSource, Samples, Status,
    Victim, predictions, round_to_8_bits,
};
use ndarray::{Array3, ArrayView3, Axis, stack};

use self::{
    effort::Effort,
    truth::{Look, Truth},
};
use super::Verification;
use crate::{Entry, ReportError, adversarials::Images};

/// Images put to the victim at once.
const BATCH: usize = 128;

/// Distances in a report are in single precision.
const DISTANCE_TOLERANCE: f64 = 1e-6;

/// Forward passes beside an attack's own: the clean image, and what was found once more, exact and rounded.
const PASSES_BESIDE: u64 = 4;

/// Ids that are listed.
const SHOWN: usize = 5;

/// An evaluation that is being checked.
pub(super) struct Check<'a> {
    stated: &'a Evaluation,
    /// The first record of each image, by its id.
    records: HashMap<u64, &'a SampleRecord>,
    /// Queries of one image at most.
    most: Option<u64>,
    /// What an image that is searched to the end takes, where the attack always makes as many queries.
    effort: Option<Effort>,
}

impl<'a> Check<'a> {
    /// Notes records that are missing, too many, or in another order than the images. `entry` is what the report's command stands
    /// for here.
    pub(super) fn new<S: SampleSource>(
        stated: &'a Evaluation,
        (entry, classes): (Option<&Entry>, usize),
        samples: &S,
        checked: &mut Verification,
    ) -> Self {
        let attack = &stated.parameters;
        let mut records: HashMap<u64, &SampleRecord> = HashMap::new();
        let mut repeated = Vec::new();
        for record in &stated.samples {
            match records.entry(record.id) {
                hash_map::Entry::Occupied(_) => repeated.push(record.id),
                hash_map::Entry::Vacant(place) => {
                    place.insert(record);
                }
            }
        }
        let ids = samples.ids();
        let missing = ids.iter().copied().filter(|id| !records.contains_key(id));
        let missing: Vec<u64> = missing.collect();
        let known: HashMap<u64, usize> = ids.iter().copied().zip(0..).collect();
        let surplus = stated.samples.iter().map(|record| record.id);
        let surplus: Vec<u64> = surplus.filter(|id| !known.contains_key(id)).collect();
        for (what, ids) in [
            ("no record", &missing),
            ("several records", &repeated),
            ("a record and were not measured", &surplus),
        ] {
            if !ids.is_empty() {
                checked.problem(format!("images {} have {what} under {attack}", list(ids)));
            }
        }
        let order = stated.samples.iter().map(|record| record.id);
        if missing.is_empty()
            && repeated.is_empty()
            && surplus.is_empty()
            && !order.eq(ids.iter().copied())
        {
            checked.problem(format!(
                "the records under {attack} are in another order than the images"
            ));
        }
        let most = entry.map(|entry| {
            let runs = u64::from(entry.halvings.unwrap_or(0)) + 1;
            let each = entry.attack.most_queries(classes);
            each.saturating_add(PASSES_BESIDE).saturating_mul(runs)
        });
        let effort = entry.and_then(|entry| Effort::of(entry, classes));
        Self {
            stated,
            records,
            most,
            effort,
        }
    }

    /// The records of a block of samples, with what was recomputed in place of what is stated.
    pub(super) async fn block<V: Victim>(
        &self,
        victim: &V,
        part: &Samples,
        clean: &[Option<usize>],
        saved: &Images,
        checked: &mut Verification,
    ) -> Result<Vec<SampleRecord>, ReportError> {
        let shape = part.images.shape().get(1..).unwrap_or_default();
        let saved: Vec<(u64, &Array3<f32>)> = part
            .ids
            .iter()
            .filter_map(|id| Some((*id, saved.get(id)?)))
            .collect();
        let fitting: Vec<&(u64, &Array3<f32>)> = saved
            .iter()
            .filter(|(_, image)| image.shape() == shape)
            .collect();
        let mut looks: HashMap<u64, Look> = HashMap::new();
        for rows in fitting.chunks(BATCH) {
            let exact: Vec<ArrayView3<'_, f32>> = rows.iter().map(|(_, i)| i.view()).collect();
            let rounded: Vec<Array3<f32>> = rows.iter().map(|(_, i)| round_to_8_bits(i)).collect();
            let rounded: Vec<ArrayView3<'_, f32>> = rounded.iter().map(|i| i.view()).collect();
            let exact = look(victim, &exact).await?;
            let rounded = look(victim, &rounded).await?;
            let ids = rows.iter().map(|(id, _)| *id);
            looks.extend(ids.zip(exact.into_iter().zip(rounded)));
        }
        let saved: HashMap<u64, &Array3<f32>> = saved.into_iter().collect();
        let mut records = Vec::with_capacity(part.len());
        let rows = part.images.outer_iter().zip(clean).enumerate();
        for (row, (image, &clean)) in rows {
            let (Some(&id), Some(&label)) = (part.ids.get(row), part.labels.get(row)) else {
                continue;
            };
            let target = part.targets.as_ref().and_then(|t| t.get(row).copied());
            let truth = Truth {
                image,
                label,
                target,
                clean,
                saved: saved.get(&id).copied(),
                look: looks.get(&id).copied(),
            };
            let Some(stated) = self.records.get(&id) else {
                records.push(truth.unknown(id));
                continue;
            };
            let mut problems = Vec::new();
            records.push(self.record(stated, &truth, &mut problems));
            let attack = &self.stated.parameters;
            checked.problems.extend(
                problems
                    .into_iter()
                    .map(|problem| format!("image {id} under {attack}: {problem}")),
            );
        }
        Ok(records)
    }

    /// What is true of a record, with what is not noted.
    fn record(
        &self,
        stated: &SampleRecord,
        truth: &Truth<'_>,
        problems: &mut Vec<String>,
    ) -> SampleRecord {
        let mut record = stated.clone();
        let differs = |what: &str, stated: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug| {
            format!("the report says {what} {stated:?}, and it is {is:?}")
        };
        if stated.label != truth.label {
            problems.push(differs("label", &stated.label, &truth.label));
        }
        if stated.target != truth.target {
            problems.push(differs("target", &stated.target, &truth.target));
        }
        if stated.clean_prediction != truth.clean {
            let stated = &stated.clean_prediction;
            problems.push(differs("clean prediction", stated, &truth.clean));
        }
        (record.label, record.target, record.clean_prediction) =
            (truth.label, truth.target, truth.clean);
        record.broken = !record.is_right();
        let reached = truth.clean.is_none_or(|class| truth.fools(Some(class)));
        match stated.outcome {
            Status::MisclassifiedClean if !reached => {
                problems.push("the report says misclassified_clean, and it is not".to_owned());
            }
            Status::AdversarialFound | Status::NotFound if reached => problems.push(format!(
                "the report says {}, and nothing is to be looked for: the clean image is predicted as {:?}",
                stated.outcome, truth.clean
            )),
            Status::Incomplete => {
                problems.push("the search was stopped before it was done".to_owned());
            }
            _ => (),
        }
        match stated.outcome {
            Status::AdversarialFound => match self.confirm(stated, truth) {
                Ok(()) => record.broken = true,
                Err(problem) => {
                    (record.linf, record.l2, record.l1) = (None, None, None);
                    problems.push(problem);
                }
            },
            outcome => {
                if truth.saved.is_some() {
                    let fools = match truth.look {
                        Some((exact, _)) if truth.fools(exact) => "fools the model",
                        _ => "does not fool the model",
                    };
                    problems.push(format!(
                        "the report says {outcome}, and an adversarial image is saved that {fools}"
                    ));
                    record.broken |= truth.look.is_some_and(|(exact, _)| truth.fools(exact));
                }
                let distances = [stated.linf, stated.l2, stated.l1];
                if distances.iter().any(Option::is_some)
                    || stated.png_still_adversarial.is_some()
                    || stated.found_by.is_some()
                {
                    problems.push(format!(
                        "the report says {outcome}, and speaks of an adversarial image"
                    ));
                    (record.linf, record.l2, record.l1) = (None, None, None);
                    (record.png_still_adversarial, record.found_by) = (None, None);
                }
            }
        }
        if stated.broken != record.broken {
            problems.push(differs("broken", &stated.broken, &record.broken));
        }
        problems.extend(self.counts(stated));
        record
    }

    /// Counts and marks that cannot be.
    fn counts(&self, stated: &SampleRecord) -> Option<String> {
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

    /// Confirms an adversarial: the saved image is in its ball and in the box, as far away as stated, and fools the model.
    fn confirm(&self, stated: &SampleRecord, truth: &Truth<'_>) -> Result<(), String> {
        let image = truth.saved.ok_or("no adversarial image is saved for it")?;
        let Some((exact, rounded)) = truth.look else {
            return Err(format!("the saved image has the shape {:?}", image.shape()));
        };
        let parameters = &self.stated.parameters;
        let distances = Distances::between(truth.image, image);
        let distance = distances.in_norm(parameters.norm);
        // NaN is not inside.
        let inside = distance <= f64::from(parameters.eps.value());
        if !inside {
            let eps = parameters.eps;
            return Err(format!(
                "the saved image is {distance} away, outside eps {eps}"
            ));
        }
        if !image.iter().all(|value| (0.0..=1.0).contains(value)) {
            return Err("the saved image leaves [0, 1]".to_owned());
        }
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let distance = distances.in_norm(norm);
            let said = stated.distance(norm);
            let near = |said: f32| {
                (f64::from(said) - distance).abs() <= DISTANCE_TOLERANCE * distance.max(1.0)
            };
            if !said.is_some_and(near) {
                let said = said.map_or("nothing".to_owned(), |said| said.to_string());
                return Err(format!(
                    "the saved image is {distance} away in {norm}, the report says {said}"
                ));
            }
        }
        if !truth.fools(exact) {
            return Err(format!("the saved image is predicted as {exact:?}"));
        }
        if stated.prediction != exact {
            return Err(format!(
                "the saved image is predicted as {exact:?}, the report says {:?}",
                stated.prediction
            ));
        }
        if stated.png_still_adversarial != Some(truth.fools(rounded)) {
            return Err(format!(
                "rounded to 8 bits it is predicted as {rounded:?}, the report says otherwise"
            ));
        }
        Ok(())
    }

    /// The evaluation that the records give, with counts that the report has otherwise noted.
    pub(super) fn conclude(
        &self,
        records: Vec<SampleRecord>,
        checked: &mut Verification,
    ) -> Evaluation {
        let stated = self.stated;
        let attack = &stated.parameters;
        let made = Evaluation::of(attack.clone(), records);
        checked.claim(
            format!("accuracy under {attack}"),
            stated.accuracy_under_attack,
            made.accuracy_under_attack,
        );
        if (stated.clean_accuracy - made.clean_accuracy).abs() > 1e-9 {
            checked.problem(format!(
                "the clean accuracy under {attack} is {}, the report says {}",
                made.clean_accuracy, stated.clean_accuracy
            ));
        }
        let count = |count: usize| count as u64;
        for (what, stated, made) in [
            ("images", count(stated.images), count(made.images)),
            (
                "adversarials",
                count(stated.adversarial_found),
                count(made.adversarial_found),
            ),
            (
                "adversarials after rounding",
                count(stated.adversarial_after_rounding),
                count(made.adversarial_after_rounding),
            ),
            (
                "images with a zero gradient",
                count(stated.zero_gradients),
                count(made.zero_gradients),
            ),
            (
                "images with gradients that are not finite",
                count(stated.non_finite_gradients),
                count(made.non_finite_gradients),
            ),
            (
                "gradients",
                stated.gradient_evaluations,
                made.gradient_evaluations,
            ),
            (
                "forward passes",
                stated.forward_evaluations,
                made.forward_evaluations,
            ),
        ] {
            if stated != made {
                checked.problem(format!(
                    "the records under {attack} give {made} {what}, the report says {stated}"
                ));
            }
        }
        if (attack.eps_value - attack.eps.value()).abs() > 0.0 {
            checked.problem(format!(
                "eps {} is {}, the report says {}",
                attack.eps,
                attack.eps.value(),
                attack.eps_value
            ));
        }
        if let Some(effort) = self.effort {
            effort.check(&made, checked);
        }
        made
    }
}

fn is_ensemble(kind: AttackKind) -> bool {
    matches!(
        kind,
        AttackKind::Autoattack | AttackKind::AutoattackPlus | AttackKind::AutoattackRand
    )
}

async fn look<V: Victim>(
    victim: &V,
    images: &[ArrayView3<'_, f32>],
) -> Result<Vec<Option<usize>>, ReportError> {
    match stack(Axis(0), images) {
        Ok(images) => Ok(predictions(victim, &images).await?),
        Err(_) => Ok(Vec::new()),
    }
}

/// The first ids of a list.
fn list(ids: &[u64]) -> String {
    let shown: Vec<String> = ids.iter().take(SHOWN).map(u64::to_string).collect();
    match ids.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
