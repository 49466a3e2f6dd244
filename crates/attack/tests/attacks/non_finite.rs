//! Gradients that are NaN or infinite in some pixels, as behind a square root at zero.

use buckler_attack::{
    Attack, Examination, Flag, Norm, Outcome, Pgd, Samples, Square, Status, evaluate, examine,
    flags, probe,
};
use ndarray::Array4;

use crate::support::{
    Counted, Masked, Mlp, Network, SMALL, all, all_within, images, labelled, smooth, threat,
};

/// A network with other values in some entries of its gradient.
struct Holes {
    network: Mlp,
    hole: fn(usize) -> Option<f64>,
}

impl Holes {
    fn pierce(&self, mut gradient: Vec<f64>) -> Vec<f64> {
        for (index, slope) in gradient.iter_mut().enumerate() {
            *slope = (self.hole)(index).unwrap_or(*slope);
        }
        gradient
    }
}

impl Network for Holes {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        self.network.logits(x)
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.pierce(self.network.pull_back(x, cotangent))
    }

    fn features(&self, x: &[f64]) -> Option<Vec<f64>> {
        self.network.features(x)
    }

    fn pull_back_features(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.pierce(self.network.pull_back_features(x, cotangent))
    }
}

fn holes(hole: fn(usize) -> Option<f64>) -> (Counted<Holes>, Samples) {
    let (victim, samples) = smooth(12);
    let network = victim.network;
    (Counted::new(Holes { network, hole }, SMALL), samples)
}

