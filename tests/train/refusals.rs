//! What is refused before it costs a training, and what the options of each command are.

use super::*;

/// A recipe for [`folder`] of `epochs` epochs, whose last images are for validation.
fn folder_recipe(dir: &Path, epochs: usize) -> PathBuf {
    let path = dir.join("folder.toml");
    let toml = format!(
        r#"
        base = "digits-plain"
        name = "folder"
        data = "folder"
        image_size = 16
        training = {{ epochs = {epochs}, batch_size = 4, images = 16 }}
        validation = {{ images = 8 }}
        "#
    );
    std::fs::write(&path, toml).unwrap();
    path
}

#[test]
fn broken_validation_images_are_left_out_on_request_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = folder(dir.path(), 12);
    let recipe = folder_recipe(dir.path(), 2);
    let data = format!("folder:{}", text(&root));
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    // Some of them are in the validation part, wherever it is cut.
    let broken: Vec<PathBuf> = (0..12)
        .step_by(2)
        .map(|i| root.join("train/dark").join(format!("{i}.jpg")))
        .collect();
    for path in &broken {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let error = failure(&train, 1);
    assert!(error.contains("--skip-broken"), "{error}");
    assert!(!run.exists(), "it was found before anything was written");
    let output = buckler()
        .args([&train[..], &["--skip-broken", "--json"]].concat())
        .output()
        .unwrap();
    let log = support::stderr(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&log);
    for epoch in report["epochs"].as_array().unwrap() {
        let left_out = |key: &str| epoch[key].as_u64().unwrap();
        assert!(left_out("skipped_validation") > 0, "{report}");
        assert_eq!(left_out("skipped") + left_out("skipped_validation"), 6);
    }
    for path in &broken {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(log.contains(name), "{name}: {log}");
    }
}

#[test]
fn a_run_of_broken_images_alone_does_not_advise_the_option_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let root = folder(dir.path(), 12);
    for class in ["dark", "light"] {
        for i in 0..12 {
            let path = root.join("train").join(class).join(format!("{i}.jpg"));
            std::fs::write(path, "broken").unwrap();
        }
    }
    let data = format!("folder:{}", text(&root));
    let recipe = folder_recipe(dir.path(), 1);
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    let error = failure(&[&train[..], &["--skip-broken"]].concat(), 1);
    assert!(
        error.contains("none of the 8 validation images can be read"),
        "{error}"
    );
    assert!(!error.contains("--skip-broken"), "{error}");
}

#[test]
fn an_export_into_the_folder_of_a_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let recipe = small_recipe(dir.path(), 1);
    json(&["train", text(&recipe), "--out", text(&run)]);
    let before = std::fs::read_dir(&run).unwrap().count();
    for place in ["", "checkpoints", "checkpoints/epoch-001", "models/1"] {
        let out = run.join(place);
        let export = ["export", text(&run), "--out", text(&out), "--force"];
        let error = failure(&export, 1);
        assert!(error.contains("choose a folder outside"), "{error}");
    }
    // A checkpoint that was copied alone.
    let copied = dir.path().join("copied");
    std::fs::create_dir(&copied).unwrap();
    for entry in std::fs::read_dir(run.join("checkpoints/epoch-001")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copied.join(path.file_name().unwrap())).unwrap();
    }
    let error = failure(&["export", text(&copied), "--out", text(&copied)], 1);
    assert!(error.contains("the folder of a checkpoint"), "{error}");
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(run.join("checkpoints"), &link).unwrap();
        failure(&["export", text(&run), "--out", text(&link.join("x"))], 1);
    }
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), before);
    assert_eq!(
        std::fs::read_dir(run.join("checkpoints")).unwrap().count(),
        1
    );
}

#[test]
fn a_data_set_is_named_in_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("folder:{}", text(&folder(dir.path(), 12)));
    let recipe = folder_recipe(dir.path(), 1);
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    let error = failure(&[&train[..], &["--set", "data=digits"]].concat(), 1);
    assert!(
        error.contains("--set data=digits") && error.contains("--data folder:"),
        "{error}"
    );
    assert!(!run.exists());
    json(&[&train[..], &["--set", "data=folder"]].concat());
    assert_eq!(index(&run).unwrap()["recipe"]["data"], "folder");
}

