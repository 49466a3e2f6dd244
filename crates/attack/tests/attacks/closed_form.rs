//! For a linear classifier the distance to the nearest boundary is known, so it is known when an attack must succeed.

use buckler_attack::{Attack, Fgsm, Norm, ObjectiveKind, Pgd, Samples, Status};
use proptest::prelude::*;

use crate::support::{Counted, Linear, SMALL, allowed, at_margin, images, labelled, threat};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn kinds() -> impl Strategy<Value = ObjectiveKind> {
    prop_oneof![
        Just(ObjectiveKind::CrossEntropy),
        Just(ObjectiveKind::Margin)
    ]
}

fn norms() -> impl Strategy<Value = Norm> {
    prop_oneof![Just(Norm::Linf), Just(Norm::L2)]
}

fn status<A: Attack>(victim: &Counted<Linear>, samples: &Samples, attack: &A) -> Status {
    let outcome = block_on(attack.run(victim, samples, &()))
        .unwrap()
        .remove(0);
    if let Some(image) = &outcome.adversarial {
        assert!(allowed(samples, 0, image, attack.threat()));
    }
    outcome.status
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn two_linear_classes_flip_exactly_at_the_margin(
        norm in norms(), objective in kinds(), margin in 0.005f64..0.2, seed in any::<u64>(),
    ) {
        let (victim, samples) = at_margin(norm, margin, seed);
        for (factor, expected) in [(0.98, Status::NotFound), (1.02, Status::AdversarialFound)] {
            let threat = threat(norm, factor * margin);
            let fgsm = Fgsm { objective, ..Fgsm::new(threat) };
            prop_assert_eq!(status(&victim, &samples, &fgsm), expected);
            // In L2 a random start turns towards the normal of the boundary faster with longer steps.
            let step_size = (norm == Norm::L2).then_some(threat.epsilon.value());
            let pgd = Pgd { objective, step_size, seed, ..Pgd::new(threat) };
            prop_assert_eq!(status(&victim, &samples, &pgd), expected);
        }
    }

    #[test]
    fn many_linear_classes_never_flip_inside_the_margin(
        norm in norms(), objective in kinds(), seed in any::<u64>(),
    ) {
        let network = Linear::random(5, SMALL.values(), seed);
        let samples = labelled(&network, images(1, 0.3, 0.7, seed));
        let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
        let (_, margin) = network.margin(norm, &x, samples.labels[0]);
        let victim = Counted::new(network, SMALL);
        let threat = threat(norm, 0.99 * margin);
        let pgd = Pgd { objective, restarts: 3, ..Pgd::new(threat) };
        prop_assert_eq!(status(&victim, &samples, &pgd), Status::NotFound);
    }

    #[test]
    fn many_linear_classes_flip_to_the_nearest_class_just_beyond_the_margin(
        norm in norms(), seed in any::<u64>(),
    ) {
        let network = Linear::random(5, SMALL.values(), seed);
        let samples = labelled(&network, images(1, 0.35, 0.65, seed));
        let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
        let (nearest, margin) = network.margin(norm, &x, samples.labels[0]);
        prop_assume!(margin > 1e-3 && 1.05 * margin < 0.35);
        // The targeted margin of a linear classifier is concave, so the ascent cannot get stuck.
        let samples = samples.with_targets(vec![nearest]);
        let victim = Counted::new(network, SMALL);
        let threat = threat(norm, 1.05 * margin);
        let pgd = Pgd {
            objective: ObjectiveKind::Margin, steps: 200, ..Pgd::new(threat)
        };
        prop_assert_eq!(status(&victim, &samples, &pgd), Status::AdversarialFound);
    }

    #[test]
    fn classes_at_equal_angles_flip_untargeted_exactly_at_the_margin(
        norm in norms(), objective in kinds(), values in prop::collection::vec(0.1f64..1.0, 12), seed in any::<u64>(),
    ) {
        // Each class looks at its own twelve values with the same weights: the runner-up is the nearest class, and
        // raising it leaves the others where they are.
        let weights = (0..4usize)
            .map(|class| {
                let mut row = vec![0.0; SMALL.values()];
                row[12 * class..12 * (class + 1)].copy_from_slice(&values);
                row
            })
            .collect();
        let network = Linear { weights, bias: vec![0.0; 4] };
        let samples = labelled(&network, images(1, 0.35, 0.65, seed));
        let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
        let (_, margin) = network.margin(norm, &x, samples.labels[0]);
        prop_assume!(margin > 1e-3 && margin < 0.3);
        let victim = Counted::new(network, SMALL);
        let below = threat(norm, 0.99 * margin);
        let pgd = Pgd { objective, restarts: 2, ..Pgd::new(below) };
        prop_assert_eq!(status(&victim, &samples, &pgd), Status::NotFound);
        let above = threat(norm, 1.01 * margin);
        let pgd = Pgd {
            objective: ObjectiveKind::Margin, random_start: false, ..Pgd::new(above)
        };
        prop_assert_eq!(status(&victim, &samples, &pgd), Status::AdversarialFound);
    }
}

#[test]
fn the_strongest_point_of_a_survivor_is_the_corner_a_linear_model_fears() {
    let (victim, samples) = at_margin(Norm::Linf, 0.1, 5);
    let attack = Pgd::new(threat(Norm::Linf, 0.05));
    let outcome = block_on(attack.run(&victim, &samples, &()))
        .unwrap()
        .remove(0);
    let best = outcome.best.unwrap();
    assert!(outcome.adversarial.is_none());
    let [w0, w1] = [&victim.network.weights[0], &victim.network.weights[1]];
    for (i, (x, moved)) in samples.images.iter().zip(&best).enumerate() {
        let expected = x + 0.05 * (w1[i] - w0[i]).signum() as f32;
        assert!((moved - expected).abs() < 1e-6);
    }
}

#[test]
fn a_saturated_cross_entropy_is_reported_and_the_margin_is_not_fooled() {
    let (mut victim, samples) = at_margin(Norm::Linf, 0.02, 9);
    // The scale changes no decision but makes the wrong class's probability underflow to zero.
    for row in &mut victim.network.weights {
        row.iter_mut().for_each(|w| *w *= 1e5);
    }
    victim.network.bias.iter_mut().for_each(|b| *b *= 1e5);
    let attack = |objective| Pgd {
        objective,
        ..Pgd::new(threat(Norm::Linf, 0.03))
    };
    let blind = attack(ObjectiveKind::CrossEntropy);
    let blind = block_on(blind.run(&victim, &samples, &()))
        .unwrap()
        .remove(0);
    assert_eq!(
        (blind.status, blind.zero_gradient),
        (Status::NotFound, true)
    );
    let seeing = attack(ObjectiveKind::Margin);
    assert_eq!(status(&victim, &samples, &seeing), Status::AdversarialFound);
}
