use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::{
    Attack, AttackError, Checked, Observer, Parameters, Progress, SampleRecord, SampleSource,
    Samples, Status, Victim, pgd::DEFAULT_MAX_BATCH, predictions, recheck, sample_source,
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
            clean_accuracy: share(count(SampleRecord::is_right)),
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
            clean_correct: count(|r| r.is_right()),
            broken: count(|r| r.broken),
            attack: None,
        }
    }
}

/// Attacks every sample, `batch` of them at a time, and counts. Only adversarials that pass their re-check count; images
/// misclassified as they are count as broken, and so do images whose clean logits are not finite.
///
/// Neither `batch` nor the order of the samples changes a result. No more than `batch` images are held at a time.
///
/// # Errors
/// When there are no samples, they cannot be read or do not fit the victim, or the victim fails.
pub async fn evaluate<V: Victim, S: SampleSource, A: Attack>(
    victim: &V,
    samples: &S,
    attack: &A,
    batch: usize,
    on_progress: impl Fn(EvaluationProgress) + Send + Sync,
) -> Result<Evaluation, AttackError> {
    sample_source::check(victim, samples)?;
    let attack = &attack.prepare(victim, samples).await?;
    let batch = batch.max(1);
    let mut records: Vec<SampleRecord> = Vec::with_capacity(samples.len());
    while records.len() < samples.len() {
        let part = samples.block(records.len()..records.len() + batch)?;
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
/// A sample whose clean logits are not finite is not attacked: its record says so and counts as broken.
///
/// # Errors
/// When the samples do not fit the victim, or the victim fails.
pub async fn evaluate_batch<V: Victim, A: Attack, O: Observer>(
    victim: &V,
    samples: &Samples,
    attack: &A,
    observer: &O,
) -> Result<Vec<Evaluated>, AttackError> {
    match run_and_recheck(victim, samples, attack, observer).await {
        // Attacks look at the clean images first: this costs a forward pass, and only where there is such a sample.
        Err(AttackError::NotFinite { .. }) => {
            let rows = with_prediction(victim, samples).await?;
            let part = samples.rows(&rows);
            let checked = match part.is_empty() {
                true => Vec::new(),
                false => run_and_recheck(victim, &part, attack, observer).await?,
            };
            Ok(Evaluated::of_rows(samples, &rows, checked))
        }
        checked => Ok(Evaluated::all(samples, checked?)),
    }
}

/// The rows whose clean logits are finite, ascending.
pub(crate) async fn with_prediction<V: Victim>(
    victim: &V,
    samples: &Samples,
) -> Result<Vec<usize>, AttackError> {
    let predictions = predictions(victim, &samples.images).await?;
    let rows = predictions.iter().enumerate();
    let rows = rows.filter_map(|(row, class)| class.is_some().then_some(row));
    Ok(rows.collect())
}

impl Samples {
    /// Those whose clean logits are finite.
    ///
    /// # Errors
    /// When the samples do not fit the victim, or the victim fails.
    pub async fn with_prediction<V: Victim>(self, victim: &V) -> Result<Self, AttackError> {
        let rows = with_prediction(victim, &self).await?;
        match rows.len() == self.len() {
            true => Ok(self),
            false => Ok(self.rows(&rows)),
        }
    }
}

impl Evaluated {
    /// One for each of the samples, in their order: `checked` belong to some ascending rows, the other samples have no prediction.
    pub(crate) fn of_rows(samples: &Samples, rows: &[usize], checked: Vec<Checked>) -> Vec<Self> {
        let mut attacked = Self::all(&samples.rows(rows), checked).into_iter();
        let all = (0..samples.len()).filter_map(|row| match rows.binary_search(&row) {
            Ok(_) => attacked.next(),
            Err(_) => Some(Self {
                record: SampleRecord::without_prediction(samples, row)?,
                adversarial: None,
            }),
        });
        all.collect()
    }

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
