//! What was measured: model, data and attacks as the report states them, against those at hand.

use buckler_attack::Attack;
use buckler_data::{ClassMap, MatchedBy};
use buckler_onnx::Normalization;

use super::{Expected, Verification};
use crate::{Report, Skipped};

pub(super) fn check(report: &Report, expected: &Expected<'_>, checked: &mut Verification) {
    let (stated, here) = (&report.subject, expected.subject);
    if stated.data != here.data {
        let line = format!("the data is {}, the report says {}", here.data, stated.data);
        // A folder may have another name elsewhere; what it holds is in the images' SHA-256.
        match is_folder(&stated.data) && is_folder(&here.data) {
            true => checked.not_verified.push(format!("data: {line}")),
            false => checked.problem(line),
        }
    }
    if stated.normalization != here.normalization {
        checked.problem(format!(
            "the normalisation that was asked for is {}, the report says {}",
            text(here.normalization.as_ref()),
            text(stated.normalization.as_ref())
        ));
    }
    match (&stated.settings, &here.settings) {
        (Some(stated), Some(here)) => {
            if let Some(difference) = stated.difference(here) {
                checked.problem(format!(
                    "the model was opened with {difference} here: its card or an option is another"
                ));
            }
        }
        _ => checked.not_verified.push(
            "how the model was opened (output, size, order of the channels, preprocessing, normalisation of its card): the report does not say it".to_owned(),
        ),
    }
    match (&stated.classes, &here.classes) {
        (None, _) => checked.not_verified.push(
            "classes: the report does not say which class of the data set is which of the model; the labels are part of the images' SHA-256".to_owned(),
        ),
        (Some(stated), Some(here)) if same(stated, here) => (),
        (Some(_), _) => checked.problem(
            "the classes of the data set are matched with the model's in another way".to_owned(),
        ),
    }
    if stated.files != here.files {
        checked.problem("the images' files are others, or in another order".to_owned());
    }
    let names = |skipped: &[Skipped]| -> Vec<String> {
        skipped.iter().map(|skipped| skipped.file.clone()).collect()
    };
    if names(&stated.skipped) != names(&here.skipped) {
        checked.problem(format!(
            "the files that cannot be read are {:?}, the report leaves out {:?}",
            names(&here.skipped),
            names(&stated.skipped)
        ));
    }
    assumptions(report, expected, checked);
    plan(report, expected, checked);
}

fn text(normalization: Option<&Normalization>) -> String {
    normalization.map_or("none".to_owned(), |Normalization { mean, std }| {
        format!("mean {mean:?} and std {std:?}")
    })
}

/// What was given says nothing of how else the classes could have been matched.
fn same(stated: &ClassMap, here: &ClassMap) -> bool {
    let alike = (stated.by, &stated.assumption) == (here.by, &here.assumption);
    (&stated.classes, stated.of) == (&here.classes, here.of)
        && (alike || here.by == MatchedBy::Given)
}

fn is_folder(data: &str) -> bool {
    data.starts_with("folder:") || data.starts_with("folder/")
}

fn assumptions(report: &Report, expected: &Expected<'_>, checked: &mut Verification) {
    let (stated, here) = (&report.subject.assumptions, &expected.subject.assumptions);
    for line in here.iter().filter(|line| !stated.contains(line)) {
        checked.problem(format!("the report does not state the assumption: {line}"));
    }
    for line in stated.iter().filter(|line| !here.contains(line)) {
        checked.problem(format!(
            "the report states an assumption that nothing needs: {line}"
        ));
    }
}

/// Whether the attacks of the report are those that its command stands for.
fn plan(report: &Report, expected: &Expected<'_>, checked: &mut Verification) {
    let plan = match &expected.plan {
        Ok(plan) => plan,
        Err(reason) => {
            checked.problem(format!(
                "the attacks that the report's command stands for cannot be told: {reason}"
            ));
            return;
        }
    };
    let planned = plan.entries.iter().map(|entry| entry.parameters());
    let balls = plan.linearity.iter().map(|pgd| pgd.parameters());
    let measured = report.evaluations.iter();
    let measured = measured.map(|measured| measured.evaluation.parameters.clone());
    let looked_at = report.linearity.iter().map(|l| l.parameters.clone());
    for (what, planned, stated) in [
        (
            "an evaluation",
            planned.collect::<Vec<_>>(),
            measured.collect::<Vec<_>>(),
        ),
        ("the linearity", balls.collect(), looked_at.collect()),
    ] {
        for at in 0..planned.len().max(stated.len()) {
            match (planned.get(at), stated.get(at)) {
                (Some(planned), Some(stated)) if planned == stated => (),
                (Some(planned), Some(stated)) => checked.problem(format!(
                    "the command stands for {what} under {planned}, the report has one under {stated}"
                )),
                (Some(planned), None) => checked.problem(format!(
                    "the command stands for {what} under {planned}, which the report does not have"
                )),
                (None, Some(stated)) => checked.problem(format!(
                    "the report has {what} under {stated}, which its command does not stand for"
                )),
                (None, None) => (),
            }
        }
    }
}

/// What nothing at hand can confirm.
pub(super) fn list_unverified(report: &Report, checked: &mut Verification) {
    let mut add = |line: &str| checked.not_verified.push(line.to_owned());
    add(
        "searches: that images with `not_found` were searched as stated, with these steps, restarts, step sizes and seed, leaves no trace; run the command again, its records are the same",
    );
    add(
        "smallest distances: each is an upper bound; that no closer adversarial was found, or none exists, leaves no trace",
    );
    add(
        "predictions of images with `not_found`, and losses: only what cannot be is noticed, such as a class that would be an adversarial",
    );
    add(
        "counts of single images (gradients, forward passes), zero gradients, dropped adversarials: only what cannot be is noticed",
    );
    add(
        "which attack found an adversarial: one that fools the model within the radius may be another attack's, and the flags gradient_masking and not_monotone depend on it",
    );
    add(
        "gradients that are not finite: looked for at clean images, for attacks that ask for them there (`fgsm`, `mim` without `di`, `fab`, `fab-t`, `deepfool`, `autoattack` and `autoattack-plus` where they find nothing); else as the records say",
    );
    if !report.subject.skipped.is_empty() {
        add("reasons why files were left out: as the report says");
    }
    if !report.linearity.is_empty() {
        add("linearity: the largest rise under PGD was not searched for again");
    }
    add("seconds: only that they add up");
    add("version of buckler, name of the model's file: as the report says");
}
