use buckler_attack::{Norm, Threat};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{Rng, RngCore};
use rand_distr::StandardNormal;

use crate::loss::cross_entropy;
use crate::network::Network;

/// Projected gradient descent on the device, for crafting inside training and for validation (Madry et al. 2018).
#[derive(Clone, Copy, Debug)]
pub struct Adversary {
    /// The ball around the clean image.
    pub threat: Threat,
    /// Gradient steps.
    pub steps: usize,
    /// The length of a step in the threat's norm.
    pub step_size: f32,
}

/// Keeps `g / ||g||` finite for a dead gradient.
const TINY: f64 = 1e-12;

impl Adversary {
    /// Adversarial images for `images` `[batch, channels, height, width]`, maximising cross-entropy at `labels`.
    ///
    /// `network` is used as it is: pass [`Module::valid`](burn::module::Module::valid), which keeps batch norm in
    /// evaluation mode and computes no weight gradients. The start is uniform in the ball, drawn from `rng` on the host
    /// so that it is the same on every device.
    pub fn craft(
        &self,
        network: &Network,
        images: Tensor<4>,
        labels: Tensor<1, Int>,
        rng: &mut dyn RngCore,
    ) -> Tensor<4> {
        if self.threat.epsilon.value() == 0.0 {
            return images;
        }
        let start = self.random_start(images.dims(), &images.device(), rng);
        let mut adversarial = (images.clone() + start).clamp(0.0, 1.0);
        for _ in 0..self.steps {
            let gradient = input_gradient(network, adversarial.clone(), labels.clone());
            adversarial = self.project(adversarial + self.step(gradient), &images);
        }
        adversarial
    }

    fn step(&self, gradient: Tensor<4>) -> Tensor<4> {
        match self.threat.norm {
            Norm::Linf => gradient.sign().mul_scalar(self.step_size),
            Norm::L2 => {
                let norm = lengths(gradient.clone()).add_scalar(TINY);
                (gradient / norm).mul_scalar(self.step_size)
            }
        }
    }

    fn project(&self, moved: Tensor<4>, images: &Tensor<4>) -> Tensor<4> {
        let epsilon = self.threat.epsilon.value();
        let change = moved - images.clone();
        let change = match self.threat.norm {
            Norm::Linf => change.clamp(-epsilon, epsilon),
            Norm::L2 => {
                let factor = lengths(change.clone())
                    .add_scalar(TINY)
                    .recip()
                    .mul_scalar(epsilon)
                    .clamp_max(1.0);
                change * factor
            }
        };
        (images.clone() + change).clamp(0.0, 1.0)
    }

    fn random_start(&self, dims: [usize; 4], device: &Device, rng: &mut dyn RngCore) -> Tensor<4> {
        let epsilon = self.threat.epsilon.value();
        let size: usize = dims.iter().product();
        match self.threat.norm {
            Norm::Linf => {
                let noise: Vec<f32> = (0..size)
                    .map(|_| rng.random_range(-epsilon..=epsilon))
                    .collect();
                Tensor::from_data(TensorData::new(noise, dims), device)
            }
            Norm::L2 => {
                let noise: Vec<f32> = (0..size).map(|_| rng.sample(StandardNormal)).collect();
                let direction = Tensor::<4>::from_data(TensorData::new(noise, dims), device);
                let dimension = (size / dims[0].max(1)) as f32;
                // Uniform in the ball: the radius is the d-th root of a uniform number.
                let radii: Vec<f32> = (0..dims[0])
                    .map(|_| epsilon * rng.random::<f32>().powf(1.0 / dimension))
                    .collect();
                let radii =
                    Tensor::<4>::from_data(TensorData::new(radii, [dims[0], 1, 1, 1]), device);
                direction.clone() / lengths(direction).add_scalar(TINY) * radii
            }
        }
    }
}

