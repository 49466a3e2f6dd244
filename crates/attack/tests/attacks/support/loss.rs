//! Objectives and their gradients, in double precision.

use buckler_attack::Objective;

/// The cosine distance from a source and its gradient with respect to the features.
pub fn distance_and_cotangent(source: &[f32], features: &[f64]) -> (f64, Vec<f64>) {
    let source: Vec<f64> = source.iter().copied().map(f64::from).collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let [own, other] = [features, &source].map(|v| product(v, v).sqrt());
    let cosine = product(features, &source) / (own * other);
    let pairs = features.iter().zip(&source);
    let cotangent = pairs.map(|(f, s)| cosine * f / (own * own) - s / (own * other));
    (1.0 - cosine, cotangent.collect())
}

/// The objective's value and its gradient with respect to the logits.
pub fn loss_and_cotangent(objective: &Objective, z: &[f64]) -> (f64, Vec<f64>) {
    let one_hot = |class: usize| {
        let mut vector = vec![0.0; z.len()];
        vector[class] = 1.0;
        vector
    };
    let rival = |class: usize| {
        (0..z.len())
            .filter(|&i| i != class)
            .max_by(|&a, &b| z[a].total_cmp(&z[b]))
            .unwrap()
    };
    let difference =
        |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(&b).map(|(a, b)| a - b).collect() };
    // The classes by their logits, the largest first.
    let order = || {
        let mut order: Vec<usize> = (0..z.len()).collect();
        order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
        order
    };
    let quotient = |above: &[f64], ratio: f64, below: &[f64], divisor: f64| -> Vec<f64> {
        let pairs = above.iter().zip(below);
        pairs.map(|(a, b)| (a - ratio * b) / divisor).collect()
    };
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|v| (v - largest).exp()).sum();
    let softmax = || z.iter().map(|v| (v - largest).exp() / sum).collect();
    let normaliser = largest + sum.ln();
    match objective {
        Objective::CrossEntropy { label } => (
            normaliser - z[*label],
            difference(softmax(), one_hot(*label)),
        ),
        Objective::TargetedCrossEntropy { target } => (
            z[*target] - normaliser,
            difference(one_hot(*target), softmax()),
        ),
        Objective::Margin { label } => {
            let other = rival(*label);
            (
                z[other] - z[*label],
                difference(one_hot(other), one_hot(*label)),
            )
        }
        Objective::TargetedMargin { target } => {
            let other = rival(*target);
            (
                z[*target] - z[other],
                difference(one_hot(*target), one_hot(other)),
            )
        }
        Objective::Cotangent(c) => {
            let c: Vec<f64> = c.iter().copied().map(f64::from).collect();
            (c.iter().zip(z).map(|(c, z)| c * z).sum(), c)
        }
        Objective::Dlr { label } => {
            let other = rival(*label);
            let order = order();
            let spread = z[order[0]] - z[order[2]];
            let ratio = (z[other] - z[*label]) / spread;
            let gap = difference(one_hot(other), one_hot(*label));
            let spreads = difference(one_hot(order[0]), one_hot(order[2]));
            (ratio, quotient(&gap, ratio, &spreads, spread))
        }
        Objective::TargetedDlr { label, target } => {
            let order = order();
            let spread = z[order[0]] - (z[order[2]] + z[order[3]]) / 2.0;
            let ratio = (z[*target] - z[*label]) / spread;
            let gap = difference(one_hot(*target), one_hot(*label));
            let mut spreads = one_hot(order[0]);
            spreads[order[2]] -= 0.5;
            spreads[order[3]] -= 0.5;
            (ratio, quotient(&gap, ratio, &spreads, spread))
        }
        other => panic!("no attack here asks for {other:?}"),
    }
}
