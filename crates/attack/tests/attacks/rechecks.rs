//! Reported adversarials are looked at again, before and after rounding.

use buckler_attack::{
    Attack, Checked, Demotion, Norm, Outcome, Pgd, Samples, Status, recheck, round_to_8_bits,
};
use ndarray::{Array3, Array4, Axis};

use crate::support::{Counted, Linear, SMALL, at_margin, smooth, threat};

async fn honest() -> (Counted<Linear>, Samples, Outcome) {
    let (victim, samples) = at_margin(Norm::Linf, 0.05, 3);
    let attack = Pgd::new(threat(Norm::Linf, 0.06));
    let outcome = attack.run(&victim, &samples, &()).await.unwrap().remove(0);
    assert_eq!(outcome.status, Status::AdversarialFound);
    (victim, samples, outcome)
}

async fn check(victim: &Counted<Linear>, samples: &Samples, outcome: Outcome) -> Checked {
    let threat = threat(Norm::Linf, 0.06);
    recheck(victim, samples, threat, vec![outcome], 256)
        .await
        .unwrap()
        .remove(0)
}

#[tokio::test]
async fn a_true_adversarial_passes_and_costs_two_forward_passes() {
    let (victim, samples, outcome) = honest().await;
    let before = outcome.clone();
    let checked = check(&victim, &samples, outcome).await;
    assert_eq!(checked.demoted, None);
    assert_eq!(checked.outcome.status, Status::AdversarialFound);
    assert_eq!(checked.outcome.adversarial, before.adversarial);
    assert_eq!(
        checked.outcome.forward_evaluations,
        before.forward_evaluations + 2
    );
    let exact = checked.exact.unwrap();
    assert!(exact.within_eps && exact.in_box && exact.succeeds);
    assert_eq!(exact.prediction, Some(1));
}

#[tokio::test]
async fn a_false_adversarial_is_demoted_with_its_reason() {
    let (victim, samples, outcome) = honest().await;
    let clean: Array3<f32> = samples.images.index_axis(Axis(0), 0).to_owned();
    let adversarial = outcome.adversarial.clone().unwrap();
    let beyond = &clean + &((&adversarial - &clean) * 1.01);
    let mut outside = adversarial.clone();
    outside[[0, 0, 0]] = -0.001;
    let mut broken = adversarial;
    broken[[0, 0, 0]] = f32::NAN;
    for (image, expected) in [
        (clean, "predicted as class 0"),
        (beyond, "outside eps 0.06"),
        (outside, "values outside [0, 1]"),
        (broken, "values outside [0, 1]"),
    ] {
        let claim = Outcome {
            adversarial: Some(image),
            ..outcome.clone()
        };
        let checked = check(&victim, &samples, claim).await;
        assert_eq!(checked.outcome.status, Status::NotFound);
        assert_eq!(checked.outcome.adversarial, None);
        assert!(checked.outcome.best.is_some());
        assert_eq!(checked.rounded, None);
        let reason = checked.demoted.unwrap().to_string();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_targeted_adversarial_must_reach_its_target() {
    let (victim, samples) = smooth(40);
    let threat = threat(Norm::Linf, 0.1);
    let outcomes = Pgd::new(threat).run(&victim, &samples, &()).await.unwrap();
    // Ask for another class than the one the untargeted attack happened to reach.
    let targets: Vec<usize> = samples
        .labels
        .iter()
        .zip(&outcomes)
        .map(|(&label, outcome)| {
            (0..4)
                .find(|&c| c != label && c != outcome.prediction)
                .unwrap()
        })
        .collect();
    let found = outcomes
        .iter()
        .filter(|o| o.status == Status::AdversarialFound)
        .count();
    let targeted = samples.with_targets(targets);
    let checked = recheck(&victim, &targeted, threat, outcomes, 256)
        .await
        .unwrap();
    let demoted = checked
        .iter()
        .filter(|c| matches!(c.demoted, Some(Demotion::NotReproduced { .. })))
        .count();
    assert!(found > 0);
    assert_eq!(demoted, found);
}

#[tokio::test]
async fn outcomes_of_other_samples_are_refused() {
    let (victim, samples, _) = honest().await;
    let error = recheck(&victim, &samples, threat(Norm::Linf, 0.06), Vec::new(), 256)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "0 outcomes for 1 images: give one per image"
    );
}

#[test]
fn every_grey_level_is_its_own_rounding() {
    let levels = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| (16 * y + x) as f32 / 255.0);
    assert_eq!(round_to_8_bits(&levels), levels);
    let between = levels.mapv(|level| (level + 0.4 / 255.0).min(1.0));
    assert_eq!(round_to_8_bits(&between), levels);
}

