//! What an attack costs, and what stops it.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use buckler_attack::{Attack, Fgsm, Norm, Observer, Pgd, Progress, Samples, Status};

use crate::support::{Counted, Masked, at_margin, smooth, threat};

#[tokio::test]
async fn broken_images_cost_no_further_gradients() {
    let (victim, samples) = smooth(30);
    let attack = Pgd {
        restarts: 3,
        ..Pgd::new(threat(Norm::Linf, 0.02))
    };
    let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
    let (mut broken, mut held) = (0, 0);
    for outcome in &outcomes {
        match outcome.status {
            Status::AdversarialFound => {
                // One gradient per step, and one more with the forward pass that shows the break, unless the plain
                // forward pass at the end of a restart does.
                broken += 1;
                let steps = outcome.steps_used as u64;
                assert!((steps..=steps + 1).contains(&outcome.gradient_evaluations));
                assert!(steps <= 20 * outcome.restarts_used as u64);
            }
            Status::NotFound => {
                held += 1;
                assert_eq!(outcome.gradient_evaluations, 60);
                assert_eq!(outcome.forward_evaluations, 1 + 3);
                assert_eq!((outcome.steps_used, outcome.restarts_used), (60, 3));
            }
            other => panic!("{other}"),
        }
    }
    assert!(broken > 3 && held > 3, "{broken} broken, {held} held");
    let counted: u64 = outcomes.iter().map(|o| o.gradient_evaluations).sum();
    assert_eq!(victim.gradients(), counted);
    let counted: u64 = outcomes.iter().map(|o| o.forward_evaluations).sum();
    assert_eq!(victim.forwards(), counted);
}

#[tokio::test]
async fn an_image_misclassified_as_it_is_costs_its_forward_pass_alone() {
    let (victim, samples) = at_margin(Norm::Linf, 0.1, 1);
    let wrong = Samples::new(samples.images.clone(), vec![1]);
    let outcome = Pgd::new(threat(Norm::Linf, 0.05))
        .run(&victim, &wrong, &())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(outcome.status, Status::MisclassifiedClean);
    assert_eq!((victim.forwards(), victim.gradients()), (1, 0));
    assert_eq!((outcome.adversarial, outcome.best), (None, None));
}

#[tokio::test]
async fn an_empty_ball_holds_the_clean_prediction_and_costs_no_gradient() {
    let (victim, mut samples) = smooth(10);
    samples.labels[3] = (samples.labels[3] + 1) % 4;
    for norm in [Norm::Linf, Norm::L2] {
        let outcomes = Pgd::new(threat(norm, 0.0))
            .run(&victim, &samples, &())
            .await
            .unwrap();
        for (row, outcome) in outcomes.iter().enumerate() {
            let expected = if row == 3 {
                Status::MisclassifiedClean
            } else {
                Status::NotFound
            };
            assert_eq!(outcome.status, expected);
        }
    }
    assert_eq!(victim.gradients(), 0);
}

#[tokio::test]
async fn a_victim_without_gradients_is_reported_and_soon_given_up() {
    let (victim, samples) = smooth(4);
    let victim = Counted::new(Masked(victim.network), victim.input);
    let attack = Pgd {
        restarts: 100,
        ..Pgd::new(threat(Norm::Linf, 0.001))
    };
    for outcome in attack.run(&victim, &samples, &()).await.unwrap() {
        assert_eq!(outcome.status, Status::NotFound);
        assert!(outcome.zero_gradient);
        assert_eq!(outcome.steps_used, 0);
        assert_eq!(
            (outcome.restarts_used, outcome.gradient_evaluations),
            (3, 3)
        );
    }
    let outcomes = Fgsm::new(threat(Norm::L2, 0.001))
        .run(&victim, &samples, &())
        .await
        .unwrap();
    assert!(
        outcomes
            .iter()
            .all(|o| o.zero_gradient && o.gradient_evaluations == 1)
    );
}

