//! Models that answer the same for nearly everything.

use std::collections::BTreeMap;

use super::Flag;
use crate::Evaluation;

/// Share of the images that one class is predicted for, from which on the model may have collapsed.
const NEARLY_ALL: f64 = 0.95;

/// Share of the images of other classes that are taken for that class, from which on it has.
const MISSED: f64 = 0.9;

/// Fewer images of other classes tell nothing.
const FEWEST_OTHERS: usize = 5;

/// Whether the model takes nearly all clean images for one class, those of other classes among them.
pub(super) fn one_class(evaluation: &Evaluation) -> Option<Flag> {
    let samples = &evaluation.samples;
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for record in samples {
        *counts.entry(record.clean_prediction).or_default() += 1;
    }
    let (&class, &predicted) = counts.iter().max_by_key(|(_, count)| **count)?;
    let predicted = share(predicted, samples.len());
    let others = samples.iter().filter(|record| record.label != class);
    let others: Vec<_> = others.collect();
    let missed = others.iter().filter(|r| r.clean_prediction == class);
    let missed = share(missed.count(), others.len());
    let collapsed = predicted >= NEARLY_ALL && missed >= MISSED && others.len() >= FEWEST_OTHERS;
    collapsed.then(|| Flag::OneClass {
        class,
        predicted,
        actual: share(samples.len() - others.len(), samples.len()),
        clean_accuracy: evaluation.clean_accuracy,
    })
}
