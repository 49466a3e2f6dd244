//! A loaded model as a victim, on models made in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod batch;
mod certifier;
mod forms;
mod gradients;
mod hostile;
mod lanes;
mod loading;
mod masked;
#[path = "../models/mod.rs"]
mod models;
mod non_finite;
mod outputs;
mod probabilities;
mod queries;
mod sizes;

use buckler_attack::InputSpec;
use buckler_onnx::Model;
use buckler_runtime::{Classifier, LoadOptions};
use models::numbers;
use ndarray::Array4;

const GREY: InputSpec = InputSpec {
    channels: 1,
    height: 6,
    width: 5,
};
const RGB: InputSpec = InputSpec {
    channels: 3,
    height: 8,
    width: 8,
};
const CLASSES: usize = 4;

fn options() -> LoadOptions {
    LoadOptions {
        threads: 2,
        ..LoadOptions::default()
    }
}

fn loaded(model: &Model) -> Classifier {
    Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap()
}

fn images(rows: usize, input: InputSpec, seed: u64) -> Array4<f32> {
    let shape = (rows, input.channels, input.height, input.width);
    let values = numbers(rows * input.values(), seed)
        .iter()
        .map(|value| (value + 1.0) / 2.0)
        .collect();
    Array4::from_shape_vec(shape, values).unwrap()
}
