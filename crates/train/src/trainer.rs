use std::path::Path;
use std::time::Instant;

use buckler_data::{Dataset, epoch_order, gather};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::adversary::Adversary;
use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::error::TrainError;
use crate::framework::Framework;
use crate::loss::cross_entropy;
use crate::network::Network;
use crate::progress::Progress;
use crate::recipe::{OptimizerConfig, Recipe};
use crate::run::{EpochRecord, Run};

/// What is not part of a recipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainOptions {
    /// Go on after the last finished epoch of the run in the folder, if there is one.
    pub resume: bool,
}

/// Images per query in validation.
const VALIDATION_BATCH: usize = 250;

/// Random streams of one run, by what they are for; steps use their own number.
const VALIDATION_STREAM: u64 = u64::MAX;

/// Trains by `recipe` on `images`, choosing the best epoch on `validation`, and keeps everything in `out`.
///
/// A run that was killed goes on with [`TrainOptions::resume`] after its last finished epoch and ends with the weights
/// that it would have had uninterrupted.
///
/// # Errors
/// When the recipe does not fit the images, the folder cannot be used, or the loss diverges.
pub fn train(
    recipe: &Recipe,
    images: &Dataset,
    validation: &Dataset,
    device: &Device,
    out: &Path,
    options: TrainOptions,
) -> Result<Run, TrainError> {
    let image = images.shape();
    let autodiff = device.clone().autodiff();
    let mut run = open_run(recipe, out, options)?;
    let mut optimizer = sgd(&recipe.optimizer);
    device.seed(recipe.seed);
    let mut network = Network::init(
        &recipe.network,
        &recipe.head,
        image,
        images.classes().len(),
        &autodiff,
    )?;
    if let Some(dir) = run.last_checkpoint() {
        let checkpoint = Checkpoint::load(&dir, device)?;
        optimizer = checkpoint.load_optimizer(optimizer)?;
        network = checkpoint.network.train();
    }

    for epoch in run.epochs().len()..recipe.training.epochs {
        let started = Instant::now();
        let progress = Progress::epoch(
            &recipe.name,
            epoch + 1,
            recipe.training.epochs,
            images.len(),
        );
        let (trained, loss) = train_epoch(
            recipe,
            images,
            epoch,
            network,
            &mut optimizer,
            device,
            &progress,
        )?;
        network = trained;
        progress.validating();
        let (clean_accuracy, robust_accuracy) = validate(recipe, validation, &network, device)?;
        let record = EpochRecord {
            epoch: epoch + 1,
            loss,
            clean_accuracy,
            robust_accuracy,
            seconds: started.elapsed().as_secs_f64(),
        };
        let state = CheckpointState {
            recipe: recipe.clone(),
            epoch: record.clone(),
            image,
            classes: images.classes().to_vec(),
        };
        Checkpoint::write(
            &run.checkpoint_dir(record.epoch),
            &network.valid(),
            &optimizer,
            &state,
        )?;
        let line = describe(recipe, &record);
        run.finish_epoch(record)?;
        progress.finish(&line);
    }
    Ok(run)
}

fn open_run(recipe: &Recipe, out: &Path, options: TrainOptions) -> Result<Run, TrainError> {
    if !options.resume {
        return Run::create(out, recipe);
    }
    match Run::open(out) {
        Ok(run) if run.recipe() == recipe => Ok(run),
        Ok(run) => Err(TrainError::Run(format!(
            "{} holds a run of recipe `{}` that differs from `{}`: resume with the same recipe, or choose another --out",
            out.display(),
            run.recipe().name,
            recipe.name
        ))),
        Err(TrainError::Run(_)) if !out.join("run.json").exists() => Run::create(out, recipe),
        Err(error) => Err(error),
    }
}

fn sgd(config: &OptimizerConfig) -> ModuleOptimizer {
    let momentum = MomentumConfig::new()
        .with_momentum(config.momentum)
        // Burn's default of 0.1 is not PyTorch's.
        .with_dampening(0.0);
    let decay = (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay));
    SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(decay)
        .init()
}

