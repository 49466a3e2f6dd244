use std::path::PathBuf;

use buckler_data::Split;

use super::*;

#[path = "tests/run_folder.rs"]
mod run_folder;

#[test]
fn a_fall_of_more_than_the_recipe_allows_ends_the_run() {
    let recipe = Recipe::find("cifar10-fast-at").unwrap();
    let recipe = recipe.with("training.stop_on_drop", "0.2").unwrap();
    let record = |robust_accuracy| EpochRecord {
        epoch: 4,
        loss: 1.0,
        clean_accuracy: 0.8,
        robust_accuracy,
        seconds: 1.0,
        skipped: 0,
        skipped_validation: 0,
        collapsed: false,
        warning: None,
    };
    let stops = |best, now| collapse(&recipe, best, &record(now)).is_some();
    assert!(stops(Some(0.4), Some(0.19)));
    assert!(!stops(Some(0.4), Some(0.21)));
    assert!(!stops(None, Some(0.0)));
    assert!(!stops(Some(0.4), None));
    let unlimited = Recipe::find("cifar10-pgd-at").unwrap();
    assert!(collapse(&unlimited, Some(0.9), &record(Some(0.0))).is_none());
}

/// Images of 16x16 of one grey level each, which `level` gives with the label.
fn data(count: usize, classes: usize, level: impl Fn(usize) -> (u8, u16)) -> Dataset {
    let (levels, labels): (Vec<u8>, Vec<u16>) = (0..count).map(level).unzip();
    let pixels = levels.iter().flat_map(|level| [*level; 256]).collect();
    let classes = (0..classes).map(|class| format!("class {class}")).collect();
    Dataset::new("toy", Split::Train, classes, [1, 16, 16], pixels, labels).unwrap()
}

fn recipe(changes: &[(&str, &str)]) -> Recipe {
    let text = "base = \"digits-plain\"\nname = \"toy\"\n\
                network = { kind = \"small-cnn\", width = 0.1 }\n\
                training = { epochs = 1, batch_size = 8, images = 32 }\n\
                validation = { images = 16 }";
    let recipe = Recipe::parse(text, "toy").unwrap();
    changes.iter().fold(recipe, |recipe, (key, value)| {
        recipe.with(key, value).unwrap()
    })
}

fn run(
    recipe: &Recipe,
    images: Dataset,
    validation: &Dataset,
    out: &Path,
    options: TrainOptions,
) -> Result<Run, TrainError> {
    let devices = [Device::flex()];
    train(recipe, Arc::new(images), validation, &devices, out, options)
}

/// Two classes that tell themselves apart by brightness.
fn bright(count: usize) -> Dataset {
    data(count, 2, |i| if i % 2 == 0 { (40, 0) } else { (220, 1) })
}

fn resume() -> TrainOptions {
    TrainOptions {
        resume: true,
        ..TrainOptions::default()
    }
}

fn out() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    (dir, out)
}

#[test]
fn a_network_that_answers_one_class_is_told_in_the_run_and_its_report() {
    let (_dir, out) = out();
    // All images are alike: nothing can be told apart.
    let alike = |count| data(count, 2, |i| (128, (i % 2) as u16));
    let run = run(
        &recipe(&[]),
        alike(32),
        &alike(16),
        &out,
        TrainOptions::default(),
    )
    .unwrap();
    let record = &run.epochs()[0];
    assert!(record.collapsed);
    let warning = record.warning.as_ref().unwrap();
    assert!(
        warning.contains("100.0 % of the validation images"),
        "{warning}"
    );
    let report = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains(warning), "{report}");
}

