//! `buckler info` says what every other command makes of a model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../crates/runtime/tests/models/mod.rs"]
mod models;
mod support;

use std::path::{Path, PathBuf};

use buckler_attack::InputSpec;
use buckler_onnx::{Card, Input, Model, Normalization, proto::DataType};
use models::{Batch, Builder, named, numbers, port};
use serde_json::Value;
use support::{failure, json, run, text};

const RGB: InputSpec = InputSpec {
    channels: 3,
    height: 8,
    width: 8,
};

fn written(folder: &Path, model: &Model) -> PathBuf {
    let path = folder.join("model.onnx");
    model.write(&path).unwrap();
    path
}

fn picture(folder: &Path) -> PathBuf {
    let path = folder.join("image.png");
    let pixels = image::RgbImage::from_fn(8, 8, |x, y| {
        image::Rgb([0, 64, 128].map(|channel: u8| channel + (8 * y + x) as u8))
    });
    pixels.save(&path).unwrap();
    path
}

/// An embedding before the classes.
fn two_outputs() -> Model {
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("W1", &[192, 6], &numbers(192 * 6, 1));
    builder.floats("W2", &[6, 3], &numbers(18, 2));
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("MatMul", &["flat", "W1"], "embedding", &[]);
    builder.node("MatMul", &["embedding", "W2"], "output", &[]);
    builder.finish_as(
        None,
        vec![port("embedding", None, &[6]), port("output", None, &[3])],
    )
}

fn lines(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn a_card_beside_the_model_that_contradicts_the_one_inside_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = two_outputs();
    let mut inside = Card {
        name: "inside".into(),
        classes: ["a", "b", "c"].map(String::from).into(),
        output: Some("output".into()),
        ..Card::default()
    };
    model.set_card(&inside).unwrap();
    let path = written(dir.path(), &model);
    let image = picture(dir.path());
    let said = || {
        let info = lines(&json(&["info", text(&path)])["assumptions"]);
        let predicted = json(&["predict", text(&path), text(&image)]);
        assert_eq!(lines(&predicted["assumptions"]), info);
        let differs = info
            .into_iter()
            .find(|line| line.contains("card.json beside"));
        (differs, predicted["predictions"][0]["name"].clone())
    };
    inside.description = "says nothing of answers".into();
    inside.write(dir.path().join("card.json")).unwrap();
    assert_eq!(said().0, None);
    inside.classes = ["x", "y", "z"].map(String::from).into();
    inside.input.normalization = Some(Normalization {
        mean: vec![0.5],
        std: vec![0.5],
    });
    inside.write(dir.path().join("card.json")).unwrap();
    let (differs, class) = said();
    let differs = differs.unwrap();
    assert!(differs.contains("`classes`, `input`"), "{differs}");
    assert!(["a", "b", "c"].map(Value::from).contains(&class), "{class}");
}

#[test]
fn info_predict_and_attack_agree_on_what_was_decided() {
    let dir = tempfile::tempdir().unwrap();
    let model = written(dir.path(), &two_outputs());
    let image = picture(dir.path());
    let info = json(&["info", text(&model)]);
    let classifier = &info["classifier"];
    assert_eq!(classifier["output"], "output");
    assert_eq!(classifier["classes"], 3);
    assert_eq!(classifier["image"], serde_json::json!([3, 8, 8]));
    assert_eq!(info["attackable"], true);
    let assumptions = lines(&info["assumptions"]);
    assert!(
        assumptions.iter().any(|line| line.contains("`embedding`")),
        "{assumptions:?}"
    );
    let predicted = json(&["predict", text(&model), text(&image)]);
    assert_eq!(lines(&predicted["assumptions"]), assumptions);
    let attacked = json(&["attack", text(&model), text(&image), "--steps", "2"]);
    assert_eq!(lines(&attacked["assumptions"]), assumptions);
    let printed = run(&["info", text(&model)]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("from output `output`"), "{printed}");
    for line in assumptions {
        assert!(
            printed.contains(&format!("assumption  {line}")),
            "{printed}"
        );
    }
}

