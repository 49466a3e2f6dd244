//! Cards on the command line: written as a form, filled in, checked, refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use buckler_onnx::{Card, Model};
use serde_json::Value;
use support::{buckler, failure, json, run, stderr, text};

/// The project's MNIST model as the only file of a folder, with `card` inside or without one.
fn model(folder: &Path, card: Option<&str>) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mnist-he/1/model.onnx");
    let mut proto = Model::read(from).unwrap().to_proto();
    proto.metadata_props.clear();
    let mut model = Model::from_proto(proto).unwrap();
    if let Some(card) = card {
        model.set_metadata(Card::KEY, card);
    }
    let path = folder.join("model.onnx");
    model.write(&path).unwrap();
    path
}

/// An image that has all grey levels.
fn picture(folder: &Path) -> PathBuf {
    let path = folder.join("picture.png");
    image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(x * y % 256) as u8]))
        .save(&path)
        .unwrap();
    path
}

fn predictions(model: &Path, picture: &Path) -> Value {
    json(&["predict", text(model), text(picture)])["predictions"].clone()
}

/// With every example in force.
fn uncommented(card: &str) -> String {
    let lines = card
        .lines()
        .map(|line| match line.trim_start().strip_prefix("// \"") {
            Some(rest) => format!("\"{rest}"),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_written_card_is_read_and_changes_no_answer_with_its_examples_neither() {
    let folder = tempfile::tempdir().unwrap();
    let (model, picture) = (model(folder.path(), None), picture(folder.path()));
    let bare = predictions(&model, &picture);
    let written = json(&["card", text(&model)]);
    let card = folder.path().join("card.json");
    assert_eq!(written["card"], text(&card));
    assert_eq!(predictions(&model, &picture), bare);
    assert!(run(&["info", text(&model)]).status.success());
    let form = fs::read_to_string(&card).unwrap();
    assert!(
        form.contains("\"height\": 28,") && form.contains("// \"classes\": [\"0\", \"1\","),
        "{form}"
    );
    fs::write(&card, uncommented(&form)).unwrap();
    assert_eq!(predictions(&model, &picture), bare);
    assert!(run(&["info", text(&model)]).status.success());
    let checked = json(&["card", text(&model), "--check"]);
    assert_eq!(checked["cards"], serde_json::json!([text(&card)]));
    assert_eq!(checked["model"], text(&model));
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force_and_keeps_what_it_states() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), None);
    let card = folder.path().join("card.json");
    fs::write(
        &card,
        r#"{"description": "mine", "input": {"normalization": {"mean": [0.1], "std": [0.3]}}}"#,
    )
    .unwrap();
    let message = failure(&["card", text(&model)], 1);
    assert!(
        message.contains("exists") && message.contains("--force"),
        "{message}"
    );
    json(&["card", text(&model), "--force"]);
    let kept = Card::read(&card).unwrap();
    assert_eq!((kept.description.as_str(), kept.input.height), ("mine", 28));
    assert_eq!(kept.input.normalization.unwrap().mean, [0.1]);
    // To stdout, and elsewhere.
    let shown = run(&["card", text(&model), "--out", "-"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(Card::parse(&shown, "stdout").unwrap().description, "mine");
    let other = folder.path().join("other.json");
    json(&["card", text(&model), "--out", text(&other)]);
    assert_eq!(Card::read(&other).unwrap().description, "mine");
    // What cannot be read is not thrown away.
    fs::write(&card, r#"{"descripton": "mine"}"#).unwrap();
    let message = failure(&["card", text(&model), "--force"], 1);
    assert!(
        message.contains("write `description`") && message.contains("would be lost"),
        "{message}"
    );
    assert!(fs::read_to_string(&card).unwrap().contains("mine"));
}

#[test]
fn a_wrong_card_is_refused_by_every_command_with_the_key_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let (model, picture) = (model(folder.path(), None), picture(folder.path()));
    let card = folder.path().join("card.json");
    for (wrong, remedy) in [
        (
            "{\n\"input\": {\n\"mean\": [0.5]}}",
            "line 3: `input.mean` is not a key of a card: write `input.normalization.mean`",
        ),
        (
            r#"{"input": {"normalisation": {}}}"#,
            "write `input.normalization`",
        ),
        (
            r#"{"input": {"normalization": {"mean": [33.3], "std": [78.6]}}}"#,
            "as mean 0.130588 and std 0.308235",
        ),
        (r#"{"name": "a\u0000b"}"#, "U+0000"),
        (r#"{"classes": ["\u001b[2J"]}"#, "U+001B"),
        ("{", "not JSON"),
    ] {
        fs::write(&card, wrong).unwrap();
        for args in [
            &["predict", text(&model), text(&picture)][..],
            &["attack", text(&model), text(&picture)],
            &["card", text(&model), "--check"],
            &["card", text(&card), "--check"],
        ] {
            let message = failure(args, 1);
            assert!(message.contains(remedy), "{args:?}: {message}");
            assert_eq!(message.matches("card.json").count(), 1, "{message}");
            assert!(
                !message.contains(['\0', '\u{1b}']) && !message.contains("panicked"),
                "{message}"
            );
        }
    }
    // Right by itself, and not this model's.
    fs::write(&card, r#"{"classes": ["cat", "dog"]}"#).unwrap();
    let message = failure(&["card", text(&model), "--check"], 1);
    assert!(
        message.contains("10 names") && message.contains("classes"),
        "{message}"
    );
    fs::remove_file(&card).unwrap();
    let message = failure(&["card", text(&model), "--check"], 1);
    assert!(
        message.contains("has no card") && message.contains("buckler card"),
        "{message}"
    );
}

#[test]
fn what_a_model_holds_never_reaches_the_terminal_as_commands() {
    let folder = tempfile::tempdir().unwrap();
    let picture = picture(folder.path());
    for card in [r#"{"name": "a\u0000b"}"#, r#"{"name": "\u001b]0;t\u0007"}"#] {
        let model = model(folder.path(), Some(card));
        let message = failure(&["predict", text(&model), text(&picture)], 1);
        assert!(
            message.contains("`name`") && message.contains("inside the model"),
            "{message}"
        );
        assert!(!message.contains(['\0', '\u{1b}', '\u{7}']), "{message}");
    }
    // Characters that a file's name can have.
    let model = model(folder.path(), None);
    let hostile = folder.path().join("a\u{1b}[2J\u{9b}31m\u{202e}\n.png");
    fs::copy(&picture, &hostile).unwrap();
    for args in [
        &["predict", text(&model), text(&hostile)][..],
        &["predict", text(&model), text(&hostile), "--json"],
        &["predict", text(&hostile), text(&picture)],
        &[
            "predict",
            text(&model),
            text(&folder.path().join("absent\u{1b}[2J.png")),
        ],
        &["card", text(&hostile)],
        &["card", text(&hostile), "--check"],
    ] {
        let output = buckler().args(args).output().unwrap();
        let printed = [
            String::from_utf8(output.stdout.clone()).unwrap(),
            stderr(&output),
        ]
        .concat();
        assert!(
            !printed.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
            "{args:?}: {printed:?}"
        );
    }
    let rows = predictions(&model, &hostile);
    assert_eq!(rows[0]["image"], text(&hostile));
}

#[test]
fn means_and_deviations_are_in_units_of_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let (model, picture) = (model(folder.path(), None), picture(folder.path()));
    let predict = |mean: &str, std: &str| {
        buckler()
            .args([
                "predict",
                text(&model),
                text(&picture),
                "--mean",
                mean,
                "--std",
                std,
                "--json",
            ])
            .output()
            .unwrap()
    };
    let message = stderr(&predict("123.675,116.28,103.53", "58.395,57.12,57.375"));
    assert!(
        message.contains("mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225"),
        "{message}"
    );
    let message = stderr(&predict("0.5,0.5,0.5", "0.5"));
    assert!(
        message.contains("mean has 3 values") && message.contains("1 channel"),
        "{message}"
    );
    for (mean, std) in [("-0.5", "1"), ("-0.5", "1/255"), ("0.5", "0.5")] {
        let output = predict(mean, std);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
