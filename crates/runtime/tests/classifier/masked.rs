//! Models that only seem robust are flagged, not praised.

use buckler_attack::{
    Attack, Evaluation, Flag, Norm, Pgd, Samples, Square, Threat, Victim, evaluate, flags, probe,
};
use buckler_onnx::Model;
use buckler_runtime::Classifier;

use crate::models::{Batch, Builder, numbers};
use crate::{RGB, images, loaded};

const CLASSES: usize = 4;

/// A linear model with something in front of it and something behind.
fn model(front: impl Fn(&mut Builder), back: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(RGB, Batch::Any);
    let values = RGB.values();
    builder.floats("W", &[values, CLASSES], &numbers(values * CLASSES, 5));
    builder.floats("b", &[CLASSES], &[0.0; CLASSES]);
    front(&mut builder);
    builder.node("Flatten", &["pixels"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "z", &[]);
    back(&mut builder);
    builder.finish(&[CLASSES as i64])
}

fn pass(from: &'static str, to: &'static str) -> impl Fn(&mut Builder) {
    move |builder| builder.node("Identity", &[from], to, &[])
}

async fn samples(classifier: &Classifier) -> Samples {
    let images = images(24, RGB, 3);
    let logits = classifier.logits(images.clone()).await.unwrap();
    let labels = logits.outer_iter().map(|row| {
        let best = (0..CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best.unwrap()
    });
    let labels = labels.collect();
    Samples::new(images, labels)
}

fn threat(eps: &str) -> Threat {
    Threat {
        norm: Norm::Linf,
        epsilon: eps.parse().unwrap(),
    }
}

async fn run(classifier: &Classifier, samples: &Samples, attack: &impl Attack) -> Evaluation {
    evaluate(classifier, samples, attack, 64, |_| ())
        .await
        .unwrap()
}

fn square(eps: &str) -> Square {
    Square {
        queries: 200,
        ..Square::new(threat(eps))
    }
}

/// What is flagged, beside that `square` has few queries here.
fn raised(evaluations: &[&Evaluation], no_gradient: Option<&str>) -> Vec<Flag> {
    let mut raised = flags(evaluations, CLASSES, no_gradient);
    raised.retain(|flag| !matches!(flag, Flag::WeakerThanDefault { .. }));
    raised
}

#[tokio::test]
async fn the_same_model_without_a_mask_raises_no_flag() {
    let classifier = loaded(&model(pass("image", "pixels"), pass("z", "logits")));
    let samples = samples(&classifier).await;
    assert_eq!(probe(&classifier, &samples, true).await.unwrap(), vec![]);
    let pgd = run(&classifier, &samples, &Pgd::new(threat("0.05"))).await;
    let square = run(&classifier, &samples, &square("0.05")).await;
    assert_eq!(raised(&[&pgd, &square], None), vec![]);
}

#[tokio::test]
async fn scaled_logits_are_flagged_for_their_vanished_gradients() {
    let scale = |builder: &mut Builder| {
        builder.floats("scale", &[], &[1000.0]);
        builder.node("Mul", &["z", "scale"], "logits", &[]);
    };
    let classifier = loaded(&model(pass("image", "pixels"), scale));
    let samples = samples(&classifier).await;
    let pgd = run(&classifier, &samples, &Pgd::new(threat("0.05"))).await;
    let square = run(&classifier, &samples, &square("0.05")).await;
    assert!(pgd.accuracy_under_attack > square.accuracy_under_attack);
    let raised = raised(&[&pgd, &square], None);
    assert!(
        matches!(
            raised[..],
            [Flag::ZeroGradients { .. }, Flag::GradientMasking { .. }]
        ),
        "{raised:?}"
    );
}

#[tokio::test]
async fn a_quantised_input_has_no_gradient_and_its_report_says_so() {
    let quantise = |builder: &mut Builder| {
        builder.floats("levels", &[], &[15.0]);
        builder.node("Mul", &["image", "levels"], "up", &[]);
        builder.node("Round", &["up"], "rounded", &[]);
        builder.node("Div", &["rounded", "levels"], "pixels", &[]);
    };
    let classifier = loaded(&model(quantise, pass("z", "logits")));
    let reason = classifier.can_attack().unwrap_err();
    assert!(reason.contains("(Round)"), "{reason}");
    let samples = samples(&classifier).await;
    let square = run(&classifier, &samples, &square("0.1")).await;
    assert!(square.accuracy_under_attack < 0.5);
    let raised = raised(&[&square], Some(reason));
    assert_eq!(raised.len(), 1);
    assert!(raised[0].to_string().contains("(Round)"), "{}", raised[0]);
}

#[tokio::test]
async fn a_random_layer_is_attacked_all_the_same_and_flagged() {
    let noise = |builder: &mut Builder| {
        builder.floats("deviation", &[], &[0.02]);
        builder.node("RandomNormalLike", &["image"], "normal", &[]);
        builder.node("Mul", &["normal", "deviation"], "noise", &[]);
        builder.node("Add", &["image", "noise"], "pixels", &[]);
    };
    let classifier = loaded(&model(noise, pass("z", "logits")));
    assert_eq!(classifier.can_attack(), Ok(()));
    let samples = samples(&classifier).await;
    let raised = probe(&classifier, &samples, true).await.unwrap();
    assert!(
        matches!(
            raised[..],
            [Flag::Randomised {
                differing: 24,
                images: 24
            }]
        ),
        "{raised:?}"
    );
    let pgd = run(&classifier, &samples, &Pgd::new(threat("0.2"))).await;
    assert!(pgd.accuracy_under_attack < 0.2);
}
