//! Evaluations, as a user runs, interrupts and checks them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{buckler, failure, json, mnist, run, text};

fn model(folder: &Path) -> String {
    text(&folder.join("mnist-he/1/model.onnx")).to_owned()
}

/// A report without what the clock and the place decide.
fn timeless(mut report: Value) -> Value {
    for place in ["seconds", "content_sha256"] {
        report[place] = Value::Null;
    }
    for evaluation in report["evaluations"].as_array_mut().unwrap() {
        evaluation["seconds"] = Value::Null;
        evaluation.as_object_mut().unwrap().remove("adversarials");
    }
    report
}

#[test]
fn a_killed_evaluation_resumes_to_the_report_of_an_uninterrupted_one_which_verifies() {
    let folder = mnist();
    let model = model(folder.path());
    let report = folder.path().join("report");
    let plain = [
        "evaluate",
        &model,
        "--data",
        "digits",
        "--limit",
        "300",
        "--attack",
        "pgd,apgd-dlr",
        "--norm",
        "linf",
        "--eps",
        "0.1,0.3",
        "--steps",
        "10",
    ];
    let whole = json(&plain);
    let reported = [&plain[..], &["--report", text(&report)]].concat();
    let mut child = buckler()
        .args(&reported)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !report.join("state/plan.json").exists() {
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = failure(&[&reported[..], &["--resume"]].concat(), 1);
    let holder = format!("process {} on ", child.id());
    assert!(second.contains(&holder), "{second}");
    assert!(second.contains("is writing an evaluation here"), "{second}");
    while !report.join("state/01-000000.json").exists() {
        assert!(started.elapsed() < Duration::from_secs(120));
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "it ended before it was killed"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!report.join("report.json").exists());
    let refused = failure(&reported, 1);
    assert!(refused.contains("--resume"), "{refused}");

    let resumed = json(&[&reported[..], &["--resume"]].concat());
    assert_eq!(timeless(resumed), timeless(whole));
    for file in ["report.json", "report.md", "report.html", "curve-linf.svg"] {
        assert!(report.join(file).exists(), "{file}");
    }

    let path = report.join("report.json");
    let verify = [
        "evaluate",
        &model,
        "--data",
        "digits",
        "--verify",
        text(&path),
    ];
    let verification = json(&verify);
    assert_eq!(verification["problems"], serde_json::json!([]));
    assert_eq!(verification["claims"].as_array().unwrap().len(), 1 + 4 + 2);
    let before = std::fs::read_to_string(&path).unwrap();
    let mut tampered: Value = serde_json::from_str(&before).unwrap();
    tampered["evaluations"][1]["accuracy_under_attack"] = serde_json::json!(0.987);
    std::fs::write(&path, tampered.to_string()).unwrap();
    let output = run(&verify);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("DIFFERS"));
}

