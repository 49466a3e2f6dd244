use std::{collections::HashMap, path::Path};

use buckler_attack::{
    AttackError, BALL_TOLERANCE, Distances, Evaluation, SampleRecord, Samples, Status, Victim,
    predictions, round_to_8_bits, worst_cases,
};
use ndarray::{Array3, ArrayView3, Axis, stack};
use serde::Serialize;

use crate::{Folder, Report, ReportError, adversarials, images_sha256};

/// What became of a report's claims when they were recomputed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The claims.
    pub claims: Vec<Claim>,
    /// Images of which something is not as the report says, one line each.
    pub problems: Vec<String>,
}

impl Verification {
    /// Whether everything is as the report says.
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.claims.iter().all(Claim::holds)
    }
}

/// A figure, as stated and as recomputed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// What it says, such as `accuracy under pgd linf eps=0.3 ...`.
    pub what: String,
    /// In the report.
    pub stated: f64,
    /// From the model, the data and the saved adversarials.
    pub recomputed: f64,
}

impl Claim {
    /// Whether both are the same.
    pub fn holds(&self) -> bool {
        (self.stated - self.recomputed).abs() < 1e-9
    }
}

/// Images put to the victim at once.
const BATCH: usize = 128;

/// Distances in a report are in single precision.
const DISTANCE_TOLERANCE: f64 = 1e-6;

/// Recomputes the claims of the report at `path`: the clean predictions; for every saved adversarial that it lies in its ball
/// and in the box, that it is as far as the report says, that it is misclassified, and whether it still is after rounding to 8
/// bits; and from these every accuracy. What an attack did not find cannot be verified.
///
/// # Errors
/// When the report or its adversarials cannot be read, when the model (by its SHA-256) or the images are others, or the victim
/// fails.
pub async fn verify<V: Victim>(
    victim: &V,
    sha256: &str,
    samples: &Samples,
    path: &Path,
) -> Result<Verification, ReportError> {
    let report = Report::read(path)?;
    same("the model with the SHA-256", &report.subject.sha256, sha256)?;
    same(
        "the images with the SHA-256",
        &report.subject.images_sha256,
        &images_sha256(samples),
    )?;
    samples.check(victim).map_err(AttackError::from)?;
    let clean = predictions(victim, &samples.images).await?;
    let mut checked = Verification {
        claims: Vec::new(),
        problems: Vec::new(),
    };
    let right = clean.iter().zip(&samples.labels);
    let right = right
        .filter(|(class, label)| **class == Some(**label))
        .count();
    checked.claims.push(Claim {
        what: "clean accuracy".to_owned(),
        stated: report.clean_accuracy,
        recomputed: right as f64 / samples.len().max(1) as f64,
    });
    let folder = Folder::of(path.parent().unwrap_or(Path::new("")));
    let mut verified = Vec::new();
    for measured in &report.evaluations {
        let saved = adversarials::of(&folder, measured)?;
        let again = Again {
            victim,
            samples,
            clean: &clean,
            stated: &measured.evaluation,
        };
        let evaluation = again.evaluation(&saved, &mut checked.problems).await?;
        checked.claims.push(Claim {
            what: format!("accuracy under {}", evaluation.parameters),
            stated: measured.evaluation.accuracy_under_attack,
            recomputed: evaluation.accuracy_under_attack,
        });
        verified.push(evaluation);
    }
    let verified: Vec<&Evaluation> = verified.iter().collect();
    let stated = report.worst_cases.iter().flat_map(|worst| &worst.curve);
    let again = worst_cases(&verified)?;
    let recomputed = again.iter().flat_map(|worst| {
        let points = worst.curve.iter();
        points.map(|point| (worst.norm, point))
    });
    for (stated, (norm, recomputed)) in stated.zip(recomputed) {
        checked.claims.push(Claim {
            what: format!("worst case at {norm} eps={}", recomputed.eps),
            stated: stated.accuracy,
            recomputed: recomputed.accuracy,
        });
    }
    Ok(checked)
}

fn same(what: &'static str, expected: &str, got: &str) -> Result<(), ReportError> {
    if expected == got {
        return Ok(());
    }
    Err(ReportError::Other {
        what,
        expected: expected.to_owned(),
        got: got.to_owned(),
    })
}

/// The classes predicted for an image, exact and rounded to 8 bits; `None` where logits are not finite.
type Look = (Option<usize>, Option<usize>);

