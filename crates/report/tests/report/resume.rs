//! A run that is killed goes on where it stopped, and ends as if it had not been.

use std::fs;

use buckler_onnx::{ChannelOrder, Input, Normalization};
use buckler_report::{FolderLock, ModelSettings, Subject, run};

use crate::{
    finished, measured, open, open_as, plan, subject, timeless,
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
    drop(folder);
    // The probe of the model and the look at its loss are made anew, and nothing else.
    let victim = Linear::failing_after(63);
    let folder = open(dir.path(), &samples, true).unwrap();
    measured(&victim, &samples, Some(&folder)).await;
}

#[tokio::test]
async fn a_block_whose_adversarials_are_gone_or_broken_is_measured_again() {
    let dir = tempfile::tempdir().unwrap();
    let samples = samples(150);
    let folder = open(dir.path(), &samples, false).unwrap();
    let whole = timeless(measured(&Linear::new(), &samples, Some(&folder)).await);
    drop(folder);
    let saved = dir.path().join("adversarials");
    let (first, second) = (saved.join("01-000000.npz"), saved.join("01-000128.npz"));
    let bytes = fs::read(&first).unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| fs::remove_file(&first).unwrap(),
        &|| fs::write(&first, &bytes[..bytes.len() / 2]).unwrap(),
        &|| assert!(fs::copy(&second, &first).is_ok()),
        &|| fs::remove_dir_all(&saved).unwrap(),
    ];
    for damage in damages {
        damage();
        let folder = open(dir.path(), &samples, true).unwrap();
        let again = measured(&Linear::new(), &samples, Some(&folder)).await;
        assert_eq!(timeless(again), whole);
        assert_eq!(fs::read(&first).unwrap(), bytes);
    }
}

#[tokio::test]
async fn what_is_left_of_another_evaluation_is_neither_taken_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (_, images, _) = finished(dir.path()).await;
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("state")).unwrap();
    fs::rename(at("report.json"), at("state/00-000000.json")).unwrap();
    for (left, expected) in [
        ("state", "`state` holds what is left of another evaluation"),
        ("adversarials", "`adversarials` holds what is left"),
        ("report.md", "`report.md` is here"),
        ("report.html", "`report.html` is here"),
        ("curve-linf.svg", "`curve-linf.svg` is here"),
        ("curve-l2.svg", "`curve-l2.svg` is here"),
    ] {
        for resume in [false, true] {
            let error = open(dir.path(), &images, resume).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        match at(left).is_dir() {
            true => fs::remove_dir_all(at(left)).unwrap(),
            false => fs::remove_file(at(left)).unwrap(),
        }
    }
    open(dir.path(), &images, false).unwrap();
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
        let error = open_as(dir.path(), &other, true).unwrap_err();
        assert!(error.contains(expected), "{error}");
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

#[tokio::test]
async fn an_unfinished_run_is_not_gone_on_with_when_its_model_is_opened_in_another_way() {
    let images = samples(20);
    let begun = ModelSettings {
        output: "logits".to_owned(),
        input: Input {
            channels: 3,
            height: 4,
            width: 4,
            ..Input::default()
        },
        classes: ["cat", "dog", "ship"].map(str::to_owned).to_vec(),
    };
    let input = |change: fn(&mut Input)| {
        let mut settings = begun.clone();
        change(&mut settings.input);
        settings
    };
    let others = [
        (
            ModelSettings {
                output: "features".to_owned(),
                ..begun.clone()
            },
            r#"opened with `output` "logits", and with "features" now"#,
        ),
        (
            ModelSettings {
                classes: ["cat", "dog", "boat"].map(str::to_owned).to_vec(),
                ..begun.clone()
            },
            r#"`classes.2` "ship", and with "boat""#,
        ),
        (
            ModelSettings {
                classes: Vec::new(),
                ..begun.clone()
            },
            r#"`classes` "3 values", and with "0 values""#,
        ),
        (
            input(|input| input.channel_order = Some(ChannelOrder::Bgr)),
            r#"`input.channel_order` none, and with "bgr""#,
        ),
        (
            input(|input| input.height = 8),
            "`input.height` 4, and with 8",
        ),
        (
            input(|input| input.preprocessing = Some(Default::default())),
            "`input.preprocessing` none, and with",
        ),
        (
            input(|input| {
                input.normalization = Some(Normalization {
                    mean: vec![0.5],
                    std: vec![0.5],
                });
            }),
            "`input.normalization` none, and with",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let opened = |settings: &ModelSettings| Subject {
        settings: Some(settings.clone()),
        ..subject(&images)
    };
    open_as(dir.path(), &opened(&begun), false).unwrap();
    for (other, expected) in others {
        let error = open_as(dir.path(), &opened(&other), true).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    open_as(dir.path(), &opened(&begun), true).unwrap();
}

#[tokio::test]
async fn a_folder_in_which_an_evaluation_runs_is_refused_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let images = samples(20);
    let folder = open(dir.path(), &images, false).unwrap();
    for resume in [false, true] {
        let error = FolderLock::acquire(dir.path(), resume).unwrap_err();
        let process = format!("process {} on ", std::process::id());
        assert!(error.to_string().contains(&process), "{error}");
    }
    drop(folder);
    let error = FolderLock::acquire(dir.path(), false).unwrap_err();
    assert!(error.to_string().contains("unfinished"), "{error}");
    open(dir.path(), &images, true).unwrap();
}

#[test]
fn a_folder_in_which_no_evaluation_begins_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("report");
    drop(FolderLock::acquire(&absent, false).unwrap());
    assert!(!absent.exists());
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    drop(FolderLock::acquire(dir.path(), true).unwrap());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1);
}