#[tokio::test]
async fn gradients_that_are_there_are_not_called_zero() {
    let (victim, samples) = smooth(10);
    let outcomes = Pgd::new(threat(Norm::Linf, 0.01))
        .run(&victim, &samples, &())
        .await
        .unwrap();
    assert!(outcomes.iter().all(|outcome| !outcome.zero_gradient));
}

/// Ends the attack at a given observation.
struct StopAt {
    seen: AtomicUsize,
    limit: usize,
}

impl Observer for StopAt {
    fn observe(&self, _: Progress) -> ControlFlow<()> {
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 >= self.limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

fn stop_at(limit: usize) -> StopAt {
    StopAt {
        seen: AtomicUsize::new(0),
        limit,
    }
}

#[tokio::test]
async fn an_attack_stopped_early_keeps_what_it_found_and_calls_the_rest_incomplete() {
    let attack = Pgd::new(threat(Norm::Linf, 0.02));
    let (victim, samples) = smooth(30);
    let full = attack.run(&victim, &samples, &()).await.unwrap();
    // The clean pass, the start and five steps.
    let cut = attack.run(&victim, &samples, &stop_at(7)).await.unwrap();
    let (mut kept, mut open) = (0, 0);
    for (cut, full) in cut.iter().zip(&full) {
        if full.status == Status::AdversarialFound && full.gradient_evaluations <= 6 {
            assert_eq!(cut, full);
            kept += 1;
        } else {
            assert_eq!(cut.status, Status::Incomplete);
            assert_eq!(cut.gradient_evaluations, 6);
            assert!(cut.adversarial.is_none());
            open += 1;
        }
    }
    assert!(kept > 0 && open > 0, "{kept} kept, {open} open");
    let (victim, _) = smooth(0);
    attack.run(&victim, &samples, &stop_at(1)).await.unwrap();
    assert_eq!(victim.gradients(), 0);
}

#[tokio::test]
async fn a_stop_after_the_last_query_comes_too_late_to_matter() {
    let (victim, samples) = at_margin(Norm::Linf, 0.1, 2);
    let attack = Pgd {
        steps: 5,
        ..Pgd::new(threat(Norm::Linf, 0.05))
    };
    // The clean pass, five gradients and the final forward pass.
    let outcomes = attack.run(&victim, &samples, &stop_at(7)).await.unwrap();
    assert_eq!(outcomes[0].status, Status::NotFound);
    let outcomes = attack.run(&victim, &samples, &stop_at(6)).await.unwrap();
    assert_eq!(outcomes[0].status, Status::Incomplete);
}

#[tokio::test]
async fn progress_is_reported_after_every_query() {
    let (victim, samples) = smooth(20);
    let attack = Pgd {
        steps: 6,
        restarts: 2,
        ..Pgd::new(threat(Norm::Linf, 0.01))
    };
    let seen = Mutex::new(Vec::new());
    let watch = |progress: Progress| seen.lock().unwrap().push(progress);
    attack.run(&victim, &samples, &watch).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(
        (seen[0].restart, seen[0].step, seen[0].remaining),
        (0, 0, 20)
    );
    let order: Vec<_> = seen[1..].iter().map(|p| (p.restart, p.step)).collect();
    let expected: Vec<_> = (1..=2).flat_map(|r| (0..=6).map(move |s| (r, s))).collect();
    assert_eq!(order, expected);
    assert!(seen.iter().all(|p| p.broken + p.remaining == 20));
    assert!(seen.windows(2).all(|p| p[0].broken <= p[1].broken));
    assert!(seen.iter().all(|p| p.best_loss.unwrap().is_finite()));
    // An image that holds has not lost its margin; the loss is the cross-entropy of its label.
    for progress in seen {
        let (margin, confidence) = (progress.margin.unwrap(), progress.confidence.unwrap());
        assert!(margin < 0.0, "{progress:?}");
        let loss = progress.best_loss.unwrap();
        assert!((confidence - (-loss).exp()).abs() < 1e-5, "{progress:?}");
    }
}
