//! Long runs that are cut short, data that is not what it should be, and what a run leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use buckler_train::{Checkpoint, ComputeDevice};
use rand::Rng;
use support::{buckler, failure, json, small_recipe, text};

/// A recipe with everything that a checkpoint has to hold: batch norm, a persistent perturbation, an average of the
/// weights, momentum, augmentation, perturbed weights, parts of batches.
fn rich_recipe(dir: &Path) -> PathBuf {
    let path = dir.join("rich.toml");
    let recipe = r#"
        name = "rich"
        data = "digits"
        seed = 5
        normalization = { mean = [0.13], std = [0.31] }
        network = { kind = "wide-resnet", depth = 10, width = 1 }
        head = { kind = "hypersphere", scale = 10.0, margin = 0.2 }
        framework = { kind = "free-at", replays = 2 }
        training = { epochs = 4, batch_size = 16, micro_batch = 12, images = 88, label_smoothing = 0.1, ema_decay = 0.9 }
        augmentation = { pad = 2, flip = true, cutout = 5 }
        adversary = { eps = 0.1, steps = 1, step_size = 0.05, warmup_epochs = 1.0 }
        awp = { gamma = 0.005, warmup_epochs = 1.0 }
        optimizer = { learning_rate = 0.05, momentum = 0.9, weight_decay = 5e-4, clip_norm = 2.0 }
        schedule = { kind = "piecewise", points = [[0.0, 0.1], [1.0, 1.0], [4.0, 0.0]] }
        validation = { images = 20, steps = 2 }
    "#;
    std::fs::write(&path, recipe).unwrap();
    path
}

fn index(run: &Path) -> Option<serde_json::Value> {
    let bytes = std::fs::read(run.join("run.json")).ok()?;
    Some(serde_json::from_slice(&bytes).expect("a half-written run.json"))
}

/// The name of the last checkpoint.
fn last(run: &Path) -> Option<String> {
    Some(index(run)?["last"].as_str()?.to_owned())
}

/// The exported model of the run's last checkpoint.
fn exported(run: &Path, out: &Path) -> Vec<u8> {
    let checkpoint = run.join("checkpoints").join(last(run).unwrap());
    let args = ["export", text(&checkpoint), "--out", text(out)];
    json(&args);
    std::fs::read(out.join("model.onnx")).unwrap()
}

#[test]
fn a_run_killed_at_twenty_random_moments_ends_with_the_weights_of_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = rich_recipe(dir.path());
    let whole = dir.path().join("whole");
    json(&["train", text(&recipe), "--out", text(&whole)]);

    let killed = dir.path().join("killed");
    let device = ComputeDevice::Cpu.open().unwrap();
    let mut cut_short = 0;
    for _ in 0..20 {
        let mut child = buckler()
            .args(["train", text(&recipe), "--out", text(&killed)])
            .args(["--resume", "--checkpoint-every", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // After none or one more checkpoint, and a while.
        let before = last(&killed);
        let deadline = Instant::now() + Duration::from_secs(60);
        let wait = rand::rng().random_bool(0.7);
        while wait
            && last(&killed) == before
            && child.try_wait().unwrap().is_none()
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..100)));
        cut_short += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        // What is there is whole at any moment.
        if let Some(last) = last(&killed) {
            Checkpoint::load(&killed.join("checkpoints").join(last), &device).unwrap();
        }
    }
    assert!(
        cut_short >= 5,
        "only {cut_short} of the runs were cut short"
    );
    json(&["train", text(&recipe), "--out", text(&killed), "--resume"]);
    assert!(
        exported(&whole, &dir.path().join("a")) == exported(&killed, &dir.path().join("b")),
        "the weights differ"
    );
    let lines = |run: &Path| std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(lines(&whole), lines(&killed));
    assert_eq!(lines(&whole).lines().count(), 4 * 6);
}

#[test]
fn a_run_leaves_a_report_curves_metrics_and_its_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    json(&[
        "train",
        text(&small_recipe(dir.path(), 2)),
        "--out",
        text(&run),
    ]);
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let report = read("report.md");
    assert!(
        report.contains("curves.svg") && report.contains("(best)"),
        "{report}"
    );
    assert!(read("curves.svg").contains("</svg>"));
    let steps: Vec<serde_json::Value> = read("metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(steps.len(), 2 * 200usize.div_ceil(32));
    assert_eq!(
        (&steps[7]["epoch"], &steps[7]["step"]),
        (&2.into(), &1.into())
    );
    let again = dir.path().join("again");
    let recipe = run.join("recipe.toml");
    json(&["train", text(&recipe), "--out", text(&again)]);
    assert_eq!(
        index(&run).unwrap()["recipe"],
        index(&again).unwrap()["recipe"]
    );
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    json(&[
        "train",
        text(&small_recipe(dir.path(), 1)),
        "--out",
        text(&run),
    ]);
    let checkpoint = run.join("checkpoints").join("epoch-001");
    let state = checkpoint.join("state.json");
    let other = std::fs::read_to_string(&state)
        .unwrap()
        .replace("\"width\": 0.1", "\"width\": 0.2");
    std::fs::write(&state, other).unwrap();
    let out = dir.path().join("model");
    let error = failure(&["export", text(&checkpoint), "--out", text(&out)], 1);
    assert!(
        error.contains("model.bpk") && error.contains("conv1"),
        "{error}"
    );
    assert!(!out.exists());
}