#[test]
fn a_run_from_a_pytorch_file_asks_for_the_normalization_and_records_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = manifest.join("../train/tests/pytorch/wrn-10-1-he.pt");
    let root = ten_classes(dir.path());
    std::fs::rename(root.join("val"), root.join("train")).unwrap();
    let data = format!("folder:{}", text(&root));
    let recipe = dir.path().join("ten.toml");
    let toml = r#"
        base = "cifar10-trades-he"
        name = "ten"
        image_size = 32
        network = { kind = "wide-resnet", depth = 10, width = 1 }
        training = { epochs = 1, batch_size = 10, images = 20 }
        adversary = { steps = 1 }
        validation = { images = 10, steps = 1 }
    "#;
    std::fs::write(&recipe, toml).unwrap();
    let run = dir.path().join("run");
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&run)];
    let train = [&train[..], &["--init", text(&file)]].concat();
    for choice in [&[][..], &["--init-normalization", "none"]] {
        let error = failure(&[&train[..], choice].concat(), 1);
        assert!(
            error.contains("--init-normalization recipe")
                && error.contains("--set normalization=false"),
            "{error}"
        );
    }
    let normalised = [&train[..], &["--init-normalization", "recipe"]].concat();
    let missing = [&normalised[..], &["--init-weights", "ema"]].concat();
    let error = failure(&missing, 1);
    assert!(error.contains("it has no entry `ema`"), "{error}");
    assert!(!run.exists());
    json(&normalised);
    let recorded = index(&run).unwrap()["init"].as_str().unwrap().to_owned();
    let sum = "SHA-256 ";
    let sum = recorded.split_once(sum).unwrap().1;
    assert!(
        recorded.starts_with("PyTorch file ")
            && recorded.contains("wrn-10-1-he.pt")
            && recorded.contains("assumed")
            && sum.chars().take(64).all(|digit| digit.is_ascii_hexdigit()),
        "{recorded}"
    );
    // What the error advises works.
    let plain = dir.path().join("plain");
    let mut args = train.clone();
    args[5] = text(&plain);
    json(&[&args[..], &["--set", "normalization=false"]].concat());
    let from_run = ["--init", text(&plain), "--init-normalization", "recipe"];
    let error = failure(&[&train[..6], &from_run].concat(), 1);
    assert!(error.contains("is for PyTorch files"), "{error}");
}

#[test]
fn a_comparison_checks_its_options_first_and_advises_only_those_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let out = dir.path().join("compare");
    let compare = ["compare", text(&recipe), "--out", text(&out)];
    let compare = [&compare[..], &["--limit", "20"]].concat();
    for option in [["--limit", "0"], ["--epochs", "0"], ["--eps", "-1"]] {
        let error = failure(&[&compare[..4], &option].concat(), 2);
        assert!(
            error.contains(option[0]) && !error.contains("unexpected argument"),
            "{error}"
        );
    }
    let error = failure(&[&compare[..], &["--eps", "8"]].concat(), 1);
    assert!(error.contains("eps"), "{error}");
    assert!(!out.join("runs").exists(), "nothing was trained");
    json(&compare);
    for (option, named) in [
        (["--epochs", "2"], "training.epochs is 1"),
        (["--seed", "4"], "seed is 0"),
    ] {
        let error = failure(&[&compare[..], &option].concat(), 1);
        assert!(
            error.contains(named)
                && error.contains(option[0])
                && !error.contains("--resume")
                && !error.contains("--set"),
            "{error}"
        );
    }
}

#[test]
fn a_demonstration_deletes_nothing_that_is_not_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("runs/digits-plain/checkpoints/mine");
    std::fs::create_dir_all(&mine).unwrap();
    let error = failure(&["demo", "--no-serve", "--out", text(dir.path())], 1);
    assert!(error.contains("holds checkpoints"), "{error}");
    assert!(mine.is_dir());
}
