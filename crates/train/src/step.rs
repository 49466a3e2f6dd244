//! One step of training: craft, differentiate, update.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::adversary::Adversary;
use crate::ball;
use crate::error::TrainError;
use crate::framework::{Crafting, Terms};
use crate::network::Network;
use crate::recipe::Recipe;
use crate::shards::{self, Shard};
use crate::weights::{average, clip_gradients, perturb};

/// Everything that a step changes.
pub(crate) struct TrainingState {
    /// The weights, on a device with autodiff.
    pub network: Network,
    pub optimizer: ModuleOptimizer,
    /// The moving average of the weights, in evaluation mode, if the recipe has one.
    pub average: Option<Network>,
    /// FreeAT's perturbation `[batch_size, channels, height, width]`, which outlives its batch.
    pub perturbation: Option<Tensor<4>>,
    /// Without autodiff; the first one holds all that is above.
    pub devices: Vec<Device>,
}

/// A batch and where in the run it stands.
pub(crate) struct Batch {
    /// `[batch, channels, height, width]`, without autodiff.
    pub images: Tensor<4>,
    pub labels: Tensor<1, Int>,
    /// In epochs, fractions included.
    pub position: f64,
    /// Steps before this one.
    pub number: u64,
    pub learning_rate: f64,
}

/// What one forward and backward pass gives.
struct Pass {
    loss: f64,
    weights: GradientsParams,
    /// With respect to the images trained on, for the mean loss.
    images: Option<Tensor<4>>,
}

impl Pass {
    /// Of parts of a batch, whose losses carry their shares, the pass over all of it.
    fn sum(network: &Network, parts: impl Iterator<Item = Self>) -> Self {
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = 0.0;
        let mut images = Vec::new();
        for part in parts {
            loss += part.loss;
            accumulator.accumulate(network, part.weights);
            images.extend(part.images);
        }
        Self {
            loss,
            weights: accumulator.grads(),
            images: (!images.is_empty()).then(|| Tensor::cat(images, 0)),
        }
    }
}

impl TrainingState {
    /// The weights to validate and export: their average if there is one.
    pub fn evaluated(&self) -> Network {
        match &self.average {
            Some(average) => average.clone(),
            None => self.network.valid(),
        }
    }

    /// Trains on one batch; returns the loss, for FreeAT the mean over the replays.
    pub fn step(
        &mut self,
        recipe: &Recipe,
        batch: &Batch,
        rng: &mut dyn RngCore,
    ) -> Result<f64, TrainError> {
        if let (Crafting::Free { replays }, Some(config)) =
            (recipe.framework.crafting(), &recipe.adversary)
        {
            let adversary = config.at(batch.position, recipe.framework)?;
            let mut total = 0.0;
            for _ in 0..replays {
                total += self.free_step(recipe, batch, &adversary);
            }
            return Ok(total / replays as f64);
        }
        let trained = self.adversarial(recipe, batch, rng)?;
        let (loss, gradients) = self.loss_and_gradients(recipe, batch, trained);
        self.update(recipe, batch, gradients);
        Ok(loss)
    }

    /// The images that the framework trains on: clean ones for `plain`, else adversarial ones.
    pub fn adversarial(
        &self,
        recipe: &Recipe,
        batch: &Batch,
        rng: &mut dyn RngCore,
    ) -> Result<Tensor<4>, TrainError> {
        let Some(config) = &recipe.adversary else {
            return Ok(batch.images.clone());
        };
        let adversary = config.at(batch.position, recipe.framework)?;
        Ok(match recipe.framework.crafting() {
            Crafting::Iterative(_) => self.craft(&adversary, &self.network.valid(), batch, rng),
            Crafting::SingleStep => {
                self.craft(&adversary, &self.network.clone().no_grad(), batch, rng)
            }
            Crafting::None | Crafting::Free { .. } => batch.images.clone(),
        })
    }

    /// The loss and the weights' gradients of one pass at `trained`.
    pub fn loss_and_gradients(
        &self,
        recipe: &Recipe,
        batch: &Batch,
        trained: Tensor<4>,
    ) -> (f64, GradientsParams) {
        let pass = self.gradients(recipe, batch, trained, false);
        (pass.loss, pass.weights)
    }

    fn craft(
        &self,
        adversary: &Adversary,
        network: &Network,
        batch: &Batch,
        rng: &mut dyn RngCore,
    ) -> Tensor<4> {
        let (images, labels) = (&batch.images, &batch.labels);
        if self.devices.len() == 1 {
            return adversary.craft(network, images.clone(), labels.clone(), rng);
        }
        let seeded = |_| ChaCha8Rng::seed_from_u64(rng.next_u64());
        let shards = shards::cut(&self.devices, network, images, images, labels, seeded);
        let crafted = shards::each(shards, |mut shard| {
            adversary.craft(&shard.network, shard.clean, shard.labels, &mut shard.rest)
        });
        let device = images.device();
        let crafted = crafted.into_iter().map(|part| part.to_device(&device));
        Tensor::cat(crafted.collect(), 0)
    }

