//! Extreme logits: what one objective cannot represent must not spoil another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{Error, Model, differentiate};
use reference::{
    net::{Net, Query},
    tensor::Tensor,
};

/// A model whose logits are its image.
fn pixels(classes: usize) -> Model {
    let mut net = Net::new([2, 1, 1, classes], 1);
    let logits = net.op("Flatten", &["image"], []);
    net.finish(&logits, None)
}

fn ask(logits: &[f64], label: usize, objective: [f64; 2], cotangent: &[f64]) -> (f64, Vec<f64>) {
    let classes = logits.len();
    let query = Query {
        labels: vec![label as f64],
        objectives: Tensor::new(&[1, 2], objective.to_vec()),
        cotangent: Tensor::new(&[1, classes], cotangent.to_vec()),
    };
    let image = Tensor::new(&[1, 1, 1, classes], logits.to_vec());
    let (loss, gradient, _) = query.ask(&differentiate(&pixels(classes)).unwrap(), &image);
    (loss.data[0], gradient.data)
}

#[test]
fn a_weight_of_zero_silences_an_infinite_term() {
    for (logits, label) in [
        ([f64::INFINITY, 0.0, 1.0], 1),
        ([f64::NEG_INFINITY, 0.0, 1.0], 0),
        ([1e308, -1e308, 0.0], 1),
    ] {
        let (loss, gradient) = ask(&logits, label, [0.0, 0.0], &[0.0, 0.0, 0.0]);
        assert_eq!((loss, gradient), (0.0, vec![0.0; 3]), "{logits:?}");
    }
    let (loss, gradient) = ask(&[f64::INFINITY, 2.0, 1.0], 1, [0.0, 0.0], &[0.0, 1.0, -1.0]);
    assert_eq!((loss, gradient), (1.0, vec![0.0, 1.0, -1.0]));
}

#[test]
fn two_classes_have_a_margin() {
    let (loss, gradient) = ask(&[3.0, 1.0], 0, [0.0, 1.0], &[0.0, 0.0]);
    assert_eq!((loss, gradient), (-2.0, vec![-1.0, 1.0]));
    let (loss, gradient) = ask(&[3.0, 1.0], 1, [0.0, -1.0], &[0.0, 0.0]);
    assert_eq!((loss, gradient), (-2.0, vec![-1.0, 1.0]));
}

#[test]
fn cross_entropy_is_stable_for_large_logits() {
    let (loss, gradient) = ask(&[1000.0, -1000.0], 1, [1.0, 0.0], &[0.0, 0.0]);
    assert_eq!((loss, gradient), (2000.0, vec![1.0, -1.0]));
}

#[test]
fn equal_best_classes_give_the_margin_to_the_first() {
    let (loss, gradient) = ask(&[0.0, 2.0, 2.0], 0, [0.0, 1.0], &[0.0; 3]);
    assert_eq!((loss, gradient), (2.0, vec![-1.0, 1.0, 0.0]));
}

#[test]
fn a_single_class_is_refused() {
    let error = differentiate(&pixels(1)).unwrap_err();
    assert!(
        matches!(&error, Error::Interface(reason) if reason.contains("1 classes")),
        "{error}"
    );
}
