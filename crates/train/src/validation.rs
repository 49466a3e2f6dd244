use buckler_attack::Threat;
use buckler_data::{DataError, Dataset, gather};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngCore;

use crate::adversary::{Adversary, Start};
use crate::collapse::{self, Finding};
use crate::error::TrainError;
use crate::framework::Maximised;
use crate::network::Network;
use crate::recipe::Recipe;

/// Accuracies in `[0, 1]`.
pub(crate) struct Validation {
    pub clean: f64,
    /// Under PGD on cross-entropy, when the recipe has an adversary; at most `clean`, since a misclassified image does
    /// not withstand an attack.
    pub robust: Option<f64>,
    /// A reason to distrust the network.
    pub finding: Option<Finding>,
}

/// Images per query.
const BATCH: usize = 250;

/// The images that choose the best epoch, without those that cannot be read.
pub(crate) struct ValidationImages<'a> {
    images: &'a Dataset,
    usable: Vec<usize>,
}

impl<'a> ValidationImages<'a> {
    /// Reads every image once, so that a broken one is found before the first step.
    ///
    /// # Errors
    /// When an image is broken; with `skip_broken`, when all are.
    pub fn check(images: &'a Dataset, skip_broken: bool) -> Result<Self, TrainError> {
        let all: Vec<usize> = (0..images.len()).collect();
        let mut usable = Vec::with_capacity(all.len());
        let mut broken = Vec::new();
        for indices in all.chunks(BATCH) {
            if gather(images, indices).is_ok() {
                usable.extend(indices);
                continue;
            }
            for &index in indices {
                match gather(images, &[index]) {
                    Ok(_) => usable.push(index),
                    Err(DataError::Image { path, reason }) if skip_broken => {
                        broken.push(format!("{}: {reason}", path.display()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for name in &broken {
            tracing::warn!("left out of validation, it cannot be read: {name}");
        }
        match (usable.is_empty(), broken.first()) {
            (true, Some(first)) => Err(TrainError::Run(format!(
                "none of the {} validation images can be read, so no epoch can be measured; mend or replace them; the first is {first}",
                images.len()
            ))),
            _ => Ok(Self { images, usable }),
        }
    }

    /// How many images were left out.
    pub fn skipped(&self) -> usize {
        self.images.len() - self.usable.len()
    }

    /// Clean accuracy, and accuracy under PGD when the recipe has an adversary, of a network in evaluation mode.
    pub fn validate(
        &self,
        recipe: &Recipe,
        network: &Network,
        device: &Device,
        rng: &mut dyn RngCore,
    ) -> Result<Validation, TrainError> {
        let images = self.images;
        let adversary = recipe.adversary.as_ref().map(|config| Adversary {
            threat: Threat {
                norm: config.norm,
                epsilon: config.eps,
            },
            steps: recipe.validation.steps,
            step_size: 2.5 * config.eps.value() / recipe.validation.steps.max(1) as f32,
            start: Start::Uniform,
            maximised: Maximised::CrossEntropy,
        });
        let classes = images.classes().len();
        let mut counts = (vec![0; classes], vec![0; classes]);
        let (mut clean, mut robust) = (0, 0);
        for indices in self.usable.chunks(BATCH) {
            let (pixels, labels) = gather(images, indices)?;
            let truth: Vec<usize> = labels.iter().map(|label| *label as usize).collect();
            let (x, y) = tensors(pixels, labels, images.shape(), device);
            let answers = predicted(network, x.clone());
            clean += agreeing(&answers, &truth);
            count(&mut counts.0, &answers);
            count(&mut counts.1, &truth);
            if let Some(adversary) = &adversary {
                let attacked = predicted(network, adversary.craft(network, x, y, rng));
                robust += withstanding(&answers, &attacked, &truth);
            }
        }
        let share = |count: usize| count as f64 / self.usable.len().max(1) as f64;
        Ok(Validation {
            clean: share(clean),
            robust: adversary.map(|_| share(robust)),
            finding: collapse::examine(&counts.0, &counts.1, clean, images.classes()),
        })
    }
}

/// The class of the largest logit of every image.
fn predicted(network: &Network, images: Tensor<4>) -> Vec<usize> {
    let answers = network.forward(images).logits.argmax(1).into_data();
    answers.iter::<i64>().map(|class| class as usize).collect()
}

fn agreeing(answers: &[usize], labels: &[usize]) -> usize {
    answers.iter().zip(labels).filter(|(a, b)| a == b).count()
}

/// The number of images that are classified correctly both without and under the attack.
fn withstanding(answers: &[usize], attacked: &[usize], labels: &[usize]) -> usize {
    let pairs = answers.iter().zip(attacked).zip(labels);
    pairs
        .filter(|((clean, attacked), label)| clean == label && attacked == label)
        .count()
}

fn count(counts: &mut [usize], classes: &[usize]) {
    for &class in classes {
        if let Some(count) = counts.get_mut(class) {
            *count += 1;
        }
    }
}

/// Pixels and labels of a batch on the device.
pub(crate) fn tensors(
    pixels: Vec<f32>,
    labels: Vec<i64>,
    [channels, height, width]: [usize; 3],
    device: &Device,
) -> (Tensor<4>, Tensor<1, Int>) {
    let count = labels.len();
    let shape = [count, channels, height, width];
    (
        Tensor::from_data(TensorData::new(pixels, shape), device),
        Tensor::from_data(TensorData::new(labels, [count]), device),
    )
}

#[cfg(test)]
#[path = "validation/tests.rs"]
mod tests;
