//! Gradients at clean images that are not finite: attacks that ask for them must have said so.

use std::collections::HashMap;

use buckler_attack::{
    AttackError, AttackKind, Objective, ObjectiveKind, Parameters, SampleRecord, Samples, Status,
    Victim,
};
use ndarray::Axis;

use crate::ReportError;

/// Images put to the victim at once; their gradients are held.
const BATCH: usize = 16;

/// Which gradient at the clean image an attack asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Start {
    /// That of the objective it climbs.
    Objective(ObjectiveKind),
    /// That of the lead of the likeliest other class, or of the target.
    Lead,
}

/// The gradient at the clean image that every image attacked is asked for; `None` of attacks that begin elsewhere.
pub(super) fn start(parameters: &Parameters) -> Option<Start> {
    if parameters.eps.value() <= 0.0 {
        return None;
    }
    let objective = parameters.objective.unwrap_or_default();
    match parameters.kind()? {
        AttackKind::Fgsm => Some(Start::Objective(objective)),
        // DI may make the first image smaller.
        AttackKind::Mim if !parameters.options.contains_key("di") => {
            Some(Start::Objective(objective))
        }
        AttackKind::Fab
        | AttackKind::FabT
        | AttackKind::Deepfool
        | AttackKind::Autoattack
        | AttackKind::AutoattackPlus => Some(Start::Lead),
        _ => None,
    }
}

/// Whether the image of a record was asked for the gradient of [`start`]: in ensembles only those are that all attacks are made on.
pub(super) fn is_met(parameters: &Parameters, stated: &SampleRecord) -> bool {
    let ensemble = parameters.kind().is_some_and(super::is_ensemble);
    match stated.outcome {
        Status::MisclassifiedClean | Status::Incomplete => false,
        Status::AdversarialFound => !ensemble,
        Status::NotFound => !ensemble || stated.demoted.is_none(),
    }
}

/// The gradients at a block of clean images, each computed once for all evaluations.
pub(in super::super) struct CleanGradients<'a, V> {
    victim: &'a V,
    samples: &'a Samples,
    clean: &'a [Option<usize>],
    /// Whether gradients can be asked for and are the same the next time.
    known: bool,
    made: HashMap<Start, Vec<bool>>,
}

impl<'a, V: Victim> CleanGradients<'a, V> {
    /// Of a block of samples with their clean predictions.
    pub(in super::super) fn new(
        victim: &'a V,
        (samples, clean): (&'a Samples, &'a [Option<usize>]),
        known: bool,
    ) -> Self {
        Self {
            victim,
            samples,
            clean,
            known,
            made: HashMap::new(),
        }
    }

    /// Whether the gradient of each image has values that are not finite; `false` of images without a prediction.
    pub(super) async fn not_finite(&mut self, start: Start) -> Result<&[bool], ReportError> {
        if self.known && !self.made.contains_key(&start) {
            let made = self.compute(start).await?;
            self.made.insert(start, made);
        }
        Ok(self.made.get(&start).map_or(&[], Vec::as_slice))
    }

    async fn compute(&self, start: Start) -> Result<Vec<bool>, ReportError> {
        let mut found = vec![false; self.samples.len()];
        let predicted = self.clean.iter().enumerate();
        let predicted = predicted.filter_map(|(row, class)| class.is_some().then_some(row));
        let predicted: Vec<usize> = predicted.collect();
        for rows in predicted.chunks(BATCH) {
            let images = self.samples.images.select(Axis(0), rows);
            let logits = self.victim.logits(images.clone()).await;
            let logits = logits.map_err(AttackError::from)?;
            let objectives = rows.iter().zip(logits.outer_iter());
            let objectives = objectives.filter_map(|(&row, logits)| {
                let label = *self.samples.labels.get(row)?;
                let target = self.samples.targets.as_ref().and_then(|t| t.get(row));
                let logits: Vec<f32> = logits.iter().copied().collect();
                Some(objective(start, label, target.copied(), &logits))
            });
            let gradient = self.victim.gradient(images, objectives.collect()).await;
            let gradient = gradient.map_err(AttackError::from)?;
            for (&row, gradient) in rows.iter().zip(gradient.input.outer_iter()) {
                if let Some(found) = found.get_mut(row) {
                    *found = gradient.iter().any(|value| !value.is_finite());
                }
            }
        }
        Ok(found)
    }
}

fn objective(start: Start, label: usize, target: Option<usize>, logits: &[f32]) -> Objective {
    match (start, target) {
        (Start::Objective(kind), None) => {
            kind.with_classes(possible(logits), false).untargeted(label)
        }
        (Start::Objective(kind), Some(target)) => kind
            .with_classes(possible(logits), true)
            .targeted(label, target),
        (Start::Lead, target) => {
            let ahead = target.or_else(|| likeliest_other(logits, label));
            let weight = |class| match class {
                class if Some(class) == ahead => 1.0,
                class if class == label => -1.0,
                _ => 0.0,
            };
            Objective::Cotangent((0..logits.len()).map(weight).collect())
        }
    }
}

/// The number of classes that can be chosen.
fn possible(logits: &[f32]) -> usize {
    let possible = logits.iter().filter(|&&logit| logit != f32::NEG_INFINITY);
    possible.count()
}

/// The class of the largest logit beside the label, the first of equals.
fn likeliest_other(logits: &[f32], label: usize) -> Option<usize> {
    let others = logits.iter().enumerate();
    let others = others.filter(|&(class, _)| class != label);
    let first = others.max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
    first.map(|(class, _)| class)
}
