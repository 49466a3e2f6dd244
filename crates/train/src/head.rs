use std::fmt;

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

/// Inside the square root of every norm here, so that its gradient at zero is finite and exports to plain operators.
const NORM_EPSILON: f64 = 1e-12;

/// The last layer of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadConfig {
    /// `z W + b`.
    Linear {},
    /// Hypersphere embedding (Pang et al. 2020, arXiv 2002.08619): `s * cos(z, w_k)` with an additive margin in training.
    Hypersphere {
        /// FN: features of unit length.
        #[serde(default = "enabled")]
        feature_norm: bool,
        /// WN: class weights of unit length.
        #[serde(default = "enabled")]
        weight_norm: bool,
        /// `s`, what the cosines are multiplied by.
        scale: f32,
        /// AM: `m`, subtracted from the label's cosine while training; 0 switches it off.
        #[serde(default)]
        margin: f32,
    },
}

impl fmt::Display for HeadConfig {
    /// `linear`, or `hypersphere s 10 m 0.2` with what is switched off.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear {} => f.write_str("linear"),
            Self::Hypersphere {
                feature_norm,
                weight_norm,
                scale,
                margin,
            } => {
                write!(f, "hypersphere s {scale} m {margin}")?;
                if !feature_norm {
                    f.write_str(" without FN")?;
                }
                if !weight_norm {
                    f.write_str(" without WN")?;
                }
                Ok(())
            }
        }
    }
}

fn enabled() -> bool {
    true
}

/// The last layer, plain or on the hypersphere.
#[derive(Module, Debug)]
pub struct Head {
    /// `[features, classes]`, a class per column.
    pub weight: Param<Tensor<2>>,
    /// `[classes]`; the hypersphere head has none.
    pub bias: Option<Param<Tensor<1>>>,
    /// FN.
    pub feature_norm: bool,
    /// WN.
    pub weight_norm: bool,
    /// `s`.
    pub scale: f32,
    /// `m`.
    pub margin: f32,
}

impl Head {
    /// A freshly initialised head, with PyTorch's default for linear layers.
    pub fn init(config: &HeadConfig, features: usize, classes: usize, device: &Device) -> Self {
        let initializer = Initializer::KaimingUniform {
            gain: 1.0 / 3f64.sqrt(),
            fan_out_only: false,
        };
        let weight =
            initializer.init_with([features, classes], Some(features), Some(classes), device);
        match *config {
            HeadConfig::Linear {} => Self {
                weight,
                bias: Some(initializer.init_with([classes], Some(features), Some(classes), device)),
                feature_norm: false,
                weight_norm: false,
                scale: 1.0,
                margin: 0.0,
            },
            HeadConfig::Hypersphere {
                feature_norm,
                weight_norm,
                scale,
                margin,
            } => Self {
                weight,
                bias: None,
                feature_norm,
                weight_norm,
                scale,
                margin,
            },
        }
    }

    /// Logits `[batch, classes]` of `features` `[batch, features]`: what the attack maximises over and what is exported.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.similarity(features).mul_scalar(self.scale)
    }

    /// Logits for the training loss, `s * (c - m * 1_y)`: the margin makes the label's cosine look smaller than it is.
    pub fn forward_with_margin(&self, features: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        self.with_margin(self.similarity(features), labels)
    }

    /// `s * (c - m * 1_y)` of cosines `[batch, classes]`.
    pub(crate) fn with_margin(&self, similarity: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        if self.margin == 0.0 {
            return similarity.mul_scalar(self.scale);
        }
        let classes = similarity.dims()[1];
        let at_label = labels.one_hot::<2>(classes).float().mul_scalar(self.margin);
        (similarity - at_label).mul_scalar(self.scale)
    }

    /// The weights `[features, classes]` with everything constant folded in: normalised if WN is on, times `s`.
    pub fn folded_weight(&self) -> Tensor<2> {
        self.directions().mul_scalar(self.scale)
    }

    /// The cosines `[batch, classes]` when FN and WN are on, else inner products.
    pub(crate) fn similarity(&self, features: Tensor<2>) -> Tensor<2> {
        let features = if self.feature_norm {
            unit(features, 1)
        } else {
            features
        };
        let product = features.matmul(self.directions());
        match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        }
    }

    fn directions(&self) -> Tensor<2> {
        if self.weight_norm {
            unit(self.weight.val(), 0)
        } else {
            self.weight.val()
        }
    }
}

