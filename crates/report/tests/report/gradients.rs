//! What a model says once more: gradients that are not finite cannot be kept quiet where an attack begins at the clean image.

use std::{fs, path::Path};

use buckler_report::{Report, Verification};
use serde_json::{Value, json};

use crate::{finished_of, verified_of, victim::Linear};

/// Index of the evaluation under `deepfool`, which begins at the clean image; `pgd` does not.
const DEEPFOOL: usize = 3;

/// Takes everything about gradients that are not finite out of some evaluations, and seals the report again.
fn keep_quiet(dir: &Path, evaluations: &[usize]) {
    let path = dir.join("report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut quiet = Vec::new();
    for &index in evaluations {
        let evaluation = &mut report["evaluations"][index];
        evaluation["non_finite_gradients"] = json!(0);
        for record in evaluation["samples"].as_array_mut().unwrap() {
            record
                .as_object_mut()
                .unwrap()
                .remove("non_finite_gradient");
        }
        let parsed: buckler_attack::Evaluation =
            serde_json::from_value(evaluation.clone()).unwrap();
        quiet.push(parsed.parameters.to_string());
    }
    let flags = report["flags"].as_array_mut().unwrap();
    flags.retain(|flag| {
        flag["flag"] != "non_finite_gradients"
            || !quiet.iter().any(|attack| flag["attack"] == attack.as_str())
    });
    let sealed: Report = serde_json::from_value(report).unwrap();
    fs::write(path, serde_json::to_vec(&sealed.sealed().unwrap()).unwrap()).unwrap();
}

async fn again(dir: &Path) -> Verification {
    verified_of(&Linear::steep(), dir, "abc", 150)
        .await
        .unwrap()
}

#[tokio::test]
async fn records_of_gradients_that_are_not_finite_at_the_clean_image_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, report) = finished_of(Linear::steep(), dir.path()).await;
    let affected = report.evaluations[DEEPFOOL].evaluation.non_finite_gradients;
    assert!(affected > 0);
    let verification = again(dir.path()).await;
    assert!(verification.holds(), "{verification:?}");
    keep_quiet(dir.path(), &[DEEPFOOL]);
    let verification = again(dir.path()).await;
    let missed = verification.problems.iter();
    let missed =
        missed.filter(|line| line.contains("deepfool") && line.contains("is NaN or infinite"));
    assert_eq!(missed.count(), affected);
}

#[tokio::test]
async fn records_of_attacks_that_begin_elsewhere_are_listed_as_not_verified() {
    let dir = tempfile::tempdir().unwrap();
    finished_of(Linear::steep(), dir.path()).await;
    keep_quiet(dir.path(), &[0, 1, 2]);
    let verification = again(dir.path()).await;
    assert!(verification.holds(), "{verification:?}");
    let listed = verification.not_verified.iter();
    let mut listed = listed.filter(|line| line.starts_with("gradients that are not finite:"));
    assert!(listed.next().unwrap().contains("else as the records say"));
}

#[tokio::test]
async fn of_a_random_model_it_is_listed_that_another_answer_was_compared() {
    let dir = tempfile::tempdir().unwrap();
    finished_of(Linear::random(), dir.path()).await;
    let victim = Linear::random();
    let verification = verified_of(&victim, dir.path(), "abc", 150);
    let listed = verification.await.unwrap().not_verified;
    assert!(
        listed
            .iter()
            .any(|line| line.starts_with("answers: the model is random"))
    );
}
