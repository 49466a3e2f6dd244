//! From a checkpoint to a model folder, checked against the trainer on the way.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Card, Model, write_atomic};
use buckler_runtime::{Classifier, LoadOptions, differentiate_unverified};
use buckler_train::{Checkpoint, export, gradient, logits};
use ndarray::Array4;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

/// At a small batch: with many rows any two correct implementations differ where rounding flips a ReLU at zero.
const PARITY_IMAGES: usize = 4;
/// Over the largest logit, or over 1 where that is less.
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
    check_outside_runs(dir)?;
    let model = export(checkpoint, name)?;
    // The trainer's own gradient, below, is a sharper check than difference quotients are.
    let gradient = differentiate_unverified(&model, &LoadOptions::default())?;
    let parity = parity(checkpoint, &model, &gradient)?;
    ensure!(
        parity.gradient_rel_l2 <= MAX_GRADIENT_DIFFERENCE,
        "the exported model's input gradient differs from the trainer's by {:e} of its length, more than {MAX_GRADIENT_DIFFERENCE:e}: nothing was written",
        parity.gradient_rel_l2
    );
    write(dir, &model, &gradient)?;
    Ok(parity)
}

/// That `dir` is not in a run's folder: a run deletes the checkpoints that it no longer needs, with what lies in them.
pub fn check_outside_runs(dir: &Path) -> Result<()> {
    let path = std::path::absolute(dir)?;
    // Through links; what does not exist yet has none.
    let known = path.ancestors().find_map(|dir| dir.canonicalize().ok());
    let known = known.unwrap_or(path);
    let holds = |dir: &Path, name: &str| dir.join(name).exists();
    for folder in known.ancestors() {
        let run = holds(folder, "run.json") && holds(folder, "checkpoints");
        let checkpoint = holds(folder, "state.json") && holds(folder, "SHA256SUMS");
        let kind = match (run, checkpoint) {
            (true, _) => "run",
            (false, true) => "checkpoint",
            (false, false) => continue,
        };
        bail!(
            "--out {} is in {}, the folder of a {kind}: choose a folder outside it, such as models/NAME/1",
            dir.display(),
            folder.display()
        );
    }
    Ok(())
}

/// That writing a model of this name to `dir` replaces no other model.
pub fn check_target(dir: &Path, name: &str) -> Result<()> {
    ensure!(
        !dir.exists() || dir.is_dir(),
        "{} is a file: --out is a folder",
        dir.display()
    );
    let (model, card) = (dir.join("model.onnx"), dir.join("card.json"));
    let card = match (card.is_file(), model.is_file()) {
        (true, _) => Card::read(&card).ok(),
        (false, true) => Model::read(&model)
            .ok()
            .and_then(|model| model.card().ok()?),
        (false, false) => return Ok(()),
    };
    let held = card.map(|card| card.name).filter(|held| !held.is_empty());
    if held.as_deref() == Some(name) {
        return Ok(());
    }
    let held = held.map_or("a model without a name".to_owned(), |held| {
        format!("the model `{}`", held.escape_debug())
    });
    bail!(
        "{} holds {held}, and this one is `{}`: choose another --out, or replace it with --force",
        dir.display(),
        name.escape_debug()
    )
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
    ensure!(
        expected.iter().all(|logit| logit.is_finite()),
        "the network's logits are not finite: its weights are broken, and nothing was written"
    );
    let logits_max_abs = expected
        .iter()
        .zip(&answer.logits)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, f64::max);
    let largest = expected
        .iter()
        .fold(1.0, |most: f64, logit| most.max(f64::from(logit.abs())));
    ensure!(
        logits_max_abs <= MAX_LOGITS_DIFFERENCE * largest,
        "the exported model's logits differ from the trainer's by {logits_max_abs:e}, more than {MAX_LOGITS_DIFFERENCE:e} of the largest ({largest:e}): nothing was written"
    );
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
        "the network gives the same logits for every image (its input gradient is zero): it is untrained or has died, so there is nothing to attack or serve, and nothing was written; train it again with a lower learning rate"
    );
    Ok(Parity {
        logits_max_abs,
        gradient_rel_l2: (difference / length).sqrt(),
    })
}
