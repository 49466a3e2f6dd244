//! Long runs that are cut short, data that is not what it should be, and what a run leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "train/comparing.rs"]
mod comparing;
#[path = "train/exporting.rs"]
mod exporting;
#[path = "train/refusals.rs"]
mod refusals;
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
    // As in checkpoints from before there were checksums, which did not say of which run they are.
    let mut other: serde_json::Value = serde_json::from_str(&other).unwrap();
    other.as_object_mut().unwrap().remove("run").unwrap();
    std::fs::write(&state, other.to_string()).unwrap();
    std::fs::remove_file(checkpoint.join("SHA256SUMS")).unwrap();
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
fn a_comparison_outlives_recipes_that_fail_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let good = small_recipe(dir.path(), 1);
    let write = |name: &str, changes: &str| {
        let path = dir.path().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&good).unwrap();
        let text = text.replace("name = \"small\"", &format!("name = \"{name}\""));
        let (key, _) = changes.split_once(" = ").unwrap();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with(&format!("{key} ")))
            .collect();
        std::fs::write(&path, format!("{changes}\n{}", kept.join("\n"))).unwrap();
        path
    };
    let diverging = write(
        "diverging",
        "optimizer = { learning_rate = 1e30, momentum = 0.9 }",
    );
    let impossible = write(
        "impossible",
        "network = { kind = \"wide-resnet\", depth = 11, width = 1 }",
    );
    let out = dir.path().join("compare");
    let output = buckler()
        .args([
            "compare",
            text(&diverging),
            text(&impossible),
            "no-such-recipe",
        ])
        .args([text(&good), "--limit", "20", "--out", text(&out), "--json"])
        .output()
        .unwrap();
    let error = support::stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("3 of 4 recipes failed"), "{error}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = |row: usize| report["rows"][row]["error"].as_str().unwrap();
    assert!(reason(0).contains("the loss is"), "{}", reason(0));
    assert!(reason(1).contains("network.depth is 11"), "{}", reason(1));
    assert!(reason(2).contains("no-such-recipe"), "{}", reason(2));
    assert!(report["rows"][3]["clean_accuracy"].is_number(), "{report}");
    let table = std::fs::read_to_string(out.join("compare.md")).unwrap();
    assert_eq!(
        table.lines().filter(|line| line.starts_with('|')).count(),
        6,
        "{table}"
    );
    let cells = |line: &str| line.matches('|').count();
    let rows: Vec<&str> = table.lines().filter(|line| line.contains('|')).collect();
    assert!(
        rows.iter().all(|row| cells(row) == cells(rows[0])),
        "{table}"
    );
    assert!(table.contains("\nfailed: diverging: "), "{table}");
}

#[test]
fn a_second_writer_of_a_run_is_refused_by_name_and_the_log_keeps_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = rich_recipe(dir.path());
    let run = dir.path().join("run");
    let mut first = buckler()
        .args(["train", text(&recipe), "--out", text(&run)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while last(&run).is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let running = first.try_wait().unwrap().is_none();
    let resume = ["train", text(&recipe), "--out", text(&run), "--resume"];
    let second = support::run(&resume);
    if running && first.try_wait().unwrap().is_none() {
        let error = support::stderr(&second);
        assert_eq!(second.status.code(), Some(1), "{error}");
        assert!(
            error.contains(&format!("process {} on ", first.id())),
            "{error}"
        );
    }
    // A kill takes the lock with it.
    first.kill().unwrap();
    first.wait().unwrap();
    json(&resume);
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 4 * 6);
}

