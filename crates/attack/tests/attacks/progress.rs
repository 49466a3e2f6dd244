//! Where an attack stands is never beyond where it ends.

use std::sync::Mutex;

use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackKind, AutoAttack, Limits, Norm, Progress,
};

use crate::support::{SMALL, all, all_within, smooth, threat};

#[tokio::test]
async fn no_attack_is_at_a_step_or_restart_beyond_its_last() {
    let (victim, samples) = smooth(6);
    let mut attacks = all(&victim, &samples).await;
    // Radii at which nothing is found, so that everything is tried.
    attacks.extend(all_within(&victim, &samples, |_| "1e-5".parse().unwrap()).await);
    let mut kinds = Vec::new();
    for attack in attacks {
        kinds.push(attack.name());
        let seen = Mutex::new(Vec::new());
        let watch = |progress: Progress| seen.lock().unwrap().push(progress);
        attack.run(&victim, &samples, &watch).await.unwrap();
        let seen = seen.into_inner().unwrap();
        assert!(seen.len() > 1, "{attack}");
        for progress in seen {
            assert!(progress.step <= progress.steps, "{attack}: {progress:?}");
            assert!(
                progress.restart <= progress.restarts,
                "{attack}: {progress:?}"
            );
        }
    }
    for kind in AttackKind::ALL {
        assert!(kinds.contains(&kind.name()), "{kind}");
    }
}

#[tokio::test]
async fn several_targets_with_restarts_are_counted_together() {
    let (victim, samples) = smooth(2);
    for (attack, restarts) in [
        (AttackKind::ApgdT, 6),
        (AttackKind::FabT, 6),
        (AttackKind::MultiTargeted, 6),
        (AttackKind::Fab, 2),
        (AttackKind::Pgd, 2),
    ] {
        let config = AttackConfig {
            attack,
            eps: Some("1e-5".parse().unwrap()),
            steps: Some(3),
            restarts: Some(2),
            ..AttackConfig::default()
        };
        let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
        let last = last(&attack, &victim, &samples).await;
        assert_eq!(
            (last.restart, last.restarts),
            (restarts, restarts),
            "{attack}"
        );
        assert_eq!(last.steps, 3);
    }
}

async fn last(
    attack: &AnyAttack,
    victim: &impl buckler_attack::Victim,
    samples: &buckler_attack::Samples,
) -> Progress {
    let seen = Mutex::new(None);
    let watch = |progress: Progress| *seen.lock().unwrap() = Some(progress);
    attack.run(victim, samples, &watch).await.unwrap();
    seen.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn autoattack_stands_in_the_attack_under_way() {
    let (victim, samples) = smooth(2);
    let attack = AnyAttack::AutoAttack(AutoAttack::new(threat(Norm::Linf, 1e-5)));
    let last = last(&attack, &victim, &samples).await;
    // apgd-ce, apgd-t and fab-t towards three targets each, square with its 5000 queries.
    assert_eq!((last.restart, last.restarts), (8, 8));
    assert_eq!(last.steps, 5000);
    assert!((4990..=5000).contains(&last.step), "{last:?}");
    assert_eq!(
        attack.describe(),
        "autoattack linf eps=0.00001 steps=100 restarts=1 stages=4 seed=0"
    );
}
