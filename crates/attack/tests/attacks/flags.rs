//! What makes figures doubtful is said, and nothing is said about a model that is what it seems.

use std::sync::atomic::{AtomicU64, Ordering};

use buckler_attack::{
    Attack, AttackKind, Evaluation, Flag, Gradient, InputSpec, Norm, Objective, ObjectiveKind, Pgd,
    Samples, Square, Victim, VictimError, evaluate, flags, probe,
};
use ndarray::{Array2, Array4};

use crate::support::{Counted, Masked, Mlp, Network, SMALL, images, labelled, smooth, threat};

async fn run(victim: &impl Victim, samples: &Samples, attack: &impl Attack) -> Evaluation {
    evaluate(victim, samples, attack, 64, |_| ()).await.unwrap()
}

fn square(epsilon: f64) -> Square {
    Square::new(threat(Norm::Linf, epsilon))
}

#[tokio::test]
async fn an_honest_model_raises_no_flag() {
    let (victim, samples) = smooth(40);
    assert_eq!(probe(&victim, &samples, true).await.unwrap(), vec![]);
    let pgd = |epsilon| Pgd {
        restarts: 5,
        objective: ObjectiveKind::Margin,
        ..Pgd::new(threat(Norm::Linf, epsilon))
    };
    let small = run(&victim, &samples, &pgd(0.01)).await;
    let large = run(&victim, &samples, &pgd(0.03)).await;
    let strong = Square {
        queries: 5001,
        ..square(0.01)
    };
    let black_box = run(&victim, &samples, &strong).await;
    let raised = flags(&[&small, &large, &black_box], 4, None);
    assert_eq!(raised, vec![]);
}

#[tokio::test]
async fn a_model_that_hides_its_gradients_is_flagged_not_praised() {
    let network = Mlp::random(4, SMALL.values(), 11);
    let samples = labelled(&network, images(30, 0.1, 0.9, 12));
    let victim = Counted::new(Masked(network), SMALL);
    let probed = probe(&victim, &samples, true).await.unwrap();
    assert!(
        matches!(
            probed[..],
            [Flag::UnboundedAttackFails {
                held: 1..,
                images: 30
            }]
        ),
        "{probed:?}"
    );
    let white = run(&victim, &samples, &Pgd::new(threat(Norm::Linf, 0.1))).await;
    let black = run(&victim, &samples, &square(0.1)).await;
    assert!(black.accuracy_under_attack < white.accuracy_under_attack);
    let raised = flags(&[&white, &black], 4, None);
    assert!(
        matches!(
            raised[..],
            [
                Flag::ZeroGradients { held: 1.., .. },
                Flag::GradientMasking { with_gradients, with_all, .. }
            ] if with_gradients == white.accuracy_under_attack && with_all < with_gradients
        ),
        "{raised:?}"
    );
    let alone = flags(&[&black], 4, Some("node `q` (Round)"));
    assert!(
        alone[0].to_string().contains("node `q` (Round)"),
        "{}",
        alone[0]
    );
}

/// Returns the softmax of another network's logits.
struct Probabilities(Mlp);

impl Network for Probabilities {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let z = self.0.logits(x);
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect()
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        let p = self.logits(x);
        let mean: f64 = p.iter().zip(cotangent).map(|(p, c)| p * c).sum();
        let inner: Vec<f64> = p
            .iter()
            .zip(cotangent)
            .map(|(p, c)| p * (c - mean))
            .collect();
        self.0.pull_back(x, &inner)
    }
}

#[tokio::test]
async fn probabilities_given_for_logits_are_flagged() {
    let network = Probabilities(Mlp::random(4, SMALL.values(), 11));
    let samples = labelled(&network, images(8, 0.1, 0.9, 12));
    let victim = Counted::new(network, SMALL);
    let flags = probe(&victim, &samples, false).await.unwrap();
    assert_eq!(flags, vec![Flag::Probabilities { images: 8 }]);
}

/// Adds something else to the first logit at every query.
struct Restless {
    inner: Counted<Mlp>,
    queries: AtomicU64,
}

impl Victim for Restless {
    fn input(&self) -> InputSpec {
        self.inner.input
    }

    fn classes(&self) -> usize {
        self.inner.classes
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let mut logits = self.inner.logits(images).await?;
        let count = self.queries.fetch_add(1, Ordering::SeqCst);
        logits
            .column_mut(0)
            .iter_mut()
            .for_each(|z| *z += 1e-3 * count as f32);
        Ok(logits)
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        self.inner.gradient(images, objectives).await
    }
}

#[tokio::test]
async fn a_model_that_answers_differently_each_time_is_flagged() {
    let (inner, samples) = smooth(10);
    let victim = Restless {
        inner,
        queries: AtomicU64::new(0),
    };
    let flags = probe(&victim, &samples, false).await.unwrap();
    let expected = Flag::Randomised {
        differing: 10,
        images: 10,
    };
    assert_eq!(flags, vec![expected]);
}

