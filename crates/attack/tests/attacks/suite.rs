//! What all attacks have in common.

use buckler_attack::{
    Attack, AttackConfig, AttackKind, AutoAttack, Limits, Mim, MultiTargeted, Norm, ObjectiveKind,
    Outcome, Pgd, Samples, Spsa, Square, Status,
};
use ndarray::Axis;

use crate::support::{Counted, Masked, SMALL, all, allowed, at_margin, epsilon, smooth, threat};

fn found(outcomes: &[Outcome]) -> usize {
    let found = |outcome: &&Outcome| outcome.status == Status::AdversarialFound;
    outcomes.iter().filter(found).count()
}

#[tokio::test]
async fn every_adversarial_lies_in_the_ball_and_fools_the_victim() {
    let (victim, samples) = smooth(20);
    for attack in all(&victim, &samples).await {
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        let threat = attack.threat();
        let mut images = samples.images.clone();
        for (row, outcome) in outcomes.iter().enumerate() {
            if let Some(image) = &outcome.adversarial {
                assert!(allowed(&samples, row, image, threat), "{attack}");
                images.index_axis_mut(Axis(0), row).assign(image);
            }
        }
        let again = Pgd::new(buckler_attack::Threat {
            epsilon: "0".parse().unwrap(),
            ..threat
        });
        let judged = Samples {
            images,
            ..samples.clone()
        };
        let judged = again.run(&victim, &judged, &()).await.unwrap();
        for (outcome, judged) in outcomes.iter().zip(&judged) {
            let wrong = judged.status == Status::MisclassifiedClean;
            assert_eq!(wrong, outcome.adversarial.is_some(), "{attack}");
        }
        assert!(
            (1..20).contains(&found(&outcomes)),
            "{attack}: {}",
            found(&outcomes)
        );
    }
}

#[tokio::test]
async fn order_and_company_change_nothing() {
    let (victim, samples) = smooth(8);
    let order = [5, 0, 3];
    let some = Samples {
        images: samples.images.select(Axis(0), &order),
        labels: order.iter().map(|&i| samples.labels[i]).collect(),
        targets: None,
        ids: order.iter().map(|&i| samples.ids[i]).collect(),
    };
    for attack in all(&victim, &samples).await {
        let all = attack.run(&victim, &samples, &()).await.unwrap();
        let some = attack.run(&victim, &some, &()).await.unwrap();
        for (&i, outcome) in order.iter().zip(&some) {
            assert_eq!(&all[i], outcome, "{attack}");
        }
    }
}

#[tokio::test]
async fn what_is_counted_is_what_was_asked() {
    let (victim, samples) = smooth(6);
    for attack in all(&victim, &samples).await {
        let (victim, samples) = smooth(6);
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        let gradients: u64 = outcomes.iter().map(|o| o.gradient_evaluations).sum();
        let forwards: u64 = outcomes.iter().map(|o| o.forward_evaluations).sum();
        assert_eq!(
            (victim.gradients(), victim.forwards()),
            (gradients, forwards),
            "{attack}"
        );
    }
}

#[tokio::test]
async fn targets_are_reached_by_all() {
    let (victim, samples) = smooth(12);
    let targets = samples.labels.iter().map(|label| (label + 1) % 4).collect();
    let samples = samples.with_targets(targets);
    for attack in all(&victim, &samples).await {
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        for (outcome, &target) in outcomes.iter().zip(samples.targets.as_ref().unwrap()) {
            let reached = outcome.status == Status::AdversarialFound;
            assert!(!reached || outcome.prediction == target, "{attack}");
        }
    }
    let strong = AutoAttack::new(threat(Norm::Linf, 0.3));
    let outcomes = strong.run(&victim, &samples, &()).await.unwrap();
    assert!(found(&outcomes) >= 8, "{}", found(&outcomes));
}

#[tokio::test]
async fn autoattack_breaks_what_any_of_its_parts_breaks_and_says_which_did() {
    let (victim, samples) = smooth(40);
    for norm in [Norm::Linf, Norm::L2] {
        let epsilon = epsilon(norm).parse::<f64>().unwrap();
        let whole = AutoAttack {
            seed: 7,
            ..AutoAttack::new(threat(norm, epsilon))
        };
        let whole = whole.run(&victim, &samples, &()).await.unwrap();
        for attack in all(&victim, &samples)
            .await
            .into_iter()
            .filter(|attack| attack.threat().norm == norm)
        {
            if !["apgd-ce", "apgd-t", "fab-t"].contains(&attack.name()) {
                continue;
            }
            let part = attack.run(&victim, &samples, &()).await.unwrap();
            for (whole, part) in whole.iter().zip(&part) {
                assert!(
                    whole.status == part.status || part.status == Status::NotFound,
                    "{attack}"
                );
            }
        }
        for outcome in &whole {
            let found = outcome.status == Status::AdversarialFound;
            assert_eq!(outcome.found_by.is_some(), found);
        }
        assert!(
            whole
                .iter()
                .any(|o| o.found_by.as_deref() == Some("apgd-ce"))
        );
    }
}

