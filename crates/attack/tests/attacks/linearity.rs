//! The first-order view of a loss, where it is exact and where its error is known.

use buckler_attack::{
    Attack, Fgsm, Linearity, Norm, ObjectiveKind, Outcome, Pgd, Samples, Victim, linearity,
};
use ndarray::Axis;

use crate::support::{Counted, Linear, Masked, SMALL, images, labelled, smooth, threat};

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

fn on_margin(norm: Norm, epsilon: f64) -> Pgd {
    Pgd {
        objective: ObjectiveKind::Margin,
        ..Pgd::new(threat(norm, epsilon))
    }
}

async fn measured(victim: &impl Victim, samples: &Samples, pgd: &Pgd) -> Linearity {
    linearity(victim, samples, pgd).await.unwrap()
}

#[tokio::test]
async fn on_a_linear_margin_the_prediction_is_the_rise_and_nothing_beats_it() {
    let network = Linear::random(2, SMALL.values(), 3);
    let samples = labelled(&network, images(6, 0.35, 0.65, 4));
    let dual = |norm| {
        let slope = network.weights[0].iter().zip(&network.weights[1]);
        let slope = slope.map(|(a, b): (&f64, &f64)| (a - b).abs());
        match norm {
            Norm::Linf => slope.sum::<f64>(),
            Norm::L2 => slope.map(|s| s * s).sum::<f64>().sqrt(),
            Norm::L1 => slope.fold(0.0, f64::max),
        }
    };
    let expected = NORMS.map(dual);
    let victim = Counted::new(network.clone(), SMALL);
    for (norm, dual) in NORMS.into_iter().zip(expected) {
        // Far beyond the boundary for some of the images: success ends nothing.
        let epsilon = 0.3;
        let all = measured(&victim, &samples, &on_margin(norm, epsilon)).await;
        for record in &all.samples {
            let rise = record.rise;
            let exact = f64::from(epsilon as f32) * dual;
            for value in [rise.predicted, rise.predicted_in_box, rise.one_step] {
                assert!((value - exact).abs() < 2e-5, "{norm}: {value} {exact}");
            }
            assert!((rise.dual_norm - dual).abs() < 1e-5);
            assert!(
                rise.iterated < exact + 2e-5 && rise.iterated > 0.9 * exact,
                "{norm}"
            );
            assert!((rise.cosine.unwrap() - 1.0).abs() < 1e-12);
        }
        assert_eq!((all.images, all.gradient_evaluations), (6, 6 * 23));
    }
    assert_eq!((victim.gradients(), victim.forwards()), (3 * 6 * 23, 0));
}