/// An image on grey level 100 everywhere and a linear victim whose boundary lies `margin` grey levels away.
pub fn grey(margin: f64) -> (Counted<Linear>, Samples) {
    grey_at(100.0, margin)
}

fn grey_at(level: f32, margin: f64) -> (Counted<Linear>, Samples) {
    let level = level / 255.0;
    let values = SMALL.values();
    let weights = vec![vec![-0.5; values], vec![0.5; values]];
    let clean: f64 = f64::from(level) * values as f64;
    let bias = vec![clean + margin / 255.0 * values as f64, 0.0];
    let images = Array4::from_elem((1, SMALL.channels, SMALL.height, SMALL.width), level);
    let victim = Counted::new(Linear { weights, bias }, SMALL);
    (victim, Samples::new(images, vec![0]))
}

#[tokio::test]
async fn rounding_can_undo_an_adversarial_or_take_it_out_of_the_ball() {
    for (margin, epsilon, survives, within) in [
        (0.3, 0.4, false, true),
        (0.3, 0.6, true, false),
        (0.3, 1.0, true, true),
    ] {
        let (victim, samples) = grey(margin);
        let threat = threat(Norm::Linf, epsilon / 255.0);
        let attack = Pgd {
            random_start: false,
            steps: 1,
            ..Pgd::new(threat)
        };
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        let checked = recheck(&victim, &samples, threat, outcomes, 256)
            .await
            .unwrap()
            .remove(0);
        assert_eq!(checked.outcome.status, Status::AdversarialFound);
        let rounded = checked.rounded.unwrap();
        assert_eq!(
            (rounded.succeeds, rounded.within_eps),
            (survives, within),
            "eps {epsilon}"
        );
    }
}

#[tokio::test]
async fn an_adversarial_beyond_its_radius_by_a_rounding_error_is_demoted() {
    let (victim, samples, outcome) = honest().await;
    let clean = samples.images.index_axis(Axis(0), 0);
    let adversarial = outcome.adversarial.as_ref().unwrap();
    // The first number of single precision beyond the radius.
    let mut beyond = adversarial.clone();
    let (value, centre) = (beyond.iter_mut().next().unwrap(), clean[[0, 0, 0]]);
    let up = *value > centre;
    *value = if up { centre + 0.06 } else { centre - 0.06 };
    while (f64::from(*value) - f64::from(centre)).abs() <= f64::from(0.06f32) {
        *value = if up {
            value.next_up()
        } else {
            value.next_down()
        };
    }
    let claim = Outcome {
        adversarial: Some(beyond),
        ..outcome
    };
    let checked = check(&victim, &samples, claim).await;
    let exact = checked.exact.unwrap();
    assert!(!exact.within_eps && exact.distances.linf < 0.0600001);
    assert!(
        matches!(checked.demoted, Some(Demotion::OutsideBall { .. })),
        "{:?}",
        checked.demoted
    );
}

#[tokio::test]
async fn a_picture_is_judged_by_its_grey_levels() {
    // Eight levels are within 8/255 however the numbers are rounded.
    for (shift, radius, within) in [
        (7.7f32, "8/255", true),
        (8.6, "0.0338", false),
        (7.7, "0.03137255", true),
        (7.7, "0.0313", false),
        (0.7, "1/255", true),
        (50.7, "0.2", true),
    ] {
        let levels = shift.round();
        let epsilon: buckler_attack::Epsilon = radius.parse().unwrap();
        let threat = buckler_attack::Threat {
            norm: Norm::Linf,
            epsilon,
        };
        for level in [3.0f32, 77.0, 100.0, 150.0, 200.0] {
            let (victim, samples) = grey_at(level, 0.3);
            let image = samples.images.index_axis(Axis(0), 0).to_owned();
            let image = image.mapv(|_| (level + shift) / 255.0);
            let outcome = Outcome {
                adversarial: Some(image),
                ..honest().await.2
            };
            let checked = recheck(&victim, &samples, threat, vec![outcome], 256)
                .await
                .unwrap()
                .remove(0);
            let Some(rounded) = checked.rounded else {
                panic!("{levels} levels at {radius}: {:?}", checked.demoted)
            };
            assert_eq!(rounded.within_eps, within, "{levels} levels at {radius}");
            assert_eq!(rounded.distances.linf, f64::from(levels) / 255.0);
        }
    }
}