#[test]
fn a_collapsed_epoch_is_the_best_one_only_where_all_are() {
    let record = |epoch, collapsed, robust| EpochRecord {
        epoch,
        loss: 1.0,
        clean_accuracy: 0.5,
        robust_accuracy: Some(robust),
        seconds: 1.0,
        skipped: 0,
        skipped_validation: 0,
        collapsed,
        warning: None,
    };
    let (_dir, out) = out();
    let mut run = Run::create(&out, &recipe(&[]), "cpu", None).unwrap();
    std::fs::create_dir_all(out.join("checkpoints")).unwrap();
    run.finish_epoch(record(1, true, 0.16), None).unwrap();
    assert_eq!(run.best().unwrap().epoch, 1);
    run.finish_epoch(record(2, false, 0.05), None).unwrap();
    run.finish_epoch(record(3, true, 0.16), None).unwrap();
    assert_eq!(run.best().unwrap().epoch, 2);
}

#[test]
fn data_that_a_recipe_does_not_fit_is_refused_before_there_is_a_folder() {
    type Case = (
        &'static [(&'static str, &'static str)],
        Dataset,
        &'static str,
    );
    let cases: [Case; 5] = [
        (
            &[("training.images", "100")],
            bright(32),
            "training.images is 100",
        ),
        (
            &[("training.batch_size", "33")],
            bright(32),
            "training.batch_size is 33",
        ),
        (
            &[("validation.images", "17")],
            bright(32),
            "validation.images is 17",
        ),
        (&[], data(32, 1, |_| (1, 0)), "1 class(es) (`class 0`)"),
        (&[], data(32, 2, |_| (1, 1)), "one class, `class 1`"),
    ];
    for (changes, images, expected) in cases {
        let (_dir, out) = out();
        let error = run(
            &recipe(changes),
            images,
            &bright(16),
            &out,
            TrainOptions::default(),
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn a_run_does_not_go_on_with_other_data() {
    let (_dir, out) = out();
    let longer = recipe(&[("training.epochs", "2")]);
    run(
        &longer,
        bright(32),
        &bright(16),
        &out,
        TrainOptions::default(),
    )
    .unwrap();
    let swapped = |count| data(count, 2, |i| if i % 2 == 0 { (40, 1) } else { (220, 0) });
    let error = run(&longer, swapped(32), &bright(16), &out, resume()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, TrainError::DataDiffers { .. }) && text.contains("labels of the training"),
        "{text}"
    );
    let error = run(&longer, bright(32), &swapped(16), &out, resume()).unwrap_err();
    assert!(
        error.to_string().contains("labels of the validation"),
        "{error}"
    );
    // A run from before fingerprints goes on.
    run_folder::aged(&out);
    let index = out.join("run.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json.as_object_mut().unwrap().remove("data").unwrap();
    std::fs::write(&index, json.to_string()).unwrap();
    run(&longer, bright(32), &bright(16), &out, resume()).unwrap();
}

#[test]
fn a_folder_without_a_checkpoint_is_used_again() {
    let (_dir, out) = out();
    let diverging = recipe(&[("optimizer.learning_rate", "1e30")]);
    let error = run(
        &diverging,
        bright(32),
        &bright(16),
        &out,
        TrainOptions::default(),
    );
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            TrainError::Diverged {
                epoch: 1,
                checkpoint: false,
                ..
            }
        ),
        "{error}"
    );
    for options in [resume(), TrainOptions::default()] {
        let again = run(&diverging, bright(32), &bright(16), &out, options);
        assert!(matches!(again, Err(TrainError::Diverged { .. })));
    }
    let changed = recipe(&[("network.width", "0.2")]);
    let run_ = run(
        &changed,
        bright(32),
        &bright(16),
        &out,
        TrainOptions::default(),
    )
    .unwrap();
    assert_eq!(run_.recipe(), &changed);
    let lines = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 4);
    let error = run(
        &changed,
        bright(32),
        &bright(16),
        &out,
        TrainOptions::default(),
    );
    assert!(matches!(error, Err(TrainError::RunExists { .. })));
}

