//! The commands, as a user types them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{buckler, failure, json, run, small_recipe, text};

/// Trains the small recipe into `dir/run` and exports it to `dir/model`.
fn trained(dir: &Path) -> serde_json::Value {
    let recipe = small_recipe(dir, 1);
    let run_dir = dir.join("run");
    json(&["train", text(&recipe), "--out", text(&run_dir)]);
    json(&["export", text(&run_dir), "--out", text(&dir.join("model"))])
}

#[test]
fn a_trained_network_is_exported_described_and_attacked() {
    let dir = tempfile::tempdir().unwrap();
    let exported = trained(dir.path());
    let parity = &exported["parity"];
    assert!(
        parity["logits_max_abs"].as_f64().unwrap() < 1e-4,
        "{parity}"
    );
    assert!(
        parity["gradient_rel_l2"].as_f64().unwrap() < 1e-3,
        "{parity}"
    );

    let model = dir.path().join("model/model.onnx");
    let info = json(&["info", text(&model)]);
    assert_eq!(info["attackable"], true);
    assert_eq!(info["inputs"][0]["name"], "image");
    assert_eq!(
        info["inputs"][0]["shape"],
        serde_json::json!(["batch", "1", "28", "28"])
    );
    assert_eq!(info["outputs"][0]["name"], "logits");
    assert_eq!(info["outputs"][1]["name"], "features");
    assert_eq!(info["card"]["head"]["kind"], "hypersphere");
    let card: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("model/card.json")).unwrap())
            .unwrap();
    assert_eq!(card["classes"], info["card"]["classes"]);

    let gradient = dir.path().join("again.onnx");
    json(&["differentiate", text(&model), "--out", text(&gradient)]);
    assert_eq!(
        std::fs::read(&gradient).unwrap(),
        std::fs::read(dir.path().join("model/gradient.onnx")).unwrap()
    );

    let evaluated = json(&[
        "evaluate",
        text(&model),
        "--data",
        "digits",
        "--limit",
        "40",
        "--eps",
        "0,1",
        "--steps",
        "20",
    ]);
    let accuracy = |index: usize| {
        evaluated["evaluations"][index]["accuracy_under_attack"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(accuracy(0), evaluated["clean_accuracy"].as_f64().unwrap());
    assert!(accuracy(1) < 0.05, "{} of {}", accuracy(1), accuracy(0));
}

#[test]
fn exporting_the_same_checkpoint_twice_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path());
    let again = dir.path().join("again");
    json(&[
        "export",
        text(&dir.path().join("run")),
        "--out",
        text(&again),
    ]);
    for file in ["model.onnx", "gradient.onnx", "card.json"] {
        let read = |folder: &str| std::fs::read(dir.path().join(folder).join(file)).unwrap();
        assert_eq!(read("model"), read("again"), "{file}");
    }
}

#[test]
fn a_run_that_was_killed_resumes_to_the_weights_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 6);
    let export = |run_dir: &Path, name: &str| {
        let out = dir.path().join(name);
        json(&[
            "export",
            text(run_dir),
            "--name",
            "small",
            "--out",
            text(&out),
        ]);
        std::fs::read(out.join("model.onnx")).unwrap()
    };
    let whole = dir.path().join("whole");
    json(&["train", text(&recipe), "--out", text(&whole)]);

    let killed = dir.path().join("killed");
    let mut child = buckler()
        .args(["train", text(&recipe), "--out", text(&killed)])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let finished = || -> Option<usize> {
        let index = std::fs::read(killed.join("run.json")).ok()?;
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        Some(index["epochs"].as_array()?.len())
    };
    while finished().is_none_or(|epochs| epochs < 2) {
        assert!(Instant::now() < deadline, "no epoch finished");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        finished().unwrap() < 6,
        "the run was over before it was killed"
    );

    // What is there is good at any moment.
    export(&killed, "after-kill");
    json(&["train", text(&recipe), "--out", text(&killed), "--resume"]);
    assert!(
        export(&whole, "a") == export(&killed, "b"),
        "the weights differ"
    );
}