#[tokio::test]
async fn on_a_smooth_net_the_error_shrinks_with_the_square_of_eps() {
    let (victim, samples) = smooth(10);
    for objective in [ObjectiveKind::CrossEntropy, ObjectiveKind::Margin] {
        for (norm, largest) in NORMS.into_iter().zip([0.01, 0.08, 0.1]) {
            let mut errors = Vec::new();
            for halving in 0..4 {
                let pgd = Pgd {
                    objective,
                    ..Pgd::new(threat(norm, largest * 0.5f64.powi(halving)))
                };
                let all = measured(&victim, &samples, &pgd).await;
                let rises = all.samples.iter().map(|record| record.rise);
                let errors_here = rises.map(|r| (r.one_step - r.predicted_in_box).abs());
                errors.push(errors_here.sum::<f64>());
            }
            let orders: Vec<f64> = errors.windows(2).map(|e| (e[0] / e[1]).log2()).collect();
            for order in &orders {
                assert!((1.8..2.2).contains(order), "{objective} {norm}: {orders:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_ball_has_nothing_to_rise_to() {
    let (victim, samples) = smooth(5);
    for norm in NORMS {
        let all = measured(&victim, &samples, &on_margin(norm, 0.0)).await;
        for record in &all.samples {
            let rise = record.rise;
            assert!(rise.dual_norm > 0.0);
            assert_eq!((rise.predicted, rise.predicted_in_box), (0.0, 0.0));
            assert_eq!((rise.one_step, rise.iterated), (0.0, 0.0));
            assert!((rise.cosine.unwrap() - 1.0).abs() < 1e-12);
        }
    }
}

#[tokio::test]
async fn where_the_box_binds_less_is_predicted() {
    let (victim, samples) = smooth(5);
    let white = Samples {
        images: samples.images.mapv(|_| 1.0),
        ..samples.clone()
    };
    for norm in NORMS {
        let inside = measured(&victim, &samples, &on_margin(norm, 0.02)).await;
        let bound = measured(&victim, &white, &on_margin(norm, 0.02)).await;
        for record in &inside.samples {
            let rise = record.rise;
            assert!(
                (rise.predicted - rise.predicted_in_box).abs() < 1e-5,
                "{norm}"
            );
        }
        let means = bound.mean;
        assert!(means.predicted_in_box < 0.99 * means.predicted, "{norm}");
    }
}

#[tokio::test]
async fn the_step_is_the_one_of_fgsm_and_the_attack_goes_on_where_pgd_stops() {
    let (victim, samples) = smooth(20);
    let pgd = on_margin(Norm::Linf, 0.05);
    let all = measured(&victim, &samples, &pgd).await;
    let fgsm = Fgsm {
        objective: ObjectiveKind::Margin,
        ..Fgsm::new(pgd.threat)
    };
    let stepped = fgsm.run(&victim, &samples, &()).await.unwrap();
    let stopped = pgd.run(&victim, &samples, &()).await.unwrap();
    let mut further = 0;
    for ((record, stepped), stopped) in all.samples.iter().zip(&stepped).zip(&stopped) {
        let rise = record.rise;
        let of = |outcome: &Outcome| f64::from(outcome.loss) - rise.loss;
        // Where the loss only falls, the point kept is the clean one.
        assert!((of(stepped) - rise.one_step.max(0.0)).abs() < 1e-4);
        // The same start and steps, and no end at the first success.
        assert!(rise.iterated > of(stopped) - 1e-4);
        further += usize::from(rise.iterated > of(stopped) + 0.05);
    }
    assert!(further > 5, "{further}");
}

#[tokio::test]
async fn batch_order_and_company_change_nothing() {
    let (victim, samples) = smooth(7);
    let pgd = Pgd {
        restarts: 2,
        steps: 5,
        max_batch: 3,
        ..on_margin(Norm::L2, 0.2)
    };
    let all = measured(&victim, &samples, &pgd).await;
    let order = [6, 2, 4];
    let some = Samples {
        images: samples.images.select(Axis(0), &order),
        labels: order.iter().map(|&i| samples.labels[i]).collect(),
        targets: None,
        ids: order.iter().map(|&i| samples.ids[i]).collect(),
    };
    let pgd = Pgd {
        max_batch: 100,
        ..pgd
    };
    let some = measured(&victim, &some, &pgd).await;
    for (&i, record) in order.iter().zip(&some.samples) {
        assert_eq!(&all.samples[i], record);
    }
}

#[tokio::test]
async fn a_hidden_gradient_predicts_nothing_and_a_report_survives_a_round_trip() {
    let (victim, samples) = smooth(3);
    let victim = Counted::new(Masked(victim.network), victim.input);
    let all = measured(&victim, &samples, &on_margin(Norm::L2, 0.2)).await;
    assert_eq!((all.mean.predicted, all.mean.one_step), (0.0, 0.0));
    assert_eq!(all.mean.cosine, None);
    let json = serde_json::to_value(&all).unwrap();
    assert_eq!(json["objective"], "margin");
    assert!(json["samples"][0]["dual_norm"].is_number());
    assert_eq!(serde_json::from_value::<Linearity>(json).unwrap(), all);
}

#[tokio::test]
async fn targets_are_climbed_to() {
    let (victim, samples) = smooth(6);
    let targets = samples.labels.iter().map(|label| (label + 1) % 4).collect();
    let samples = samples.with_targets(targets);
    let all = measured(&victim, &samples, &on_margin(Norm::Linf, 0.02)).await;
    for record in &all.samples {
        // The target's lead, negative where another class is predicted.
        assert!(record.rise.loss < 0.0 && record.rise.iterated > 0.0);
    }
}
