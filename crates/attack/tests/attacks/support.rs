//! Victims with exact gradients, written independently of the crate's own arithmetic, and ways to make samples.

mod attacks;
mod loss;
mod network;

use std::sync::atomic::{AtomicU64, Ordering};

use buckler_attack::{
    Distances, Epsilon, Gradient, InputSpec, Norm, Objective, Samples, Threat, Victim, VictimError,
};
use ndarray::{Array1, Array2, Array4, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::{
    attacks::{all, all_within, epsilon},
    loss::{distance_and_cotangent, loss_and_cotangent},
    network::{Linear, Masked, Mlp, Network},
};

/// A network as a victim that counts the rows it is asked for.
pub struct Counted<N> {
    pub network: N,
    pub input: InputSpec,
    pub classes: usize,
    pub forward_rows: AtomicU64,
    pub gradient_rows: AtomicU64,
    pub feature_rows: AtomicU64,
    pub largest_batch: AtomicU64,
}

impl<N: Network> Counted<N> {
    pub fn new(network: N, input: InputSpec) -> Self {
        let classes = network.logits(&vec![0.0; input.values()]).len();
        Self {
            network,
            input,
            classes,
            forward_rows: AtomicU64::new(0),
            gradient_rows: AtomicU64::new(0),
            feature_rows: AtomicU64::new(0),
            largest_batch: AtomicU64::new(0),
        }
    }

    pub fn gradients(&self) -> u64 {
        self.gradient_rows.load(Ordering::SeqCst)
    }

    pub fn forwards(&self) -> u64 {
        self.forward_rows.load(Ordering::SeqCst)
    }

    fn forward(&self, images: &Array4<f32>) -> Array2<f32> {
        let mut logits = Array2::zeros((images.len_of(Axis(0)), self.classes));
        for (image, mut row) in images.outer_iter().zip(logits.outer_iter_mut()) {
            let x: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let z = self.network.logits(&x);
            row.iter_mut().zip(z).for_each(|(slot, z)| *slot = z as f32);
        }
        logits
    }

    fn count(&self, counter: &AtomicU64, images: &Array4<f32>) {
        let rows = images.len_of(Axis(0)) as u64;
        counter.fetch_add(rows, Ordering::SeqCst);
        self.largest_batch.fetch_max(rows, Ordering::SeqCst);
    }
}

impl<N: Network> Victim for Counted<N> {
    fn input(&self) -> InputSpec {
        self.input
    }

    fn classes(&self) -> usize {
        self.classes
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        tokio::task::yield_now().await;
        self.count(&self.forward_rows, &images);
        Ok(self.forward(&images))
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        tokio::task::yield_now().await;
        self.count(&self.gradient_rows, &images);
        let mut input = Array4::zeros(images.raw_dim());
        let mut loss = Array1::zeros(objectives.len());
        for (row, objective) in objectives.iter().enumerate() {
            let image = images.index_axis(Axis(0), row);
            let x: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let (value, slopes) = match objective {
                Objective::FeatureDistance(source) => {
                    let features = self.network.features(&x).unwrap();
                    let (value, cotangent) = distance_and_cotangent(source, &features);
                    (value, self.network.pull_back_features(&x, &cotangent))
                }
                objective => {
                    let logits = self.network.logits(&x);
                    let (value, cotangent) = loss_and_cotangent(objective, &logits);
                    (value, self.network.pull_back(&x, &cotangent))
                }
            };
            loss[row] = value as f32;
            let mut gradient = input.index_axis_mut(Axis(0), row);
            gradient
                .iter_mut()
                .zip(slopes)
                .for_each(|(slot, slope)| *slot = slope as f32);
        }
        Ok(Gradient {
            logits: self.forward(&images),
            loss,
            input,
        })
    }

    fn features(&self) -> Option<usize> {
        let features = self.network.features(&vec![0.0; self.input.values()])?;
        Some(features.len())
    }

    async fn features_of(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        tokio::task::yield_now().await;
        self.count(&self.feature_rows, &images);
        let size = Victim::features(self).ok_or(VictimError::NoFeatures)?;
        let mut features = Array2::zeros((images.len_of(Axis(0)), size));
        for (image, mut row) in images.outer_iter().zip(features.outer_iter_mut()) {
            let x: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let f = self.network.features(&x).unwrap();
            row.iter_mut().zip(f).for_each(|(slot, f)| *slot = f as f32);
        }
        Ok(features)
    }
}

pub const SMALL: InputSpec = InputSpec {
    channels: 3,
    height: 4,
    width: 4,
};

/// Images uniform in `[low, high]`.
pub fn images(count: usize, low: f32, high: f32, seed: u64) -> Array4<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array4::from_shape_simple_fn((count, SMALL.channels, SMALL.height, SMALL.width), || {
        rng.random_range(low..=high)
    })
}

