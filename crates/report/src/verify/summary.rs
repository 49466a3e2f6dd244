//! What is made of all evaluations: worst cases, flags, linearity, times.

use std::mem::discriminant;

use buckler_attack::{
    Evaluation, Flag, Linearity, Norm, Pgd, Rise, SampleSource, Victim, WorstCase, flags,
    linearity, worst_cases,
};

use super::{Expected, Verification};
use crate::{Report, ReportError};

/// How far a loss or a gradient may differ on another machine, of its size.
const LOSS_TOLERANCE: f64 = 1e-3;

/// `seen` is what the first images tell about the model.
pub(super) async fn check<V: Victim, S: SampleSource>(
    (victim, seen): (&V, Vec<Flag>),
    report: &Report,
    samples: &S,
    verified: &[&Evaluation],
    expected: &Expected<'_>,
    checked: &mut Verification,
) -> Result<(), ReportError> {
    if report.images != samples.len() {
        checked.problem(format!(
            "there are {} images, the report says {}",
            samples.len(),
            report.images
        ));
    }
    if report.evaluations.is_empty() {
        checked.problem("the report has no evaluation, and so no figure under attack");
    }
    let seconds: f64 = report.evaluations.iter().map(|m| m.seconds).sum();
    let negative = report.evaluations.iter().any(|m| m.seconds < 0.0);
    if negative || (seconds - report.seconds).abs() > 1e-6 * seconds.abs().max(1.0) {
        checked.problem(format!(
            "the evaluations took {seconds} seconds, the report says {}",
            report.seconds
        ));
    }
    worst(report, &worst_cases(verified)?, checked);
    let mut raised = seen;
    raised.extend(flags(verified, victim.classes(), expected.no_gradient));
    compare_flags(&report.flags, &raised, checked);
    if let Ok(plan) = expected.plan.as_ref() {
        for (stated, pgd) in report.linearity.iter().zip(&plan.linearity) {
            let short = Pgd {
                steps: 0,
                restarts: 1,
                ..pgd.clone()
            };
            let made = linearity(victim, samples, &short).await?;
            rises(stated, &made, pgd, checked);
        }
    }
    Ok(())
}

/// Worst cases are paired by their norm, points by their radius.
fn worst(report: &Report, made: &[WorstCase], checked: &mut Verification) {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let stated: Vec<&WorstCase> = report
            .worst_cases
            .iter()
            .filter(|worst| worst.norm == norm)
            .collect();
        let made = made.iter().find(|worst| worst.norm == norm);
        let (made, stated) = match (made, stated.as_slice()) {
            (None, []) => continue,
            (Some(made), [stated]) => (made, *stated),
            (None, _) => {
                checked.problem(format!(
                    "the report has a worst case in {norm}, and no evaluation is in that norm"
                ));
                continue;
            }
            (Some(_), stated) => {
                checked.problem(format!(
                    "the report has {} worst cases in {norm} instead of one",
                    stated.len()
                ));
                continue;
            }
        };
        for point in &made.curve {
            let mut stated = stated.curve.iter().filter(|other| other.eps == point.eps);
            let eps = point.eps;
            match (stated.next(), stated.next()) {
                (Some(stated), None) => {
                    let what = format!("worst case at {norm} eps={eps}");
                    checked.claim(what, stated.accuracy, point.accuracy);
                    if stated.eps_value != point.eps_value {
                        checked.problem(format!(
                            "eps {eps} is {}, the worst case says {}",
                            point.eps_value, stated.eps_value
                        ));
                    }
                }
                (None, _) => {
                    checked.problem(format!("the worst case in {norm} does not have eps {eps}"))
                }
                (Some(_), Some(_)) => checked.problem(format!(
                    "the worst case in {norm} has eps {eps} several times"
                )),
            }
        }
        let radii = |worst: &WorstCase| -> Vec<_> { worst.curve.iter().map(|p| p.eps).collect() };
        if radii(stated) != radii(made) {
            checked.problem(format!(
                "the radii of the worst case in {norm} are not those of the evaluations, ascending"
            ));
        }
        if (stated.images, stated.clean_accuracy) != (made.images, made.clean_accuracy) {
            checked.problem(format!(
                "the worst case in {norm} is about {} images of clean accuracy {}, the report says {} and {}",
                made.images, made.clean_accuracy, stated.images, stated.clean_accuracy
            ));
        }
        let differing = made
            .samples
            .iter()
            .zip(&stated.samples)
            .find(|(made, stated)| made != stated);
        if let Some((made, stated)) = differing {
            checked.problem(format!(
                "image {} in the worst case in {norm}: the closest adversarial is {:?} away, of evaluation {:?}; the report says {:?} and {:?} of image {}",
                made.id, made.smallest, made.broken_by, stated.smallest, stated.broken_by, stated.id
            ));
        } else if made.samples.len() != stated.samples.len() {
            checked.problem(format!(
                "the worst case in {norm} has {} records for {} images",
                stated.samples.len(),
                made.samples.len()
            ));
        }
    }
}