#[tokio::test]
async fn a_larger_ball_that_leaves_more_is_flagged() {
    let (victim, samples) = smooth(40);
    let small = run(&victim, &samples, &Pgd::new(threat(Norm::Linf, 0.05))).await;
    let mut large = run(&victim, &samples, &Pgd::new(threat(Norm::Linf, 0.06))).await;
    large.accuracy_under_attack = small.accuracy_under_attack + 0.1;
    large.parameters.step_size = None;
    let raised = flags(&[&small, &large], 4, None);
    assert!(
        matches!(raised[..], [Flag::NotMonotone { .. }]),
        "{raised:?}"
    );
    let json = serde_json::to_string(&raised).unwrap();
    assert!(
        json.starts_with(r#"[{"flag":"not_monotone","attack":"pgd linf eps=0.06"#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<Vec<Flag>>(&json).unwrap(), raised);
}

#[test]
fn too_few_classes_for_the_ratio_are_flagged() {
    let pgd = Pgd {
        steps: 100,
        ..Pgd::new(threat(Norm::Linf, 0.1))
    };
    let parameters = pgd.parameters();
    let named = |attack: &str| {
        let mut parameters = parameters.clone();
        parameters.attack = attack.to_owned();
        Evaluation::of(parameters, vec![])
    };
    let (targeted, untargeted) = (named("apgd-t"), named("apgd-dlr"));
    let count = |classes| flags(&[&targeted, &untargeted], classes, None).len();
    assert_eq!((count(2), count(3), count(4)), (1, 1, 0));
}

#[tokio::test]
async fn an_attack_with_less_effort_than_its_default_is_flagged_once() {
    let (victim, samples) = smooth(4);
    let weak = |epsilon| Square {
        queries: 50,
        ..square(epsilon)
    };
    let pgd = Pgd {
        steps: 50,
        ..Pgd::new(threat(Norm::Linf, 0.01))
    };
    let small = run(&victim, &samples, &weak(0.01)).await;
    let large = run(&victim, &samples, &weak(0.02)).await;
    let strong = run(&victim, &samples, &pgd).await;
    let raised = flags(&[&strong, &small, &large], 4, None);
    let weaker: Vec<&Flag> = raised
        .iter()
        .filter(|flag| matches!(flag, Flag::WeakerThanDefault { .. }))
        .collect();
    let expected = Flag::WeakerThanDefault {
        attack: AttackKind::Square,
        option: "queries".to_owned(),
        used: 50,
        default: 5000,
    };
    assert_eq!(weaker, [&expected]);
    let text = expected.to_string();
    assert!(text.contains("square had 50 queries where 5000"), "{text}");

    let short = Pgd {
        step_size: Some(1e-4),
        ..pgd.clone()
    };
    let raised = flags(&[&run(&victim, &samples, &short).await], 4, None);
    assert!(
        matches!(
            raised[..],
            [Flag::ShortSteps {
                attack: AttackKind::Pgd,
                steps: 50,
                ..
            }]
        ),
        "{raised:?}"
    );
    let reaching = Pgd {
        step_size: Some(2.1e-4),
        ..pgd.clone()
    };
    let raised = flags(&[&run(&victim, &samples, &reaching).await], 4, None);
    assert!(raised.is_empty(), "{raised:?}");

    let at_most = |step_size| Pgd {
        step_size: Some(step_size),
        ..pgd.clone()
    };
    let wide = run(&victim, &samples, &at_most(0.02)).await;
    assert!(flags(&[&wide], 4, None).is_empty());
    let wider = run(&victim, &samples, &at_most(0.021)).await;
    let raised = flags(&[&wider], 4, None);
    assert!(
        matches!(
            raised[..],
            [Flag::LongSteps {
                attack: AttackKind::Pgd,
                ..
            }]
        ),
        "{raised:?}"
    );

    let pgd = Pgd { steps: 19, ..pgd };
    let weak = run(&victim, &samples, &pgd).await;
    let raised = flags(&[&weak], 4, None);
    assert!(
        matches!(
            raised[..],
            [Flag::WeakerThanDefault {
                attack: AttackKind::Pgd,
                used: 19,
                default: 20,
                ..
            }]
        ),
        "{raised:?}"
    );
}

/// Always the first class, by a little more or less.
struct Collapsed(Mlp);

impl Network for Collapsed {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let mut z = self.0.logits(x);
        z[2] += 1e3;
        z
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.0.pull_back(x, cotangent)
    }
}

#[tokio::test]
async fn a_model_that_takes_everything_for_one_class_is_flagged() {
    let network = Mlp::random(4, SMALL.values(), 11);
    let samples = labelled(&network, images(40, 0.1, 0.9, 12));
    let of_it = samples.labels.iter().filter(|&&label| label == 2).count();
    let victim = Counted::new(Collapsed(network), SMALL);
    let pgd = Pgd {
        objective: ObjectiveKind::Margin,
        ..Pgd::new(threat(Norm::Linf, 0.01))
    };
    let collapsed = run(&victim, &samples, &pgd).await;
    let raised = flags(&[&collapsed], 4, None);
    let share = of_it as f64 / 40.0;
    let expected = Flag::OneClass {
        class: 2,
        predicted: 1.0,
        actual: share,
        clean_accuracy: share,
    };
    assert_eq!(raised, vec![expected.clone()]);
    let text = expected.to_string();
    assert!(
        text.contains("100.00 %") && text.contains("class 2"),
        "{text}"
    );
    // A data set of one class is no collapse.
    let only = Samples::new(samples.images.clone(), vec![2; 40]);
    let right = run(&victim, &only, &pgd).await;
    assert_eq!(flags(&[&right], 4, None), vec![]);
}

/// Answers the same whatever the image, and says that it does not run rows on their own.
struct Deaf(Counted<Mlp>);

impl Victim for Deaf {
    fn input(&self) -> InputSpec {
        self.0.input
    }

    fn classes(&self) -> usize {
        self.0.classes
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let nothing = Array4::zeros(images.raw_dim());
        self.0.logits(nothing).await
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        self.0.gradient(images, objectives).await
    }

    fn depends_on_batch(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_model_that_answers_the_same_or_depends_on_the_batch_is_flagged() {
    let (inner, samples) = smooth(10);
    let images = samples.len();
    let flags = probe(&Deaf(inner), &samples, false).await.unwrap();
    assert_eq!(flags, [Flag::DependsOnBatch, Flag::SameLogits { images }]);
}
