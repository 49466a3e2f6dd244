//! Classifiers on the real runtime, made from tiny models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod models;

use std::{fs, future::poll_fn, task::Poll};

use buckler_attack::{InputSpec, Objective, Victim, VictimError};
use buckler_onnx::{Card, Input, Model, differentiate};
use buckler_runtime::{Classifier, ImageLimits, LoadOptions, RuntimeError, encode_png};
use models::{Batch, brittle, card, linear, numbers, rounded, smooth_network};
use ndarray::{Array4, Axis, concatenate};

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

fn every_objective() -> Vec<Objective> {
    vec![
        Objective::CrossEntropy { label: 1 },
        Objective::TargetedCrossEntropy { target: 2 },
        Objective::Margin { label: 0 },
        Objective::TargetedMargin { target: 3 },
        Objective::Cotangent(vec![0.5, -1.0, 2.0, 0.25]),
    ]
}

/// The derivative of an objective with respect to the logits.
fn logit_gradient(objective: &Objective, logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
    let one = |class: usize, i: usize| f64::from(u8::from(class == i));
    let rival = |class: usize| {
        (0..logits.len())
            .filter(|&i| i != class)
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap()
    };
    (0..logits.len())
        .map(|i| {
            let probability = (logits[i] - largest).exp() / total;
            match objective {
                Objective::CrossEntropy { label } => probability - one(*label, i),
                Objective::TargetedCrossEntropy { target } => one(*target, i) - probability,
                Objective::Margin { label } => one(rival(*label), i) - one(*label, i),
                Objective::TargetedMargin { target } => one(*target, i) - one(rival(*target), i),
                Objective::Cotangent(values) => f64::from(values[i]),
            }
        })
        .collect()
}

#[tokio::test]
async fn a_linear_models_gradients_have_their_closed_form_for_every_objective() {
    let weights = numbers(GREY.values() * CLASSES, 3);
    let bias = numbers(CLASSES, 4);
    let classifier = loaded(&linear(GREY, &weights, &bias, Batch::Any));
    classifier.can_attack().unwrap();
    let images = images(5, GREY, 5);
    let answer = classifier
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    let forward = classifier.logits(images.clone()).await.unwrap();
    for (row, objective) in every_objective().iter().enumerate() {
        let pixels: Vec<f64> = images
            .index_axis(Axis(0), row)
            .iter()
            .map(|&x| x.into())
            .collect();
        let logits: Vec<f64> = (0..CLASSES)
            .map(|k| {
                let products = pixels
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * f64::from(weights[i * CLASSES + k]));
                f64::from(bias[k]) + products.sum::<f64>()
            })
            .collect();
        for (k, expected) in logits.iter().enumerate() {
            assert!((f64::from(answer.logits[[row, k]]) - expected).abs() < 1e-5);
            assert!((f64::from(forward[[row, k]]) - expected).abs() < 1e-5);
        }
        let rounded: Vec<f32> = logits.iter().map(|&z| z as f32).collect();
        let loss = f64::from(answer.loss[row]);
        assert!(
            (loss - objective.value(&rounded)).abs() < 1e-5,
            "{objective:?}: {loss}"
        );
        let slope = logit_gradient(objective, &logits);
        for (i, got) in answer.input.index_axis(Axis(0), row).iter().enumerate() {
            let expected: f64 = (0..CLASSES)
                .map(|k| slope[k] * f64::from(weights[i * CLASSES + k]))
                .sum();
            assert!(
                (f64::from(*got) - expected).abs() < 1e-5,
                "{objective:?}, pixel {i}: {got}, {expected}"
            );
        }
    }
}

