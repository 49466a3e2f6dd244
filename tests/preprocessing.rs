//! The pixels of a file are the same to every command: sizes, transparency, depth and grey.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../crates/runtime/tests/models/mod.rs"]
mod models;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use buckler_attack::InputSpec;
use buckler_onnx::{Color, Grey, Preprocessing, Resize};
use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};
use models::{Batch, card, linear, numbers};
use support::{buckler, failure, json, stderr, text};

const CLASSES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Pictures of other sizes and kinds than the model's, below `dir/val/CLASS`.
fn pictures(dir: &Path, grey: bool) {
    for (class, name) in CLASSES.iter().enumerate() {
        let folder = dir.join("val").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (index, (width, height)) in [(48, 16), (13, 40), (20, 12)].into_iter().enumerate() {
            let values = numbers(width * height * 4, (class * 10 + index) as u64 + 1);
            let value = |x: u32, y: u32, channel: usize| {
                (values[(y as usize * width + x as usize) * 4 + channel] + 1.0) / 2.0
            };
            let byte = |x, y, channel| (255.0 * value(x, y, channel)) as u8;
            let deep = |x, y, channel| (65535.0 * value(x, y, channel)) as u16;
            // Half of the pixels are transparent, with colours below.
            let alpha = |x, y| 255 * u8::from(value(x, y, 3) > 0.5);
            let (w, h) = (width as u32, height as u32);
            let picture: DynamicImage = match (grey, index) {
                (false, 0) => ImageBuffer::from_fn(w, h, |x, y| {
                    Rgb([byte(x, y, 0), byte(x, y, 1), byte(x, y, 2)])
                })
                .into(),
                (false, 1) => ImageBuffer::from_fn(w, h, |x, y| {
                    Rgba([byte(x, y, 0), byte(x, y, 1), byte(x, y, 2), alpha(x, y)])
                })
                .into(),
                (false, _) => ImageBuffer::from_fn(w, h, |x, y| {
                    Rgb([deep(x, y, 0), deep(x, y, 1), deep(x, y, 2)])
                })
                .into(),
                (true, 0) => ImageBuffer::from_fn(w, h, |x, y| Luma([byte(x, y, 0)])).into(),
                (true, 1) => {
                    ImageBuffer::from_fn(w, h, |x, y| LumaA([byte(x, y, 0), alpha(x, y)])).into()
                }
                (true, _) => ImageBuffer::from_fn(w, h, |x, y| Luma([deep(x, y, 0)])).into(),
            };
            picture.save(folder.join(format!("{index}.png"))).unwrap();
        }
    }
}

/// The class of every file, in the order of their paths, as `evaluate` and as `predict` see it.
fn seen(model: &Path, dir: &Path) -> (Vec<u64>, Vec<u64>) {
    let data = format!("folder:{}", text(dir));
    let evaluated = json(&[
        "evaluate",
        text(model),
        "--data",
        &data,
        "--eps",
        "0.001",
        "--steps",
        "1",
    ]);
    let files = evaluated["files"].as_array().unwrap();
    let samples = evaluated["evaluations"][0]["samples"].as_array().unwrap();
    let mut evaluated: Vec<(PathBuf, u64)> = files
        .iter()
        .zip(samples)
        .map(|(file, sample)| {
            let path = dir.join(file.as_str().unwrap());
            (path, sample["clean_prediction"].as_u64().unwrap())
        })
        .collect();
    evaluated.sort();
    let mut args = vec!["predict", text(model)];
    args.extend(evaluated.iter().map(|(path, _)| text(path)));
    let predicted = json(&args);
    let predicted = predicted["predictions"].as_array().unwrap();
    let predicted = predicted.iter().map(|row| row["class"].as_u64().unwrap());
    (
        evaluated.iter().map(|(_, class)| *class).collect(),
        predicted.collect(),
    )
}

#[test]
fn evaluate_and_predict_see_the_same_pixels_of_every_file() {
    let stretched = Preprocessing::default();
    let cropped = Preprocessing {
        resize: Resize::CenterCrop,
        crop_pct: 0.875,
        background: Color([255; 3]),
        grey: Grey::Refuse,
    };
    for (channels, height, width) in [(3, 16, 16), (1, 12, 20)] {
        let input = InputSpec {
            channels,
            height,
            width,
        };
        let dir = tempfile::tempdir().unwrap();
        pictures(dir.path(), channels == 1);
        let mut answers = Vec::new();
        for preprocessing in [None, Some(stretched.clone()), Some(cropped.clone())] {
            let weights = numbers(input.values() * CLASSES.len(), 5);
            let mut model = linear(input, &weights, &[0.0; 6], Batch::Any);
            let mut card = card("tiny", &CLASSES);
            card.input.preprocessing = preprocessing;
            model.set_card(&card).unwrap();
            let path = dir.path().join("model.onnx");
            model.write(&path).unwrap();
            let (evaluated, predicted) = seen(&path, dir.path());
            assert_eq!(evaluated.len(), 3 * CLASSES.len());
            assert_eq!(evaluated, predicted, "{channels} {height} {width}");
            answers.push(predicted);
        }
        assert_eq!(
            answers[0], answers[1],
            "what is assumed is what a card would state"
        );
        assert_ne!(
            answers[1], answers[2],
            "the pictures tell preprocessings apart"
        );
    }
}

