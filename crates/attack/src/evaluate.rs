use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::{
    Attack, AttackError, Checked, Observer, Parameters, Progress, SampleError, SampleRecord,
    Samples, Status, Victim, pgd::DEFAULT_MAX_BATCH, recheck,
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
    /// Images some of whose gradients had values that were NaN or infinite, which counted as 0.
    #[serde(default)]
    pub non_finite_gradients: usize,
    /// Gradients computed.
    pub gradient_evaluations: u64,
    /// Forward passes without a gradient computed, re-checks included.
    pub forward_evaluations: u64,
    /// One record per image, in their order.
    pub samples: Vec<SampleRecord>,
}

impl Evaluation {
    /// Counts what came of each image under the attack with these parameters.
    pub fn of(parameters: Parameters, samples: Vec<SampleRecord>) -> Self {
        let count =
            |of: fn(&SampleRecord) -> bool| samples.iter().filter(|record| of(record)).count();
        let share = |count: usize| count as f64 / samples.len().max(1) as f64;
        Self {
            parameters,
            images: samples.len(),
            clean_accuracy: share(count(|r| r.clean_prediction == r.label)),
            accuracy_under_attack: share(count(|r| !r.broken)),
            adversarial_found: count(|r| r.outcome == Status::AdversarialFound),
            adversarial_after_rounding: count(|r| r.png_still_adversarial == Some(true)),
            zero_gradients: count(|r| r.zero_gradient),
            non_finite_gradients: count(|r| r.non_finite_gradient > 0),
            gradient_evaluations: samples.iter().map(|r| r.gradient_evaluations).sum(),
            forward_evaluations: samples.iter().map(|r| r.forward_evaluations).sum(),
            samples,
        }
    }
}

/// What came of one image, with the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The record.
    pub record: SampleRecord,
    /// The adversarial `[channels, height, width]`, where one was found and confirmed.
    pub adversarial: Option<Array3<f32>>,
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

impl EvaluationProgress {
    /// Between two batches, when these images are finished.
    pub fn after(records: &[SampleRecord], images: usize) -> Self {
        let count = |of: fn(&&SampleRecord) -> bool| records.iter().filter(of).count();
        Self {
            done: records.len(),
            images,
            clean_correct: count(|r| r.clean_prediction == r.label),
            broken: count(|r| r.broken),
            attack: None,
        }
    }
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
    let attack = &attack.prepare(victim, samples).await?;
    let batch = batch.max(1);
    let mut records: Vec<SampleRecord> = Vec::with_capacity(samples.len());
    while records.len() < samples.len() {
        let part = samples.range(records.len()..records.len() + batch);
        let standing = EvaluationProgress::after(&records, samples.len());
        let watch = |progress: Progress| {
            on_progress(EvaluationProgress {
                attack: Some(progress),
                ..standing
            });
        };
        let evaluated = evaluate_batch(victim, &part, attack, &watch).await?;
        records.extend(evaluated.into_iter().map(|evaluated| evaluated.record));
        on_progress(EvaluationProgress::after(&records, samples.len()));
    }
    Ok(Evaluation::of(attack.parameters(), records))
}

/// Attacks all samples at once and re-checks what was found; one answer per sample, in their order. What
/// [`Evaluation::of`] makes of the records of several batches is what [`evaluate`] makes of all.
///
/// # Errors
/// When the samples do not fit the victim, or the victim fails.
pub async fn evaluate_batch<V: Victim, A: Attack, O: Observer>(
    victim: &V,
    samples: &Samples,
    attack: &A,
    observer: &O,
) -> Result<Vec<Evaluated>, AttackError> {
    let checked = run_and_recheck(victim, samples, attack, observer).await?;
    Ok(Evaluated::all(samples, checked))
}

impl Evaluated {
    /// One for each of the samples, in their order.
    pub(crate) fn all(samples: &Samples, checked: Vec<Checked>) -> Vec<Self> {
        let rows = checked.into_iter().enumerate();
        rows.filter_map(|(row, checked)| {
            Some(Self {
                record: SampleRecord::new(samples, row, &checked)?,
                adversarial: checked.outcome.adversarial,
            })
        })
        .collect()
    }
}

pub(crate) async fn run_and_recheck<V: Victim, A: Attack, O: Observer>(
    victim: &V,
    samples: &Samples,
    attack: &A,
    observer: &O,
) -> Result<Vec<Checked>, AttackError> {
    let outcomes = attack.run(victim, samples, observer).await?;
    let threat = attack.threat();
    recheck(victim, samples, threat, outcomes, DEFAULT_MAX_BATCH).await
}
