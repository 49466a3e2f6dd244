use std::path::Path;

use buckler_attack::{Attack, Epsilon, Norm, ObjectiveKind, Pgd, Samples, Status, Threat, Victim};
use buckler_onnx::{Bounding, Model, Normalization};
use buckler_runtime::{Certifier, Classifier, LoadOptions, RuntimeError};
use ndarray::{Array2, Array4, Axis};

use crate::models::{Batch, Builder, linear, numbers, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded, options};

const METHODS: [Bounding; 3] = [Bounding::Ibp, Bounding::CrownIbp, Bounding::Crown];

/// Convolutions with rectifiers between them, a residual block, a max pool, and a normalization by batch statistics.
fn rectified(batch: Batch) -> Model {
    let mut builder = Builder::new(RGB, batch);
    let scaled =
        |values: Vec<f32>, by: f32| -> Vec<f32> { values.iter().map(|v| v * by).collect() };
    builder.floats("K1", &[6, 3, 3, 3], &scaled(numbers(162, 1), 0.4));
    builder.floats("k1", &[6], &numbers(6, 2));
    builder.floats("K2", &[6, 6, 3, 3], &scaled(numbers(324, 3), 0.3));
    for (name, seed) in [("scale", 4), ("shift", 5), ("mean", 6)] {
        builder.floats(name, &[6], &numbers(6, seed));
    }
    let variance: Vec<f32> = numbers(6, 7).iter().map(|v| v + 1.5).collect();
    builder.floats("variance", &[6], &variance);
    builder.floats(
        "W",
        &[6 * 16, CLASSES],
        &scaled(numbers(96 * CLASSES, 8), 0.3),
    );
    builder.floats("b", &[CLASSES], &numbers(CLASSES, 9));
    let pads: (&str, &[i64]) = ("pads", &[1, 1, 1, 1]);
    builder.node("Conv", &["image", "K1", "k1"], "c1", &[pads]);
    builder.node("Relu", &["c1"], "r1", &[]);
    builder.node("Conv", &["r1", "K2"], "c2", &[pads]);
    builder.node(
        "BatchNormalization",
        &["c2", "scale", "shift", "mean", "variance"],
        "n2",
        &[],
    );
    builder.node("Relu", &["n2"], "r2", &[]);
    builder.node("Add", &["r1", "r2"], "s2", &[]);
    let window: [(&str, &[i64]); 2] = [("kernel_shape", &[2, 2]), ("strides", &[2, 2])];
    builder.node("MaxPool", &["s2"], "p2", &window);
    builder.node("Flatten", &["p2"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "logits", &[]);
    builder.finish(&[CLASSES as i64])
}

fn certifier(model: &Model, method: Bounding) -> Certifier {
    Certifier::from_bytes(&model.to_bytes(), &options(), method).unwrap()
}

fn ends(images: &Array4<f32>, epsilon: f32) -> [Array4<f32>; 2] {
    [-epsilon, epsilon].map(|step| images.mapv(|pixel| (pixel + step).clamp(0.0, 1.0)))
}

fn certified(margins: &Array2<f32>, labels: &[usize]) -> Vec<bool> {
    let rows = margins.outer_iter().zip(labels);
    rows.map(|(row, label)| {
        let others = row.iter().enumerate().filter(|(class, _)| class != label);
        others.into_iter().all(|(_, margin)| *margin > 0.0)
    })
    .collect()
}

async fn predictions(classifier: &Classifier, images: &Array4<f32>) -> Vec<usize> {
    let logits = classifier.logits(images.clone()).await.unwrap();
    let best = |row: ndarray::ArrayView1<'_, f32>| {
        (0..row.len())
            .max_by(|&a, &b| row[a].total_cmp(&row[b]))
            .unwrap()
    };
    logits.outer_iter().map(best).collect()
}

/// How many images are certified within epsilon; none of them has an adversarial there that can be found.
async fn attacked(
    classifier: &Classifier,
    certifier: &Certifier,
    images: Array4<f32>,
    epsilon: f32,
) -> usize {
    let labels = predictions(classifier, &images).await;
    let [lower, upper] = ends(&images, epsilon);
    let margins = certifier.margins(lower, upper, &labels).await.unwrap();
    let certified = certified(&margins, &labels);
    let threat = Threat {
        norm: Norm::Linf,
        epsilon: Epsilon::new(epsilon).unwrap(),
    };
    let attack = Pgd {
        steps: 30,
        restarts: 2,
        objective: ObjectiveKind::Margin,
        ..Pgd::new(threat)
    };
    let samples = Samples::new(images, labels);
    let outcomes = attack.run(classifier, &samples, &()).await.unwrap();
    for (outcome, certified) in outcomes.iter().zip(&certified) {
        assert!(
            !certified || outcome.status == Status::NotFound,
            "{:?} within {epsilon}, which was certified",
            outcome.status
        );
    }
    certified.iter().filter(|certified| **certified).count()
}