/// `x / sqrt(sum(x^2) + 1e-12)` along `axis`.
pub(crate) fn unit(x: Tensor<2>, axis: usize) -> Tensor<2> {
    let norm = (x.clone() * x.clone())
        .sum_dim(axis)
        .add_scalar(NORM_EPSILON)
        .sqrt();
    x / norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    /// With FN and WN.
    fn hypersphere(scale: f32, margin: f32) -> HeadConfig {
        HeadConfig::Hypersphere {
            feature_norm: true,
            weight_norm: true,
            scale,
            margin,
        }
    }

    fn features(device: &Device) -> Tensor<2> {
        Tensor::random([5, 7], Distribution::Normal(0.0, 1.0), device)
    }

    fn labels(device: &Device) -> Tensor<1, Int> {
        Tensor::from_ints([0, 1, 2, 3, 0], device)
    }

    #[test]
    fn cosines_are_within_one_and_logits_within_the_scale() {
        let device = Device::flex();
        let config = hypersphere(10.0, 0.2);
        let head = Head::init(&config, 7, 4, &device);
        let logits = head.forward(features(&device).mul_scalar(1e3));
        assert!(logits.abs().max().into_scalar::<f32>() <= 10.0 + 1e-4);
    }

    #[test]
    fn the_margin_lowers_the_label_by_scale_times_margin_and_nothing_else() {
        let device = Device::flex();
        let config = hypersphere(15.0, 0.2);
        let head = Head::init(&config, 7, 4, &device);
        let x = features(&device);
        let lowered = head.forward(x.clone()) - head.forward_with_margin(x, labels(&device));
        let expected = labels(&device).one_hot::<2>(4).float().mul_scalar(3.0);
        lowered
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
    }

    #[test]
    fn with_every_switch_off_the_hypersphere_head_is_the_linear_one() {
        let device = Device::flex();
        let config = HeadConfig::Hypersphere {
            feature_norm: false,
            weight_norm: false,
            scale: 1.0,
            margin: 0.0,
        };
        let head = Head::init(&config, 7, 4, &device);
        let x = features(&device);
        let expected = x.clone().matmul(head.weight.val());
        let got = head.forward_with_margin(x, labels(&device));
        got.into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn without_margin_and_scale_the_loss_is_cross_entropy_of_cosines() {
        let device = Device::flex();
        let config = hypersphere(1.0, 0.0);
        let head = Head::init(&config, 7, 4, &device);
        let x = features(&device);
        let rows: Vec<f32> = x.clone().into_data().try_to_vec().unwrap();
        let weights: Vec<f32> = head.weight.val().into_data().try_to_vec().unwrap();
        let classes = [0, 1, 2, 3, 0];
        let cosine = |row: &[f32], k: usize| {
            let (mut dot, mut z, mut w) = (0.0, 0.0, 0.0);
            for (i, value) in row.iter().enumerate() {
                let (value, weight) = (f64::from(*value), f64::from(weights[i * 4 + k]));
                dot += value * weight;
                z += value * value;
                w += weight * weight;
            }
            dot / (z * w).sqrt()
        };
        let expected: f64 = rows
            .chunks(7)
            .zip(classes)
            .map(|(row, y)| {
                let sum: f64 = (0..4).map(|k| cosine(row, k).exp()).sum();
                sum.ln() - cosine(row, y)
            })
            .sum::<f64>()
            / 5.0;
        let logits = head.forward_with_margin(x, labels(&device));
        let got = crate::loss::cross_entropy(logits, labels(&device), 0.0).mean();
        let got = f64::from(got.into_scalar::<f32>());
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }

    #[test]
    fn a_zero_feature_has_a_finite_gradient() {
        let device = Device::flex().autodiff();
        let config = hypersphere(10.0, 0.0);
        let head = Head::init(&config, 7, 4, &device);
        let x = Tensor::<2>::zeros([1, 7], &device).require_grad();
        let gradients = head.forward(x.clone()).sum().backward();
        let gradient = x.grad(&gradients).unwrap();
        assert!(gradient.is_finite().all().into_scalar::<bool>());
    }
}
