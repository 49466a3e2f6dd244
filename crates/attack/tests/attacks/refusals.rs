//! Samples and victims that cannot be attacked.

use buckler_attack::{
    Attack, AttackError, Gradient, InputSpec, Norm, Objective, Pgd, SampleError, Samples, Status,
    Victim, VictimError,
};
use ndarray::{Array2, Array4};

use crate::support::{Counted, Linear, Network, SMALL, images, labelled, smooth, threat};

async fn refusal(samples: Samples) -> String {
    let (victim, _) = smooth(0);
    let error = Pgd::new(threat(Norm::Linf, 0.1))
        .run(&victim, &samples, &())
        .await
        .unwrap_err();
    assert!(matches!(error, AttackError::Samples(_)));
    assert_eq!((victim.forwards(), victim.gradients()), (0, 0));
    error.to_string()
}

#[tokio::test]
async fn samples_that_do_not_fit_are_refused_before_any_query() {
    let (_, good) = smooth(3);
    let label = good.labels[1];
    let mut labels = good.labels.clone();
    labels[1] = 4;
    let mut targets: Vec<usize> = good.labels.iter().map(|l| (l + 1) % 4).collect();
    targets[1] = label;
    let with_value = |value| {
        let mut samples = good.clone();
        samples.images[[2, 0, 1, 1]] = value;
        samples
    };
    let wide = Samples::new(Array4::zeros((1, 3, 4, 5)), vec![0]);
    for (samples, parts) in [
        (wide, ["[3, 4, 5]", "[3, 4, 4]", "resize"]),
        (
            Samples {
                labels,
                ..good.clone()
            },
            ["image 1", "label 4", "use 0 to 3"],
        ),
        (
            good.clone().with_targets(vec![9; 3]),
            ["image 0", "target 9", "use 0 to 3"],
        ),
        (
            good.clone().with_targets(targets),
            ["image 1", "own label", "choose another"],
        ),
        (
            good.clone().with_targets(vec![]),
            ["0 targets", "3 images", "one per image"],
        ),
        (
            good.clone().with_ids(vec![1]),
            ["1 ids", "3 images", "one per image"],
        ),
        (
            Samples {
                labels: vec![0],
                ..good.clone()
            },
            ["1 labels", "3 images", "one per image"],
        ),
        (
            with_value(1.5),
            ["image 2", "1.5", "divide 8-bit values by 255"],
        ),
        (with_value(-0.5), ["image 2", "-0.5", "outside [0, 1]"]),
        (with_value(f32::NAN), ["image 2", "NaN", "outside [0, 1]"]),
    ] {
        let message = refusal(samples).await;
        for part in parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
}

#[test]
fn a_single_score_is_no_classifier() {
    let victim = Counted::new(Linear::random(1, SMALL.values(), 0), SMALL);
    let samples = Samples::new(images(1, 0.0, 1.0, 0), vec![0]);
    assert_eq!(samples.check(&victim), Err(SampleError::Classes(1)));
}

#[test]
fn ranges_end_with_the_samples() {
    let (_, samples) = smooth(5);
    let samples = samples.with_targets(vec![0; 5]);
    let tail = samples.range(3..10);
    assert_eq!((tail.len(), tail.labels.len()), (2, 2));
    assert_eq!(tail.ids, [3, 4]);
    assert_eq!(tail.targets.as_deref(), Some(&[0, 0][..]));
    assert!(samples.range(7..9).is_empty());
}

/// Answers with one row too many.
struct WrongShape;

impl Victim for WrongShape {
    fn input(&self) -> InputSpec {
        SMALL
    }

    fn classes(&self) -> usize {
        2
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        Ok(Array2::zeros((images.dim().0 + 1, 2)))
    }

    async fn gradient(&self, _: Array4<f32>, _: Vec<Objective>) -> Result<Gradient, VictimError> {
        Err(VictimError::NoGradient(
            "it has no gradient graph".to_owned(),
        ))
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_is_an_error() {
    let samples = Samples::new(images(2, 0.0, 1.0, 0), vec![0, 0]);
    let attack = Pgd::new(threat(Norm::Linf, 0.1));
    let error = attack
        .run(&WrongShape, &samples, &())
        .await
        .unwrap_err()
        .to_string();
    for part in ["logits", "[3, 2]", "[2, 2]"] {
        assert!(error.contains(part), "{error}");
    }
}

/// A network whose logits are NaN wherever the first value of the image exceeds a threshold.
struct Poisoned(Linear, f64);

impl Network for Poisoned {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let mut z = self.0.logits(x);
        if x[0] > self.1 {
            z[0] = f64::NAN;
        }
        z
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.0.pull_back(x, cotangent)
    }
}

#[tokio::test]
async fn logits_that_are_not_finite_are_an_error_when_clean_and_no_success_when_perturbed() {
    let network = Linear::random(2, SMALL.values(), 3);
    let samples = labelled(&network, images(6, 0.4, 0.6, 1));
    let attack = Pgd::new(threat(Norm::Linf, 0.1));
    let everywhere = Counted::new(Poisoned(network.clone(), 0.0), SMALL);
    let error = attack
        .run(&everywhere, &samples, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("clean image 0") && error.contains("NaN"),
        "{error}"
    );

    let beyond = Counted::new(Poisoned(network, 0.61), SMALL);
    for outcome in attack.run(&beyond, &samples, &()).await.unwrap() {
        assert!(outcome.loss.is_finite());
        if outcome.status == Status::AdversarialFound {
            assert!(outcome.adversarial.unwrap()[[0, 0, 0]] <= 0.61);
        }
    }
}
