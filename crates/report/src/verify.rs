//! Recomputes what a report claims, and lists what nobody can recompute.
mod evaluation;
mod outline;
mod saved;
mod subject;
mod summary;

use std::path::Path;

use buckler_attack::{
    AttackError, Evaluation, Flag, SampleRecord, SampleSource, Samples, Victim, predictions,
};
use serde::Serialize;

use self::{
    evaluation::{Check, CleanImages},
    saved::Saved,
};
use crate::{
    Folder, Measured, Plan, Report, ReportError, Subject, images_sha256,
    run::{BLOCK, look},
};

/// What became of a report's claims when they were recomputed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verification {
    /// The figures.
    pub claims: Vec<Claim>,
    /// What is not as the report says, one line each.
    pub problems: Vec<String>,
    /// What the report says and nothing at hand can confirm, with the reason, one line each.
    pub not_verified: Vec<String>,
}

impl Verification {
    /// Whether everything that can be verified is as the report says.
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.claims.iter().all(Claim::holds)
    }

    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn claim(&mut self, what: impl Into<String>, stated: f64, recomputed: f64) {
        self.claims.push(Claim {
            what: what.into(),
            stated,
            recomputed,
        });
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

/// What a report is held against.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The model and the data at hand, as a new report would state them.
    pub subject: &'a Subject,
    /// What the report's command measures; or why it cannot be told.
    pub plan: Result<&'a Plan, String>,
    /// The reason why the model has no gradients, if it has none.
    pub no_gradient: Option<&'a str>,
}

/// Recomputes the report at `path`:
///
/// * what was measured: model, images, classes, files left out, assumptions, and the attacks that its command stands for;
/// * the clean predictions;
/// * for every image and attack that there is one record, in the images' order, and whether it can be true; for every saved adversarial
///   that a record names it, that it lies in its ball and in the box, is as far away as stated and misclassified, and whether it still
///   is after rounding to 8 bits;
/// * from these every count, accuracy, worst case and flag;
/// * the report's checksum.
///
/// [`Verification::not_verified`] lists the rest: above all that what was not found was searched for as stated. No more than one block of images is held at a
/// time.
///
/// # Errors
/// When the report cannot be read, when the model (by its SHA-256) or the images are others, or the victim fails.
pub async fn verify<V: Victim, S: SampleSource>(
    victim: &V,
    expected: &Expected<'_>,
    samples: &S,
    path: &Path,
) -> Result<Verification, ReportError> {
    let report = Report::read(path)?;
    let stated = &report.subject;
    let sha256 = &expected.subject.sha256;
    same("the model with the SHA-256", &stated.sha256, sha256)?;
    let images = images_sha256(samples)?;
    same(
        "the images with the SHA-256",
        &stated.images_sha256,
        &images,
    )?;
    let mut checked = Verification::default();
    outline::check(&report, path, &mut checked)?;
    subject::check(&report, expected, &mut checked);
    let folder = Folder::of(path.parent().unwrap_or(Path::new("")));
    let saved = Saved::index(&folder, &report, samples.ids(), &mut checked)?;
    let plan = expected.plan.as_ref().ok().copied();
    let seen = look(victim, samples, expected.no_gradient).await?;
    let random = |flag: &Flag| matches!(flag, Flag::Randomised { .. });
    let random = seen.iter().any(random);
    if random {
        checked.not_verified.push(
            "answers: the model is random, and what differs may differ for that reason; clean and saved images were put to it once more".to_owned(),
        );
    }
    let recomputation = Recomputation {
        victim,
        report: &report,
        plan,
        saved: &saved,
        gradients: expected.no_gradient.is_none() && !random,
    };
    let evaluations = recomputation.run(samples, &mut checked).await?;
    let verified: Vec<&Evaluation> = evaluations.iter().collect();
    summary::check(
        (victim, seen),
        &report,
        samples,
        &verified,
        expected,
        &mut checked,
    )
    .await?;
    subject::list_unverified(&report, &mut checked);
    Ok(checked)
}

/// What evaluations are recomputed from.
struct Recomputation<'a, V> {
    victim: &'a V,
    report: &'a Report,
    plan: Option<&'a Plan>,
    saved: &'a Saved<'a>,
    /// Whether gradients can be asked for and are the same the next time.
    gradients: bool,
}

impl<V: Victim> Recomputation<'_, V> {
    /// The evaluations with everything that can be recomputed in place of what is stated.
    async fn run<S: SampleSource>(
        &self,
        samples: &S,
        checked: &mut Verification,
    ) -> Result<Vec<Evaluation>, ReportError> {
        let Self { victim, report, .. } = *self;
        let stated = report.evaluations.iter().enumerate();
        let mut checks: Vec<Check<'_>> = stated
            .map(|(index, Measured { evaluation, .. })| {
                let entry = self.plan.and_then(|plan| plan.entries.get(index));
                let entry = entry.filter(|entry| entry.parameters() == evaluation.parameters);
                Check::new(evaluation, (entry, victim.classes()), samples, checked)
            })
            .collect();
        let mut records: Vec<Vec<SampleRecord>> = vec![Vec::new(); checks.len()];
        let mut right = 0;
        for start in (0..samples.len()).step_by(BLOCK) {
            let part: Samples = samples.block(start..start + BLOCK)?;
            part.check(victim).map_err(AttackError::from)?;
            let clean = predictions(victim, &part.images).await?;
            let pairs = clean.iter().zip(&part.labels);
            right += pairs
                .filter(|(class, label)| **class == Some(**label))
                .count();
            let mut images = CleanImages::new(victim, (&part, &clean), self.gradients);
            for (index, (check, records)) in checks.iter_mut().zip(&mut records).enumerate() {
                let values = victim.input().values();
                let saved = self.saved.of(index, &part.ids, values, checked);
                let block = check.block(victim, &mut images, &saved, checked);
                records.extend(block.await?);
            }
        }
        let clean = right as f64 / samples.len().max(1) as f64;
        checked.claim("clean accuracy", report.clean_accuracy, clean);
        let evaluations = checks.iter().zip(records);
        Ok(evaluations
            .map(|(check, records)| check.conclude(records, checked))
            .collect())
    }
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