/// What a random model shows differs from one look to the next; all else is compared as it is.
fn compare_flags(stated: &[Flag], made: &[Flag], checked: &mut Verification) {
    let same = |a: &Flag, b: &Flag| match (a, b) {
        (Flag::Randomised { .. }, Flag::Randomised { .. }) => true,
        (a, b) => a == b,
    };
    let mut left: Vec<&Flag> = stated.iter().collect();
    for flag in made {
        match left.iter().position(|other| same(other, flag)) {
            Some(at) => drop(left.remove(at)),
            None => checked.problem(
                match left.iter().any(|o| discriminant(*o) == discriminant(flag)) {
                    true => format!("a flag has other figures than the report: {flag}"),
                    false => format!("the report does not have the flag: {flag}"),
                },
            ),
        }
    }
    for flag in left {
        checked.problem(format!(
            "the report has a flag that its figures do not raise: {flag}"
        ));
    }
}

/// All but the largest rise under PGD, which would take the search again.
fn rises(stated: &Linearity, made: &Linearity, pgd: &Pgd, checked: &mut Verification) {
    let ball = format!("{} {}", stated.parameters.norm, stated.parameters.eps);
    let each = pgd.restarts as u64 * (pgd.steps as u64 + 1) + 2;
    let ids = |linearity: &Linearity| -> Vec<u64> {
        linearity.samples.iter().map(|record| record.id).collect()
    };
    if ids(stated) != ids(made) || stated.images != made.images {
        checked.problem(format!(
            "the linearity in {ball} does not have one record for each image, in their order"
        ));
        return;
    }
    if stated.gradient_evaluations != each * made.images as u64 {
        checked.problem(format!(
            "the linearity in {ball} takes {} gradients, the report says {}",
            each * made.images as u64,
            stated.gradient_evaluations
        ));
    }
    let pairs = stated.samples.iter().zip(&made.samples);
    for (stated, made) in pairs {
        if let Some(what) = difference(&stated.rise, &made.rise) {
            checked.problem(format!(
                "image {} in the linearity in {ball}: {what} differs",
                stated.id
            ));
            break;
        }
        if stated.rise.iterated < 0.0 {
            checked.problem(format!(
                "image {} in the linearity in {ball}: the rise under PGD is negative",
                stated.id
            ));
        }
    }
    let mean = Linearity::mean_of(&stated.samples);
    if difference(&stated.mean, &mean).is_some() || !near(stated.mean.iterated, mean.iterated) {
        checked.problem(format!(
            "the means of the linearity in {ball} are not those of its records"
        ));
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= LOSS_TOLERANCE * (a.abs().max(b.abs()) + 0.01)
}

fn difference(a: &Rise, b: &Rise) -> Option<&'static str> {
    let values = [
        ("the loss", a.loss, b.loss),
        ("the gradient's length", a.dual_norm, b.dual_norm),
        ("the predicted rise", a.predicted, b.predicted),
        (
            "the rise predicted within [0, 1]",
            a.predicted_in_box,
            b.predicted_in_box,
        ),
        ("the rise after one step", a.one_step, b.one_step),
    ];
    let different = values.into_iter().find(|(_, a, b)| !near(*a, *b));
    let cosine = match (a.cosine, b.cosine) {
        (Some(a), Some(b)) => near(a, b),
        (a, b) => a.is_none() == b.is_none(),
    };
    match different {
        Some((what, ..)) => Some(what),
        None => (!cosine).then_some("the cosine"),
    }
}
