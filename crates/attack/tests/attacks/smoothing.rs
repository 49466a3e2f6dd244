//! Smoothed classifiers whose probabilities are known in closed form.

use std::sync::atomic::{AtomicU64, Ordering};

use buckler_attack::{
    Attack, AttackError, Distances, Fab, Norm, Pgd, Samples, Smoothed, Smoothing, SmoothingError,
    Status,
};
use ndarray::{Array4, Axis, concatenate};

use crate::support::{Counted, Linear, Network, SMALL, at_margin, images, smooth, threat};

const SIGMA: f64 = 0.25;

fn smoothing(n: usize) -> Smoothing {
    Smoothing {
        n,
        ..Smoothing::new(SIGMA)
    }
}

async fn certify(
    smoothing: &Smoothing,
    victim: &Counted<impl Network>,
    samples: &Samples,
) -> Vec<Smoothed> {
    smoothing.certify(victim, samples, |_| ()).await.unwrap()
}

/// The same image under several ids, so that each has noise of its own.
fn repeated(samples: &Samples, count: usize) -> Samples {
    let views = vec![samples.images.view(); count];
    let images: Array4<f32> = concatenate(Axis(0), &views).unwrap();
    Samples::new(images, vec![samples.labels[0]; count])
}

#[tokio::test]
async fn a_linear_classifier_is_certified_up_to_nearly_its_distance_from_the_boundary() {
    for (margin, seed) in [(0.2, 1), (0.1, 2), (0.35, 3)] {
        let (victim, samples) = at_margin(Norm::L2, margin, seed);
        for n in [300, 1000, 10_000, 40_000] {
            let smoothed = &certify(&smoothing(n), &victim, &samples).await[0];
            assert_eq!(smoothed.class, Some(0));
            // Under noise the margin, in sigmas, is normal about its value z; the bound costs 3.1 standard errors of the
            // share of hits, and chance as much again.
            let z: f64 = margin / SIGMA;
            let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let error = SIGMA * 0.5 / (n as f64).sqrt() / density;
            let short = margin - smoothed.radius;
            assert!(short > 0.0 && short < 8.0 * error, "{n}: {short} {error}");
            assert_eq!(smoothed.forward_evaluations, 100 + n as u64);
            assert_eq!(smoothed.counts.iter().sum::<u64>(), n as u64);
        }
    }
}

#[tokio::test]
async fn a_certificate_holds_as_often_as_alpha_promises() {
    let (victim, samples) = at_margin(Norm::L2, 0.2, 4);
    let cautious = Smoothing {
        alpha: 0.1,
        n0: 10,
        ..smoothing(150)
    };
    let all = certify(&cautious, &victim, &repeated(&samples, 400)).await;
    let over = all.iter().filter(|s| s.radius > 0.2).count();
    // 40 are expected at most, with a standard deviation of 6; far fewer would mean a bound that wastes radius.
    assert!((15..=62).contains(&over), "{over} of 400");
}

#[tokio::test]
async fn a_constant_classifier_has_the_largest_radius_that_so_many_draws_allow() {
    let constant = Linear {
        weights: vec![vec![0.0; SMALL.values()]; 2],
        bias: vec![1.0, 0.0],
    };
    let victim = Counted::new(constant, SMALL);
    let samples = Samples::new(images(1, 0.0, 1.0, 1), vec![0]);
    // The quantiles of 0.001^(1/100) and of 0.001^(1/10000).
    for (n, quantile) in [(100, 1.500_475_02), (10_000, 3.198_577_51)] {
        let smoothed = &certify(&smoothing(n), &victim, &samples).await[0];
        let probability = 0.001f64.powf(1.0 / n as f64);
        assert!((smoothed.probability - probability).abs() < 1e-12);
        let radius = SIGMA * quantile;
        assert!(
            (smoothed.radius - radius).abs() < 1e-6,
            "{}",
            smoothed.radius / SIGMA
        );
    }
    // Nine draws prove nothing with such caution: 0.001^(1/9) is below one half.
    let smoothed = &certify(&smoothing(9), &victim, &samples).await[0];
    assert_eq!((smoothed.class, smoothed.radius), (None, 0.0));
}

#[tokio::test]
async fn at_the_boundary_it_abstains_but_for_the_share_that_alpha_allows() {
    let (victim, samples) = at_margin(Norm::L2, 0.0, 5);
    let samples = repeated(&samples, 400);
    let undecided = Smoothing {
        alpha: 0.05,
        n0: 20,
        ..smoothing(200)
    };
    let certified = certify(&undecided, &victim, &samples).await;
    let certified = certified.iter().filter(|s| s.class.is_some()).count();
    let predicted = undecided.predict(&victim, &samples, |_| ()).await.unwrap();
    let predicted = predicted.iter().filter(|p| p.class.is_some()).count();
    // 20 are expected at most, with a standard deviation of 4.4.
    assert!((2..=38).contains(&certified), "{certified}");
    assert!((2..=38).contains(&predicted), "{predicted}");
}

