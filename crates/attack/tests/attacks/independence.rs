//! One seed gives one result, whatever the batch, the order or the company.

use std::sync::atomic::Ordering;

use buckler_attack::{AnyAttack, Attack, Fgsm, Norm, Outcome, Pgd, Samples, Status};
use ndarray::Axis;

use crate::support::{smooth, threat};

fn pgd(norm: Norm) -> Pgd {
    let epsilon = match norm {
        Norm::Linf => 0.02,
        Norm::L2 => 0.1,
        Norm::L1 => 0.5,
    };
    Pgd {
        restarts: 2,
        steps: 8,
        seed: 3,
        ..Pgd::new(threat(norm, epsilon))
    }
}

fn found(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|o| o.status == Status::AdversarialFound)
        .count()
}

#[tokio::test]
async fn the_batch_size_changes_nothing() {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let (victim, samples) = smooth(24);
        let together = pgd(norm).run(&victim, &samples, &()).await.unwrap();
        assert!(
            (1..24).contains(&found(&together)),
            "{norm}: {}",
            found(&together)
        );
        for max_batch in [1, 3] {
            let (victim, _) = smooth(0);
            let attack = Pgd {
                max_batch,
                ..pgd(norm)
            };
            let split = attack.run(&victim, &samples, &()).await.unwrap();
            assert_eq!(together, split);
            assert_eq!(
                victim.largest_batch.load(Ordering::SeqCst),
                max_batch as u64
            );
        }
    }
}

#[tokio::test]
async fn order_and_company_change_nothing() {
    let (victim, samples) = smooth(24);
    let reference = pgd(Norm::Linf).run(&victim, &samples, &()).await.unwrap();
    let order: Vec<usize> = (0..24).rev().filter(|i| i % 3 != 1).collect();
    let some = Samples {
        images: samples.images.select(Axis(0), &order),
        labels: order.iter().map(|&i| samples.labels[i]).collect(),
        targets: None,
        ids: order.iter().map(|&i| samples.ids[i]).collect(),
    };
    let outcomes = pgd(Norm::Linf).run(&victim, &some, &()).await.unwrap();
    for (&i, outcome) in order.iter().zip(&outcomes) {
        assert_eq!(&reference[i], outcome);
    }
}

#[tokio::test]
async fn another_seed_starts_elsewhere() {
    let (victim, samples) = smooth(4);
    let one = pgd(Norm::Linf).run(&victim, &samples, &()).await.unwrap();
    let other = Pgd {
        seed: 4,
        ..pgd(Norm::Linf)
    };
    assert_ne!(one, other.run(&victim, &samples, &()).await.unwrap());
}

#[tokio::test]
async fn further_restarts_add_to_what_fewer_find() {
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let (victim, samples) = smooth(40);
        let weak = Pgd {
            steps: 2,
            restarts: 1,
            ..pgd(norm)
        };
        let strong = Pgd {
            restarts: 5,
            ..weak.clone()
        };
        let one = weak.run(&victim, &samples, &()).await.unwrap();
        let five = strong.run(&victim, &samples, &()).await.unwrap();
        for (one, five) in one.iter().zip(&five) {
            match one.status {
                Status::AdversarialFound => assert_eq!(one, five),
                _ => {
                    // An adversarial may have a lower cross-entropy than an image that holds.
                    assert!(five.loss >= one.loss || five.status == Status::AdversarialFound);
                    assert!(five.restarts_used > 1);
                }
            }
        }
        assert!(found(&five) >= found(&one));
    }
}

#[tokio::test]
async fn futures_can_be_spawned_on_a_thread_pool() {
    let attacks = [
        AnyAttack::Pgd(pgd(Norm::L2)),
        AnyAttack::Fgsm(Fgsm::new(threat(Norm::Linf, 0.03))),
    ];
    for attack in attacks {
        let (victim, samples) = smooth(6);
        let task = tokio::spawn(async move {
            let watch = |_progress| ();
            attack.run(&victim, &samples, &watch).await
        });
        assert_eq!(task.await.unwrap().unwrap().len(), 6);
    }
}