    /// The weights descend and the perturbation ascends by the gradients of one pass.
    fn free_step(&mut self, recipe: &Recipe, batch: &Batch, adversary: &Adversary) -> f64 {
        let clean = batch.images.clone();
        let [count, channels, height, width] = clean.dims();
        let persistent = self.perturbation.take().unwrap_or_else(|| {
            let rows = recipe.training.batch_size;
            Tensor::zeros([rows, channels, height, width], &clean.device())
        });
        // The last batch of an epoch can be smaller: it uses the first rows, as the original does.
        let rows = 0..count;
        let perturbation = persistent.clone().slice([rows.clone()]);
        let moved = clean + perturbation.clone();
        let trained = moved.clone().clamp(0.0, 1.0);
        let inside = moved.equal(trained.clone()).float();
        let pass = self.gradients(recipe, batch, trained, true);
        let perturbation = match pass.images {
            Some(gradient) => {
                // A pixel at the edge of the box has no gradient through the clamp.
                let gradient = gradient * inside;
                let step = ball::steepest(adversary.threat.norm, gradient, adversary.step_size);
                ball::clip(adversary.threat, perturbation + step)
            }
            None => perturbation,
        };
        self.perturbation = Some(persistent.slice_assign([rows], perturbation));
        self.update(recipe, batch, pass.weights);
        pass.loss
    }

    /// The gradients of the training objective, with AWP at the perturbed weights.
    fn gradients(
        &self,
        recipe: &Recipe,
        batch: &Batch,
        trained: Tensor<4>,
        of_images: bool,
    ) -> Pass {
        let awp = recipe
            .awp
            .as_ref()
            .filter(|awp| batch.position >= awp.warmup_epochs);
        let Some(awp) = awp else {
            return self.pass(recipe, &self.network, batch, trained, of_images);
        };
        // A copy with running statistics of its own: the ascent leaves the network's alone.
        let copy = self.network.valid().train();
        let ascent = self
            .pass(recipe, &copy, batch, trained.clone(), false)
            .weights;
        let perturbed = perturb(self.network.clone(), &ascent, awp.gamma);
        self.pass(recipe, &perturbed, batch, trained, of_images)
    }

    /// Forward and backward over the batch, on all devices.
    fn pass(
        &self,
        recipe: &Recipe,
        network: &Network,
        batch: &Batch,
        trained: Tensor<4>,
        of_images: bool,
    ) -> Pass {
        let device = trained.device();
        let (images, labels) = (&batch.images, &batch.labels);
        let shards = shards::cut(&self.devices, network, images, &trained, labels, |_| ());
        let parts = shards::each(shards, |shard| pass(recipe, shard, of_images));
        let here = parts.into_iter().map(|part| Pass {
            loss: part.loss,
            weights: part.weights.to_device(&device, network),
            images: part.images.map(|images| images.to_device(&device)),
        });
        Pass::sum(network, here)
    }

    fn update(&mut self, recipe: &Recipe, batch: &Batch, gradients: GradientsParams) {
        let gradients = match recipe.optimizer.clip_norm {
            Some(max_norm) => clip_gradients(&self.network, gradients, max_norm),
            None => gradients,
        };
        self.network = self
            .optimizer
            .step(batch.learning_rate, self.network.clone(), gradients);
        if let (Some(decay), Some(old)) = (recipe.training.ema_decay, self.average.take()) {
            // Early on a long memory would hold the initial weights: as TensorFlow's averages do.
            let number = batch.number as f64;
            let decay = decay.min((1.0 + number) / (10.0 + number));
            self.average = Some(average(old, &self.network.valid(), decay));
        }
    }
}

/// Forward and backward over a shard, in parts of `micro_batch` images when the recipe has it.
fn pass(recipe: &Recipe, shard: Shard<()>, of_images: bool) -> Pass {
    let network = &shard.network;
    let count = shard.trained.dims()[0];
    let part = recipe.training.micro_batch.unwrap_or(count).min(count);
    let parts = (0..count).step_by(part.max(1)).map(|start| {
        let rows = start..count.min(start + part);
        let share = shard.share * rows.len() as f64 / count as f64;
        let mut leaf = shard.trained.clone().slice([rows.clone()]).autodiff();
        if of_images {
            leaf = leaf.require_grad();
        }
        let clean = recipe
            .framework
            .pairs()
            .then(|| shard.clean.clone().slice([rows.clone()]).autodiff());
        let labels = shard.labels.clone().slice([rows]).autodiff();
        let value = objective(recipe, network, clean, leaf.clone(), labels).mul_scalar(share);
        let loss = f64::from(value.clone().into_scalar::<f32>());
        let mut gradients = value.backward();
        let images = leaf.grad_remove(&mut gradients).filter(|_| of_images);
        Pass {
            loss,
            weights: GradientsParams::from_grads(gradients, network),
            images,
        }
    });
    Pass::sum(network, parts)
}

fn objective(
    recipe: &Recipe,
    network: &Network,
    clean: Option<Tensor<4>>,
    trained: Tensor<4>,
    labels: Tensor<1, Int>,
) -> Tensor<1> {
    let similarity = |images| network.head.similarity(network.features(images));
    recipe.framework.objective(Terms {
        head: &network.head,
        labels,
        clean: clean.map(similarity),
        trained: similarity(trained),
        label_smoothing: recipe.training.label_smoothing,
    })
}

#[cfg(test)]
#[path = "step/tests.rs"]
mod tests;
