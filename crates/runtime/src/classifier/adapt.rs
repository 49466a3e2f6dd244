//! Brings a model into the form in which it is run and differentiated.
use buckler_onnx::{Model, flat_logits, free_batch, without_softmax};
use ndarray::ArrayD;

use super::probe;
use crate::{
    RuntimeError,
    batch::{self, Column},
    session::{self, Graph, Placement},
};

/// Rows run together may differ from rows run alone by the order in which a kernel sums.
const TOLERANCE: f32 = 1e-4;

/// Rows with which a freed batch is tried.
const ROWS: usize = 3;

/// A model as it is run.
pub(super) struct Adapted {
    pub model: Model,
    /// What was changed, for people; the model is as it came where this is empty.
    pub changes: Vec<String>,
}

/// Frees a fixed batch where rows run together give what they give alone, drops axes of size 1 behind the classes, and takes a
/// softmax off the end.
pub(super) fn adapt(original: &Model, threads: usize) -> Result<Adapted, RuntimeError> {
    let mut adapted = Adapted {
        model: original.clone(),
        changes: vec![],
    };
    if let Some((free, size)) = free_batch(original) {
        let agreement = agree(&original.to_bytes(), size, &free.to_bytes(), threads);
        adapted.changes.push(match agreement {
            Ok(()) => {
                adapted.model = free;
                format!(
                    "the file fixes the batch at {size}: rows are run together, which was seen to give what they give alone"
                )
            }
            Err(reason) => {
                tracing::debug!(%reason, "the batch cannot be freed");
                format!(
                    "the file fixes the batch at {size}, and no other size works: images are run {size} at a time"
                )
            }
        });
    }
    if let Some(flat) = flat_logits(&adapted.model) {
        adapted.model = flat;
        adapted.changes.push(
            "the model returns logits with further axes of size 1, which are dropped: [batch, classes]".to_owned(),
        );
    }
    // A model that is no image classifier is refused later, with the reason.
    if let Ok(Some(logits)) = without_softmax(&adapted.model) {
        adapted.model = logits;
        adapted.changes.push(
            "the model returns probabilities; the softmax at its end is left out, and what goes into it are the logits"
                .to_owned(),
        );
    }
    Ok(adapted)
}

/// The form that ONNX Runtime's basic optimisation gives a model: constants folded, shapes resolved, ONNX's own operators alone.
/// `None` where the runtime gives none.
pub(super) fn simplify(model: &Model) -> Option<Model> {
    let folder = tempfile::tempdir().ok()?;
    let path = folder.path().join("simplified.onnx");
    let simplified = session::simplify(&model.to_bytes(), &path)
        .map_err(|error| error.to_string())
        .and_then(|()| Model::read(&path).map_err(|error| error.to_string()));
    simplified
        .inspect_err(|reason| tracing::debug!(reason, "the model is used as it is, not simplified"))
        .ok()
}

/// Whether a model that takes `size` rows gives for each what the freed one gives for several at once.
fn agree(original: &[u8], size: usize, free: &[u8], threads: usize) -> Result<(), RuntimeError> {
    let on_cpu = Placement::on_cpu(threads);
    let mut alone = Graph::of_floats(session::open(original, on_cpu)?)?;
    let mut together = Graph::of_floats(session::open(free, on_cpu)?)?;
    let shape = alone.input_shape().unwrap_or_default();
    let row = shape
        .iter()
        .skip(1)
        .map(|&size| usize::try_from(size).unwrap_or(1));
    let shape: Vec<usize> = [ROWS * size].into_iter().chain(row).collect();
    let images = probe::values(&shape);
    let all = together.run_batch(&[Column::Float(images.clone())])?;
    for row in 0..ROWS {
        let rows = row * size..(row + 1) * size;
        let part = batch::slice(&images, rows.clone()).to_owned();
        let expected = alone.run_batch(&[Column::Float(part)])?;
        for (expected, all) in expected.iter().zip(&all) {
            close(expected, &batch::slice(all, rows.clone()).to_owned())?;
        }
    }
    Ok(())
}

fn close(expected: &ArrayD<f32>, found: &ArrayD<f32>) -> Result<(), RuntimeError> {
    let largest = expected
        .iter()
        .fold(1.0f32, |largest, value| largest.max(value.abs()));
    let difference = expected
        .iter()
        .zip(found)
        .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    if expected.shape() == found.shape() && difference <= TOLERANCE * largest {
        return Ok(());
    }
    Err(RuntimeError::Unsupported {
        what: "rows run together",
        expected: format!("like rows run alone, {:?}", expected.shape()),
        got: format!("{:?}, differing by {difference:e}", found.shape()),
    })
}