fn not_finite(index: usize) -> Option<f64> {
    match index % 12 {
        0 => Some(f64::NAN),
        5 => Some(f64::INFINITY),
        7 => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn found(outcomes: &[Outcome]) -> usize {
    let found = |outcome: &&Outcome| outcome.status == Status::AdversarialFound;
    outcomes.iter().filter(found).count()
}

#[tokio::test]
async fn every_attack_goes_on_as_if_the_gradient_were_zero_there() {
    let (victim, samples) = holes(not_finite);
    let (zeroed, _) = holes(|index| not_finite(index).map(|_| 0.0));
    let mut with_gradients = 0;
    for attack in all(&victim, &samples).await {
        let mut outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        let expected = attack.run(&zeroed, &samples, &()).await.unwrap();
        for outcome in &mut outcomes {
            // Four values in twelve of 48.
            let values = outcome.gradient_evaluations * 12;
            assert_eq!(outcome.non_finite_gradient, values, "{attack}");
            outcome.non_finite_gradient = 0;
            with_gradients += values;
        }
        assert_eq!(outcomes, expected, "{attack}");
        assert!(found(&outcomes) > 0, "{attack}");
    }
    assert!(with_gradients > 0);
}

/// `network(sqrt(x)) - offset`, whose gradient is infinite where a pixel is black.
struct Rooted {
    network: Mlp,
    offset: Vec<f64>,
}

impl Rooted {
    /// With classes that are equally likely in the mean over the images.
    fn new(network: Mlp, images: &Array4<f32>) -> Self {
        let mut offset = vec![0.0; network.logits(&vec![0.0; SMALL.values()]).len()];
        for image in images.outer_iter() {
            let x: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let logits = network.logits(&roots(&x));
            let share = 1.0 / images.len_of(ndarray::Axis(0)) as f64;
            offset
                .iter_mut()
                .zip(logits)
                .for_each(|(o, z)| *o += share * z);
        }
        Self { network, offset }
    }
}

fn roots(x: &[f64]) -> Vec<f64> {
    x.iter().map(|value| value.max(0.0).sqrt()).collect()
}

fn through_the_root(x: &[f64], slopes: Vec<f64>) -> Vec<f64> {
    let slopes = slopes.iter().zip(x);
    slopes.map(|(slope, x)| slope * 0.5 / x.sqrt()).collect()
}

impl Network for Rooted {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let logits = self.network.logits(&roots(x));
        let pairs = logits.iter().zip(&self.offset);
        pairs.map(|(z, offset)| z - offset).collect()
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        through_the_root(x, self.network.pull_back(&roots(x), cotangent))
    }

    fn features(&self, x: &[f64]) -> Option<Vec<f64>> {
        self.network.features(&roots(x))
    }

    fn pull_back_features(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        through_the_root(x, self.network.pull_back_features(&roots(x), cotangent))
    }
}

/// Half of the pixels are black.
fn half_black(count: usize) -> Array4<f32> {
    let mut images = images(count, 0.2, 0.9, 21);
    let pixels = images.iter_mut().enumerate();
    pixels.for_each(|(index, pixel)| *pixel *= f32::from(u8::from(index % 2 == 0)));
    images
}

#[tokio::test]
async fn every_attack_breaks_a_network_behind_a_square_root() {
    let images = half_black(12);
    let network = Rooted::new(Mlp::random(4, SMALL.values(), 11), &images);
    let samples = labelled(&network, images);
    let victim = Counted::new(network, SMALL);
    let radius = |norm| match norm {
        Norm::Linf => "0.2".parse().unwrap(),
        Norm::L2 => "1.5".parse().unwrap(),
        Norm::L1 => "12".parse().unwrap(),
    };
    for attack in all_within(&victim, &samples, radius).await {
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        assert!(found(&outcomes) >= 6, "{attack}: {}", found(&outcomes));
        for outcome in outcomes {
            let kept = outcome.adversarial.or(outcome.best);
            assert!(kept.is_none_or(|image| image.iter().all(|v| v.is_finite())));
        }
    }
}

#[tokio::test]
async fn gradients_that_are_not_finite_are_flagged_as_what_they_are() {
    let (victim, samples) = holes(|_| Some(f64::NAN));
    let pgd = Pgd::new(threat(Norm::Linf, 1e-4));
    let blind = evaluate(&victim, &samples, &pgd, 8, |_| ()).await.unwrap();
    assert_eq!(blind.accuracy_under_attack, 1.0);
    assert_eq!((blind.zero_gradients, blind.non_finite_gradients), (0, 12));
    let raised = flags(&[&blind], 4, None);
    let values = 12 * 48 * blind.samples[0].gradient_evaluations;
    let expected = Flag::NonFiniteGradients {
        attack: pgd.describe(),
        affected: 12,
        held: 12,
        images: 12,
        values,
    };
    assert_eq!(raised, vec![expected.clone()]);
    let text = expected.to_string();
    for part in [
        "12 of 12 images",
        "NaN or infinite",
        "square root",
        "not finite",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let json = serde_json::to_string(&raised).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Flag>>(&json).unwrap(), raised);
    let probed = probe(&victim, &samples, true).await.unwrap();
    assert!(
        matches!(
            probed[..],
            [Flag::NonFiniteGradients {
                affected: 12,
                held: 1..,
                ..
            }]
        ),
        "{probed:?}"
    );
    let square = Square::new(threat(Norm::Linf, 0.05));
    let square = square.run(&victim, &samples, &()).await.unwrap();
    assert!(found(&square) > 0);
}

#[tokio::test]
async fn a_gradient_of_zero_and_one_that_is_not_finite_are_told_apart() {
    let (victim, samples) = smooth(4);
    let victim = Counted::new(Masked(victim.network), SMALL);
    for outcome in Pgd::new(threat(Norm::Linf, 0.01))
        .run(&victim, &samples, &())
        .await
        .unwrap()
    {
        assert!(outcome.zero_gradient && outcome.non_finite_gradient == 0);
    }
}

#[tokio::test]
async fn a_report_warns_of_what_makes_it_doubtful() {
    let request = |samples: &Samples, epsilon| Examination {
        attack: buckler_attack::AnyAttack::Pgd(Pgd::new(threat(Norm::Linf, epsilon))),
        images: samples.images.clone(),
        labels: None,
        target: None,
        halvings: None,
        class_names: Vec::new(),
    };
    let (victim, samples) = holes(|_| Some(f64::NAN));
    let examined = examine(&victim, &request(&samples, 0.01), &())
        .await
        .unwrap();
    let report = &examined[0].report;
    assert_eq!(report.outcome, Status::NotFound);
    assert!(!report.zero_gradient && report.non_finite_gradient > 0);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings)
    };
    assert!(warning.contains("NaN or infinite"), "{warning}");
    assert!(report.note.ends_with(warning), "{}", report.note);

    let (victim, samples) = smooth(4);
    let flat = Counted::new(Masked(victim.network), SMALL);
    let examined = examine(&flat, &request(&samples, 0.01), &()).await.unwrap();
    let [warning] = &examined[0].report.warnings[..] else {
        panic!("{:?}", examined[0].report.warnings)
    };
    assert!(warning.contains("zero in every pixel"), "{warning}");

    let (victim, samples) = smooth(12);
    let examined = examine(&victim, &request(&samples, 0.3), &())
        .await
        .unwrap();
    for examined in examined {
        assert_eq!(examined.report.outcome, Status::AdversarialFound);
        assert_eq!(examined.report.warnings, Vec::<String>::new());
    }
}