/// A model of 16x16 and pictures for it.
fn setting(dir: &Path, channels: usize) -> PathBuf {
    pictures(dir, channels == 1);
    let input = InputSpec {
        channels,
        height: 16,
        width: 16,
    };
    let weights = numbers(input.values() * CLASSES.len(), 5);
    let mut model = linear(input, &weights, &[0.0; 6], Batch::Any);
    model.set_card(&card("tiny", &CLASSES)).unwrap();
    let path = dir.join("model.onnx");
    model.write(&path).unwrap();
    path
}

#[test]
fn evaluations_say_what_was_done_to_how_many_images_and_which_files_were_no_images() {
    let dir = tempfile::tempdir().unwrap();
    let model = setting(dir.path(), 3);
    fs::write(dir.path().join("val/a/scan.tif"), b"II*").unwrap();
    let data = format!("folder:{}", text(dir.path()));
    let noted = "6 of 18 images: transparent pixels were laid over #000000";
    for command in [
        vec![
            "evaluate",
            text(&model),
            "--data",
            &data,
            "--eps",
            "0.01",
            "--steps",
            "1",
        ],
        vec![
            "corruptions",
            text(&model),
            "--data",
            &data,
            "--only",
            "fog",
            "--severity",
            "1",
        ],
        vec!["certify", text(&model), "--data", &data, "--eps", "0.001"],
        vec![
            "certify",
            text(&model),
            "--data",
            &data,
            "--sigma",
            "0.1",
            "--n",
            "20",
            "--n0",
            "5",
        ],
    ] {
        let output = buckler().args(&command).arg("--json").output().unwrap();
        let (log, answer) = (stderr(&output), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{command:?}: {log}");
        assert!(answer.contains(noted), "{command:?}: {answer}");
        let left_out = "1 entry of the folder was left out";
        assert!(log.contains(left_out), "{command:?}: {log}");
        assert!(answer.contains(left_out), "{command:?}: {answer}");
    }
}

#[test]
fn grey_pictures_are_certified_and_corrupted_for_models_that_take_grey() {
    let dir = tempfile::tempdir().unwrap();
    let model = setting(dir.path(), 1);
    let data = format!("folder:{}", text(dir.path()));
    let of = |args: &[&str]| json(&[args, &["--data", &data]].concat())["images"].clone();
    assert_eq!(of(&["certify", text(&model), "--eps", "0.001"]), 18);
    assert_eq!(
        of(&[
            "corruptions",
            text(&model),
            "--only",
            "fog",
            "--severity",
            "1"
        ]),
        18
    );
}

#[test]
fn what_a_model_was_trained_on_is_what_it_is_served_with() {
    let dir = tempfile::tempdir().unwrap();
    pictures(dir.path(), false);
    fs::create_dir_all(dir.path().join("train")).unwrap();
    for class in CLASSES {
        let (from, to) = ["val", "train"]
            .map(|part| dir.path().join(part).join(class))
            .into();
        fs::create_dir_all(&to).unwrap();
        for index in 0..3 {
            let name = format!("{index}.png");
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
    let recipe = dir.path().join("folder.toml");
    let toml = r#"
        base = "digits-plain"
        name = "folder"
        image_size = [16, 24]
        training = { epochs = 30, batch_size = 4, images = 12 }
        validation = { images = 6 }
    "#;
    fs::write(&recipe, toml).unwrap();
    let data = format!("folder:{}", text(dir.path()));
    let (run, out) = (dir.path().join("run"), dir.path().join("model"));
    json(&["train", text(&recipe), "--data", &data, "--out", text(&run)]);
    json(&["export", text(&run), "--out", text(&out)]);
    let model = out.join("model.onnx");
    let (evaluated, predicted) = seen(&model, dir.path());
    assert_eq!(evaluated, predicted);
    let labels: Vec<u64> = (0..6).flat_map(|class| [class; 3]).collect();
    let right = evaluated
        .iter()
        .zip(&labels)
        .filter(|(a, b)| a == b)
        .count();
    assert!(
        right >= 10,
        "what was learnt by heart is recognised: {right} of 18"
    );
}

#[cfg(unix)]
#[test]
fn odd_names_and_odd_files_keep_no_answer_back() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

    let dir = tempfile::tempdir().unwrap();
    let model = setting(dir.path(), 3);
    let image = dir.path().join("val/a/0.png");
    let odd = dir.path().join(OsStr::from_bytes(b"bad\xff\xfename.png"));
    fs::copy(&image, &odd).unwrap();
    let pipe = dir.path().join("pipe.png");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for command in ["predict", "attack"] {
        let output = buckler()
            .args([command, text(&model)])
            .args([&image, &odd, &pipe])
            .arg("--json")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(answer.contains("bad\u{fffd}\u{fffd}name.png"), "{answer}");
        assert!(answer.contains("it is not an ordinary file"), "{answer}");
    }
    let large = dir.path().join("large.png");
    fs::File::create(&large).unwrap().set_len(1 << 34).unwrap();
    let error = failure(&["predict", text(&model), text(&large)], 1);
    assert!(error.contains("1 of 1 images could not be used"), "{error}");
}
