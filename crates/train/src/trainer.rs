//! Training by a recipe.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buckler_data::{Dataset, Loader, LoaderConfig};
use buckler_onnx::{FileLock, LockError};
use burn::tensor::{Device, FloatDType};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::device::first;
use crate::error::TrainError;
use crate::fingerprint::Fingerprint;
use crate::metrics::{Metrics, StepRecord};
use crate::network::Precision;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::report::write_report;
use crate::run::{EpochRecord, Run, check_unused};
use crate::start::{check_data, open_run, start};
use crate::step::{Batch, TrainingState};
use crate::validation::{ValidationImages, tensors};

/// What is not part of a recipe.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Go on with the run in the folder, if there is one, from its last checkpoint.
    pub resume: bool,
    /// Write a checkpoint inside an epoch once so much time has passed since the last one.
    pub checkpoint_every: Duration,
    /// Threads that load and augment images; 0 for as many as the machine has cores.
    pub workers: usize,
    /// Leave out images that cannot be read instead of stopping.
    pub skip_broken: bool,
    /// Keys of the recipe that may differ from those of the run that goes on: learning rate, epochs, clipping, early
    /// stopping.
    pub changed: Vec<String>,
    /// Weights that a new run starts from.
    pub init: Option<Checkpoint>,
    /// Where these weights are from and what was assumed of them, for the run's record; otherwise it names their recipe
    /// and epoch.
    pub init_from: Option<String>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            resume: false,
            checkpoint_every: Duration::from_secs(300),
            workers: 0,
            skip_broken: false,
            changed: Vec::new(),
            init: None,
            init_from: None,
        }
    }
}

/// Random streams of one run, by what they are for; steps use their own number.
const VALIDATION_STREAM: u64 = u64::MAX;

/// Trains by `recipe` on `images` and `devices`, choosing the best epoch on `validation`, and keeps everything in `out`.
///
/// A run that was killed goes on with [`TrainOptions::resume`] from its last checkpoint, inside an epoch too, and ends
/// with the weights that it would have had uninterrupted: bit for bit on a device whose kernels are deterministic, as
/// the CPU's are.
///
/// # Errors
/// When the recipe does not fit the images, the folder cannot be used, an image cannot be read, or the loss diverges.
pub fn train(
    recipe: &Recipe,
    images: Arc<Dataset>,
    validation: &Dataset,
    devices: &[Device],
    out: &Path,
    options: TrainOptions,
) -> Result<Run, TrainError> {
    check_data(recipe, &images, validation)?;
    let device = &first(devices)?;
    if recipe.training.precision == Precision::Bf16 && !device.supports_dtype(FloatDType::BF16) {
        return Err(TrainError::Device(format!(
            "training.precision is bf16, which {device:?} does not have: use f32"
        )));
    }
    let loader = Loader::new(
        images.clone(),
        LoaderConfig {
            batch_size: recipe.training.batch_size,
            augmentation: recipe.augmentation.clone(),
            seed: recipe.seed,
            workers: options.workers,
            skip_broken: options.skip_broken,
        },
    )?;
    // Before anything is written, as what can be wrong with the recipe or the data: a refused start leaves no file.
    check_unused(out)?;
    let fingerprint = Fingerprint::of(&images, validation)?;
    let validation = ValidationImages::check(validation, options.skip_broken)?;
    std::fs::create_dir_all(out).map_err(TrainError::file(out))?;
    let _lock = lock(out)?;
    let run = open_run(recipe, out, devices, fingerprint, &options)?;
    let recipe = &run.recipe().clone();
    let (state, position) = start(recipe, &images, devices, &run, options.init.as_ref())?;
    let metrics = Metrics::open(out, position.epochs, position.steps)?;
    let mut session = Session {
        recipe,
        device,
        options,
        validation,
        run,
        state,
        position,
        metrics,
        saved: Instant::now(),
    };
    while session.run.stopped().is_none() && session.position.epochs < recipe.training.epochs {
        session.epoch(&loader, &images)?;
    }
    Ok(session.run)
}

/// One writer for a run's folder at a time.
fn lock(out: &Path) -> Result<FileLock, TrainError> {
    let path = out.join("run.lock");
    let lock = FileLock::acquire(&path).map_err(|error| match error {
        LockError::Held(holder) => TrainError::RunLocked {
            path: out.to_owned(),
            holder,
        },
        LockError::File(error) => TrainError::file(&path)(error),
    })?;
    if let Some(error) = &lock.unsupported {
        tracing::warn!(
            "{}: the file system has no locks ({error}); let no other process write to this run",
            path.display()
        );
    }
    Ok(lock)
}

/// A run in progress.
struct Session<'a> {
    recipe: &'a Recipe,
    device: &'a Device,
    options: TrainOptions,
    validation: ValidationImages<'a>,
    run: Run,
    state: TrainingState,
    position: CheckpointState,
    metrics: Metrics,
    saved: Instant,
}

