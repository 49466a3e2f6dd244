//! Moves inside the ball of a threat, on the device.

use buckler_attack::{Norm, Threat};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngCore};
use rand_distr::StandardNormal;

/// Keeps `g / ||g||` finite for a dead gradient.
const TINY: f64 = 1e-12;

/// The step of that length along which the linearised loss rises most.
pub(crate) fn steepest(norm: Norm, gradient: Tensor<4>, length: f32) -> Tensor<4> {
    match norm {
        Norm::Linf => gradient.sign().mul_scalar(length),
        // A recipe has no other: it is checked when it is read.
        Norm::L2 | Norm::L1 => {
            let norm = lengths(gradient.clone()).add_scalar(TINY);
            (gradient / norm).mul_scalar(length)
        }
    }
}

/// The nearest change inside the ball.
pub(crate) fn clip(threat: Threat, change: Tensor<4>) -> Tensor<4> {
    let epsilon = threat.epsilon.value();
    match threat.norm {
        Norm::Linf => change.clamp(-epsilon, epsilon),
        Norm::L2 | Norm::L1 => {
            let factor = lengths(change.clone())
                .add_scalar(TINY)
                .recip()
                .mul_scalar(epsilon)
                .clamp_max(1.0);
            change * factor
        }
    }
}

/// `moved` inside the ball around `images`, then inside the box `[0, 1]`.
pub(crate) fn project(threat: Threat, moved: Tensor<4>, images: &Tensor<4>) -> Tensor<4> {
    (images.clone() + clip(threat, moved - images.clone())).clamp(0.0, 1.0)
}

/// Uniform in the ball, drawn on the host so that it is the same on every device.
pub(crate) fn uniform(
    threat: Threat,
    dims: [usize; 4],
    device: &Device,
    rng: &mut dyn RngCore,
) -> Tensor<4> {
    let epsilon = threat.epsilon.value();
    let size: usize = dims.iter().product();
    match threat.norm {
        Norm::Linf => {
            let noise: Vec<f32> = (0..size)
                .map(|_| rng.random_range(-epsilon..=epsilon))
                .collect();
            Tensor::from_data(TensorData::new(noise, dims), device)
        }
        Norm::L2 | Norm::L1 => {
            let direction = gaussian(1.0, dims, device, rng);
            let dimension = (size / dims[0].max(1)) as f32;
            // Uniform in the ball: the radius is the d-th root of a uniform number.
            let radii: Vec<f32> = (0..dims[0])
                .map(|_| epsilon * rng.random::<f32>().powf(1.0 / dimension))
                .collect();
            let radii = Tensor::<4>::from_data(TensorData::new(radii, [dims[0], 1, 1, 1]), device);
            direction.clone() / lengths(direction).add_scalar(TINY) * radii
        }
    }
}

/// Independent normal numbers, drawn on the host.
pub(crate) fn gaussian(
    deviation: f32,
    dims: [usize; 4],
    device: &Device,
    rng: &mut dyn RngCore,
) -> Tensor<4> {
    let noise: Vec<f32> = (0..dims.iter().product())
        .map(|_| deviation * rng.sample::<f32, _>(StandardNormal))
        .collect();
    Tensor::from_data(TensorData::new(noise, dims), device)
}

/// The Euclidean length of every image, `[batch, 1, 1, 1]`.
pub(crate) fn lengths(x: Tensor<4>) -> Tensor<4> {
    (x.clone() * x).sum_dims(&[1, 2, 3]).sqrt()
}