fn train_epoch(
    recipe: &Recipe,
    images: &Dataset,
    epoch: usize,
    mut network: Network,
    optimizer: &mut ModuleOptimizer,
    device: &Device,
    progress: &Progress,
) -> Result<(Network, f64), TrainError> {
    let order = epoch_order(images.len(), recipe.seed, epoch as u64);
    let steps = order.len().div_ceil(recipe.training.batch_size);
    let mut total = 0.0;
    for (step, indices) in order.chunks(recipe.training.batch_size).enumerate() {
        let position = epoch as f64 + step as f64 / steps as f64;
        let rate = recipe.optimizer.learning_rate
            * recipe
                .schedule
                .factor(position, recipe.training.epochs as f64);
        let mut rng = stream(recipe.seed, (epoch * steps + step) as u64);
        // Dropout draws on the device.
        device.seed(rng.next_u64());
        let (x, y) = batch(images, indices, device)?;
        let x = match &recipe.adversary {
            None => x,
            Some(adversary) => {
                adversary
                    .at(position)?
                    .craft(&network.valid(), x, y.clone(), &mut rng)
            }
        };
        let loss = objective(
            recipe.training.framework,
            &network,
            x.autodiff(),
            y.autodiff(),
        );
        let value: f32 = loss.clone().into_scalar();
        if !value.is_finite() {
            return Err(TrainError::Diverged {
                epoch: epoch + 1,
                step: step + 1,
                loss: value,
            });
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(rate, network, gradients);
        total += f64::from(value) * indices.len() as f64;
        progress.advance(indices.len(), f64::from(value));
    }
    Ok((network, total / order.len().max(1) as f64))
}

/// The training objective on the images that the framework trains on: clean ones for plain training, adversarial ones
/// for PGD-AT.
fn objective(
    framework: Framework,
    network: &Network,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
) -> Tensor<1> {
    match framework {
        Framework::Plain | Framework::PgdAt => {
            let features = network.body.forward(images);
            let logits = network.head.forward_with_margin(features, labels.clone());
            cross_entropy(logits, labels)
        }
    }
}

/// Clean accuracy, and accuracy under PGD when the recipe has an adversary.
fn validate(
    recipe: &Recipe,
    images: &Dataset,
    network: &Network,
    device: &Device,
) -> Result<(f64, Option<f64>), TrainError> {
    let network = network.valid();
    let adversary = recipe.adversary.as_ref().map(|config| Adversary {
        threat: buckler_attack::Threat {
            norm: config.norm,
            epsilon: config.eps,
        },
        steps: recipe.validation.steps,
        step_size: 2.5 * config.eps.value() / recipe.validation.steps.max(1) as f32,
    });
    let mut rng = stream(recipe.seed, VALIDATION_STREAM);
    let (mut clean, mut robust) = (0.0, 0.0);
    let all: Vec<usize> = (0..images.len()).collect();
    for indices in all.chunks(VALIDATION_BATCH) {
        let (x, y) = batch(images, indices, device)?;
        clean += correct(&network, x.clone(), y.clone());
        if let Some(adversary) = &adversary {
            let attacked = adversary.craft(&network, x, y.clone(), &mut rng);
            robust += correct(&network, attacked, y);
        }
    }
    let share = |count: f64| count / images.len().max(1) as f64;
    Ok((share(clean), adversary.map(|_| share(robust))))
}

fn correct(network: &Network, images: Tensor<4>, labels: Tensor<1, Int>) -> f64 {
    let predicted = network.forward(images).logits.argmax(1).squeeze_dim(1);
    f64::from(predicted.equal(labels).int().sum().into_scalar::<i32>())
}

pub(crate) fn batch(
    images: &Dataset,
    indices: &[usize],
    device: &Device,
) -> Result<(Tensor<4>, Tensor<1, Int>), TrainError> {
    let (pixels, labels) = gather(images, indices)?;
    let [channels, height, width] = images.shape();
    let shape = [indices.len(), channels, height, width];
    Ok((
        Tensor::from_data(TensorData::new(pixels, shape), device),
        Tensor::from_data(TensorData::new(labels, [indices.len()]), device),
    ))
}

fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

fn describe(recipe: &Recipe, record: &EpochRecord) -> String {
    let robust = record.robust_accuracy.map_or(String::new(), |accuracy| {
        let eps = recipe
            .adversary
            .as_ref()
            .map_or(String::new(), |adversary| adversary.eps.to_string());
        format!(
            ", PGD-{} at eps {eps} {:.2} %",
            recipe.validation.steps,
            100.0 * accuracy
        )
    });
    format!(
        "{} epoch {}/{}: loss {:.4}, validation clean {:.2} %{robust}, {:.1} s",
        recipe.name,
        record.epoch,
        recipe.training.epochs,
        record.loss,
        100.0 * record.clean_accuracy,
        record.seconds
    )
}