#[tokio::test]
async fn what_is_certified_withstands_attacks() {
    let rows = 24;
    for model in [
        rectified(Batch::Any),
        smooth_network(RGB, CLASSES, Batch::Any),
    ] {
        let classifier = loaded(&model);
        for method in METHODS {
            let certifier = certifier(&model, method);
            let mut counts = Vec::new();
            for epsilon in [0.0005, 0.01, 0.1] {
                counts.push(attacked(&classifier, &certifier, images(rows, RGB, 5), epsilon).await);
            }
            // Neither all nor nothing, so that there is something to attack.
            assert!(
                counts[0] > rows / 2 && counts[2] < rows,
                "{method:?}: {counts:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_model_of_the_repository_with_normalised_features_withstands_attacks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mnist-he/1/model.onnx");
    let classifier = Classifier::load(&path, &options()).unwrap();
    let certifier = Certifier::load(&path, &options(), Bounding::CrownIbp).unwrap();
    assert!(certifier.unnormalised() && certifier.method() == Bounding::CrownIbp);
    assert_eq!(
        (certifier.classes(), certifier.input()),
        (10, classifier.input())
    );
    // Bars of several widths, much like ones.
    let bars = Array4::from_shape_fn((12, 1, 28, 28), |(row, _, y, x)| {
        let inside = (4..24).contains(&y) && (11..14 + row / 3).contains(&x);
        if inside { 1.0 } else { 0.0 }
    });
    let count = attacked(&classifier, &certifier, bars, 0.001).await;
    assert!(count > 0);
}

#[tokio::test]
async fn bounds_of_a_point_are_the_margins_there() {
    for model in [
        rectified(Batch::Any),
        smooth_network(RGB, CLASSES, Batch::Any),
        linear(
            RGB,
            &numbers(RGB.values() * 3, 1),
            &[0.1, 0.2, 0.3],
            Batch::Any,
        ),
    ] {
        let images = images(5, RGB, 3);
        let logits = loaded(&model).logits(images.clone()).await.unwrap();
        let labels = [0, 1, 2, 1, 0];
        for method in METHODS {
            let certifier = certifier(&model, method);
            let margins = certifier
                .margins(images.clone(), images.clone(), &labels)
                .await
                .unwrap();
            for ((row, class), margin) in margins.indexed_iter() {
                let expected = logits[[row, labels[row]]] - logits[[row, class]];
                assert!(
                    (margin - expected).abs() < 0.1,
                    "{method:?}: {margin} {expected}"
                );
                assert!(
                    *margin <= expected || class == labels[row],
                    "{method:?}: {margin} {expected}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_batch_is_freed_and_normalisation_outside_is_that_inside() {
    let images = images(6, RGB, 3);
    let [lower, upper] = ends(&images, 0.01);
    let labels = [0, 1, 2, 3, 1, 0];
    let normalization = Normalization {
        mean: vec![0.5, 0.4, 0.3],
        std: vec![0.2, 0.25, 0.3],
    };
    let outside = LoadOptions {
        normalization: Some(normalization.clone()),
        ..options()
    };
    let mut bounds = Vec::new();
    for batch in [Batch::Any, Batch::Fixed(1)] {
        let bytes = rectified(batch).to_bytes();
        let certifier = Certifier::from_bytes(&bytes, &outside, Bounding::CrownIbp).unwrap();
        bounds.push(
            certifier
                .margins(lower.clone(), upper.clone(), &labels)
                .await
                .unwrap(),
        );
    }
    let normalised = |images: &Array4<f32>| {
        let mut images = images.clone();
        for (channel, (mean, std)) in normalization
            .mean
            .iter()
            .zip(&normalization.std)
            .enumerate()
        {
            let mut plane = images.index_axis_mut(Axis(1), channel);
            plane.mapv_inplace(|pixel| (pixel - mean) / std);
        }
        images
    };
    let plain = certifier(&rectified(Batch::Any), Bounding::CrownIbp);
    bounds.push(
        plain
            .margins(normalised(&lower), normalised(&upper), &labels)
            .await
            .unwrap(),
    );
    for other in &bounds[1..] {
        for (a, b) in bounds[0].iter().zip(other) {
            assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{a} {b}");
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let certifier = certifier(
        &linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any),
        Bounding::Ibp,
    );
    let image = || images(2, GREY, 1);
    let refused = async |lower: Array4<f32>, upper: Array4<f32>, labels: &[usize], word: &str| {
        let error = certifier.margins(lower, upper, labels).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    };
    refused(image(), images(2, RGB, 1), &[0, 1], "upper").await;
    refused(image(), image(), &[0], "one per image").await;
    refused(image(), image(), &[0, 3], "below 3").await;
    refused(image(), image() - 0.1, &[0, 1], "at most the upper").await;
    refused(image() * f32::NAN, image(), &[0, 1], "finite").await;
    let none = certifier
        .margins(images(0, GREY, 1), images(0, GREY, 1), &[])
        .await
        .unwrap();
    assert_eq!(none.dim(), (0, 3));

    let rounded = crate::models::rounded(GREY);
    let error = Certifier::from_bytes(&rounded.to_bytes(), &options(), Bounding::Ibp).unwrap_err();
    assert!(
        matches!(&error, RuntimeError::Onnx(_)) && error.to_string().contains("Round"),
        "{error}"
    );
}
