//! A run that is killed goes on where it stopped, and ends as if it had not been.

use std::fs;

use buckler_onnx::Normalization;
use buckler_report::{Folder, Subject, run};

use crate::{
    finished, measured, open, plan, subject, timeless,
    victim::{Linear, samples},
};

#[tokio::test]
async fn a_killed_run_goes_on_to_the_same_report() {
    let whole = measured(&Linear::new(), &samples(150), None).await;
    let dir = tempfile::tempdir().unwrap();
    let samples = samples(150);
    let plan = plan();
    let mut kills = 0;
    // Every attempt ends after some more queries than the last, in the middle of another block.
    let report = loop {
        let folder = open(dir.path(), &samples, kills > 0).unwrap();
        let victim = Linear::failing_after(15 + 9 * kills);
        let result = run(
            &victim,
            &samples,
            &plan,
            subject(&samples),
            None,
            Some(&folder),
            |_| (),
        );
        match result.await {
            Ok(report) => break report,
            Err(error) => assert!(error.to_string().contains("unloaded"), "{error}"),
        }
        kills += 1;
        assert!(kills < 100, "no attempt gets any further");
    };
    assert!(kills > 1);
    assert_eq!(timeless(report), timeless(whole));
}

#[tokio::test]
async fn blocks_that_are_done_are_not_measured_again() {
    let dir = tempfile::tempdir().unwrap();
    let samples = samples(150);
    let folder = open(dir.path(), &samples, false).unwrap();
    measured(&Linear::new(), &samples, Some(&folder)).await;
    // The probe of the model and the look at its loss are made anew, and nothing else.
    let victim = Linear::failing_after(63);
    let folder = open(dir.path(), &samples, true).unwrap();
    measured(&victim, &samples, Some(&folder)).await;
}

#[tokio::test]
async fn an_unfinished_run_is_neither_overwritten_nor_taken_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let images = samples(20);
    open(dir.path(), &images, false).unwrap();
    let error = open(dir.path(), &images, false).unwrap_err();
    assert!(error.contains("resume it"), "{error}");
    let error = open(dir.path(), &samples(21), true).unwrap_err();
    assert!(error.contains("its images are others"), "{error}");
    let plain = || subject(&images);
    let normalised = Subject {
        normalization: Some(Normalization {
            mean: vec![0.5],
            std: vec![0.25],
        }),
        ..plain()
    };
    let assuming = Subject {
        assumptions: vec!["its channels are RGB".to_owned()],
        ..plain()
    };
    let newer = Subject {
        buckler: "2".to_owned(),
        ..plain()
    };
    for (other, expected) in [
        (normalised, "its normalisation is none, this one mean [0.5]"),
        (
            assuming,
            "only one of the two assumes: its channels are RGB",
        ),
        (newer, "begun by version `1`, this is `2`"),
    ] {
        let error = Folder::open(dir.path(), &other, &plan(), true).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    fs::write(dir.path().join("state/plan.json"), "{").unwrap();
    let error = open(dir.path(), &images, true).unwrap_err();
    assert!(error.contains("plan.json"), "{error}");
}

#[tokio::test]
async fn a_finished_report_is_left_alone_and_its_state_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (_, samples, _) = finished(dir.path()).await;
    assert!(!dir.path().join("state").exists());
    let error = open(dir.path(), &samples, true).unwrap_err();
    assert!(error.contains("a report is here already"), "{error}");
}
