//! The imported network against ONNX Runtime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use buckler_attack::Victim;
use buckler_import::Model;
use buckler_runtime::{Classifier, LoadOptions};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array4;

#[tokio::test]
async fn an_exported_model_comes_back_into_burn_with_the_same_logits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mnist-he/1/model.onnx");
    let classifier = Classifier::load(&path, &LoadOptions::default()).unwrap();
    let images = Array4::from_shape_fn((5, 1, 28, 28), |(n, _, y, x)| {
        ((n * 31 + y * 7 + x * 3) % 17) as f32 / 16.0
    });
    let expected = classifier.logits(images.clone()).await.unwrap();

    let device = Device::flex();
    let model = Model::from_embedded(&device);
    let data = TensorData::new(images.into_raw_vec_and_offset().0, [5, 1, 28, 28]);
    let logits = model.forward(Tensor::from_data(data, &device));
    let logits: Vec<f32> = logits.into_data().to_vec().unwrap();
    assert_eq!(logits.len(), expected.len());
    for (found, expected) in logits.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    }
}
