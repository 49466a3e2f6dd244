//! A report is verified from what lies beside it, and one that was tampered with is found out.

use std::{fs, path::Path};

use buckler_report::Verification;
use serde_json::{Value, json};

use crate::{finished, verified};

async fn again(dir: &Path) -> Verification {
    verified(dir, "abc", 150).await.unwrap()
}

/// Changes one value of the report.
fn tamper(dir: &Path, pointer: &str, value: Value) {
    let path = dir.join("report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    *report.pointer_mut(pointer).unwrap() = value;
    fs::write(path, report.to_string()).unwrap();
}

#[tokio::test]
async fn what_was_measured_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, report) = finished(dir.path()).await;
    let verification = again(dir.path()).await;
    assert!(verification.holds(), "{verification:?}");
    // Clean, four attacks, two radii in linf and one in l2.
    assert_eq!(verification.claims.len(), 1 + 4 + 3);
    assert_eq!(verification.claims[0].recomputed, 0.9);
    let broken = report.evaluations[1].evaluation.accuracy_under_attack;
    assert!(broken < 0.9, "{broken}");
}

#[tokio::test]
async fn other_figures_than_the_adversarials_give_are_found_out() {
    for pointer in [
        "/clean_accuracy",
        "/evaluations/0/accuracy_under_attack",
        "/worst_cases/0/curve/1/accuracy",
    ] {
        let dir = tempfile::tempdir().unwrap();
        finished(dir.path()).await;
        tamper(dir.path(), pointer, json!(0.95));
        let verification = again(dir.path()).await;
        assert!(
            verification.claims.iter().any(|claim| !claim.holds()),
            "{pointer}"
        );
    }
}

#[tokio::test]
async fn adversarials_that_are_not_what_the_report_says_are_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, report) = finished(dir.path()).await;
    let records = &report.evaluations[1].evaluation.samples;
    let found = records.iter().position(|r| r.linf.is_some()).unwrap();
    // The images of the larger radius in place of those of the smaller one.
    let swap = |from: &str, to: &str| {
        let file = |name: &str| dir.path().join("adversarials").join(name);
        fs::copy(file(from), file(to)).unwrap();
    };
    let before = fs::read(dir.path().join("adversarials/00-000000.npz")).unwrap();
    swap("01-000000.npz", "00-000000.npz");
    let verification = again(dir.path()).await;
    assert!(!verification.holds());
    assert!(
        verification
            .problems
            .iter()
            .any(|p| p.contains("outside eps 0.02")),
        "{:?}",
        verification.problems
    );
    fs::write(dir.path().join("adversarials/00-000000.npz"), before).unwrap();
    assert!(again(dir.path()).await.holds());

    tamper(
        dir.path(),
        &format!("/evaluations/1/samples/{found}/linf"),
        json!(0.01),
    );
    let verification = again(dir.path()).await;
    assert!(
        verification
            .problems
            .iter()
            .any(|p| p.contains("the report says 0.01")),
        "{:?}",
        verification.problems
    );
}

#[tokio::test]
async fn another_model_and_other_images_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path()).await;
    let error = verified(dir.path(), "def", 150).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("the model with the SHA-256 abc, this is def"),
        "{error}"
    );
    let error = verified(dir.path(), "abc", 149).await.unwrap_err();
    assert!(error.to_string().contains("the images"), "{error}");
    let missing = tempfile::tempdir().unwrap();
    let error = verified(missing.path(), "abc", 150).await.unwrap_err();
    assert!(error.to_string().contains("no such report"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_verified_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path()).await;
    let verification = again(dir.path()).await;
    for what in [
        "searches:",
        "smallest distances: each is an upper bound",
        "predictions of images with `not_found`, and losses",
        "which attack found an adversarial",
        "counts of single images",
        "gradients that are not finite",
        "seconds:",
        "linearity:",
        "version",
    ] {
        assert!(
            verification
                .not_verified
                .iter()
                .any(|line| line.starts_with(what)),
            "{what}: {:?}",
            verification.not_verified
        );
    }
}