#[test]
fn an_export_that_was_killed_leaves_a_model_that_serves() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path());
    let (run_dir, model) = (dir.path().join("run"), dir.path().join("model"));
    let started = Instant::now();
    json(&["export", text(&run_dir), "--out", text(&model)]);
    // Over the whole of an export and a little beyond: the files are written at its end.
    let longest = started.elapsed().mul_f64(1.1);
    for share in 0..=20 {
        let mut child = buckler()
            .args(["export", text(&run_dir), "--out", text(&model)])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(longest * share / 20);
        child.kill().unwrap();
        child.wait().unwrap();
        for file in ["model.onnx", "gradient.onnx"] {
            json(&["info", text(&model.join(file))]);
        }
        let card = std::fs::read(model.join("card.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&card).unwrap();
    }
}

#[test]
fn a_run_is_not_overwritten_and_not_resumed_with_another_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let run_dir = dir.path().join("run");
    json(&["train", text(&recipe), "--out", text(&run_dir)]);
    let error = failure(&["train", text(&recipe), "--out", text(&run_dir)], 1);
    assert!(error.contains("--resume"), "{error}");
    let other = small_recipe(dir.path(), 2);
    let error = failure(
        &["train", text(&other), "--out", text(&run_dir), "--resume"],
        1,
    );
    assert!(error.contains("differs"), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path());
    let weights = dir.path().join("run/checkpoints/epoch-001/model.bpk");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let out = dir.path().join("out");
    let error = failure(
        &["export", text(&dir.path().join("run")), "--out", text(&out)],
        1,
    );
    assert!(
        error.contains("epoch-001") && error.contains("model.bpk"),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn wrong_usage_exits_with_two_and_failures_with_one_and_say_why() {
    for (args, code, expected) in [
        (vec!["frobnicate"], 2, "frobnicate"),
        (vec!["attack", "m.onnx", "i.png", "--eps", "-1"], 2, "-1"),
        (
            vec!["attack", "m.onnx", "i.png", "--eps=-1"],
            2,
            "epsilon `-1`",
        ),
        (
            vec!["attack", "m.onnx", "i.png", "--attack", "magic"],
            2,
            "magic",
        ),
        (
            vec!["train", "digits-he", "--device", "tpu"],
            2,
            "unknown device `tpu`",
        ),
        (vec!["train", "no-such-recipe"], 1, "digits-he"),
        (
            vec!["train", "digits-he", "--device", "cuda:99"],
            1,
            "cuda:99",
        ),
        (vec!["info", "no-such.onnx"], 1, "no-such.onnx"),
        (
            vec!["export", "no-such-run", "--out", "x"],
            1,
            "no-such-run",
        ),
        (
            vec!["serve", "--models", "no-such-folder"],
            1,
            "no-such-folder",
        ),
    ] {
        let error = failure(&args, code);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn a_wrong_command_line_is_repeated_without_what_a_terminal_obeys() {
    let message = failure(&["pre\u{202e}dict\u{9b}31m"], 2);
    assert!(message.contains("pre\\u{202e}dict\\u{9b}31m"), "{message}");
    assert!(
        !message.contains('\u{202e}') && !message.contains('\u{9b}'),
        "{message}"
    );
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
}

#[test]
fn the_sample_sheet_is_a_png() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = dir.path().join("sheet.png");
    json(&["data", "preview", "digits", "--out", text(&sheet)]);
    assert!(std::fs::read(sheet).unwrap().starts_with(b"\x89PNG\r\n"));
}

#[test]
fn every_command_has_help() {
    for command in [
        "demo",
        "train",
        "recipes",
        "compare",
        "export",
        "differentiate",
        "info",
        "card",
        "predict",
        "attack",
        "evaluate",
        "serve",
        "data",
        "devices",
    ] {
        let output = run(&[command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("--json"),
            "{command}"
        );
    }
}

#[test]
fn the_cpu_is_always_among_the_devices() {
    assert_eq!(json(&["devices"])[0], "cpu");
}

#[test]
fn a_broken_image_is_reported_and_the_others_are_answered_each_with_a_file_of_its_own() {
    let models = support::mnist();
    let model = models.path().join("mnist-he/1/model.onnx");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for folder in ["a", "b"] {
        std::fs::create_dir(path(folder)).unwrap();
        let stroke =
            |x, y| image::Luma([255 * u8::from((8..20).contains(&y) && (12..15).contains(&x))]);
        let picture = image::GrayImage::from_fn(28, 28, stroke);
        picture.save(path(folder).join("1.png")).unwrap();
    }
    let whole = std::fs::read(path("a/1.png")).unwrap();
    std::fs::write(path("broken.png"), &whole[..whole.len() / 2]).unwrap();
    let images = ["a/1.png", "broken.png", "b/1.png"].map(path);
    let run = |command: &str, more: &[&str]| -> serde_json::Value {
        let mut args = vec![command, text(&model)];
        args.extend(images.iter().map(|image| text(image)));
        let output = buckler()
            .args(args)
            .args(more)
            .arg("--json")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            errors.contains("1 of 3 images could not be used"),
            "{errors}"
        );
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let predicted = run("predict", &[]);
    let rows = predicted["predictions"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["class"], rows[1]["class"]);
    assert_eq!(rows[2]["image"], text(&images[1]));
    assert!(
        rows[2]["error"]
            .as_str()
            .unwrap()
            .contains("cannot be decoded")
    );

    let out = path("out");
    let attacked = run("attack", &["--eps", "1", "--save", text(&out)]);
    assert_eq!(attacked["failed"][0]["image"], text(&images[1]));
    let saved = attacked["results"].as_array().unwrap().iter();
    let saved: Vec<&str> = saved.map(|row| row["saved"].as_str().unwrap()).collect();
    assert_ne!(saved[0], saved[1]);
    assert!(saved.iter().all(|saved| Path::new(saved).is_file()));
}

#[test]
fn an_image_that_is_of_the_target_already_is_named_and_the_others_are_attacked() {
    let models = support::mnist();
    let model = models.path().join("mnist-he/1/model.onnx");
    let dir = tempfile::tempdir().unwrap();
    let strokes: [fn(u32, u32) -> bool; 4] = [
        |x, y| (8..20).contains(&y) && (12..15).contains(&x),
        |x, y| (5..8).contains(&y) && (6..22).contains(&x) || y > 8 && y < 24 && x + y / 2 == 24,
        |x, y| (80..130).contains(&((x.abs_diff(14)).pow(2) + (y.abs_diff(14)).pow(2))),
        |_, _| false,
    ];
    let images = strokes.iter().enumerate().map(|(index, stroke)| {
        let path = dir.path().join(format!("{index}.png"));
        let pixel = |x, y| image::Luma([255 * u8::from(stroke(x, y))]);
        image::GrayImage::from_fn(28, 28, pixel)
            .save(&path)
            .unwrap();
        text(&path).to_owned()
    });
    let images: Vec<String> = images.collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let predicted = json(&[&["predict", text(&model)], &images[..]].concat());
    let classes: Vec<&str> = predicted["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    let target = classes[0];
    let of_target = classes.iter().filter(|class| **class == target).count();
    assert!(of_target < images.len(), "{classes:?}");
    let attack = ["attack", text(&model), "--steps", "1", "--target", target];
    let output = run(&[&attack[..], &["--json"], &images[..]].concat());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = answer["failed"].as_array().unwrap();
    assert_eq!(failed.len(), of_target);
    assert_eq!(failed[0]["image"], images[0]);
    let error = failed[0]["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("its class is `{target}`")),
        "{error}"
    );
    let others = answer["results"].as_array().unwrap().len();
    assert_eq!(others, images.len() - of_target);
    let both = [&attack[..], &["--label", target], &images[..]].concat();
    let error = failure(&both, 1);
    assert!(error.contains("--label and --target are both"), "{error}");
}
