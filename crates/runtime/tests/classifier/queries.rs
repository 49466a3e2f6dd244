use std::{future::poll_fn, task::Poll};

use crate::models::{Batch, Builder, brittle, linear, numbers, rounded, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded};
use buckler_attack::{Objective, Victim, VictimError};
use ndarray::Axis;

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
            "each class, 4",
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
async fn pixels_that_noise_took_out_of_the_box_are_answered_as_they_are() {
    let weights = numbers(GREY.values() * CLASSES, 3);
    let classifier = loaded(&linear(GREY, &weights, &[0.0; CLASSES], Batch::Any));
    let images = images(2, GREY, 1);
    let inside = classifier.logits(images.clone()).await.unwrap();
    let outside = classifier.logits(images * -2.5).await.unwrap();
    for (inside, outside) in inside.iter().zip(&outside) {
        assert!((inside * -2.5 - outside).abs() < 1e-4);
    }
}

#[tokio::test]
async fn features_are_those_whose_distance_is_told_and_come_with_gradients_alone() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    assert_eq!(classifier.features(), Some(32));
    let images = images(5, RGB, 1);
    let features = classifier.features_of(images.clone()).await.unwrap();
    assert_eq!(features.dim(), (5, 32));
    // The logits are what the last layer, W2 and b2, makes of them.
    let (weights, bias) = (numbers(32 * CLASSES, 7), numbers(CLASSES, 8));
    let weights = ndarray::Array2::from_shape_vec((32, CLASSES), weights).unwrap();
    let logits = classifier.logits(images.clone()).await.unwrap();
    let expected = features.dot(&weights) + &ndarray::Array1::from(bias);
    for (logit, expected) in logits.iter().zip(&expected) {
        assert!((logit - expected).abs() < 1e-4, "{logit} {expected}");
    }
    let source = features.row(0).to_vec();
    let objectives = vec![Objective::FeatureDistance(source.clone()); 5];
    let answer = classifier.gradient(images.clone(), objectives);
    let answer = answer.await.unwrap();
    let length = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (row, loss) in features.outer_iter().zip(&answer.loss) {
        let row = row.to_vec();
        let product: f32 = row.iter().zip(&source).map(|(a, b)| a * b).sum();
        let distance = 1.0 - product / (length(&row) * length(&source));
        assert!((loss - distance).abs() < 1e-5, "{loss} {distance}");
    }
    let one = classifier.features_of(images.select(Axis(0), &[3]));
    assert_eq!(one.await.unwrap().row(0), features.row(3));
    let none = crate::images(0, RGB, 1);
    assert_eq!(classifier.features_of(none).await.unwrap().dim(), (0, 32));
    let other = classifier.features_of(crate::images(1, GREY, 1)).await;
    assert!(matches!(other, Err(VictimError::Query { .. })));
}

#[tokio::test]
async fn without_features_or_gradients_there_are_none_to_be_had() {
    // One convolution as large as the image: there is no linear layer with something before it.
    let mut builder = Builder::new(GREY, Batch::Any);
    let weights = numbers(GREY.values() * CLASSES, 3);
    builder.floats("K", &[CLASSES, 1, GREY.height, GREY.width], &weights);
    builder.node("Conv", &["image", "K"], "c", &[]);
    builder.node("Flatten", &["c"], "logits", &[]);
    let bare = loaded(&builder.finish(&[CLASSES as i64]));
    bare.can_attack().unwrap();
    let rounded = loaded(&rounded(GREY));
    for (classifier, reason) in [(bare, "no features"), (rounded, "Round")] {
        let answer = classifier.features_of(images(1, GREY, 1)).await;
        let message = answer.unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
        assert_eq!(classifier.features(), None);
    }
}
