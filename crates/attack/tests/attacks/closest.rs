//! Attacks that look for the closest adversarial find the boundary of a linear classifier.

use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackKind, CarliniWagner, DeepFool, Fab, Limits, Norm,
    Outcome, Samples, Status,
};
use proptest::prelude::*;

use crate::support::{
    Counted, Linear, SMALL, allowed, at_margin, images, labelled, smooth, threat,
};

fn run<A: Attack>(victim: &Counted<Linear>, samples: &Samples, attack: &A) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let outcomes = runtime.block_on(attack.run(victim, samples, &())).unwrap();
    let outcome = outcomes.into_iter().next().unwrap();
    if let Some(image) = &outcome.adversarial {
        assert!(allowed(samples, 0, image, attack.threat()));
    }
    outcome
}

/// Whatever is closest counts.
const ANYWHERE: f64 = 20.0;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn fab_finds_the_boundary_between_two_linear_classes(
        norm in prop::sample::select(vec![Norm::Linf, Norm::L2, Norm::L1]), margin in 0.01f64..0.15, seed in any::<u64>(),
    ) {
        let (victim, samples) = at_margin(norm, margin, seed);
        for fab in [Fab::new(threat(norm, ANYWHERE)), Fab::targeted(threat(norm, ANYWHERE))] {
            let found = run(&victim, &samples, &fab).smallest.unwrap();
            prop_assert!((0.999..1.01).contains(&(found / margin)), "{norm}: {found}, {margin}");
        }
        for (factor, expected) in [(0.99, Status::NotFound), (1.02, Status::AdversarialFound)] {
            let outcome = run(&victim, &samples, &Fab::targeted(threat(norm, factor * margin)));
            prop_assert_eq!(outcome.status, expected);
        }
    }

    #[test]
    fn fab_finds_the_nearest_of_many_boundaries(
        norm in prop::sample::select(vec![Norm::Linf, Norm::L2, Norm::L1]), seed in any::<u64>(),
    ) {
        let network = Linear::random(5, SMALL.values(), seed);
        let samples = labelled(&network, images(1, 0.35, 0.65, seed));
        let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
        let (_, margin) = network.margin(norm, &x, samples.labels[0]);
        // In L1, a value may reach the edge of the box on its way.
        prop_assume!(margin > 1e-3 && margin < if norm == Norm::L1 { 0.3 } else { 0.35 });
        let victim = Counted::new(network, SMALL);
        for fab in [Fab::new(threat(norm, ANYWHERE)), Fab::targeted(threat(norm, ANYWHERE))] {
            let found = run(&victim, &samples, &fab).smallest.unwrap();
            prop_assert!((0.999..1.02).contains(&(found / margin)), "{norm}: {found}, {margin}");
        }
    }

    #[test]
    fn deepfool_lands_just_behind_the_boundary(
        norm in prop::sample::select(vec![Norm::Linf, Norm::L2]), margin in 0.01f64..0.15, seed in any::<u64>(),
    ) {
        let (victim, samples) = at_margin(norm, margin, seed);
        let outcome = run(&victim, &samples, &DeepFool::new(threat(norm, ANYWHERE)));
        prop_assert!((1.0..1.021).contains(&(outcome.smallest.unwrap() / margin)));
        prop_assert_eq!((outcome.steps_used, outcome.gradient_evaluations), (1, 1));
    }
}

#[test]
fn carlini_and_wagner_find_the_boundary() {
    for (margin, seed) in [(0.1, 1), (0.3, 2), (0.5, 3)] {
        let (victim, samples) = at_margin(Norm::L2, margin, seed);
        let attack = CarliniWagner {
            steps: 2000,
            ..CarliniWagner::new(threat(Norm::L2, ANYWHERE))
        };
        let found = run(&victim, &samples, &attack).smallest.unwrap();
        assert!(
            (0.999..1.02).contains(&(found / margin)),
            "{found}, {margin}"
        );
    }
}

#[tokio::test]
async fn what_lies_outside_the_ball_is_told_and_does_not_count() {
    let (victim, samples) = smooth(12);
    let limits = Limits::for_input(SMALL);
    for kind in [
        AttackKind::Fab,
        AttackKind::FabT,
        AttackKind::Deepfool,
        AttackKind::Cw,
    ] {
        let config = |eps: &str| AttackConfig {
            attack: kind,
            norm: Some(Norm::L2),
            eps: Some(eps.parse().unwrap()),
            steps: Some(100),
            ..AttackConfig::default()
        };
        let attack = |eps| -> AnyAttack { config(eps).validate(&limits).unwrap() };
        let wide = attack("6").run(&victim, &samples, &()).await.unwrap();
        let narrow = attack("0.0001").run(&victim, &samples, &()).await.unwrap();
        for (wide, narrow) in wide.iter().zip(&narrow) {
            assert_eq!(wide.status, Status::AdversarialFound, "{kind}");
            assert_eq!(narrow.status, Status::NotFound, "{kind}");
            assert_eq!(wide.smallest, narrow.smallest, "{kind}");
            assert_eq!(wide.adversarial, narrow.best, "{kind}");
        }
    }
}

#[test]
fn fab_finds_the_nearest_of_more_boundaries_than_are_asked_at_once() {
    for norm in [Norm::Linf, Norm::L2] {
        let network = Linear::random(150, SMALL.values(), 4);
        let samples = labelled(&network, images(1, 0.35, 0.65, 4));
        let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
        let (nearest, margin) = network.margin(norm, &x, samples.labels[0]);
        let victim = Counted::new(network, SMALL);
        let fab = Fab {
            steps: 10,
            ..Fab::new(threat(norm, ANYWHERE))
        };
        let outcome = run(&victim, &samples, &fab);
        let found = outcome.smallest.unwrap();
        assert!(
            (0.999..1.02).contains(&(found / margin)),
            "{norm}: {found}, {margin} from class {nearest}"
        );
        assert_eq!(outcome.gradient_evaluations, 10 * 149);
    }
}
