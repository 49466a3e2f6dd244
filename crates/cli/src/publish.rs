//! From a checkpoint to a model folder, checked against the trainer on the way.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Card, Model, write_atomic};
use buckler_runtime::{Classifier, LoadOptions, differentiate};
use buckler_train::{Checkpoint, export, gradient, logits};
use ndarray::Array4;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// At a small batch: with many rows any two correct implementations differ where rounding flips a ReLU at zero.
const PARITY_IMAGES: usize = 4;
const MAX_LOGITS_DIFFERENCE: f64 = 1e-4;
/// Deep networks on large images always have ReLUs that two correct implementations see on different sides of zero:
/// measured 4e-3 for ResNet-50 at 224x224, 2e-4 for ResNet-18, 1e-6 for SmallCNN. A wrong rule is off by far more.
const MAX_GRADIENT_DIFFERENCE: f64 = 2e-2;

/// How far ONNX Runtime is from the trainer on the same images.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Parity {
    /// Largest absolute difference of a logit.
    pub logits_max_abs: f64,
    /// `||a - b|| / ||b||` over the input gradients of cross-entropy.
    pub gradient_rel_l2: f64,
}

/// Exports and differentiates `checkpoint`, checks both graphs in ONNX Runtime against the trainer, and writes
/// `model.onnx`, `gradient.onnx` and `card.json` to `dir`.
pub fn publish(checkpoint: &Checkpoint, name: &str, dir: &Path) -> Result<Parity> {
    let model = export(checkpoint, name)?;
    let gradient = differentiate(&model, &LoadOptions::default())?.gradient;
    let parity = parity(checkpoint, &model, &gradient)?;
    ensure!(
        parity.logits_max_abs <= MAX_LOGITS_DIFFERENCE,
        "the exported model's logits differ from the trainer's by {:e}, more than {MAX_LOGITS_DIFFERENCE:e}: nothing was written",
        parity.logits_max_abs
    );
    ensure!(
        parity.gradient_rel_l2 <= MAX_GRADIENT_DIFFERENCE,
        "the exported model's input gradient differs from the trainer's by {:e} of its length, more than {MAX_GRADIENT_DIFFERENCE:e}: nothing was written",
        parity.gradient_rel_l2
    );
    write(dir, &model, &gradient)?;
    Ok(parity)
}

/// Replaces the card of the model in `dir`, inside the model and beside it. The graphs stay as they are.
pub fn update_card(dir: &Path, card: &Card) -> Result<()> {
    let mut model = Model::read(dir.join("model.onnx"))?;
    model.set_card(card)?;
    let gradient = Model::read(dir.join("gradient.onnx"))?;
    write(dir, &model, &gradient)
}

/// Each file is replaced in one step, and a gradient graph names the graph that it belongs to: killed between two files,
/// the folder still serves.
fn write(dir: &Path, model: &Model, gradient: &Model) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut card = model.card()?.unwrap_or_default();
    for (file, model) in [("model.onnx", model), ("gradient.onnx", gradient)] {
        let bytes = model.to_bytes();
        card.sha256
            .insert(file.to_owned(), format!("{:x}", Sha256::digest(&bytes)));
        let path = dir.join(file);
        write_atomic(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    card.write(dir.join("card.json"))?;
    Ok(())
}

fn parity(checkpoint: &Checkpoint, model: &Model, gradient_graph: &Model) -> Result<Parity> {
    let classifier = Classifier::from_bytes(
        &model.to_bytes(),
        Some(&gradient_graph.to_bytes()),
        &LoadOptions::default(),
    )?;
    let [channels, height, width] = checkpoint.state.image;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let shape = (PARITY_IMAGES, channels, height, width);
    let images = Array4::from_shape_simple_fn(shape, || rng.random::<f32>());
    let pixels: Vec<f32> = images.iter().copied().collect();
    let labels: Vec<usize> = (0..PARITY_IMAGES)
        .map(|image| image % checkpoint.state.classes.len())
        .collect();
    let objectives = labels
        .iter()
        .map(|&label| Objective::CrossEntropy { label })
        .collect();
    let answer = Runtime::new()?.block_on(classifier.gradient(images, objectives))?;

    let expected = logits(checkpoint, &pixels)?;
    let logits_max_abs = expected
        .iter()
        .zip(&answer.logits)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, f64::max);
    let expected = gradient(checkpoint, &pixels, &labels)?;
    let square = |x: f64| x * x;
    let difference: f64 = expected
        .iter()
        .zip(&answer.input)
        .map(|(a, b)| square(f64::from(a - b)))
        .sum();
    let length: f64 = expected.iter().map(|a| square(f64::from(*a))).sum();
    ensure!(
        length > 0.0,
        "the network's input gradient is zero everywhere: it is dead, train it anew with a lower learning rate"
    );
    Ok(Parity {
        logits_max_abs,
        gradient_rel_l2: (difference / length).sqrt(),
    })
}
