use buckler_attack::Threat;
use burn::tensor::{Int, Tensor};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::ball;
use crate::framework::Maximised;
use crate::loss::{cross_entropy, kl_divergence};
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
    /// Where the first step starts.
    pub start: Start,
    /// What goes up.
    pub maximised: Maximised,
}

/// Where an adversary starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Uniformly in the ball.
    #[default]
    Uniform,
    /// `x + 0.001 * N(0, 1)`, as TRADES does.
    Gaussian,
}

impl Adversary {
    /// Adversarial images for `images` `[batch, channels, height, width]` of `labels`.
    ///
    /// `network` is used as it is: [`Module::valid`](burn::module::Module::valid) keeps batch norm in evaluation mode,
    /// [`Module::no_grad`](burn::module::Module::no_grad) in training mode; neither computes weight gradients. Random
    /// starts are drawn from `rng` on the host so that they are the same on every device.
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
        let (dims, device) = (images.dims(), images.device());
        let start = match self.start {
            Start::Uniform => ball::uniform(self.threat, dims, &device, rng),
            Start::Gaussian => ball::gaussian(0.001, dims, &device, rng),
        };
        let clean = match self.maximised {
            Maximised::CrossEntropy => None,
            Maximised::Divergence => Some(network.forward(images.clone()).logits.inner()),
        };
        let mut adversarial = (images.clone() + start).clamp(0.0, 1.0);
        for _ in 0..self.steps {
            let gradient = gradient(network, adversarial.clone(), |logits| match &clean {
                None => cross_entropy(logits, labels.clone().autodiff(), 0.0),
                Some(clean) => kl_divergence(clean.clone().autodiff(), logits),
            });
            let step = ball::steepest(self.threat.norm, gradient, self.step_size);
            adversarial = ball::project(self.threat, adversarial + step, &images);
        }
        adversarial
    }
}

/// The gradient of cross-entropy with respect to the pixels.
pub(crate) fn input_gradient(
    network: &Network,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
) -> Tensor<4> {
    gradient(network, images, |logits| {
        cross_entropy(logits, labels.autodiff(), 0.0)
    })
}

/// The gradient of a loss per row with respect to the pixels; of its sum, so that a row's gradient does not depend on
/// the batch.
fn gradient(
    network: &Network,
    images: Tensor<4>,
    loss: impl FnOnce(Tensor<2>) -> Tensor<1>,
) -> Tensor<4> {
    let leaf = images.clone().autodiff().require_grad();
    let mut gradients = loss(network.forward(leaf.clone()).logits).sum().backward();
    leaf.grad_remove(&mut gradients)
        .unwrap_or_else(|| images.zeros_like())
}

#[cfg(test)]
mod tests {
    use buckler_attack::Norm;
    use burn::tensor::{Device, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::head::HeadConfig;
    use crate::network::{NetworkConfig, Precision};
    use crate::testing::redrawn;

    fn network() -> Network {
        let network = Network::init(
            &NetworkConfig::SmallCnn {
                width: 0.1,
                dropout: 0.0,
            },
            None,
            &HeadConfig::Linear {},
            [1, 16, 16],
            4,
            Precision::F32,
            &Device::flex(),
        );
        redrawn(network.unwrap(), 1)
    }

    fn loss_under(
        norm: Norm,
        epsilon: &str,
        network: &Network,
        maximised: Maximised,
    ) -> (f32, f32, f32) {
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
            start: Start::default(),
            maximised,
        };
        let adversarial = adversary.craft(network, images.clone(), labels.clone(), &mut rng);
        let change = adversarial.clone() - images.clone();
        let distance = match norm {
            Norm::Linf => change.abs().max(),
            _ => ball::lengths(change).max(),
        };
        let clean = network.forward(images.clone()).logits;
        let loss = |x| {
            let logits = network.forward(x).logits;
            match maximised {
                Maximised::CrossEntropy => cross_entropy(logits, labels.clone(), 0.0),
                Maximised::Divergence => kl_divergence(clean.clone(), logits),
            }
            .mean()
            .into_scalar::<f32>()
        };
        assert!(adversarial.clone().min().into_scalar::<f32>() >= 0.0);
        assert!(adversarial.clone().max().into_scalar::<f32>() <= 1.0);
        (distance.into_scalar(), loss(images), loss(adversarial))
    }

    #[test]
    fn the_loss_rises_inside_the_ball_and_the_box() {
        let network = network();
        for maximised in [Maximised::CrossEntropy, Maximised::Divergence] {
            for (norm, epsilon) in [(Norm::Linf, "0.1"), (Norm::L2, "1.5")] {
                let (distance, clean, attacked) = loss_under(norm, epsilon, &network, maximised);
                let epsilon: f32 = epsilon.parse().unwrap();
                assert!(distance <= epsilon + 1e-6, "{norm}: {distance}");
                assert!(attacked > clean, "{norm}: {clean} -> {attacked}");
            }
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
                cross_entropy(network.forward(image(p)).logits, label.clone(), 0.0)
                    .into_scalar::<f32>(),
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
