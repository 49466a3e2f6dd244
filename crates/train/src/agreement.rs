use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::TrainError;
use crate::network::{Network, Precision};
use crate::recipe::Recipe;
use crate::step::{Batch, TrainingState};

/// How far one step of adversarial training on a device is from the same step on the CPU.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// Training loss on the CPU.
    pub loss_cpu: f64,
    /// Training loss on the device, at the same adversarial images.
    pub loss_device: f64,
    /// `||a - b|| / ||b||` over the gradients of all weights.
    pub gradient_rel_l2: f64,
    /// Training loss at the images that the device crafts itself.
    pub crafted_loss_device: f64,
    /// Of the step on the CPU, crafting aside.
    pub seconds_cpu: f64,
    /// Of the same on the device, when it is warm.
    pub seconds_device: f64,
}

const RECIPE: &str = r#"
    base = "cifar10-pgd-at-he"
    name = "agreement"
    network = { kind = "preact-resnet", depth = 18 }
    adversary = { steps = 3 }
"#;
const IMAGES: usize = 8;
const IMAGE: [usize; 3] = [3, 32, 32];
const CLASSES: usize = 10;

impl Agreement {
    /// Compares one step of PGD-AT of PreActResNet-18 with hypersphere embedding, weights and images drawn at random.
    ///
    /// # Errors
    /// Never for a device that is there.
    pub fn measure(device: &Device) -> Result<Self, TrainError> {
        let recipe = Recipe::parse(RECIPE, "agreement")?;
        let cpu = Device::flex();
        let network = Network::init(
            &recipe.network,
            recipe.normalization.as_ref(),
            &recipe.head,
            IMAGE,
            CLASSES,
            Precision::F32,
            &cpu.clone().autodiff(),
        )?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let pixels: Vec<f32> = (0..IMAGES * IMAGE.iter().product::<usize>())
            .map(|_| rng.random())
            .collect();
        let here = Side::new(&recipe, network.clone(), &pixels, &cpu);
        // A copy with running statistics of its own.
        let copy = network.valid().train().fork(device);
        let there = Side::new(&recipe, copy, &pixels, device);

        // Before any pass in training mode moves the running statistics that crafting uses.
        let (crafted, crafted_there) = (here.crafted(&recipe)?, there.crafted(&recipe)?);
        let (loss_cpu, expected, seconds_cpu) = here.pass(&recipe, crafted.clone());
        // Kernels are compiled and chosen in the first pass.
        there.pass(&recipe, crafted.clone().to_device(device));
        let (loss_device, got, seconds_device) = there.pass(&recipe, crafted.to_device(device));
        let (crafted_loss_device, _, _) = there.pass(&recipe, crafted_there);
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let apart = square(&mut expected.iter().zip(&got).map(|(a, b)| f64::from(a - b)));
        let length = square(&mut expected.iter().map(|a| f64::from(*a)));
        Ok(Self {
            loss_cpu,
            loss_device,
            gradient_rel_l2: (apart / length).sqrt(),
            crafted_loss_device,
            seconds_cpu,
            seconds_device,
        })
    }
}

/// The step on one device.
struct Side {
    state: TrainingState,
    batch: Batch,
}

impl Side {
    fn new(recipe: &Recipe, network: Network, pixels: &[f32], device: &Device) -> Self {
        let [channels, height, width] = IMAGE;
        let shape = [IMAGES, channels, height, width];
        let labels: Vec<i64> = (0..IMAGES).map(|i| (i % CLASSES) as i64).collect();
        Self {
            state: TrainingState {
                network,
                optimizer: SgdConfig::new().init(),
                average: None,
                perturbation: None,
                devices: vec![device.clone()],
            },
            batch: Batch {
                images: Tensor::from_data(TensorData::new(pixels.to_vec(), shape), device),
                labels: Tensor::from_data(TensorData::new(labels, [IMAGES]), device),
                position: recipe.training.epochs as f64,
                number: 0,
                learning_rate: recipe.optimizer.learning_rate,
            },
        }
    }

    fn crafted(&self, recipe: &Recipe) -> Result<Tensor<4>, TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        self.state.adversarial(recipe, &self.batch, &mut rng)
    }

    /// Loss, gradients of all weights, seconds.
    fn pass(&self, recipe: &Recipe, trained: Tensor<4>) -> (f64, Vec<f32>, f64) {
        let started = Instant::now();
        let (loss, gradients) = self.state.loss_and_gradients(recipe, &self.batch, trained);
        let gradients = flat(&self.state.network, &gradients);
        (loss, gradients, started.elapsed().as_secs_f64())
    }
}

fn flat(network: &Network, gradients: &GradientsParams) -> Vec<f32> {
    struct Flat<'a>(&'a GradientsParams, Vec<f32>);
    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id);
            // Gradients are single precision: reading them as such cannot fail.
            let values =
                gradient.and_then(|gradient| gradient.into_data().try_to_vec::<f32>().ok());
            self.1.extend(values.unwrap_or_default());
        }
    }
    let mut flat = Flat(gradients, Vec::new());
    network.visit(&mut flat);
    flat.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself_and_its_adversary_raises_the_loss() {
        let agreement = Agreement::measure(&Device::flex()).unwrap();
        assert_eq!(agreement.loss_cpu, agreement.loss_device);
        assert_eq!(agreement.crafted_loss_device, agreement.loss_cpu);
        assert_eq!(agreement.gradient_rel_l2, 0.0);
        assert!(agreement.loss_cpu.is_finite() && agreement.loss_cpu > 1.0);
    }
}
