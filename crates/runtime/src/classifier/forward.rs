//! The forward graph: which input is the image, which output the logits, and what their shapes are.
use buckler_onnx::Card;
use ort::session::Session;

use super::{LoadOptions, form::Form, probe};
use crate::{
    RuntimeError,
    engine::Lane,
    session::{self, Graph},
};

/// The forward graph with what was learnt about it.
pub(super) struct Forward {
    pub graph: Graph,
    pub form: Form,
    pub classes: usize,
    /// The names of the graph's input and output.
    pub names: (String, String),
}

/// Opens the model for a lane and tries it out.
pub(super) fn open(
    model: &[u8],
    card: Option<&Card>,
    options: &LoadOptions,
    lane: Lane,
) -> Result<Forward, RuntimeError> {
    let session = session::open(model, options.placement(lane))?;
    let (image, shape) = image_input(&session)?;
    let logits = logits_output(&session)?;
    let card = card.map(|card| &card.input);
    let form = Form::of(&shape, card, options.normalization.as_ref())?;
    let sample = |rows| vec![form.column(probe::images(rows, form.spec))];
    let fixed = fixed_batch(&shape);
    let mut graph = Graph::new(
        session,
        vec![image.clone()],
        vec![logits.clone()],
        sample,
        fixed,
        options.max_batch,
    )?;
    let answer = graph.run(&sample(1))?;
    match answer.first().map(ndarray::ArrayD::shape) {
        Some(&[1, classes]) if classes >= 2 => Ok(Forward {
            graph,
            form,
            classes,
            names: (image, logits),
        }),
        shape => Err(RuntimeError::Unsupported {
            what: "output",
            expected: "[batch, classes] with at least 2 classes".to_owned(),
            got: format!(
                "`{logits}` of shape {:?} for one image",
                shape.unwrap_or_default()
            ),
        }),
    }
}

/// A batch size that cannot be chosen.
pub(super) fn fixed_batch(image_shape: &[i64]) -> Option<usize> {
    let &batch = image_shape.first()?;
    usize::try_from(batch).ok().filter(|&batch| batch > 0)
}

/// The only input: a float tensor with two to four axes.
fn image_input(session: &Session) -> Result<(String, Vec<i64>), RuntimeError> {
    let inputs = session.inputs();
    if let [input] = inputs
        && let Some(shape) = session::float_shape(input)
        && (2..=4).contains(&shape.len())
    {
        return Ok((input.name().to_owned(), shape));
    }
    Err(RuntimeError::Unsupported {
        what: "input",
        expected: "one float tensor [batch, channels, height, width], [batch, height, width, channels] or rows of pixels"
            .to_owned(),
        got: inputs
            .iter()
            .map(|input| format!("`{}` ({})", input.name(), input.dtype()))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// The output named `logits`, or the first that may have two axes.
fn logits_output(session: &Session) -> Result<String, RuntimeError> {
    let outputs = session.outputs();
    outputs
        .iter()
        .find(|output| output.name() == "logits")
        .or_else(|| {
            outputs.iter().find(|output| {
                session::float_shape(output).is_some_and(|shape| matches!(shape.len(), 0 | 2))
            })
        })
        .map(|output| output.name().to_owned())
        .ok_or_else(|| RuntimeError::Unsupported {
            what: "output",
            expected: "a float tensor [batch, classes]".to_owned(),
            got: outputs
                .iter()
                .map(|output| format!("`{}` ({})", output.name(), output.dtype()))
                .collect::<Vec<_>>()
                .join(", "),
        })
}