#[test]
fn what_a_failed_start_advises_works_in_the_same_folder() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--out", text(&run)];
    let set = ["--set", "optimizer.learning_rate=1e30"];
    let error = failure(&[&train[..], &set].concat(), 1);
    assert!(
        error.contains("train again with --set optimizer.learning_rate="),
        "{error}"
    );
    let lower = ["--set", "optimizer.learning_rate=0.01"];
    json(&[&train[..], &lower].concat());
    let recorded = |key: &str| index(&run).unwrap()["recipe"]["optimizer"][key].clone();
    assert_eq!(recorded("learning_rate"), 0.01);

    let error = failure(&train, 1);
    assert!(
        error.contains("--resume") && error.contains("--out"),
        "{error}"
    );
    let error = failure(&[&train[..], &["--resume"]].concat(), 1);
    assert!(
        error.contains("optimizer.learning_rate is 0.01 in the run, 0.05 in the recipe")
            && error.contains("--set optimizer.learning_rate="),
        "{error}"
    );
    let longer = [
        "--resume",
        "--set",
        "training.epochs=2",
        "--set",
        "optimizer.learning_rate=0.005",
    ];
    let report = json(&[&train[..], &longer].concat());
    assert_eq!(report["epochs"].as_array().unwrap().len(), 2);
    assert_eq!(recorded("learning_rate"), 0.005);
    let wider = ["--resume", "--set", "network.width=0.2"];
    let error = failure(&[&train[..], &wider].concat(), 1);
    assert!(error.contains("network.width is 0.1"), "{error}");
    let error = failure(
        &[&train[..], &["--set", "optimizer.learning_rat=1"]].concat(),
        1,
    );
    assert!(error.contains("did you mean `learning_rate`?"), "{error}");

    let fresh = dir.path().join("fresh");
    json(&[
        "train",
        text(&recipe),
        "--out",
        text(&fresh),
        "--init",
        text(&run),
    ]);
    assert!(
        index(&fresh).unwrap()["init"]
            .as_str()
            .unwrap()
            .starts_with("small, epoch")
    );
}

#[test]
fn a_run_on_a_folder_does_not_go_on_after_labels_changed() {
    let dir = tempfile::tempdir().unwrap();
    let root = folder(dir.path(), 12);
    let recipe = dir.path().join("folder.toml");
    let toml = r#"
        base = "digits-plain"
        name = "folder"
        image_size = 16
        training = { epochs = 2, batch_size = 4, images = 20 }
        validation = { images = 4 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let data = format!("folder:{}", text(&root));
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    json(&train);
    // Two pictures change places.
    let path = |class: &str| root.join("train").join(class).join("5.jpg");
    let other = root.join("train").join("5.jpg.tmp");
    std::fs::rename(path("dark"), &other).unwrap();
    std::fs::rename(path("light"), path("dark")).unwrap();
    std::fs::rename(&other, path("light")).unwrap();
    let error = failure(&[&train[..], &["--resume"]].concat(), 1);
    assert!(
        error.contains("other data: contents of the training images"),
        "{error}"
    );
}

#[test]
fn a_model_trained_on_a_folder_states_its_preprocessing() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("folder:{}", text(&folder(dir.path(), 12)));
    let recipe = dir.path().join("folder.toml");
    let toml = r#"
        base = "digits-plain"
        name = "folder"
        image_size = 16
        training = { epochs = 1, batch_size = 4, images = 20 }
        validation = { images = 4 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let (run, out) = (dir.path().join("run"), dir.path().join("model"));
    json(&["train", text(&recipe), "--data", &data, "--out", text(&run)]);
    json(&["export", text(&run), "--out", text(&out)]);
    let card = std::fs::read_to_string(out.join("card.json")).unwrap();
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    assert_eq!(card["input"]["preprocessing"]["resize"], "center_crop");
    assert_eq!(card["input"]["preprocessing"]["crop_pct"], 0.875);
}

#[test]
fn a_folder_is_trained_on_in_grey_and_in_rectangles() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("folder:{}", text(&folder(dir.path(), 12)));
    let recipe = dir.path().join("grey.toml");
    let toml = r#"
        base = "digits-plain"
        name = "grey"
        image_size = [16, 24]
        image_channels = 1
        training = { epochs = 1, batch_size = 4, images = 20 }
        validation = { images = 4 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let (run, out) = (dir.path().join("run"), dir.path().join("model"));
    json(&["train", text(&recipe), "--data", &data, "--out", text(&run)]);
    json(&["export", text(&run), "--out", text(&out)]);
    let card = std::fs::read_to_string(out.join("card.json")).unwrap();
    let card: serde_json::Value = serde_json::from_str(&card).unwrap();
    let input = &card["input"];
    assert_eq!(
        (&input["channels"], &input["height"], &input["width"]),
        (&1.into(), &16.into(), &24.into())
    );
    assert_eq!(input["preprocessing"]["grey"], "luma");
    let error = failure(
        &[
            "train",
            text(&recipe),
            "--data",
            "digits",
            "--out",
            text(&run),
        ],
        1,
    );
    assert!(error.contains("image size"), "{error}");
}

#[test]
fn an_export_replaces_no_other_model_and_ignores_no_option() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    // Hardly trained at all: the gradient is checked against the trainer's.
    let recipe = small_recipe(dir.path(), 1);
    let train = ["train", text(&recipe), "--out", text(&run)];
    json(&[&train[..], &["--set", "optimizer.learning_rate=1e-8"]].concat());
    let out = dir.path().join("model");
    let export = ["export", text(&run), "--out", text(&out)];
    json(&export);
    json(&export);
    let before = std::fs::read(out.join("model.onnx")).unwrap();
    let other = [&export[..], &["--name", "other"]].concat();
    let error = failure(&other, 1);
    assert!(
        error.contains("holds the model `small`, and this one is `other`")
            && error.contains("--force"),
        "{error}"
    );
    std::fs::remove_file(out.join("card.json")).unwrap();
    assert!(failure(&other, 1).contains("`small`"));
    assert_eq!(std::fs::read(out.join("model.onnx")).unwrap(), before);
    json(&[&other[..], &["--force"]].concat());
    for option in [
        ["--recipe", "mnist-he"],
        ["--normalization", "none"],
        ["--data", "mnist"],
    ] {
        let error = failure(&[&export[..], &option].concat(), 1);
        assert!(error.contains(option[0]), "{error}");
    }
    let error = failure(&["export", text(&run), "--out", text(&recipe)], 1);
    assert!(error.contains("is a file"), "{error}");
}