/// One evaluation, recomputed.
struct Again<'a, V> {
    victim: &'a V,
    samples: &'a Samples,
    clean: &'a [Option<usize>],
    stated: &'a Evaluation,
}

impl<V: Victim> Again<'_, V> {
    async fn evaluation(
        &self,
        saved: &HashMap<u64, Array3<f32>>,
        problems: &mut Vec<String>,
    ) -> Result<Evaluation, ReportError> {
        let rows: Vec<(&SampleRecord, &Array3<f32>)> = self
            .stated
            .samples
            .iter()
            .filter_map(|record| Some((record, saved.get(&record.id)?)))
            .collect();
        let mut looks = HashMap::new();
        for part in rows.chunks(BATCH) {
            let exact: Vec<ArrayView3<'_, f32>> = part.iter().map(|(_, i)| i.view()).collect();
            let rounded: Vec<Array3<f32>> = part.iter().map(|(_, i)| round_to_8_bits(i)).collect();
            let rounded: Vec<ArrayView3<'_, f32>> =
                rounded.iter().map(|image| image.view()).collect();
            let exact = self.look(&exact).await?;
            let rounded = self.look(&rounded).await?;
            let ids = part.iter().map(|(record, _)| record.id);
            looks.extend(ids.zip(exact.into_iter().zip(rounded)));
        }
        let mut records = Vec::new();
        for (row, stated) in self.stated.samples.iter().enumerate() {
            let mut record = stated.clone();
            record.clean_prediction = self.clean.get(row).copied().flatten().unwrap_or(usize::MAX);
            record.label = self.samples.labels.get(row).copied().unwrap_or(usize::MAX);
            record.broken = record.clean_prediction != record.label;
            if stated.outcome == Status::AdversarialFound {
                let look = saved.get(&stated.id).zip(looks.get(&stated.id));
                match self.confirm(row, &mut record, look) {
                    Ok(()) => record.broken = true,
                    Err(problem) => {
                        (record.linf, record.l2, record.l1) = (None, None, None);
                        problems.push(format!(
                            "image {} under {}: {problem}",
                            stated.id, self.stated.parameters
                        ));
                    }
                }
            }
            records.push(record);
        }
        Ok(Evaluation::of(self.stated.parameters.clone(), records))
    }

    async fn look(
        &self,
        images: &[ArrayView3<'_, f32>],
    ) -> Result<Vec<Option<usize>>, ReportError> {
        match stack(Axis(0), images) {
            Ok(images) => Ok(predictions(self.victim, &images).await?),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Confirms an adversarial: `look` is the saved image with the classes predicted for it.
    fn confirm(
        &self,
        row: usize,
        record: &mut SampleRecord,
        look: Option<(&Array3<f32>, &Look)>,
    ) -> Result<(), String> {
        let (image, (exact, rounded)) = look.ok_or("no adversarial image is saved for it")?;
        let clean = self.samples.images.outer_iter().nth(row);
        let clean = clean.ok_or("the data has no such image")?;
        if image.shape() != clean.shape() {
            return Err(format!("the saved image has the shape {:?}", image.shape()));
        }
        let parameters = &self.stated.parameters;
        let distances = Distances::between(clean, image);
        let distance = distances.in_norm(parameters.norm);
        if distance > f64::from(parameters.eps_value) + BALL_TOLERANCE {
            let eps = parameters.eps;
            return Err(format!(
                "the saved image is {distance} away, outside eps {eps}"
            ));
        }
        if !image.iter().all(|value| (0.0..=1.0).contains(value)) {
            return Err("the saved image leaves [0, 1]".to_owned());
        }
        let stated = record.distance(parameters.norm).map(f64::from);
        let scale = distance.max(1.0);
        if stated.is_none_or(|stated| (stated - distance).abs() > DISTANCE_TOLERANCE * scale) {
            let stated = record.distance(parameters.norm);
            let stated = stated.map_or("nothing".to_owned(), |stated| stated.to_string());
            return Err(format!(
                "the saved image is {distance} away, the report says {stated}"
            ));
        }
        let fools = |class: Option<usize>| match record.target {
            Some(target) => class == Some(target),
            None => class.is_some_and(|class| class != record.label),
        };
        if !fools(*exact) {
            return Err(format!("the saved image is predicted as {exact:?}"));
        }
        if record.png_still_adversarial != Some(fools(*rounded)) {
            return Err(format!(
                "rounded to 8 bits it is predicted as {rounded:?}, the report says otherwise"
            ));
        }
        Ok(())
    }
}
