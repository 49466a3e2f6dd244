//! Brings a model into the form in which it is run and differentiated.
use buckler_onnx::{Model, free_batch};
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

/// Frees a fixed batch where rows run together give in one output what they give alone; says what was done. The file may have
/// `left_open` what only one size is true of. No more than `max_rows` are run at once.
pub(super) fn open_batch(
    model: Model,
    output: &str,
    threads: usize,
    left_open: bool,
    max_rows: usize,
) -> (Model, Option<String>) {
    let Some((free, size)) = free_batch(&model) else {
        return (model, None);
    };
    let agreed = match size.saturating_mul(ROWS) <= max_rows {
        true => agree(&model, size, &free, output, threads),
        false => Err(RuntimeError::Unsupported {
            what: "batch",
            expected: format!("at most {} images", max_rows / ROWS),
            got: size.to_string(),
        }),
    };
    match agreed {
        Ok(()) => (
            free,
            Some(format!(
                "the file {} {size}: rows are run together, which was seen to give what they give alone",
                match left_open {
                    true => "leaves the size of the batch open, and fixes it further on at",
                    false => "fixes the batch at",
                }
            )),
        ),
        Err(reason) => {
            tracing::debug!(%reason, "the batch cannot be freed");
            (
                model,
                Some(match left_open {
                    true => "the file leaves the size of the batch open, and no other than 1 works: images are run 1 at a time".to_owned(),
                    false => format!("the file fixes the batch at {size}, and no other size works: images are run {size} at a time"),
                }),
            )
        }
    }
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
fn agree(
    original: &Model,
    size: usize,
    free: &Model,
    output: &str,
    threads: usize,
) -> Result<(), RuntimeError> {
    let on_cpu = Placement::on_cpu(threads);
    let open = |model: &Model| Graph::bare(session::open(&model.to_bytes(), on_cpu)?, output);
    let (mut alone, mut together) = (open(original)?, open(free)?);
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
    let difference = difference(expected, found);
    if difference.is_some_and(|difference| difference <= TOLERANCE * largest(expected)) {
        return Ok(());
    }
    Err(RuntimeError::Unsupported {
        what: "rows run together",
        expected: format!("like rows run alone, {:?}", expected.shape()),
        got: format!(
            "{:?}, differing by {:e}",
            found.shape(),
            difference.unwrap_or(f32::NAN)
        ),
    })
}

/// Whether two answers to the same rows agree but for the order in which kernels sum.
pub(super) fn agrees(expected: &ArrayD<f32>, found: &ArrayD<f32>) -> bool {
    close(expected, found).is_ok()
}

/// The largest finite magnitude, and at least 1.
fn largest(values: &ArrayD<f32>) -> f32 {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.fold(1.0f32, |largest, value| largest.max(value.abs()))
}

/// The largest difference of two elements, infinite where only one is finite or only one is NaN; `None` for other shapes.
pub(super) fn difference(expected: &ArrayD<f32>, found: &ArrayD<f32>) -> Option<f32> {
    if expected.shape() != found.shape() {
        return None;
    }
    let pairs = expected.iter().zip(found);
    let differences = pairs.map(|(&a, &b)| match a == b || a.is_nan() && b.is_nan() {
        true => 0.0,
        false if a.is_finite() && b.is_finite() => (a - b).abs(),
        false => f32::INFINITY,
    });
    Some(differences.fold(0.0, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> ArrayD<f32> {
        ArrayD::from_shape_vec(vec![1, values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn a_number_and_none_never_agree() {
        assert!(agrees(&row(&[1.0, -2.0]), &row(&[1.0, -2.00001])));
        assert!(!agrees(&row(&[1.0, -2.0]), &row(&[1.0, f32::NAN])));
        assert!(!agrees(&row(&[f32::NAN]), &row(&[1.0])));
        assert!(!agrees(&row(&[f32::INFINITY]), &row(&[1.0])));
        assert!(!agrees(&row(&[f32::INFINITY]), &row(&[f32::NEG_INFINITY])));
        assert!(agrees(
            &row(&[f32::NEG_INFINITY]),
            &row(&[f32::NEG_INFINITY])
        ));
        assert!(!agrees(&row(&[1.0]), &row(&[1.0, 1.0])));
    }
}