#[test]
fn smallest_radii_and_linearity_are_measured_when_asked_for() {
    let folder = mnist();
    let report = json(&[
        "evaluate",
        &model(folder.path()),
        "--data",
        "digits",
        "--limit",
        "40",
        "--eps",
        "0.4",
        "--min-eps",
        "--linearity",
    ]);
    let bisected = &report["evaluations"][1];
    assert_eq!(bisected["options"]["halvings"], 8.0);
    assert_eq!(
        bisected["accuracy_under_attack"],
        report["evaluations"][0]["accuracy_under_attack"]
    );
    let distances = |evaluation: &Value| -> Vec<f64> {
        let samples = evaluation["samples"].as_array().unwrap();
        samples.iter().filter_map(|s| s["linf"].as_f64()).collect()
    };
    let (bisected, plain) = (distances(bisected), distances(&report["evaluations"][0]));
    assert!(!plain.is_empty());
    assert!(bisected.iter().sum::<f64>() < 0.9 * plain.iter().sum::<f64>());
    let mean = &report["linearity"][0]["mean"];
    assert!(mean["predicted"].as_f64().unwrap() >= mean["predicted_in_box"].as_f64().unwrap());
    assert!(mean["iterated"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_option_that_no_attack_knows_is_refused_and_one_that_some_know_is_not() {
    let folder = mnist();
    let model = model(folder.path());
    let evaluate = |attacks: &'static str| {
        vec![
            "evaluate", &model, "--data", "digits", "--limit", "4", "--eps", "0.1", "--steps", "3",
            "--attack", attacks,
        ]
    };
    let error = failure(&evaluate("fgsm,autoattack"), 1);
    assert!(
        error.contains("`--steps` has no meaning for `fgsm`, `autoattack`"),
        "{error}"
    );
    let report = json(&evaluate("fgsm,pgd"));
    assert_eq!(report["evaluations"][1]["steps"], 3);
}

#[test]
fn corruptions_are_measured_and_previewed() {
    let folder = mnist();
    let model = model(folder.path());
    let corruptions = ["corruptions", &model, "--data", "digits", "--limit", "60"];
    let report = json(
        &[
            &corruptions[..],
            &["--only", "fog,pixelate", "--severity", "1,5"],
        ]
        .concat(),
    );
    let rows = report["corruptions"].as_array().unwrap();
    assert_eq!(rows[0]["corruption"], "fog");
    let accuracy = |row: usize, severity: usize| rows[row]["accuracy"][severity].as_f64().unwrap();
    assert!(accuracy(0, 1) <= accuracy(0, 0));
    let mean = (rows[0]["mean_accuracy"].as_f64().unwrap()
        + rows[1]["mean_accuracy"].as_f64().unwrap())
        / 2.0;
    assert!((report["mean_accuracy"].as_f64().unwrap() - mean).abs() < 1e-12);

    let sheet = folder.path().join("sheet.png");
    assert!(
        run(&[&corruptions[..], &["--preview", text(&sheet)]].concat())
            .status
            .success()
    );
    assert!(image::open(&sheet).unwrap().width() > 28 * 6);
    let error = failure(&[&corruptions[..], &["--severity", "6"]].concat(), 2);
    assert!(error.contains("1..=5"), "{error}");
}

#[test]
fn smoothing_certifies_radii_that_no_more_than_all_draws_allow() {
    let folder = mnist();
    let curve = folder.path().join("curve.svg");
    let report = json(&[
        "certify",
        &model(folder.path()),
        "--data",
        "digits",
        "--limit",
        "3",
        "--sigma",
        "0.25",
        "--n",
        "500",
        "--curve",
        text(&curve),
    ]);
    assert_eq!(report["images"], 3);
    // All 500 draws right: p is at least 0.001^(1/500), and the radius 0.25 times its normal quantile, 2.2052.
    for sample in report["samples"].as_array().unwrap() {
        assert!(sample["radius"].as_f64().unwrap() < 0.25 * 2.2053);
    }
    assert!(std::fs::read_to_string(&curve).unwrap().starts_with("<svg"));
    let error = failure(
        &[
            "certify",
            &model(folder.path()),
            "--data",
            "digits",
            "--sigma",
            "0",
        ],
        1,
    );
    assert!(error.contains("sigma"), "{error}");
}

#[test]
fn what_is_proven_is_never_more_than_what_attacks_leave() {
    let folder = mnist();
    let report = json(&[
        "certify",
        &model(folder.path()),
        "--data",
        "digits",
        "--limit",
        "6",
        "--eps",
        "0,0.2",
        "--attack",
        "pgd,fgsm",
    ]);
    let radii = report["radii"].as_array().unwrap();
    for row in radii {
        let methods: Vec<&Value> = row["certified"].as_array().unwrap().iter().collect();
        assert_eq!(methods[0]["method"], "ibp");
        assert_eq!(methods[1]["method"], "crown-ibp");
        for certified in methods {
            for attacked in row["attacked"].as_array().unwrap() {
                assert!(
                    certified["accuracy"].as_f64() <= attacked["accuracy_under_attack"].as_f64()
                );
            }
        }
    }
    // A ball without radius is proven but for rounding.
    assert!(radii[0]["certified"][1]["accuracy"].as_f64().unwrap() > 0.5);
    let error = failure(&["certify", &model(folder.path()), "--data", "digits"], 2);
    assert!(
        error.contains("--eps") && error.contains("--sigma"),
        "{error}"
    );
}