#[tokio::test]
async fn batch_order_and_company_change_nothing() {
    let (victim, samples) = smooth(7);
    let few = Smoothing {
        n0: 15,
        max_batch: 8,
        ..smoothing(60)
    };
    let all = certify(&few, &victim, &samples).await;
    assert_eq!(victim.largest_batch.load(Ordering::SeqCst), 8);
    assert_eq!(victim.forwards(), 7 * 75);
    let predictions = few.predict(&victim, &samples, |_| ()).await.unwrap();
    let order = [6, 0, 3];
    let some = Samples {
        images: samples.images.select(Axis(0), &order),
        labels: order.iter().map(|&i| samples.labels[i]).collect(),
        targets: None,
        ids: order.iter().map(|&i| samples.ids[i]).collect(),
    };
    let other = Smoothing {
        max_batch: 1000,
        ..few.clone()
    };
    let certified = certify(&other, &victim, &some).await;
    let predicted = other.predict(&victim, &some, |_| ()).await.unwrap();
    for (place, &i) in order.iter().enumerate() {
        assert_eq!(certified[place], all[i]);
        assert_eq!(predicted[place], predictions[i]);
    }
    let reseeded = Smoothing { seed: 1, ..few };
    assert_ne!(certify(&reseeded, &victim, &samples).await, all);
}

#[tokio::test]
async fn batches_are_full_whatever_the_draws_of_an_image() {
    let (victim, samples) = smooth(5);
    let calls = AtomicU64::new(0);
    let draws = Smoothing {
        n0: 3,
        max_batch: 10,
        ..smoothing(11)
    };
    let count = |progress: buckler_attack::SmoothingProgress| {
        assert!(progress.done <= progress.draws && progress.draws == 5 * 14);
        calls.fetch_add(1, Ordering::SeqCst);
    };
    draws.certify(&victim, &samples, count).await.unwrap();
    // 15 rows in two batches, and 55 in six.
    assert_eq!(calls.into_inner(), 8);
}

#[tokio::test]
async fn no_attack_fools_a_smoothed_linear_classifier_within_its_radius() {
    for seed in 0..4 {
        // With two classes, the smoothed linear classifier gives every point the class that the linear one gives.
        let (victim, samples) = at_margin(Norm::L2, 0.2, seed);
        let radius = certify(&smoothing(20_000), &victim, &samples).await[0].radius;
        assert!(radius > 0.15, "{radius}");
        for (eps, expected) in [(radius, Status::NotFound), (0.21, Status::AdversarialFound)] {
            let threat = threat(Norm::L2, eps);
            let pgd = Pgd::new(threat).run(&victim, &samples, &()).await.unwrap();
            let fab = Fab::new(threat).run(&victim, &samples, &()).await.unwrap();
            assert_eq!(
                (pgd[0].status, fab[0].status),
                (expected, expected),
                "{eps}"
            );
        }
    }
}

#[tokio::test]
async fn a_smoothed_network_keeps_its_class_on_the_way_to_the_models_own_adversarials() {
    let (victim, samples) = smooth(16);
    let gentle = Smoothing {
        sigma: 0.05,
        ..smoothing(4000)
    };
    let certified = certify(&gentle, &victim, &samples).await;
    let attacks = [0.1, 0.3, 1.0].map(|eps| Pgd::new(threat(Norm::L2, eps)));
    let mut tried = 0;
    for attack in attacks {
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        let mut moved = samples.clone();
        for (row, outcome) in outcomes.iter().enumerate() {
            let Some(adversarial) = outcome.adversarial.as_ref().or(outcome.best.as_ref()) else {
                continue;
            };
            let mut image = moved.images.index_axis_mut(Axis(0), row);
            let distance = Distances::between(image.iter(), adversarial).l2;
            let share = (0.999 * certified[row].radius / distance).min(1.0) as f32;
            image.zip_mut_with(adversarial, |value, &to| *value += share * (to - *value));
        }
        let predicted = gentle.predict(&victim, &moved, |_| ()).await.unwrap();
        for (certified, predicted) in certified.iter().zip(&predicted) {
            if let (Some(class), Some(found)) = (certified.class, predicted.class) {
                assert_eq!(class, found, "image {}", certified.id);
                tried += 1;
            }
        }
    }
    assert!(tried > 24, "{tried}");
}

#[tokio::test]
async fn values_out_of_range_are_refused_by_name_before_any_query() {
    let (victim, samples) = smooth(1);
    let usual = Smoothing::new(SIGMA);
    for (wrong, parts) in [
        (Smoothing::new(0.0), ["sigma 0", "over 0"]),
        (Smoothing::new(f64::INFINITY), ["sigma inf", "finite"]),
        (Smoothing::new(f64::NAN), ["sigma NaN", "finite"]),
        (
            Smoothing {
                n0: 0,
                ..usual.clone()
            },
            ["n0 0", "below 1"],
        ),
        (
            Smoothing {
                n: 0,
                ..usual.clone()
            },
            ["n 0", "below 1"],
        ),
        (
            Smoothing {
                alpha: 0.0,
                ..usual.clone()
            },
            ["alpha 0", "over 0"],
        ),
        (
            Smoothing {
                alpha: 1.0,
                ..usual.clone()
            },
            ["alpha 1", "below 1"],
        ),
        (
            Smoothing {
                alpha: f64::NAN,
                ..usual
            },
            ["alpha NaN", "over 0"],
        ),
    ] {
        let error = wrong.certify(&victim, &samples, |_| ()).await.unwrap_err();
        assert!(matches!(error, AttackError::Smoothing(_)));
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        let error: Result<(), SmoothingError> = wrong.check();
        assert!(error.is_err());
    }
    assert_eq!(victim.forwards(), 0);
}
