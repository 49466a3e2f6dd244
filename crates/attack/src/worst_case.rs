use serde::{Deserialize, Serialize};

use crate::Evaluation;

/// Several evaluations of one model on the same images, taken together: an image counts as broken when any of the attacks
/// breaks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstCase {
    /// The attacks with their parameters, one line each, in the order given.
    pub attacks: Vec<String>,
    /// The number of images.
    pub images: usize,
    /// The share of clean images that are classified correctly.
    pub clean_accuracy: f64,
    /// The share of images that no attack breaks.
    pub accuracy_under_attack: f64,
    /// Gradients computed, over all attacks.
    pub gradient_evaluations: u64,
    /// One record per image.
    pub samples: Vec<WorstRecord>,
}

/// What several attacks did to one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorstRecord {
    /// The sample's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// Whether it is broken.
    pub broken: bool,
    /// The first attack that breaks it, as an index into [`WorstCase::attacks`]; `None` when it holds, and when it is
    /// misclassified as it is.
    pub broken_by: Option<usize>,
}

/// Why evaluations cannot be taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorstCaseError {
    /// There is nothing to take together.
    #[error("no evaluations: a worst case needs at least one")]
    Empty,
    /// They are about other images, or the same in another order.
    #[error(
        "the evaluation of `{attack}` is not about the images of the first one ({difference}): evaluate every attack on the same samples in the same order"
    )]
    OtherImages {
        /// The attack's description.
        attack: String,
        /// Where they part.
        difference: String,
    },
}

/// The pointwise worst case over several evaluations of one model on the same samples.
///
/// # Errors
/// When there is none, or ids, labels or clean predictions differ.
pub fn worst_case(evaluations: &[Evaluation]) -> Result<WorstCase, WorstCaseError> {
    let first = evaluations.first().ok_or(WorstCaseError::Empty)?;
    let mut samples: Vec<WorstRecord> = first
        .samples
        .iter()
        .map(|record| WorstRecord {
            id: record.id,
            label: record.label,
            broken: record.clean_prediction != record.label,
            broken_by: None,
        })
        .collect();
    for (index, evaluation) in evaluations.iter().enumerate() {
        if let Some(difference) = difference(first, evaluation) {
            let attack = evaluation.parameters.to_string();
            return Err(WorstCaseError::OtherImages { attack, difference });
        }
        for (worst, record) in samples.iter_mut().zip(&evaluation.samples) {
            if record.broken && !worst.broken {
                worst.broken = true;
                worst.broken_by = Some(index);
            }
        }
    }
    let held = samples.iter().filter(|record| !record.broken).count();
    Ok(WorstCase {
        attacks: evaluations
            .iter()
            .map(|e| e.parameters.to_string())
            .collect(),
        images: samples.len(),
        clean_accuracy: first.clean_accuracy,
        accuracy_under_attack: held as f64 / samples.len().max(1) as f64,
        gradient_evaluations: evaluations.iter().map(|e| e.gradient_evaluations).sum(),
        samples,
    })
}

fn difference(first: &Evaluation, other: &Evaluation) -> Option<String> {
    let (expected, got) = (first.samples.len(), other.samples.len());
    if expected != got {
        return Some(format!("{got} images instead of {expected}"));
    }
    first
        .samples
        .iter()
        .zip(&other.samples)
        .position(|(a, b)| {
            (a.id, a.label, a.clean_prediction) != (b.id, b.label, b.clean_prediction)
        })
        .map(|row| format!("id, label or clean prediction of image {row}"))
}
