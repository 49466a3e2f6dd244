//! No adversarial of any attack is beyond its radius, by not so much as a rounding error.

use buckler_attack::{
    AdversarialReport, AnyAttack, Attack, AttackConfig, AttackKind, Epsilon, Examination, Limits,
    Norm, Outcome, Samples, Status, examine, recheck, smallest_eps, worst_cases,
};
use ndarray::{Array3, Array4};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Counted, Linear, Mlp, Network, SMALL, all_within, labelled};

/// Radii as they are written, from below the resolution of a pixel to the whole box.
const RADII: [&str; 9] = [
    "1e-6", "1e-4", "1/255", "0.031", "8/255", "0.1", "0.2", "0.3", "1",
];

/// Images of every kind: grey levels, black and white, anything between.
fn pictures(seed: u64) -> Array4<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = (3, SMALL.channels, SMALL.height, SMALL.width);
    Array4::from_shape_simple_fn(shape, || match rng.random_range(0u8..4) {
        0 => f32::from(rng.random_range(0..=255u8)) / 255.0,
        1 => f32::from(rng.random_range(0..=1u8)),
        _ => rng.random(),
    })
}

/// What is defined, and nothing more: every difference in single precision, and sums of them in
/// double.
fn check(clean: &Array3<f32>, adversarial: &Array3<f32>, norm: Norm, epsilon: Epsilon) {
    let radius = epsilon.value();
    let pairs = || clean.iter().zip(adversarial);
    assert!(adversarial.iter().all(|v| (0.0..=1.0).contains(v)));
    let exact = pairs().map(|(&x, &a)| (f64::from(a) - f64::from(x)).abs());
    let length = match norm {
        Norm::Linf => {
            for (&x, &a) in pairs() {
                assert!((a - x).abs() <= radius, "{a} - {x} > {radius}");
            }
            exact.fold(0.0, f64::max)
        }
        Norm::L2 => exact.map(|d| d * d).sum::<f64>().sqrt(),
        Norm::L1 => exact.sum(),
    };
    assert!(length <= f64::from(radius), "{length} > {radius} in {norm}");
    assert!(length as f32 <= radius, "{length} > {radius} in {norm}");
}

fn reported(report: &AdversarialReport, norm: Norm) -> f32 {
    match norm {
        Norm::Linf => report.linf,
        Norm::L2 => report.l2,
        Norm::L1 => report.l1,
    }
}

/// Runs an attack and checks what it found, what it kept, and what is reported; the number found.
async fn found<N: Network>(victim: &Counted<N>, samples: &Samples, attack: &AnyAttack) -> usize {
    let threat = attack.threat();
    let clean = |row: usize| samples.images.index_axis(ndarray::Axis(0), row).to_owned();
    let outcomes: Vec<Outcome> = attack.run(victim, samples, &()).await.unwrap();
    let mut count = 0;
    for (row, outcome) in outcomes.iter().enumerate() {
        if let Some(image) = &outcome.adversarial {
            check(&clean(row), image, threat.norm, threat.epsilon);
            count += 1;
        }
        let closest = outcome.smallest.is_some();
        if let Some(image) = outcome.best.as_ref().filter(|_| !closest) {
            check(&clean(row), image, threat.norm, threat.epsilon);
        }
    }
    let checked = recheck(victim, samples, threat, outcomes, 256)
        .await
        .unwrap();
    for checked in checked {
        assert_eq!(checked.demoted, None, "{attack}");
        if let Some(exact) = checked.exact {
            let distance = exact.distances.in_norm(threat.norm) as f32;
            assert!(distance <= threat.epsilon.value(), "{attack}: {distance}");
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_attack_leaves_its_ball(seed in any::<u64>(), radius in 0..RADII.len(), drawn in 1e-7f32..1.0) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let network = Mlp::random(4, SMALL.values(), seed);
            let samples = labelled(&network, pictures(seed ^ 1));
            let victim = Counted::new(network, SMALL);
            for epsilon in [RADII[radius].parse().unwrap(), Epsilon::new(drawn).unwrap()] {
                // Lengths of an image's change are larger in L2 and L1; small ones are covered too.
                for attack in all_within(&victim, &samples, |_| epsilon).await {
                    found(&victim, &samples, &attack).await;
                }
            }
        });
    }
}