/// Images with the classes `network` gives them.
pub fn labelled<N: Network>(network: &N, images: Array4<f32>) -> Samples {
    let labels = images
        .outer_iter()
        .map(|image| {
            let x: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let z = network.logits(&x);
            (0..z.len()).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap()
        })
        .collect();
    Samples::new(images, labels)
}

pub fn threat(norm: Norm, epsilon: f64) -> Threat {
    Threat {
        norm,
        epsilon: Epsilon::new(epsilon as f32).unwrap(),
    }
}

/// A smooth four-class victim and samples it classifies correctly.
pub fn smooth(count: usize) -> (Counted<Mlp>, Samples) {
    let network = Mlp::random(4, SMALL.values(), 11);
    let samples = labelled(&network, images(count, 0.1, 0.9, 12));
    (Counted::new(network, SMALL), samples)
}

/// A two-class linear victim and one image of class 0 at exactly `margin` (in `norm`) from the boundary.
pub fn at_margin(norm: Norm, margin: f64, seed: u64) -> (Counted<Linear>, Samples) {
    let mut network = Linear::random(2, SMALL.values(), seed);
    let images = images(1, 0.35, 0.65, seed ^ 0xabc);
    let x: Vec<f64> = images.iter().copied().map(f64::from).collect();
    let (_, now) = network.margin(norm, &x, 0);
    let zero = vec![0.0; x.len()];
    network.bias[0] = 1.0;
    let shift = network.margin(norm, &zero, 0).1;
    network.bias[0] = 0.0;
    let unit = shift - network.margin(norm, &zero, 0).1;
    network.bias[0] = (margin - now) / unit;
    assert!((network.margin(norm, &x, 0).1 - margin).abs() < 1e-9);
    (Counted::new(network, SMALL), Samples::new(images, vec![0]))
}

/// Whether `image` lies in the ball around row `row` of `samples` and in the box.
pub fn allowed(
    samples: &Samples,
    row: usize,
    image: &ndarray::Array3<f32>,
    threat: Threat,
) -> bool {
    let clean = samples.images.index_axis(Axis(0), row);
    Distances::between(clean.iter(), image.iter()).within(threat, 0.0)
        && image.iter().all(|v| (0.0..=1.0).contains(v))
}

#[tokio::test]
async fn the_victims_gradients_match_finite_differences() {
    let (victim, samples) = smooth(1);
    let objectives = [
        Objective::CrossEntropy { label: 1 },
        Objective::TargetedCrossEntropy { target: 2 },
        Objective::Margin { label: 0 },
        Objective::TargetedMargin { target: 3 },
        Objective::Cotangent(vec![0.5, -1.0, 2.0, 0.0]),
        Objective::Dlr { label: 1 },
        Objective::TargetedDlr {
            label: 0,
            target: 2,
        },
        Objective::FeatureDistance((0u8..16).map(|i| f32::from(i % 5) - 1.5).collect()),
    ];
    let x: Vec<f64> = samples.images.iter().copied().map(f64::from).collect();
    for objective in objectives {
        let query = vec![objective.clone()];
        let answer = victim
            .gradient(samples.images.clone(), query)
            .await
            .unwrap();
        let value = |x: &[f64]| match &objective {
            Objective::FeatureDistance(source) => {
                distance_and_cotangent(source, &victim.network.features(x).unwrap()).0
            }
            objective => loss_and_cotangent(objective, &victim.network.logits(x)).0,
        };
        for (i, &slope) in answer.input.iter().enumerate() {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let numeric = (value(&up) - value(&down)) / 2e-5;
            assert!((numeric - f64::from(slope)).abs() < 1e-4, "{objective:?}");
        }
        if matches!(objective, Objective::FeatureDistance(_)) {
            continue;
        }
        let logits: Vec<f32> = answer.logits.iter().copied().collect();
        assert!((objective.value(&logits) - f64::from(answer.loss[0])).abs() < 1e-4);
    }
}