impl Session<'_> {
    /// Goes on to the end of the epoch, then validates.
    fn epoch(&mut self, loader: &Loader, images: &Dataset) -> Result<(), TrainError> {
        let started = Instant::now();
        let epoch = self.position.epochs;
        let batch_size = self.recipe.training.batch_size;
        let progress = Progress::epoch(
            &self.recipe.name,
            epoch + 1,
            self.recipe.training.epochs,
            images.len(),
        );
        progress.skip((self.position.steps * batch_size).min(images.len()));
        let steps = loader.batches_per_epoch();
        for batch in loader.epoch(epoch as u64, self.position.steps) {
            let batch = batch?;
            let count = batch.labels.len();
            for name in &batch.skipped {
                tracing::warn!("left out, it cannot be read: {name}");
            }
            self.position.skipped += batch.skipped.len();
            if count > 0 {
                let loss = self.step(batch, images.shape(), steps)?;
                self.position.loss_sum += loss * count as f64;
                progress.advance(count, loss);
            }
            self.position.steps += 1;
            let due = self.saved.elapsed() >= self.options.checkpoint_every;
            if due && self.position.steps < steps {
                self.save()?;
                self.run.passed(epoch, self.position.steps)?;
            }
        }
        let trained = images.len() - self.position.skipped;
        if trained == 0 {
            return Err(TrainError::Run(format!(
                "epoch {}: none of the {} training images could be read, so nothing was learned; mend or replace them",
                epoch + 1,
                images.len()
            )));
        }
        progress.validating();
        let mut rng = stream(self.recipe.seed, VALIDATION_STREAM);
        let network = self.state.evaluated();
        let accuracy = self
            .validation
            .validate(self.recipe, &network, self.device, &mut rng)?;
        let record = EpochRecord {
            epoch: epoch + 1,
            loss: self.position.loss_sum / trained.max(1) as f64,
            clean_accuracy: accuracy.clean,
            robust_accuracy: accuracy.robust,
            seconds: started.elapsed().as_secs_f64(),
            skipped: self.position.skipped,
            skipped_validation: self.validation.skipped(),
            collapsed: accuracy
                .finding
                .as_ref()
                .is_some_and(|finding| finding.collapsed),
            warning: accuracy.finding.map(|finding| finding.warning),
        };
        let warning = record.warning.clone();
        self.position.epochs += 1;
        self.position.steps = 0;
        self.position.loss_sum = 0.0;
        self.position.skipped = 0;
        self.save()?;
        let best = self.run.best().and_then(|best| best.robust_accuracy);
        let stopped = collapse(self.recipe, best, &record);
        let line = describe(self.recipe, &record);
        self.run.finish_epoch(record, stopped.clone())?;
        write_report(&self.run)?;
        progress.finish(&line);
        for reason in warning.into_iter().chain(stopped) {
            tracing::warn!("{}: {reason}", self.recipe.name);
        }
        Ok(())
    }

    fn step(
        &mut self,
        batch: buckler_data::Batch,
        image: [usize; 3],
        steps: usize,
    ) -> Result<f64, TrainError> {
        let (epoch, step) = (self.position.epochs, self.position.steps);
        let recipe = self.recipe;
        let position = epoch as f64 + step as f64 / steps as f64;
        let number = (epoch * steps + step) as u64;
        let mut rng = stream(recipe.seed, number);
        // Dropout draws on the device.
        self.device.seed(rng.next_u64());
        let learning_rate = recipe.optimizer.learning_rate
            * recipe
                .schedule
                .factor(position, recipe.training.epochs as f64);
        let (images, labels) = tensors(batch.images, batch.labels, image, self.device);
        let batch = Batch {
            images,
            labels,
            position,
            number,
            learning_rate,
        };
        let loss = self.state.step(recipe, &batch, &mut rng)?;
        if !loss.is_finite() {
            return Err(TrainError::Diverged {
                epoch: epoch + 1,
                step: step + 1,
                loss,
                learning_rate: recipe.optimizer.learning_rate,
                checkpoint: self.run.has_checkpoint(),
            });
        }
        self.metrics.write(&StepRecord {
            epoch: epoch + 1,
            step: step + 1,
            loss,
            learning_rate,
        })?;
        Ok(loss)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        self.metrics.flush()?;
        let dir = self
            .run
            .checkpoint_dir(self.position.epochs, self.position.steps);
        Checkpoint::write(&dir, &self.state, &self.position)?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// Why to stop, when accuracy under attack fell too far below the best so far.
fn collapse(recipe: &Recipe, best: Option<f64>, record: &EpochRecord) -> Option<String> {
    let allowed = recipe.training.stop_on_drop?;
    let (best, now) = (best?, record.robust_accuracy?);
    (best - now > allowed).then(|| {
        format!(
            "stopped after epoch {}: accuracy under PGD-{} fell from {:.1} % to {:.1} % (catastrophic overfitting; training.stop_on_drop is {allowed})",
            record.epoch,
            recipe.validation.steps,
            100.0 * best,
            100.0 * now
        )
    })
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

#[cfg(test)]
#[path = "trainer/tests.rs"]
mod tests;
