use std::{future::poll_fn, task::Poll};

use crate::models::{Batch, brittle, linear, numbers, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded};
use buckler_attack::{Objective, Victim, VictimError};

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