#[tokio::test]
async fn attacks_without_gradients_are_not_stopped_by_hidden_ones() {
    let (victim, samples) = smooth(20);
    let victim = Counted::new(Masked(victim.network), victim.input);
    let threat = threat(Norm::Linf, 0.05);
    let blind = Pgd::new(threat).run(&victim, &samples, &()).await.unwrap();
    let square = Square {
        queries: 500,
        ..Square::new(threat)
    };
    let square = square.run(&victim, &samples, &()).await.unwrap();
    let spsa = Spsa {
        pairs: 100,
        ..Spsa::new(threat)
    };
    let spsa = spsa.run(&victim, &samples, &()).await.unwrap();
    let whole = AutoAttack::new(threat)
        .run(&victim, &samples, &())
        .await
        .unwrap();
    assert!(found(&square) > found(&blind) + 5 && found(&spsa) > found(&blind) + 5);
    assert!(
        whole
            .iter()
            .any(|o| o.found_by.as_deref() == Some("square"))
    );
    assert!(
        whole
            .iter()
            .filter(|o| o.status == Status::NotFound)
            .all(|o| o.zero_gradient)
    );
}

#[tokio::test]
async fn two_classes_are_attacked_by_the_margin_where_the_ratio_takes_more() {
    let (victim, samples) = at_margin(Norm::Linf, 0.1, 3);
    let limits = Limits::for_input(SMALL);
    for kind in [
        AttackKind::ApgdDlr,
        AttackKind::ApgdT,
        AttackKind::Autoattack,
        AttackKind::AutoattackPlus,
    ] {
        for (eps, expected) in [
            ("0.09", Status::NotFound),
            ("0.11", Status::AdversarialFound),
        ] {
            let config = AttackConfig {
                attack: kind,
                eps: Some(eps.parse().unwrap()),
                ..AttackConfig::default()
            };
            let attack = config.validate(&limits).unwrap();
            let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
            assert_eq!(outcomes[0].status, expected, "{attack}");
        }
    }
}

#[tokio::test]
async fn ratio_and_boundary_do_not_see_the_scale_of_the_logits() {
    let (victim, samples) = at_margin(Norm::Linf, 0.02, 9);
    let mut scaled = victim.network.clone();
    for row in &mut scaled.weights {
        row.iter_mut().for_each(|w| *w *= 1e4);
    }
    scaled.bias.iter_mut().for_each(|b| *b *= 1e4);
    let scaled = Counted::new(scaled, SMALL);
    let limits = Limits::for_input(SMALL);
    for kind in [
        AttackKind::ApgdT,
        AttackKind::FabT,
        AttackKind::Square,
        AttackKind::MultiTargeted,
    ] {
        let config = AttackConfig {
            attack: kind,
            eps: Some("0.03".parse().unwrap()),
            ..AttackConfig::default()
        };
        let attack = config.validate(&limits).unwrap();
        let plain = attack.run(&victim, &samples, &()).await.unwrap();
        let large = attack.run(&scaled, &samples, &()).await.unwrap();
        assert_eq!(plain[0].status, Status::AdversarialFound, "{attack}");
        assert_eq!(large[0].status, Status::AdversarialFound, "{attack}");
    }
}

#[tokio::test]
async fn every_class_is_tried_as_a_target_before_an_image_holds() {
    let (victim, samples) = smooth(10);
    let attack = MultiTargeted::new(threat(Norm::Linf, 1e-4));
    for outcome in attack.run(&victim, &samples, &()).await.unwrap() {
        assert_eq!((outcome.restarts_used, outcome.steps_used), (3, 60));
    }
}

#[tokio::test]
async fn an_objective_of_its_own_is_not_told_and_a_chosen_one_is() {
    let mim = Mim {
        objective: ObjectiveKind::Dlr,
        variants: "ni,ti".parse().unwrap(),
        ..Mim::new(threat(Norm::Linf, 0.03))
    };
    let line = mim.describe();
    assert!(
        line.contains("objective=dlr") && line.contains("ni=1 ti=1"),
        "{line}"
    );
    let line = Square::new(threat(Norm::Linf, 0.03)).describe();
    assert!(
        line.contains("steps=5000") && !line.contains("objective"),
        "{line}"
    );
}