/// `count` images of each of two classes, in the layout of ImageNet.
fn folder(dir: &Path, count: u32) -> PathBuf {
    let root = dir.join("images");
    for split in ["train", "val"] {
        for (class, brightness) in [("dark", 40), ("light", 200)] {
            let class = root.join(split).join(class);
            std::fs::create_dir_all(&class).unwrap();
            for i in 0..count {
                let image = image::RgbImage::from_fn(40, 36, |x, y| {
                    image::Rgb([brightness, (x * 5 + i) as u8, (y * 5) as u8])
                });
                image.save(class.join(format!("{i}.jpg"))).unwrap();
            }
        }
    }
    root
}

#[test]
fn a_broken_image_is_named_and_left_out_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let root = folder(dir.path(), 12);
    let broken = root.join("train").join("dark").join("3.jpg");
    let bytes = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let recipe = dir.path().join("folder.toml");
    let toml = r#"
        base = "digits-plain"
        name = "folder"
        data = "folder"
        training = { epochs = 1, batch_size = 4, images = 20 }
        validation = { images = 4 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let data = format!("folder:{}", text(&root));
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    let error = failure(&train, 1);
    assert!(
        error.contains("3.jpg") && error.contains("--skip-broken"),
        "{error}"
    );
    let report = json(&[&train[..], &["--resume", "--skip-broken"]].concat());
    assert_eq!(report["epochs"][0]["skipped"], 1);
}

#[test]
fn every_residual_network_is_exported_with_the_trainers_logits_and_gradients() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("folder:{}", text(&folder(dir.path(), 4)));
    for (name, network, image) in [
        ("resnet-18", "{ kind = \"resnet\", depth = 18 }", 40),
        ("resnet-50", "{ kind = \"resnet\", depth = 50 }", 40),
        ("preact", "{ kind = \"preact-resnet\", depth = 18 }", 16),
    ] {
        let recipe = dir.path().join(format!("{name}.toml"));
        let toml = format!(
            r#"
            base = "imagenet-free-at-he"
            name = "{name}"
            image_size = {image}
            network = {network}
            training = {{ epochs = 1, batch_size = 3, images = 6 }}
            optimizer = {{ learning_rate = 0.01 }}
            validation = {{ images = 2, steps = 1 }}
            "#
        );
        std::fs::write(&recipe, toml).unwrap();
        let run = dir.path().join(name);
        let out = dir.path().join("models").join(name);
        json(&["train", text(&recipe), "--data", &data, "--out", text(&run)]);
        // Exporting checks both in ONNX Runtime.
        json(&["export", text(&run), "--out", text(&out)]);
        let model = out.join("model.onnx");
        let evaluated = json(&[
            "evaluate",
            text(&model),
            "--data",
            &data,
            "--eps",
            "4/255",
            "--steps",
            "2",
        ]);
        assert_eq!(evaluated["images"], 8, "{name}");
    }
}

#[test]
fn recipes_are_compared_in_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let out = dir.path().join("compare");
    let args = [
        "compare",
        text(&recipe),
        "--with-linear",
        "--limit",
        "40",
        "--out",
        text(&out),
    ];
    let report = json(&args);
    let rows = report["rows"].as_array().unwrap();
    let heads: Vec<_> = rows
        .iter()
        .map(|row| row["head"].as_str().unwrap())
        .collect();
    assert_eq!(heads, ["hypersphere s 10 m 0.1", "linear"]);
    for row in rows {
        let share = |key: &str| row[key].as_f64().unwrap();
        assert!(share("pgd_accuracy") <= share("clean_accuracy"), "{row}");
    }
    let table = std::fs::read_to_string(out.join("compare.md")).unwrap();
    assert_eq!(
        table.lines().filter(|line| line.starts_with('|')).count(),
        4
    );
    // Again: what is trained is taken as it is.
    assert_eq!(json(&args)["rows"], report["rows"]);
}

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = failure(&["train", "mnist-small-trade"], 1);
    assert!(
        error.contains("did you mean `mnist-small-trades`?"),
        "{error}"
    );
    let recipe = dir.path().join("mine.toml");
    std::fs::write(&recipe, "base = \"mnist-he\"\n[training]\nepoch = 3\n").unwrap();
    let error = failure(&["train", text(&recipe)], 1);
    assert!(
        error.contains("`epoch`") && error.contains("did you mean `epochs`?"),
        "{error}"
    );
}
