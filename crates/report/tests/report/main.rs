//! Runs, interruptions, reports and their verification, against a victim known in closed form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod gradients;
mod masked;
mod memory;
mod pages;
mod resume;
mod tampering;
mod verification;
mod victim;

use std::path::Path;

use buckler_attack::{AttackConfig, Limits, Norm, Pgd, Samples, Threat};
use buckler_report::{
    Entry, Expected, Folder, FolderLock, ModelSettings, Plan, Report, ReportError, Subject,
    Verification, images_sha256, run, verify, write,
};

use crate::victim::{INPUT, Linear, samples};

/// Two attacks at two radii, and the smallest radius of each image.
fn plan() -> Plan {
    let entry = |attack: &str, norm: &str, eps: &str, halvings| {
        let config = format!(r#"{{"attack":"{attack}","norm":"{norm}","eps":"{eps}","seed":4}}"#);
        let config: AttackConfig = serde_json::from_str(&config).unwrap();
        let attack = config.validate(&Limits::for_input(INPUT)).unwrap();
        Entry { attack, halvings }
    };
    Plan {
        entries: vec![
            entry("pgd", "linf", "0.02", None),
            entry("pgd", "linf", "0.1", None),
            entry("pgd", "linf", "0.1", Some(5)),
            entry("deepfool", "l2", "0.3", None),
        ],
        linearity: vec![Pgd::new(Threat {
            norm: Norm::Linf,
            epsilon: "0.02".parse().unwrap(),
        })],
    }
}

fn subject(samples: &Samples) -> Subject {
    Subject {
        buckler: "1".to_owned(),
        model: "models/<linear>.onnx".to_owned(),
        sha256: "abc".to_owned(),
        settings: Some(ModelSettings::default()),
        data: "noise/test".to_owned(),
        images_sha256: images_sha256(samples).unwrap(),
        command: "buckler evaluate models/<linear>.onnx".to_owned(),
        ..Subject::default()
    }
}

async fn measured(victim: &Linear, samples: &Samples, folder: Option<&Folder>) -> Report {
    run(
        victim,
        samples,
        &plan(),
        subject(samples),
        None,
        folder,
        |_| (),
    )
    .await
    .unwrap()
}

fn open(path: &Path, samples: &Samples, resume: bool) -> Result<Folder, String> {
    open_as(path, &subject(samples), resume)
}

fn open_as(path: &Path, subject: &Subject, resume: bool) -> Result<Folder, String> {
    FolderLock::acquire(path, resume)
        .and_then(|lock| Folder::open(lock, subject, &plan()))
        .map_err(|error| error.to_string())
}

/// A finished report of 150 images.
async fn finished(path: &Path) -> (Linear, Samples, Report) {
    finished_of(Linear::new(), path).await
}

async fn finished_of(victim: Linear, path: &Path) -> (Linear, Samples, Report) {
    let samples = samples(150);
    let folder = open(path, &samples, false).unwrap();
    let report = measured(&victim, &samples, Some(&folder)).await;
    let names = ["zero".to_owned(), "<one>".to_owned(), "two".to_owned()];
    write(&folder, &report, &samples, &names).unwrap();
    (victim, samples, report)
}

/// What does not depend on the clock.
fn timeless(mut report: Report) -> Report {
    report.seconds = 0.0;
    report.content_sha256 = None;
    for measured in &mut report.evaluations {
        measured.seconds = 0.0;
        measured.adversarials.clear();
    }
    report
}

/// Verifies the report in a folder, which is about a model and so many images.
async fn verified(dir: &Path, sha256: &str, images: usize) -> Result<Verification, ReportError> {
    verified_of(&Linear::new(), dir, sha256, images).await
}

async fn verified_of(
    victim: &Linear,
    dir: &Path,
    sha256: &str,
    images: usize,
) -> Result<Verification, ReportError> {
    let (samples, plan) = (samples(images), plan());
    let subject = Subject {
        sha256: sha256.to_owned(),
        ..subject(&samples)
    };
    let expected = Expected {
        subject: &subject,
        plan: Ok(&plan),
        no_gradient: None,
    };
    verify(victim, &expected, &samples, &dir.join("report.json")).await
}
