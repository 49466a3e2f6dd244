use serde::{Deserialize, Serialize};

use crate::{Epsilon, Evaluation, Norm};

/// Several evaluations of one model on the same images, taken together: an image is broken at a radius when any attack found an
/// adversarial that close, whatever radius it was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstCase {
    /// The norm of all radii and distances here.
    pub norm: Norm,
    /// The number of images.
    pub images: usize,
    /// The share of clean images that are classified correctly.
    pub clean_accuracy: f64,
    /// The accuracy at every radius evaluated, from the smallest to the largest; it never rises.
    pub curve: Vec<WorstPoint>,
    /// One record per image.
    pub samples: Vec<WorstRecord>,
}

/// The accuracy at one radius.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstPoint {
    /// The radius as it was written.
    pub eps: Epsilon,
    /// The radius in pixel units.
    pub eps_value: f32,
    /// The share of images that no attack breaks within it.
    pub accuracy: f64,
}

/// What several attacks did to one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstRecord {
    /// The sample's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// The distance of the closest image found that is misclassified: 0 when the clean one is, `None` when none was found.
    pub smallest: Option<f32>,
    /// The attack that found it, as an index into the evaluations given; `None` when there is none, and when the clean image is
    /// misclassified.
    pub broken_by: Option<usize>,
}

impl WorstCase {
    /// The share of images that no attack breaks within a radius, for any radius. Where the attacks looked no further than the
    /// largest radius evaluated, more says nothing beyond it.
    pub fn accuracy_at(&self, eps: f32) -> f64 {
        let broken = |record: &&WorstRecord| record.smallest.is_some_and(|d| d <= eps);
        let broken = self.samples.iter().filter(broken).count();
        (self.samples.len() - broken) as f64 / self.samples.len().max(1) as f64
    }

    /// The median over all images of the distance of the closest misclassified image; `None` when half of them hold.
    pub fn median(&self) -> Option<f32> {
        let mut distances: Vec<f32> = self.samples.iter().filter_map(|r| r.smallest).collect();
        distances.sort_by(f32::total_cmp);
        distances.get(self.samples.len() / 2).copied()
    }
}

/// Why evaluations cannot be taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorstCaseError {
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

/// The pointwise worst case over several evaluations of one model on the same samples, for every norm among them. An image that is
/// misclassified without an attack in one of them, as a random model may have it, is so here.
///
/// # Errors
/// When ids or labels differ.
pub fn worst_cases(evaluations: &[&Evaluation]) -> Result<Vec<WorstCase>, WorstCaseError> {
    if let Some((first, others)) = evaluations.split_first() {
        for other in others {
            if let Some(difference) = difference(first, other) {
                let attack = other.parameters.to_string();
                return Err(WorstCaseError::OtherImages { attack, difference });
            }
        }
    }
    let norms = [Norm::Linf, Norm::L2, Norm::L1];
    Ok(norms
        .into_iter()
        .filter_map(|norm| worst_case(norm, evaluations))
        .collect())
}

fn worst_case(norm: Norm, evaluations: &[&Evaluation]) -> Option<WorstCase> {
    let of_norm = || {
        let all = evaluations.iter().enumerate();
        all.filter(|(_, evaluation)| evaluation.parameters.norm == norm)
    };
    let (_, first) = of_norm().next()?;
    let mut samples: Vec<WorstRecord> = first
        .samples
        .iter()
        .map(|record| WorstRecord {
            id: record.id,
            label: record.label,
            smallest: (!record.is_right()).then_some(0.0),
            broken_by: None,
        })
        .collect();
    for (index, evaluation) in of_norm() {
        for (worst, record) in samples.iter_mut().zip(&evaluation.samples) {
            if !record.is_right() {
                (worst.smallest, worst.broken_by) = (Some(0.0), None);
            }
            if let Some(distance) = record.distance(norm)
                && worst.smallest.is_none_or(|smallest| distance < smallest)
            {
                worst.smallest = Some(distance);
                worst.broken_by = Some(index);
            }
        }
    }
    let mut radii: Vec<Epsilon> = of_norm().map(|(_, e)| e.parameters.eps).collect();
    radii.sort_by(|a, b| a.value().total_cmp(&b.value()));
    radii.dedup();
    let mut worst = WorstCase {
        norm,
        images: samples.len(),
        clean_accuracy: first.clean_accuracy,
        curve: Vec::new(),
        samples,
    };
    worst.curve = radii
        .into_iter()
        .map(|eps| WorstPoint {
            eps,
            eps_value: eps.value(),
            accuracy: worst.accuracy_at(eps.value()),
        })
        .collect();
    Some(worst)
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
        .position(|(a, b)| (a.id, a.label) != (b.id, b.label))
        .map(|row| format!("id or label of image {row}"))
}
