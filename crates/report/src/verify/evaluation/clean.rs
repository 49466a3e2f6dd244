//! What the model says of clean images beside their classes: gradients that are not finite, and classes that are never chosen.

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

/// A block of clean images; what is asked of them is asked once for all evaluations.
pub(in super::super) struct CleanImages<'a, V> {
    victim: &'a V,
    samples: &'a Samples,
    predictions: &'a [Option<usize>],
    /// Whether gradients can be asked for and are the same the next time.
    gradients: bool,
    not_finite: HashMap<Start, Vec<bool>>,
    possible: Option<Vec<usize>>,
}

impl<'a, V: Victim> CleanImages<'a, V> {
    /// Of a block of samples with their clean predictions.
    pub(in super::super) fn new(
        victim: &'a V,
        (samples, predictions): (&'a Samples, &'a [Option<usize>]),
        gradients: bool,
    ) -> Self {
        Self {
            victim,
            samples,
            predictions,
            gradients,
            not_finite: HashMap::new(),
            possible: None,
        }
    }

    pub(super) fn samples(&self) -> &'a Samples {
        self.samples
    }

    pub(super) fn predictions(&self) -> &'a [Option<usize>] {
        self.predictions
    }

    /// Whether the gradient of each image has values that are not finite; `false` of images without a prediction, and empty where
    /// that cannot be told.
    pub(super) async fn not_finite(&mut self, start: Start) -> Result<&[bool], ReportError> {
        if self.gradients && !self.not_finite.contains_key(&start) {
            let made = self.compute(start).await?;
            self.not_finite.insert(start, made);
        }
        Ok(self.not_finite.get(&start).map_or(&[], Vec::as_slice))
    }

    /// The number of classes that can be chosen for each image; 0 of images without a prediction.
    pub(super) async fn possible(&mut self) -> Result<&[usize], ReportError> {
        if self.possible.is_none() {
            let mut found = vec![0; self.samples.len()];
            for rows in self.predicted().chunks(BATCH) {
                let images = self.samples.images.select(Axis(0), rows);
                let logits = self.victim.logits(images).await;
                let logits = logits.map_err(AttackError::from)?;
                for (&row, logits) in rows.iter().zip(logits.outer_iter()) {
                    if let Some(found) = found.get_mut(row) {
                        *found = possible(logits.iter());
                    }
                }
            }
            self.possible = Some(found);
        }
        Ok(self.possible.as_deref().unwrap_or_default())
    }

    /// The rows with a prediction.
    fn predicted(&self) -> Vec<usize> {
        let rows = self.predictions.iter().enumerate();
        let rows = rows.filter_map(|(row, class)| class.is_some().then_some(row));
        rows.collect()
    }

    async fn compute(&self, start: Start) -> Result<Vec<bool>, ReportError> {
        let mut found = vec![false; self.samples.len()];
        for rows in self.predicted().chunks(BATCH) {
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
        (Start::Objective(kind), None) => kind
            .with_classes(possible(logits.iter()), false)
            .untargeted(label),
        (Start::Objective(kind), Some(target)) => kind
            .with_classes(possible(logits.iter()), true)
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
fn possible<'a>(logits: impl Iterator<Item = &'a f32>) -> usize {
    logits.filter(|&&logit| logit != f32::NEG_INFINITY).count()
}

/// The class of the largest logit beside the label, the first of equals.
fn likeliest_other(logits: &[f32], label: usize) -> Option<usize> {
    let others = logits.iter().enumerate();
    let others = others.filter(|&(class, _)| class != label);
    let first = others.max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
    first.map(|(class, _)| class)
}
