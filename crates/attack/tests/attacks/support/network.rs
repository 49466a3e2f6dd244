//! Networks with exact gradients in double precision.

use buckler_attack::Norm;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A differentiable function from an image, as a flat slice, to logits.
pub trait Network: Send + Sync + 'static {
    fn logits(&self, x: &[f64]) -> Vec<f64>;
    /// The gradient of `<cotangent, logits>` with respect to `x`.
    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64>;
    /// The features, where there are some.
    fn features(&self, _: &[f64]) -> Option<Vec<f64>> {
        None
    }
    /// The gradient of `<cotangent, features>` with respect to `x`.
    fn pull_back_features(&self, _: &[f64], _: &[f64]) -> Vec<f64> {
        panic!("there are no features")
    }
}

/// `z = W x + b`.
#[derive(Clone)]
pub struct Linear {
    pub weights: Vec<Vec<f64>>,
    pub bias: Vec<f64>,
}

impl Linear {
    /// Weights uniform in [-1, 1].
    pub fn random(classes: usize, values: usize, seed: u64) -> Self {
        Self {
            weights: random_matrix(classes, values, 1.0, &mut ChaCha8Rng::seed_from_u64(seed)),
            bias: vec![0.0; classes],
        }
    }

    /// The distance of `x` from the boundary between `label` and the nearest other class, which is returned with it:
    /// the gap of the logits over the dual norm of the difference of weights.
    pub fn margin(&self, norm: Norm, x: &[f64], label: usize) -> (usize, f64) {
        let z = self.logits(x);
        (0..z.len())
            .filter(|&t| t != label)
            .map(|t| {
                let difference: Vec<f64> = self.weights[label]
                    .iter()
                    .zip(&self.weights[t])
                    .map(|(a, b)| a - b)
                    .collect();
                let dual = match norm {
                    Norm::Linf => difference.iter().map(|d| d.abs()).sum::<f64>(),
                    Norm::L2 => difference.iter().map(|d| d * d).sum::<f64>().sqrt(),
                    Norm::L1 => difference.iter().map(|d| d.abs()).fold(0.0, f64::max),
                };
                (t, (z[label] - z[t]) / dual)
            })
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap()
    }
}

impl Network for Linear {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        affine(&self.weights, &self.bias, x)
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        transposed(&self.weights, cotangent, x.len())
    }
}

/// `z = W2 tanh(W1 x + b1) + b2`.
#[derive(Clone)]
pub struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub fn random(classes: usize, values: usize, seed: u64) -> Self {
        let hidden = 16;
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let first = Linear {
            weights: random_matrix(hidden, values, 1.0, rng),
            bias: random_matrix(1, hidden, 0.5, rng).remove(0),
        };
        let second = Linear {
            weights: random_matrix(classes, hidden, 2.0, rng),
            bias: vec![0.0; classes],
        };
        let mut network = Self { first, second };
        // All classes are equally likely on grey, so that images around it fall into every one of them.
        let grey = network.logits(&vec![0.5; values]);
        network.second.bias = grey.iter().map(|z| -z).collect();
        network
    }

    fn hidden(&self, x: &[f64]) -> Vec<f64> {
        self.first.logits(x).iter().map(|a| a.tanh()).collect()
    }
}

impl Network for Mlp {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        self.second.logits(&self.hidden(x))
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        let back = self.second.pull_back(&self.hidden(x), cotangent);
        self.pull_back_features(x, &back)
    }

    fn features(&self, x: &[f64]) -> Option<Vec<f64>> {
        Some(self.hidden(x))
    }

    fn pull_back_features(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        let slopes = cotangent.iter().zip(self.hidden(x));
        let slopes: Vec<f64> = slopes.map(|(c, h)| c * (1.0 - h * h)).collect();
        self.first.pull_back(x, &slopes)
    }
}

/// A network that hides its gradient.
pub struct Masked<N>(pub N);

impl<N: Network> Network for Masked<N> {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        self.0.logits(x)
    }

    fn pull_back(&self, x: &[f64], _: &[f64]) -> Vec<f64> {
        vec![0.0; x.len()]
    }
}

fn random_matrix(rows: usize, columns: usize, scale: f64, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    (0..rows)
        .map(|_| {
            (0..columns)
                .map(|_| scale * rng.random_range(-1.0..1.0))
                .collect()
        })
        .collect()
}

fn affine(weights: &[Vec<f64>], bias: &[f64], x: &[f64]) -> Vec<f64> {
    weights
        .iter()
        .zip(bias)
        .map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b)
        .collect()
}

fn transposed(weights: &[Vec<f64>], cotangent: &[f64], values: usize) -> Vec<f64> {
    let mut out = vec![0.0; values];
    for (w, c) in weights.iter().zip(cotangent) {
        out.iter_mut().zip(w).for_each(|(o, w)| *o += c * w);
    }
    out
}