#[test]
fn a_recipe_does_not_name_folders_outside() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let evil = std::fs::read_to_string(&recipe)
        .unwrap()
        .replace("\"small\"", "\"../../evil\"");
    std::fs::write(&recipe, evil).unwrap();
    let output = buckler()
        .current_dir(dir.path())
        .args(["train", text(&recipe)])
        .output()
        .unwrap();
    let error = support::stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("name is `../../evil`"), "{error}");
}

/// Ten classes of pictures that are wider than high.
fn ten_classes(dir: &Path) -> PathBuf {
    let root = dir.join("ten");
    for class in 0..10u32 {
        let class_dir = root.join("val").join(class.to_string());
        std::fs::create_dir_all(&class_dir).unwrap();
        for i in 0..3 {
            let image = image::RgbImage::from_fn(56, 32, |x, y| {
                image::Rgb([
                    (x * class * 3 + i) as u8,
                    (y * 7 + class * 20) as u8,
                    (x + y) as u8,
                ])
            });
            image.save(class_dir.join(format!("{i}.png"))).unwrap();
        }
    }
    root
}

#[test]
fn an_import_asks_what_its_images_went_through_and_measures_both() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = manifest.join("../train/tests/pytorch/wrn-10-1-he.pt");
    let recipe = dir.path().join("imported.toml");
    let toml = r#"
        base = "cifar10-trades-he"
        name = "imported"
        image_size = 32
        network = { kind = "wide-resnet", depth = 10, width = 1 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let out = dir.path().join("model");
    let data = format!("folder:{}", text(&ten_classes(dir.path())));
    let args = [
        "export",
        text(&file),
        "--recipe",
        text(&recipe),
        "--out",
        text(&out),
    ];
    let with_data = [&args[..], &["--data", &data]].concat();
    let error = failure(&with_data, 1);
    assert!(
        error.contains("--normalization recipe") && error.contains("--normalization none"),
        "{error}"
    );
    assert!(!out.exists());
    let import = |choice| json(&[&with_data[..], &["--normalization", choice]].concat());
    let (normalised, plain) = (import("recipe"), import("none"));
    assert_eq!(normalised["accuracy"]["images"], 30);
    // Each measures the other as well.
    assert_eq!(
        normalised["accuracy"]["with_other_normalization"],
        plain["accuracy"]["clean"]
    );
    assert_eq!(
        plain["accuracy"]["with_other_normalization"],
        normalised["accuracy"]["clean"]
    );
    let card = || {
        let text = std::fs::read_to_string(out.join("card.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let description = card()["description"].to_string();
    assert!(
        description.contains("weights from PyTorch, the network of recipe imported"),
        "{description}"
    );
    // What was measured is what the card states, and what is measured with it.
    assert_eq!(card()["input"]["preprocessing"]["resize"], "center_crop");
    let model = out.join("model.onnx");
    let attack = ["--attack", "fgsm", "--eps", "0.001"];
    let evaluate = [&["evaluate", text(&model), "--data", &data], &attack[..]].concat();
    assert_eq!(
        json(&evaluate)["clean_accuracy"],
        plain["accuracy"]["clean"]
    );

    let output = buckler()
        .args(args)
        // Other classes than those of the folder: it is another model.
        .args(["--normalization", "recipe", "--force"])
        .env_remove("BUCKLER_DATA")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("accuracy was not checked"),
        "{told}{}",
        support::stderr(&output)
    );
    assert!(card()["input"].get("preprocessing").is_none());
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
