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
use support::{json, text};

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
