//! Models whose gradients or logits are not finite everywhere.

use buckler_attack::{
    AttackConfig, AttackKind, Evaluation, Flag, Limits, Samples, Status, Victim, accuracy,
    evaluate, flags,
};
use buckler_onnx::Model;
use buckler_runtime::Classifier;
use ndarray::Array4;

use crate::models::{Batch, Builder, numbers};
use crate::{CLASSES, RGB, images, loaded};

/// A linear model with something before and something after it.
fn model(before: impl Fn(&mut Builder), after: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(RGB, Batch::Any);
    let values = RGB.values();
    builder.floats("W", &[values, CLASSES], &numbers(values * CLASSES, 5));
    builder.floats("b", &[CLASSES], &[0.0; CLASSES]);
    before(&mut builder);
    builder.node("Flatten", &["pixels"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "z", &[]);
    after(&mut builder);
    builder.finish(&[CLASSES as i64])
}

fn pass(from: &'static str, to: &'static str) -> impl Fn(&mut Builder) {
    move |builder| builder.node("Identity", &[from], to, &[])
}

fn half_black(rows: usize) -> Array4<f32> {
    let mut images = images(rows, RGB, 3);
    for (index, value) in images.iter_mut().enumerate() {
        if index % 2 == 1 {
            *value = 0.0;
        }
    }
    images
}

/// With the classes that the model gives.
async fn labelled(classifier: &Classifier, images: Array4<f32>) -> Samples {
    let logits = classifier.logits(images.clone()).await.unwrap();
    let labels = logits.outer_iter().map(|row| {
        let best = (0..CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best.unwrap()
    });
    let labels = labels.collect();
    Samples::new(images, labels)
}

/// All attacks on the gradients that take little time, and random squares.
async fn all(classifier: &Classifier, samples: &Samples) -> Vec<(AttackKind, Evaluation)> {
    let mut evaluations = Vec::new();
    for attack in AttackKind::ALL {
        let steps = match attack {
            AttackKind::Spsa | AttackKind::Feature | AttackKind::AutoattackPlus => continue,
            AttackKind::Square => Some(100),
            AttackKind::Cw => Some(100),
            _ => None,
        };
        let config = AttackConfig {
            attack,
            eps: Some(
                if attack == AttackKind::Cw { "4" } else { "0.3" }
                    .parse()
                    .unwrap(),
            ),
            steps,
            ..AttackConfig::default()
        };
        let attack = config.validate(&Limits::for_input(RGB)).unwrap();
        let evaluation = evaluate(classifier, samples, &attack, 8, |_| ())
            .await
            .unwrap();
        evaluations.push((config.attack, evaluation));
    }
    evaluations
}

#[tokio::test]
async fn every_attack_breaks_a_model_behind_a_square_root_at_zero() {
    let root = |builder: &mut Builder| builder.node("Sqrt", &["image"], "pixels", &[]);
    let power = |builder: &mut Builder| {
        builder.floats("half", &[], &[0.5]);
        builder.node("Pow", &["image", "half"], "pixels", &[]);
    };
    for model in [
        model(root, pass("z", "logits")),
        model(power, pass("z", "logits")),
    ] {
        let classifier = loaded(&model);
        let samples = labelled(&classifier, half_black(6)).await;
        for (kind, evaluation) in all(&classifier, &samples).await {
            let left = evaluation.accuracy_under_attack;
            assert!(left < 0.5, "{kind} leaves {left}");
            let from_images = kind.needs_gradients() && kind != AttackKind::Square;
            if from_images && evaluation.non_finite_gradients > 0 {
                let raised = flags(&[&evaluation], CLASSES, None);
                let flagged = |flag: &Flag| matches!(flag, Flag::NonFiniteGradients { .. });
                assert!(raised.iter().any(flagged), "{kind}: {raised:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_class_masked_by_minus_infinity_is_never_chosen() {
    let mask = |builder: &mut Builder| {
        builder.floats("mask", &[CLASSES], &[0.0, 0.0, f32::NEG_INFINITY, 0.0]);
        builder.node("Add", &["z", "mask"], "logits", &[]);
    };
    let classifier = loaded(&model(pass("image", "pixels"), mask));
    let samples = labelled(&classifier, images(6, RGB, 3)).await;
    assert!(samples.labels.iter().all(|&label| label != 2));
    assert_eq!(accuracy(&classifier, &samples).await.unwrap(), 1.0);
    for (kind, evaluation) in all(&classifier, &samples).await {
        let left = evaluation.accuracy_under_attack;
        assert!(left < 0.5, "{kind} leaves {left}");
        for record in &evaluation.samples {
            assert!(record.loss.is_finite(), "{kind}");
            if record.outcome == Status::AdversarialFound {
                assert_eq!(record.demoted, None, "{kind}");
            }
        }
        assert_eq!(evaluation.non_finite_gradients, 0, "{kind}");
    }
}

#[tokio::test]
async fn log_probabilities_that_underflow_are_predicted_and_attacked() {
    let logarithm = |builder: &mut Builder| {
        builder.floats("scale", &[], &[50.0]);
        builder.node("Mul", &["z", "scale"], "scaled", &[]);
        builder.node("Softmax", &["scaled"], "p", &[]);
        builder.node("Log", &["p"], "logits", &[]);
    };
    let classifier = loaded(&model(pass("image", "pixels"), logarithm));
    let samples = labelled(&classifier, images(6, RGB, 3)).await;
    assert_eq!(accuracy(&classifier, &samples).await.unwrap(), 1.0);
    for (kind, evaluation) in all(&classifier, &samples).await {
        assert!(
            evaluation.samples.iter().all(|r| r.loss.is_finite()),
            "{kind}"
        );
        // Where the gradient is lost, that is said.
        let raised = flags(&[&evaluation], CLASSES, None);
        let said = |flag: &Flag| {
            matches!(
                flag,
                Flag::NonFiniteGradients { .. } | Flag::ZeroGradients { .. }
            )
        };
        let held = evaluation.accuracy_under_attack > 0.0;
        if held && kind.needs_gradients() {
            assert!(raised.iter().any(said), "{kind}: {raised:?}");
        }
    }
}
