//! From a checkpoint to a model folder, checked against the trainer on the way.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Card, Head, Model, Training, write_atomic};
use buckler_runtime::{Classifier, LoadOptions, differentiate_unverified};
use buckler_train::{Checkpoint, export, gradient, logits};
use ndarray::Array4;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

const MODEL: &str = "model.onnx";
const GRADIENT: &str = "gradient.onnx";
const CARD: &str = "card.json";

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
    let mut model = export(checkpoint, name)?;
    // The trainer's own gradient, below, is a sharper check than difference quotients are.
    let gradient = differentiate_unverified(&model, &LoadOptions::default())?;
    let parity = parity(checkpoint, &model, &gradient)?;
    ensure!(
        parity.gradient_rel_l2 <= MAX_GRADIENT_DIFFERENCE,
        "the exported model's input gradient differs from the trainer's by {:e} of its length, more than {MAX_GRADIENT_DIFFERENCE:e}: nothing was written",
        parity.gradient_rel_l2
    );
    keep_figures(dir, &mut model)?;
    write(dir, &model, &gradient)?;
    Ok(parity)
}

/// Takes the figures on the card of the model in `dir` over to the same weights; those of other weights are named as left out.
fn keep_figures(dir: &Path, model: &mut Model) -> Result<()> {
    let path = dir.join(MODEL);
    let Ok(bytes) = std::fs::read(&path) else {
        return Ok(());
    };
    let Ok(held) = Model::from_bytes(&bytes) else {
        return Ok(());
    };
    let own = sha256(&bytes);
    let beside = Card::read(dir.join(CARD)).ok();
    let beside = beside.filter(|card| card.sha256.get(MODEL) == Some(&own));
    let measured = [beside, held.card().ok().flatten()]
        .into_iter()
        .flatten()
        .map(|card| card.measured)
        .find(|measured| !measured.is_empty())
        .unwrap_or_default();
    if measured.is_empty() {
        return Ok(());
    }
    if held.graph_sha256() != model.graph_sha256() {
        tracing::warn!(
            "{}: the measured figures on its card were of other weights and are left out of the new card",
            path.display()
        );
        return Ok(());
    }
    let card = Card {
        measured,
        ..model.card()?.unwrap_or_default()
    };
    model.set_card(&card)?;
    Ok(())
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

/// That writing the model of `card` to `dir` replaces no model of another run.
pub fn check_target(dir: &Path, card: &Card) -> Result<()> {
    ensure!(
        !dir.exists() || dir.is_dir(),
        "{} is a file: --out is a folder",
        dir.display()
    );
    let other = match held(dir) {
        Ok(None) => return Ok(()),
        Ok(Some(held)) => match difference(&held, card) {
            None => return Ok(()),
            Some(other) => other,
        },
        Err(other) => other,
    };
    bail!(
        "{} holds {other}: choose another --out, or replace it with --force",
        dir.display()
    )
}

/// The card of the model in `dir`; in words, a model that cannot be known for one of Buckler's.
fn held(dir: &Path) -> Result<Option<Card>, String> {
    let (model, card) = (dir.join(MODEL), dir.join(CARD));
    let beside = match card.is_file() {
        true => Some(Card::read(&card).map_err(|_| "a card.json that cannot be read")?),
        false => None,
    };
    if !model.is_file() {
        return Ok(beside);
    }
    let bytes = std::fs::read(&model).map_err(|error| format!("a model.onnx ({error})"))?;
    let inside = Model::from_bytes(&bytes)
        .ok()
        .and_then(|model| model.card().ok()?);
    // An export that was killed may have left the card of the one before.
    if inside.is_some() {
        return Ok(inside);
    }
    let stated = |card: &Card| card.sha256.get(MODEL).cloned();
    match beside.as_ref().and_then(stated) {
        Some(stated) if stated.eq_ignore_ascii_case(&sha256(&bytes)) => Ok(beside),
        Some(_) => {
            Err("a model.onnx that is not the file whose SHA-256 card.json states".to_owned())
        }
        None => Err("a model.onnx without a card inside".to_owned()),
    }
}

/// In words, the model in a folder where the one that is to be written there is not of the same run.
fn difference(held: &Card, card: &Card) -> Option<String> {
    let name = |card: &Card| match card.name.is_empty() {
        true => "a model without a name".to_owned(),
        false => format!("the model `{}`", card.name.escape_debug()),
    };
    if held.name != card.name {
        let own = card.name.escape_debug();
        return Some(format!("{}, and this one is `{own}`", name(held)));
    }
    let differing = identity(held).into_iter().zip(identity(card));
    let differing: Vec<String> = differing
        .filter(|((_, held), (_, own))| held != own)
        .map(|((key, held), (_, own))| format!("{key} {}, this one {}", short(&held), short(&own)))
        .collect();
    (!differing.is_empty())
        .then(|| format!("{} of another run ({})", name(held), differing.join("; ")))
}

/// What all exports of one run have in common.
fn identity(card: &Card) -> Vec<(&'static str, String)> {
    let training = card.training.as_ref();
    let of = |value: fn(&Training) -> String| training.map_or("none".to_owned(), value);
    let adversary = |training: &Training| match (&training.norm, &training.eps) {
        (Some(norm), Some(eps)) => format!("{norm} {eps}"),
        _ => "none".to_owned(),
    };
    let input = &card.input;
    vec![
        (
            "recipe",
            of(|training| training.recipe.escape_debug().to_string()),
        ),
        (
            "data",
            of(|training| training.data.escape_debug().to_string()),
        ),
        ("seed", of(|training| training.seed.to_string())),
        ("epochs", of(|training| training.epochs.to_string())),
        ("framework", of(|training| training.framework.clone())),
        ("adversary", of(adversary)),
        ("head", card.head.as_ref().map_or("none".to_owned(), head)),
        (
            "input",
            format!("{}x{}x{}", input.channels, input.height, input.width),
        ),
        (
            "classes",
            format!("{} {:?}", card.classes.len(), card.classes),
        ),
    ]
}

fn head(head: &Head) -> String {
    match head {
        Head::Linear => "linear".to_owned(),
        Head::Hypersphere { scale, margin, .. } => format!("hypersphere s {scale} m {margin}"),
    }
}

fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// Replaces the card of the model in `dir`, inside the model and beside it. The graphs stay as they are.
pub fn update_card(dir: &Path, card: &Card) -> Result<()> {
    let mut model = Model::read(dir.join(MODEL))?;
    model.set_card(card)?;
    let gradient = Model::read(dir.join(GRADIENT))?;
    write(dir, &model, &gradient)
}

/// Each file is replaced in one step, and a gradient graph names the graph that it belongs to: killed between two files,
/// the folder still serves.
fn write(dir: &Path, model: &Model, gradient: &Model) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut card = model.card()?.unwrap_or_default();
    for (file, model) in [(MODEL, model), (GRADIENT, gradient)] {
        let bytes = model.to_bytes();
        card.sha256.insert(file.to_owned(), sha256(&bytes));
        let path = dir.join(file);
        write_atomic(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    card.write(dir.join(CARD))?;
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
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