#[test]
fn info_reads_the_card_beside_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("W", &[3, 3], &numbers(9, 1));
    builder.node("GlobalAveragePool", &["image"], "pooled", &[]);
    builder.node("Flatten", &["pooled"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let open = named("image", DataType::Float, &["n", "c", "h", "w"]);
    let model = builder.finish_as(Some(open), vec![port("logits", None, &[3])]);
    let path = written(dir.path(), &model);
    let image = picture(dir.path());
    let refused = json(&["info", text(&path)]);
    assert_eq!(refused["attackable"], false);
    let why = refused["refused"].as_str().unwrap();
    assert!(
        why.contains("leaves the size of images open") && why.contains("--size 224"),
        "{why}"
    );
    let error = failure(&["predict", text(&path), text(&image)], 1);
    assert!(error.contains(why), "{error}");
    Card {
        classes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        input: Input {
            channels: 3,
            height: 8,
            width: 8,
            normalization: Some(Normalization {
                mean: vec![0.5],
                std: vec![0.25],
            }),
            ..Input::default()
        },
        ..Card::default()
    }
    .write(dir.path().join("card.json"))
    .unwrap();
    let info = json(&["info", text(&path)]);
    assert_eq!(info["attackable"], true);
    assert_eq!(info["card"]["classes"][2], "c");
    assert!(info["range"].as_str().unwrap().contains("mean [0.5]"));
    json(&["attack", text(&path), text(&image), "--steps", "2"]);
    let made = json(&["differentiate", text(&path)]);
    assert_eq!(made["assumptions"], info["assumptions"]);
    let again = json(&["info", text(&path)]);
    assert_eq!(again["assumptions"], info["assumptions"]);
}

#[test]
fn a_missing_file_is_named_once() {
    for command in ["info", "differentiate", "predict", "attack"] {
        let mut args = vec![command, "no-such.onnx"];
        if ["predict", "attack"].contains(&command) {
            args.push("no-such.png");
        }
        let error = failure(&args, 1);
        let last = error.lines().last().unwrap();
        assert_eq!(last.matches("No such file").count(), 1, "{last}");
        assert_eq!(last.matches("os error").count(), 1, "{last}");
    }
}

#[test]
fn an_image_without_finite_logits_keeps_no_other_from_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.ints("all", &[1]);
    builder.floats("W", &[192, 3], &numbers(192 * 3, 1));
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("ReduceSum", &["flat", "all"], "sum", &[]);
    builder.node("Div", &["flat", "sum"], "shares", &[]);
    builder.node("MatMul", &["shares", "W"], "logits", &[]);
    let model = written(dir.path(), &builder.finish(&[3]));
    let image = picture(dir.path());
    let black = dir.path().join("black.png");
    image::RgbImage::new(8, 8).save(&black).unwrap();
    for command in ["predict", "attack"] {
        let output = support::buckler()
            .args([command, text(&model), text(&black), text(&image), "--json"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let printed = answer.to_string();
        assert!(printed.contains("logits are not finite"), "{printed}");
        let answered = answer["predictions"].as_array().map_or_else(
            || answer["results"].as_array().unwrap().len(),
            |rows| rows.iter().filter(|row| row["class"].is_u64()).count(),
        );
        assert_eq!(answered, 1, "{printed}");
    }
}

#[test]
fn what_an_answer_tells_is_not_logged_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &two_outputs());
    let image = picture(dir.path());
    for command in ["predict", "attack"] {
        let output = run(&[command, text(&path), text(&image), "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = lines(&answer["assumptions"]);
        assert!(
            said.iter().any(|line| line.contains("in the order RGB")),
            "{said:?}"
        );
        let logged = support::stderr(&output);
        assert!(
            said.iter().all(|line| !logged.contains(line.as_str())),
            "{logged}"
        );
    }
}

#[test]
fn a_class_whose_name_is_a_number_is_not_told_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &two_outputs());
    let image = picture(dir.path());
    let classes = r#"{"classes": ["5", "6", "7"]}"#;
    std::fs::write(dir.path().join("card.json"), classes).unwrap();
    let attack = |label| {
        run(&[
            "attack",
            text(&path),
            text(&image),
            "--label",
            label,
            "--steps",
            "1",
        ])
    };
    assert!(attack("6").status.success());
    let message = support::stderr(&attack("0"));
    assert!(
        message.contains("a name such as `5`, not its place") && !message.contains("a number from"),
        "{message}"
    );
}