#[tokio::test]
async fn a_convolutional_networks_gradients_agree_with_central_differences() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let rows = every_objective().len();
    let images = images(rows, RGB, 6);
    let answer = classifier
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    let step = 2e-3;
    for seed in 0..4 {
        // Along the signs of the gradient in some pixels, against them in others: a large derivative, a random direction.
        let direction =
            Array4::from_shape_vec(images.raw_dim(), numbers(images.len(), 10 + seed)).unwrap();
        let direction = direction.mapv(|value| if value < 0.5 { 1.0 } else { -1.0 })
            * answer.input.mapv(f32::signum);
        let above = classifier
            .logits(&images + &direction * step)
            .await
            .unwrap();
        let below = classifier
            .logits(&images - &direction * step)
            .await
            .unwrap();
        for (row, objective) in every_objective().iter().enumerate() {
            let value = |logits: &ndarray::Array2<f32>| objective.value(&logits.row(row).to_vec());
            let difference = (value(&above) - value(&below)) / (2.0 * f64::from(step));
            let (gradient, direction) = (
                answer.input.index_axis(Axis(0), row),
                direction.index_axis(Axis(0), row),
            );
            let derivative: f64 = gradient
                .iter()
                .zip(direction)
                .map(|(g, d)| f64::from(*g) * f64::from(*d))
                .sum();
            let error = (difference - derivative).abs();
            assert!(
                error < 0.01 * derivative.abs() + 1e-3,
                "{objective:?}: {difference}, {derivative}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_bitwise_the_same_alone_and_among_concurrent_callers() {
    for (model, input) in [
        (smooth_network(RGB, CLASSES, Batch::Any), RGB),
        (
            linear(
                GREY,
                &numbers(GREY.values() * CLASSES, 3),
                &numbers(CLASSES, 4),
                Batch::Any,
            ),
            GREY,
        ),
    ] {
        let classifier = loaded(&model);
        let objective = |row: usize| every_objective()[row % 5].clone();
        let mut alone = Vec::new();
        for row in 0..40 {
            let image = images(1, input, 100 + row as u64);
            let gradient = classifier
                .gradient(image.clone(), vec![objective(row)])
                .await
                .unwrap();
            alone.push((classifier.logits(image).await.unwrap(), gradient));
        }
        // All at once, by one, two or three rows each.
        let mut callers = tokio::task::JoinSet::new();
        let mut start = 0;
        while start < 40 {
            let rows: Vec<usize> = (start..40.min(start + 1 + start % 3)).collect();
            start = rows.last().unwrap() + 1;
            let classifier = classifier.clone();
            callers.spawn(async move {
                let parts: Vec<_> = rows
                    .iter()
                    .map(|&row| images(1, input, 100 + row as u64))
                    .collect();
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                let batch = concatenate(Axis(0), &views).unwrap();
                let objectives = rows.iter().map(|&row| objective(row)).collect();
                let (logits, gradient) = tokio::join!(
                    classifier.logits(batch.clone()),
                    classifier.gradient(batch, objectives)
                );
                (rows, logits.unwrap(), gradient.unwrap())
            });
        }
        while let Some(answer) = callers.join_next().await {
            let (rows, logits, gradient) = answer.unwrap();
            for (place, row) in rows.into_iter().enumerate() {
                let (logits_alone, alone) = &alone[row];
                assert_eq!(logits.row(place), logits_alone.row(0));
                assert_eq!(gradient.logits.row(place), alone.logits.row(0));
                assert_eq!(gradient.loss[place], alone.loss[0]);
                assert_eq!(
                    gradient.input.index_axis(Axis(0), place),
                    alone.input.index_axis(Axis(0), 0)
                );
            }
        }
    }
}

#[tokio::test]
async fn a_model_with_a_fixed_batch_answers_any_number_of_rows() {
    let weights = numbers(GREY.values() * CLASSES, 3);
    let free = loaded(&linear(GREY, &weights, &[0.0; CLASSES], Batch::Any));
    let images = images(5, GREY, 7);
    let expected = free
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    for size in [1, 3] {
        let fixed = loaded(&linear(GREY, &weights, &[0.0; CLASSES], Batch::Fixed(size)));
        fixed.can_attack().unwrap();
        let got = fixed
            .gradient(images.clone(), every_objective())
            .await
            .unwrap();
        assert!(
            (&got.input - &expected.input)
                .iter()
                .all(|difference| difference.abs() < 1e-6)
        );
        let logits = fixed.logits(images.clone()).await.unwrap();
        assert!(
            (&logits - &expected.logits)
                .iter()
                .all(|difference| difference.abs() < 1e-6)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawn_queries_leave_no_trace() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let expected = classifier.logits(images(2, RGB, 1)).await.unwrap();
    for _ in 0..50 {
        let mut query = Box::pin(classifier.logits(images(64, RGB, 2)));
        poll_fn(|context| Poll::Ready(query.as_mut().poll(context).is_ready())).await;
    }
    assert_eq!(
        classifier.logits(images(2, RGB, 1)).await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn a_failing_run_is_an_error_and_the_next_one_works() {
    let classifier = loaded(&brittle(GREY));
    let mut poison = images(1, GREY, 1);
    poison[[0, 0, 0, 0]] = 7.0;
    for _ in 0..3 {
        let error = classifier.logits(poison.clone()).await.unwrap_err();
        assert!(matches!(error, VictimError::Runtime(_)), "{error}");
        assert_eq!(
            classifier.logits(images(2, GREY, 1)).await.unwrap().dim(),
            (2, 3)
        );
    }
}

#[tokio::test]
async fn queries_that_do_not_fit_are_refused_by_name() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let gradient = |objective| classifier.gradient(images(1, RGB, 1), vec![objective]);
    for (error, part) in [
        (
            classifier.logits(images(1, GREY, 1)).await.unwrap_err(),
            "[any, 3, 8, 8]",
        ),
        (
            gradient(Objective::Margin { label: CLASSES })
                .await
                .unwrap_err(),
            "below 4",
        ),
        (
            gradient(Objective::Cotangent(vec![1.0])).await.unwrap_err(),
            "4 classes",
        ),
        (
            classifier
                .gradient(images(2, RGB, 1), vec![])
                .await
                .unwrap_err(),
            "one per image, 2",
        ),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let none = classifier
        .gradient(images(0, RGB, 1), vec![])
        .await
        .unwrap();
    assert_eq!(
        (none.logits.dim(), none.input.dim()),
        ((0, CLASSES), (0, 3, 8, 8))
    );
    assert_eq!(
        classifier.logits(images(0, RGB, 1)).await.unwrap().dim(),
        (0, CLASSES)
    );
}

#[tokio::test]
async fn a_model_without_gradient_predicts_and_says_why_it_cannot_be_attacked() {
    let classifier = loaded(&rounded(GREY));
    assert_eq!(
        classifier.logits(images(2, GREY, 1)).await.unwrap().dim(),
        (2, 3)
    );
    assert!(classifier.can_attack().unwrap_err().contains("Round"));
    let query = classifier.gradient(images(1, GREY, 1), vec![Objective::Margin { label: 0 }]);
    assert!(
        matches!(query.await.unwrap_err(), VictimError::NoGradient(reason) if reason.contains("Round"))
    );
}

#[test]
fn what_is_no_classifier_is_refused_by_what_it_is() {
    let mut builder = models::Builder::new(GREY, Batch::Any);
    builder.node("Identity", &["image"], "logits", &[]);
    let identity = builder.finish(&[1, 6, 5]);
    let load = |bytes: &[u8]| Classifier::from_bytes(bytes, None, &options()).unwrap_err();
    let message = load(&identity.to_bytes()).to_string();
    assert!(
        message.contains("[batch, classes]") && message.contains("[1, 1, 6, 5]"),
        "{message}"
    );
    assert!(matches!(load(b"not a model"), RuntimeError::Onnx(_)));
    assert!(matches!(load(b""), RuntimeError::Onnx(_)));
}

#[test]
fn names_come_from_the_card_and_what_is_missing_is_assumed_openly() {
    let mut model = linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any);
    let bare = loaded(&model);
    assert_eq!(bare.class_names(), ["0", "1", "2"]);
    assert_eq!(bare.assumptions().len(), 2);
    model
        .set_card(&card("tiny", &["ant", "bee", "cat"]))
        .unwrap();
    let named = loaded(&model);
    assert_eq!(named.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(
        (named.assumptions().len(), named.card().name.as_str()),
        (0, "tiny")
    );
    assert_ne!(named.sha256(), bare.sha256());
    for wrong in [
        card("tiny", &["ant"]),
        Card {
            input: Input {
                channels: 1,
                height: 28,
                width: 28,
                ..Input::default()
            },
            ..card("tiny", &[])
        },
    ] {
        model.set_card(&wrong).unwrap();
        let error = Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap_err();
        assert!(error.to_string().contains("card"), "{error}");
    }
}

#[tokio::test]
async fn files_beside_the_model_are_used_unless_they_belong_to_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.onnx");
    let weights = numbers(GREY.values() * 3, 1);
    let model = linear(GREY, &weights, &[0.0; 3], Batch::Any);
    model.write(&path).unwrap();
    card("beside", &["x", "y", "z"])
        .write(directory.path().join("card.json"))
        .unwrap();
    let other = linear(GREY, &numbers(GREY.values() * 3, 2), &[0.0; 3], Batch::Any);
    let mut gradients = Vec::new();
    for gradient in [
        None,
        Some(differentiate(&model).unwrap().to_bytes()),
        Some(differentiate(&other).unwrap().to_bytes()),
        Some(model.to_bytes()),
        Some(b"damaged".to_vec()),
    ] {
        if let Some(bytes) = gradient {
            fs::write(directory.path().join("gradient.onnx"), bytes).unwrap();
        }
        let classifier = Classifier::load(&path, &options()).unwrap();
        assert_eq!(classifier.class_names(), ["x", "y", "z"]);
        let answer = classifier.gradient(images(1, GREY, 1), vec![Objective::Margin { label: 0 }]);
        gradients.push(answer.await.unwrap().input);
    }
    assert!(gradients.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_classifier_ends_its_threads_with_queries_waiting() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let classifier = classifier.clone();
        callers.spawn(async move { classifier.logits(images(16, RGB, 1)).await.map(|_| ()) });
    }
    drop(classifier);
    callers.abort_all();
    while callers.join_next().await.is_some() {}
}

#[test]
fn images_are_decoded_as_the_model_takes_them() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let pixels = images(1, RGB, 1)
        .index_axis_move(Axis(0), 0)
        .mapv(|value| (value * 255.0).round() / 255.0);
    let png = encode_png(pixels.view()).unwrap();
    assert_eq!(
        classifier.decode(&png, &ImageLimits::default()).unwrap(),
        pixels
    );
}

#[test]
fn the_library_is_found_once_and_told() {
    let first = buckler_runtime::init().unwrap();
    assert!(first.path.is_file());
    assert!(first.version.is_some());
    assert!(std::ptr::eq(first, buckler_runtime::init().unwrap()));
}