/// The gradient of the summed cross-entropy with respect to the pixels; summed, so that a row's gradient does not
/// depend on the batch.
pub(crate) fn input_gradient(
    network: &Network,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
) -> Tensor<4> {
    let batch = images.dims()[0] as f32;
    let leaf = images.clone().autodiff().require_grad();
    let logits = network.forward(leaf.clone()).logits;
    let loss = cross_entropy(logits, labels.autodiff()).mul_scalar(batch);
    let mut gradients = loss.backward();
    leaf.grad_remove(&mut gradients)
        .unwrap_or_else(|| images.zeros_like())
}

/// The Euclidean length of every image, `[batch, 1, 1, 1]`.
fn lengths(x: Tensor<4>) -> Tensor<4> {
    (x.clone() * x).sum_dims(&[1, 2, 3]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadConfig;
    use crate::network::NetworkConfig;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn network() -> Network {
        Network::init(
            &NetworkConfig::SmallCnn {
                width: 0.1,
                dropout: 0.0,
            },
            &HeadConfig::Linear,
            [1, 16, 16],
            4,
            &Device::flex(),
        )
        .unwrap()
    }

    fn loss_under(norm: Norm, epsilon: &str, network: &Network) -> (f32, f32, f32) {
        let device = Device::flex();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let pixels: Vec<f32> = (0..6 * 256).map(|_| rng.random()).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [6, 1, 16, 16]), &device);
        let labels = Tensor::<1, Int>::from_ints([0, 1, 2, 3, 0, 1], &device);
        let adversary = Adversary {
            threat: Threat {
                norm,
                epsilon: epsilon.parse().unwrap(),
            },
            steps: 5,
            step_size: epsilon.parse::<f32>().unwrap() / 2.0,
        };
        let adversarial = adversary.craft(network, images.clone(), labels.clone(), &mut rng);
        let change = adversarial.clone() - images.clone();
        let distance = match norm {
            Norm::Linf => change.abs().max(),
            Norm::L2 => lengths(change).max(),
        };
        let loss =
            |x| cross_entropy(network.forward(x).logits, labels.clone()).into_scalar::<f32>();
        assert!(adversarial.clone().min().into_scalar::<f32>() >= 0.0);
        assert!(adversarial.clone().max().into_scalar::<f32>() <= 1.0);
        (distance.into_scalar(), loss(images), loss(adversarial))
    }

    #[test]
    fn the_loss_rises_inside_the_ball_and_the_box() {
        let network = network();
        for (norm, epsilon) in [(Norm::Linf, "0.1"), (Norm::L2, "1.5")] {
            let (distance, clean, attacked) = loss_under(norm, epsilon, &network);
            let epsilon: f32 = epsilon.parse().unwrap();
            assert!(distance <= epsilon + 1e-6, "{norm}: {distance}");
            assert!(attacked > clean, "{norm}: {clean} -> {attacked}");
        }
    }

    #[test]
    fn the_input_gradient_agrees_with_central_differences() {
        let device = Device::flex();
        let network = network();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let label = Tensor::<1, Int>::from_ints([2], &device);
        let image = |p: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(p.to_vec(), [1, 1, 16, 16]), &device)
        };
        let loss = |p: &[f32]| {
            f64::from(
                cross_entropy(network.forward(image(p)).logits, label.clone()).into_scalar::<f32>(),
            )
        };
        let mut errors: Vec<f64> = (0..9)
            .map(|_| {
                let pixels: Vec<f32> = (0..256).map(|_| rng.random()).collect();
                let gradient: Vec<f32> = input_gradient(&network, image(&pixels), label.clone())
                    .into_data()
                    .try_to_vec()
                    .unwrap();
                // Along the gradient the change is largest, so that single precision resolves it.
                let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
                let shifted = |h: f32| {
                    let moved = pixels.iter().zip(&gradient);
                    loss(&moved.map(|(x, g)| x + h * g / length).collect::<Vec<f32>>())
                };
                let h = 1e-3;
                let slope = (shifted(h) - shifted(-h)) / f64::from(2.0 * h);
                (slope / f64::from(length) - 1.0).abs()
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        // The median: now and then a ReLU switches inside the step, and the difference quotient is off.
        assert!(errors[4] < 0.02, "{errors:?}");
    }
}
