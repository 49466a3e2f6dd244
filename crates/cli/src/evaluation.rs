//! Accuracy of a model on a data set, clean and under attack.

use anyhow::{Context, Result};
use buckler_attack::{
    AnyAttack, AttackConfig, Evaluation, EvaluationProgress, Limits, SampleSource, Samples,
    evaluate,
};
use buckler_data::Dataset;
use buckler_onnx::Measurement;
use buckler_runtime::Classifier;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array4;
use tokio::runtime::Runtime;

/// Images that one attack runs on at a time.
const BATCH: usize = 128;

/// The images of `data` with their labels.
pub fn samples(data: &Dataset) -> Result<Samples> {
    let [channels, height, width] = data.shape();
    let shape = (data.len(), channels, height, width);
    let images = Array4::from_shape_vec(shape, data.to_f32(0..data.len())?)?;
    let labels = data.labels().iter().map(|&label| usize::from(label));
    Ok(Samples::new(images, labels.collect()))
}

/// Checks an attack against what the model takes.
pub fn checked(classifier: &Classifier, config: &AttackConfig) -> Result<AnyAttack> {
    if config.attack.needs_gradients() {
        classifier.can_attack().map_err(|reason| {
            anyhow::anyhow!("{reason}; `--attack square` and `spsa` ask for logits alone")
        })?;
    }
    Ok(config.validate(&Limits::for_input(classifier.input()))?)
}

/// A progress bar over so many images.
pub fn bar(images: usize) -> ProgressBar {
    let bar = ProgressBar::new(images as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} images  ETA {eta}  {msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// How an evaluation stands, in a few words.
pub fn standing(progress: &EvaluationProgress) -> String {
    let step = progress.attack.map(|attack| {
        format!(
            ", {} of these open at step {} of {}",
            attack.remaining, attack.step, attack.steps
        )
    });
    format!("fooled {}{}", progress.broken, step.unwrap_or_default())
}

/// Runs `attack` over `samples`, with a progress bar.
pub fn run<S: SampleSource>(
    runtime: &Runtime,
    name: &str,
    classifier: &Classifier,
    samples: &S,
    attack: &AnyAttack,
) -> Result<Evaluation> {
    let bar = bar(samples.len());
    bar.set_prefix(format!("{name} {attack}"));
    let evaluation = runtime
        .block_on(evaluate(classifier, samples, attack, BATCH, |progress| {
            bar.set_position(progress.done as u64);
            bar.set_message(standing(&progress));
        }))
        .with_context(|| format!("{attack} on {name}"));
    bar.finish_and_clear();
    evaluation
}

/// As cards state it. `data` is the data set and split, `command` what measures it again.
pub fn measurements(data: &str, command: &str, evaluations: &[&Evaluation]) -> Vec<Measurement> {
    let clean = evaluations.first().map(|evaluation| Measurement {
        data: data.to_owned(),
        images: evaluation.images,
        attack: "none".to_owned(),
        norm: None,
        eps: None,
        accuracy: evaluation.clean_accuracy,
        command: command.to_owned(),
    });
    let attacked = evaluations.iter().map(|evaluation| Measurement {
        data: data.to_owned(),
        images: evaluation.images,
        attack: evaluation.parameters.to_string(),
        norm: Some(evaluation.parameters.norm.to_string()),
        eps: Some(evaluation.parameters.eps.to_string()),
        accuracy: evaluation.accuracy_under_attack,
        command: command.to_owned(),
    });
    clean.into_iter().chain(attacked).collect()
}