#[test]
fn what_differs_from_the_run_is_named_and_only_some_of_it_may_change() {
    let (_dir, out) = out();
    let (images, validation) = (|| bright(32), bright(16));
    run(
        &recipe(&[]),
        images(),
        &validation,
        &out,
        TrainOptions::default(),
    )
    .unwrap();
    let other = recipe(&[
        ("network.width", "0.2"),
        ("optimizer.learning_rate", "0.01"),
    ]);
    let error = run(&other, images(), &validation, &out, resume())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("network.width is 0.1 in the run, 0.2 in the recipe")
            && error.contains("optimizer.learning_rate is 0.05 in the run, 0.01"),
        "{error}"
    );
    let asked = |keys: &[&str]| TrainOptions {
        changed: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..resume()
    };
    let error = run(
        &other,
        images(),
        &validation,
        &out,
        asked(&["network.width"]),
    );
    assert!(error.is_err(), "a network does not change in a run");

    let changes = [
        ("optimizer.learning_rate", "0.01"),
        ("training.epochs", "2"),
    ];
    let longer = recipe(&changes);
    let keys = asked(&["optimizer.learning_rate", "training.epochs"]);
    let went_on = run(&longer, images(), &validation, &out, keys).unwrap();
    assert_eq!((went_on.epochs().len(), went_on.changes().len()), (2, 2));
    assert_eq!(went_on.recipe().optimizer.learning_rate, 0.01);
    let again = Run::open(&out).unwrap();
    assert_eq!(again.recipe(), &longer);
    // With the recipe that it was started with, the run keeps what was changed.
    let same = run(&recipe(&[]), images(), &validation, &out, resume()).unwrap();
    assert_eq!(same.recipe(), &longer);
    let checkpoint = Checkpoint::load(&out, &Device::flex()).unwrap();
    assert!(checkpoint.state.epochs >= 1);
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let (_dir, first) = out();
    let (images, validation) = (|| bright(32), bright(16));
    run(
        &recipe(&[]),
        images(),
        &validation,
        &first,
        TrainOptions::default(),
    )
    .unwrap();
    let init = Checkpoint::load(&first, &Device::flex()).unwrap();
    let still = recipe(&[("optimizer.learning_rate", "1e-30")]);
    let options = |init: &Checkpoint| TrainOptions {
        init: Some(init.clone()),
        ..TrainOptions::default()
    };
    let (_dir, second) = out();
    let run_ = run(&still, images(), &validation, &second, options(&init)).unwrap();
    assert_eq!(run_.init(), Some("toy, epoch 1"));
    let moved = Checkpoint::load(&second, &Device::flex()).unwrap();
    let pixels = vec![0.4; 256];
    let logits = |checkpoint| crate::export::logits(checkpoint, &pixels).unwrap();
    for (a, b) in logits(&init).iter().zip(logits(&moved)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let (_dir, third) = out();
    let wider = recipe(&[("network.width", "0.2")]);
    let error = run(&wider, images(), &validation, &third, options(&init)).unwrap_err();
    assert!(
        error.to_string().contains("they differ in network"),
        "{error}"
    );
}

#[test]
fn a_flipped_bit_in_any_file_of_a_checkpoint_is_noticed() {
    let (_dir, out) = out();
    let longer = recipe(&[("training.epochs", "2"), ("training.ema_decay", "0.5")]);
    run(
        &longer,
        bright(32),
        &bright(16),
        &out,
        TrainOptions::default(),
    )
    .unwrap();
    let last = out.join("checkpoints/epoch-002");
    let resumed = || {
        Checkpoint::resume(
            &last,
            crate::start::sgd(&longer.optimizer),
            &[Device::flex()],
        )
    };
    resumed().unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(&last)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 5);
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let Err(error) = resumed() else {
            panic!("{} was taken with a flipped bit", path.display())
        };
        assert!(matches!(error, TrainError::Checkpoint { .. }), "{error}");
        std::fs::write(&path, &bytes).unwrap();
    }
    resumed().unwrap();
}
