use serde::{Deserialize, Serialize};

use crate::{
    Attack, AttackError, Checked, Parameters, Progress, SampleError, Samples, Status, Victim,
    recheck,
};

/// A classifier's accuracy with and without an attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `attack`, `norm`, `eps`, `eps_value`, `steps`, `step_size`, `restarts`, `objective`, `seed`.
    #[serde(flatten)]
    pub parameters: Parameters,
    /// The number of images.
    pub images: usize,
    /// The share of clean images that are classified correctly.
    pub clean_accuracy: f64,
    /// The share of images that are classified correctly and for which the attack found no adversarial: an upper bound on
    /// the accuracy against any adversary within the same ball.
    pub accuracy_under_attack: f64,
    /// Adversarial images found and confirmed on a fresh forward pass.
    pub adversarial_found: usize,
    /// How many of them still fool the model after rounding to 8 bits.
    pub adversarial_after_rounding: usize,
    /// Images whose gradient was zero in every pixel at some point: many of them mean masked gradients.
    pub zero_gradients: usize,
    /// Gradients computed.
    pub gradient_evaluations: u64,
    /// Forward passes without a gradient computed, re-checks included.
    pub forward_evaluations: u64,
    /// One record per image, in their order.
    pub samples: Vec<SampleRecord>,
}

/// What came of one image in an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The sample's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// The class it was to be taken for, in a targeted attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
    /// How the attack ended.
    pub outcome: Status,
    /// Misclassified as it is, or with a confirmed adversarial.
    pub broken: bool,
    /// The class predicted for the clean image.
    pub clean_prediction: usize,
    /// The class predicted for the adversarial, or else for the strongest image tried.
    pub prediction: usize,
    /// The objective's value there.
    pub loss: f32,
    /// The adversarial's L-inf distance from the clean image.
    pub linf: Option<f32>,
    /// The adversarial's L2 distance from the clean image.
    pub l2: Option<f32>,
    /// Whether the adversarial still fools the model after rounding to 8 bits.
    pub png_still_adversarial: Option<bool>,
    /// Gradients computed for this image.
    pub gradient_evaluations: u64,
    /// A gradient was zero in every pixel.
    pub zero_gradient: bool,
    /// Why a reported adversarial failed its re-check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demoted: Option<String>,
}

/// Where an evaluation stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationProgress {
    /// Images finished.
    pub done: usize,
    /// Images in all.
    pub images: usize,
    /// Finished images that are classified correctly as they are.
    pub clean_correct: usize,
    /// Finished images that are broken.
    pub broken: usize,
    /// The attack on the images under way; `None` between two batches.
    pub attack: Option<Progress>,
}

/// Attacks every sample, `batch` of them at a time, and counts. Only adversarials that pass their re-check count; images
/// misclassified as they are count as broken.
///
/// Neither `batch` nor the order of the samples changes a result.
///
/// # Errors
/// When there are no samples, they do not fit the victim, or the victim fails.
pub async fn evaluate<V: Victim, A: Attack>(
    victim: &V,
    samples: &Samples,
    attack: &A,
    batch: usize,
    on_progress: impl Fn(EvaluationProgress) + Send + Sync,
) -> Result<Evaluation, AttackError> {
    if samples.is_empty() {
        return Err(SampleError::Empty.into());
    }
    samples.check(victim)?;
    let batch = batch.max(1);
    let mut records: Vec<SampleRecord> = Vec::with_capacity(samples.len());
    let mut forward_evaluations = 0;
    while records.len() < samples.len() {
        let part = samples.range(records.len()..records.len() + batch);
        let standing = standing(&records, samples.len());
        let watch = |progress: Progress| {
            on_progress(EvaluationProgress {
                attack: Some(progress),
                ..standing
            });
        };
        let outcomes = attack.run(victim, &part, &watch).await?;
        let checked = recheck(victim, &part, attack.threat(), outcomes, batch).await?;
        for (row, checked) in checked.iter().enumerate() {
            forward_evaluations += checked.outcome.forward_evaluations;
            records.extend(record(&part, row, checked));
        }
        on_progress(self::standing(&records, samples.len()));
    }
    Ok(summary(attack.parameters(), records, forward_evaluations))
}

fn standing(records: &[SampleRecord], images: usize) -> EvaluationProgress {
    EvaluationProgress {
        done: records.len(),
        images,
        clean_correct: records
            .iter()
            .filter(|r| r.clean_prediction == r.label)
            .count(),
        broken: records.iter().filter(|r| r.broken).count(),
        attack: None,
    }
}

fn record(samples: &Samples, row: usize, checked: &Checked) -> Option<SampleRecord> {
    let outcome = &checked.outcome;
    let label = *samples.labels.get(row)?;
    let found = outcome.status == Status::AdversarialFound;
    let distances = checked
        .exact
        .as_ref()
        .filter(|_| found)
        .map(|look| look.distances);
    Some(SampleRecord {
        id: outcome.id,
        label,
        target: samples.targets.as_ref().and_then(|t| t.get(row).copied()),
        outcome: outcome.status,
        broken: found || outcome.clean_prediction != label,
        clean_prediction: outcome.clean_prediction,
        prediction: outcome.prediction,
        loss: outcome.loss,
        linf: distances.map(|d| d.linf as f32),
        l2: distances.map(|d| d.l2 as f32),
        png_still_adversarial: checked.rounded.as_ref().map(|look| look.succeeds),
        gradient_evaluations: outcome.gradient_evaluations,
        zero_gradient: outcome.zero_gradient,
        demoted: checked.demoted.map(|reason| reason.to_string()),
    })
}

fn summary(
    parameters: Parameters,
    samples: Vec<SampleRecord>,
    forward_evaluations: u64,
) -> Evaluation {
    let count = |of: fn(&SampleRecord) -> bool| samples.iter().filter(|record| of(record)).count();
    let share = |count: usize| count as f64 / samples.len().max(1) as f64;
    Evaluation {
        parameters,
        images: samples.len(),
        clean_accuracy: share(count(|r| r.clean_prediction == r.label)),
        accuracy_under_attack: share(count(|r| !r.broken)),
        adversarial_found: count(|r| r.outcome == Status::AdversarialFound),
        adversarial_after_rounding: count(|r| r.png_still_adversarial == Some(true)),
        zero_gradients: count(|r| r.zero_gradient),
        gradient_evaluations: samples.iter().map(|r| r.gradient_evaluations).sum(),
        forward_evaluations,
        samples,
    }
}
