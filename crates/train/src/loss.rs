use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Cross-entropy `[batch]` of `logits` `[batch, classes]` and `labels` `[batch]`, through log-softmax so that large
/// logits do not overflow. `smoothing` in `[0, 1)` moves that share of the label's probability evenly over all classes
/// (Szegedy et al. 2016).
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f32) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1);
    let at_label = log_probabilities
        .clone()
        .gather(1, labels.unsqueeze_dim(1))
        .squeeze_dim::<1>(1)
        .neg();
    if smoothing == 0.0 {
        return at_label;
    }
    let over_all = log_probabilities.mean_dim(1).squeeze_dim::<1>(1).neg();
    at_label.mul_scalar(1.0 - smoothing) + over_all.mul_scalar(smoothing)
}

/// `KL(softmax(p) || softmax(q))` `[batch]` of two sets of logits `[batch, classes]`.
pub fn kl_divergence(p: Tensor<2>, q: Tensor<2>) -> Tensor<1> {
    let log_p = log_softmax(p, 1);
    let log_q = log_softmax(q, 1);
    (log_p.clone().exp() * (log_p - log_q))
        .sum_dim(1)
        .squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
        logits.iter().map(|z| z.exp() / sum).collect()
    }

    #[test]
    fn cross_entropy_is_the_closed_form_and_survives_large_logits() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [1e4, 0.0, 0.0]], &device);
        let labels = Tensor::<1, Int>::from_ints([2, 1], &device);
        let p = softmax(&[1.0, 2.0, 3.0]);
        for (smoothing, first, second) in [
            (0.0, -p[2].ln(), 1e4),
            (
                0.3,
                -0.7 * p[2].ln() - 0.1 * p.iter().map(|p| p.ln()).sum::<f64>(),
                0.7 * 1e4 + 0.3 * 2e4 / 3.0,
            ),
        ] {
            let got = cross_entropy(logits.clone(), labels.clone(), smoothing)
                .into_data()
                .try_to_vec::<f32>()
                .unwrap();
            for (got, expected) in got.into_iter().zip([first, second]) {
                let got = f64::from(got);
                assert!((got - expected).abs() < 1e-6 * expected, "{got} {expected}");
            }
        }
    }

    #[test]
    fn divergence_is_the_closed_form_and_zero_from_itself() {
        let device = Device::flex();
        let rows = [[0.5, -1.0, 2.0], [300.0, 0.0, -300.0]];
        let p = Tensor::<2>::from_floats(rows, &device);
        let q = Tensor::<2>::from_floats([[1.0, 0.0, -0.5], [300.0, 0.0, -300.0]], &device);
        let (a, b) = (softmax(&[0.5, -1.0, 2.0]), softmax(&[1.0, 0.0, -0.5]));
        let expected: f64 = a.iter().zip(&b).map(|(a, b)| a * (a / b).ln()).sum();
        let got = kl_divergence(p, q).into_data().try_to_vec::<f32>().unwrap();
        assert!(
            (f64::from(got[0]) - expected).abs() < 1e-6,
            "{got:?} {expected}"
        );
        assert_eq!(got[1], 0.0);
    }
}