/// A linear model whose boundary lies within the radius of each of its images, however small that
/// is.
fn close(norm: Norm, epsilon: Epsilon, seed: u64) -> (Counted<Linear>, Samples) {
    let mut network = Linear::random(2, SMALL.values(), seed);
    let images = pictures(seed).select(ndarray::Axis(0), &[0]);
    let x: Vec<f64> = images.iter().copied().map(f64::from).collect();
    let gap = |network: &Linear| {
        let z = network.logits(&x);
        z[0] - z[1]
    };
    network.bias[0] -= gap(&network);
    let zero = network.margin(norm, &x, 0).1;
    network.bias[0] += 1.0;
    let unit = network.margin(norm, &x, 0).1 - zero;
    // The box may be in the way of most of the shortest way.
    network.bias[0] += 0.3 * f64::from(epsilon.value()) / unit - 1.0;
    (Counted::new(network, SMALL), Samples::new(images, vec![0]))
}

#[tokio::test]
async fn what_is_found_at_every_radius_lies_within_it() {
    for radius in RADII {
        let epsilon: Epsilon = radius.parse().unwrap();
        let mut broken = 0;
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            for seed in 0..3 {
                let (victim, samples) = close(norm, epsilon, seed);
                // The feature attack needs images of other classes.
                for kind in AttackKind::ALL {
                    if !kind.norms().contains(&norm) || kind == AttackKind::Feature {
                        continue;
                    }
                    let config = AttackConfig {
                        attack: kind,
                        norm: Some(norm),
                        eps: Some(epsilon),
                        steps: matches!(kind, AttackKind::Spsa).then_some(3),
                        ..AttackConfig::default()
                    };
                    let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
                    broken += found(&victim, &samples, &attack).await;
                }
            }
        }
        assert!(broken > 30, "{broken} adversarials at {radius}");
    }
}

#[tokio::test]
async fn the_smallest_radius_and_the_report_keep_to_it() {
    for (norm, radius) in [(Norm::Linf, "8/255"), (Norm::L2, "0.2"), (Norm::L1, "1")] {
        let epsilon: Epsilon = radius.parse().unwrap();
        let (victim, samples) = close(norm, epsilon, 5);
        let config = AttackConfig {
            norm: Some(norm),
            eps: Some(epsilon),
            ..AttackConfig::default()
        };
        let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
        let at = |eps| attack.clone().with_epsilon(eps);
        let evaluated = smallest_eps(&victim, &samples, epsilon, 8, at, &())
            .await
            .unwrap();
        let image = evaluated[0].adversarial.as_ref().unwrap();
        let clean = samples.images.index_axis(ndarray::Axis(0), 0).to_owned();
        check(&clean, image, norm, epsilon);
        assert!(evaluated[0].record.distance(norm).unwrap() <= epsilon.value());

        let request = Examination {
            attack,
            images: samples.images.clone(),
            labels: Some(samples.labels.clone()),
            target: None,
            halvings: None,
            class_names: Vec::new(),
        };
        let examined = examine(&victim, &request, &()).await.unwrap().remove(0);
        assert_eq!(examined.report.outcome, Status::AdversarialFound);
        let distance = reported(&examined.report.adversarial.unwrap(), norm);
        assert!(distance <= epsilon.value(), "{distance} > {radius}");
    }
}

#[tokio::test]
async fn the_worst_case_counts_an_adversarial_at_its_radius_and_not_below() {
    let epsilon: Epsilon = "0.2".parse().unwrap();
    let (victim, samples) = close(Norm::Linf, epsilon, 6);
    let config = AttackConfig {
        eps: Some(epsilon),
        ..AttackConfig::default()
    };
    let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
    let evaluation = buckler_attack::evaluate(&victim, &samples, &attack, 8, |_| ())
        .await
        .unwrap();
    let distance = evaluation.samples[0].linf.unwrap();
    let worst = worst_cases(&[&evaluation]).unwrap().remove(0);
    assert_eq!(worst.curve[0].accuracy, 0.0);
    assert_eq!(worst.accuracy_at(distance), 0.0);
    assert_eq!(worst.accuracy_at(distance.next_down()), 1.0);
}

#[tokio::test]
async fn a_record_a_hair_beyond_the_radius_does_not_count() {
    let epsilon: Epsilon = "0.2".parse().unwrap();
    let (victim, samples) = close(Norm::Linf, epsilon, 6);
    let config = AttackConfig {
        eps: Some(epsilon),
        ..AttackConfig::default()
    };
    let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
    let mut evaluation = buckler_attack::evaluate(&victim, &samples, &attack, 8, |_| ())
        .await
        .unwrap();
    evaluation.samples[0].linf = Some(epsilon.value());
    let worst = worst_cases(&[&evaluation]).unwrap().remove(0);
    assert_eq!(worst.curve[0].accuracy, 0.0);
    evaluation.samples[0].linf = Some(epsilon.value().next_up());
    let worst = worst_cases(&[&evaluation]).unwrap().remove(0);
    assert_eq!(worst.curve[0].accuracy, 1.0);
}
