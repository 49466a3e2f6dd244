//! One evaluation: that there is one record for each image, and that every record can be true.

mod clean;
mod counts;
mod effort;
mod prediction;
mod record;
mod truth;

use std::collections::{HashMap, hash_map};

use buckler_attack::{
    Attack, AttackKind, Evaluation, SampleRecord, SampleSource, Victim, predictions,
    round_to_8_bits,
};
use ndarray::{Array3, ArrayView3, Axis, stack};

pub(super) use self::clean::CleanImages;
use self::{
    effort::Effort,
    truth::{Look, Truth},
};
use super::Verification;
use crate::{Entry, ReportError, adversarials::Images};

/// Images put to the victim at once.
const BATCH: usize = 128;

/// Forward passes beside an attack's own: the clean image, and what was found once more, exact and rounded.
const PASSES_BESIDE: u64 = 4;

/// Ids that are listed.
const SHOWN: usize = 5;

/// An evaluation that is being checked.
pub(super) struct Check<'a> {
    stated: &'a Evaluation,
    /// The first record of each image, by its id.
    records: HashMap<u64, &'a SampleRecord>,
    /// The number of the model's classes.
    classes: usize,
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
            classes,
            most,
            effort,
        }
    }

    /// The records of a block of samples, with what was recomputed in place of what is stated.
    pub(super) async fn block<V: Victim>(
        &mut self,
        victim: &V,
        images: &mut CleanImages<'_, V>,
        saved: &Images,
        checked: &mut Verification,
    ) -> Result<Vec<SampleRecord>, ReportError> {
        let attack = &self.stated.parameters;
        let (part, clean) = (images.samples(), images.predictions());
        let unusable = match clean::start(attack) {
            Some(start) => images.not_finite(start).await?.to_vec(),
            None => Vec::new(),
        };
        let exhaustive = self.effort.as_ref();
        let possible = match exhaustive.is_some_and(Effort::to_every_class) {
            true => images.possible().await?,
            false => &[],
        };
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
            let record = self.record(stated, &truth, &mut problems);
            if let Some(effort) = &mut self.effort {
                effort.note(&record, possible.get(row).copied().unwrap_or_default());
            }
            records.push(record);
            let met = clean::is_met(attack, stated);
            if unusable.get(row) == Some(&true) && met && stated.non_finite_gradient == 0 {
                problems.push("the gradient at the clean image, which the attack asks for, is NaN or infinite in some pixels, and the report does not say so".to_owned());
            }
            checked.problems.extend(
                problems
                    .into_iter()
                    .map(|problem| format!("image {id} under {attack}: {problem}")),
            );
        }
        Ok(records)
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
        if let Some(effort) = &self.effort {
            effort.check(checked);
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
