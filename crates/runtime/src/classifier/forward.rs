//! The forward graph: which input is the image, which output the logits, and what their shapes are.
use buckler_attack::InputSpec;
use buckler_onnx::{Card, Input};
use ort::session::Session;

use super::{LoadOptions, probe};
use crate::{
    RuntimeError,
    batch::Column,
    session::{self, Graph},
};

/// The forward graph with what was learnt about it.
pub(super) struct Forward {
    pub graph: Graph,
    pub input: InputSpec,
    pub classes: usize,
}

/// Opens the model and tries it out.
pub(super) fn open(
    model: &[u8],
    card: Option<&Card>,
    options: &LoadOptions,
) -> Result<Forward, RuntimeError> {
    let session = session::open(model, options.threads)?;
    let (image, shape) = image_input(&session)?;
    let logits = logits_output(&session)?;
    let input = input_spec(&shape, card.map(|card| &card.input))?;
    let sample = |rows| vec![Column::Float(probe::images(rows, input).into_dyn())];
    let fixed = fixed_batch(&shape);
    let mut graph = Graph::new(
        session,
        vec![image],
        vec![logits.clone()],
        sample,
        fixed,
        options.max_batch,
    )?;
    let answer = graph.run(&sample(1))?;
    match answer.first().map(ndarray::ArrayD::shape) {
        Some(&[1, classes]) if classes >= 2 => Ok(Forward {
            graph,
            input,
            classes,
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

/// The input named `image`, or the only one: a float tensor with four axes.
fn image_input(session: &Session) -> Result<(String, Vec<i64>), RuntimeError> {
    let inputs = session.inputs();
    let chosen = inputs
        .iter()
        .find(|input| input.name() == "image")
        .or(match inputs {
            [only] => Some(only),
            _ => None,
        });
    if let Some(input) = chosen
        && let Some(shape) = session::float_shape(input)
        && shape.len() == 4
        && inputs.len() == 1
    {
        return Ok((input.name().to_owned(), shape));
    }
    Err(RuntimeError::Unsupported {
        what: "input",
        expected: "one float tensor [batch, channels, height, width]".to_owned(),
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

/// From the graph; what it leaves open, from the card.
fn input_spec(shape: &[i64], card: Option<&Input>) -> Result<InputSpec, RuntimeError> {
    let stated = card.map_or([0; 3], |input| [input.channels, input.height, input.width]);
    let mut sizes = [0; 3];
    for ((size, stated), graph) in sizes.iter_mut().zip(stated).zip(shape.iter().skip(1)) {
        let graph = usize::try_from(*graph).unwrap_or(0);
        *size = match (graph, stated) {
            (0, 0) => {
                return Err(RuntimeError::Unsupported {
                    what: "image size",
                    expected: "fixed in the graph, or stated in the card (`input`)".to_owned(),
                    got: format!("{shape:?}, where -1 is open, without such a card"),
                });
            }
            (0, stated) => stated,
            (graph, 0) => graph,
            (graph, stated) if graph == stated => graph,
            _ => {
                return Err(RuntimeError::Unsupported {
                    what: "card's `input`",
                    expected: format!("{:?} as in the graph", shape.get(1..).unwrap_or_default()),
                    got: format!("{stated_sizes:?}", stated_sizes = card),
                });
            }
        };
    }
    let [channels, height, width] = sizes;
    Ok(InputSpec {
        channels,
        height,
        width,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(channels: usize, height: usize, width: usize) -> Input {
        Input {
            channels,
            height,
            width,
            ..Input::default()
        }
    }

    #[test]
    fn sizes_come_from_the_graph_and_where_it_is_open_from_the_card() {
        let expected = InputSpec {
            channels: 3,
            height: 32,
            width: 24,
        };
        for (shape, card) in [
            ([-1, 3, 32, 24], None),
            ([1, 3, 32, 24], Some(card(0, 0, 0))),
            ([-1, 3, -1, -1], Some(card(3, 32, 24))),
        ] {
            assert_eq!(input_spec(&shape, card.as_ref()).unwrap(), expected);
        }
    }

    #[test]
    fn open_sizes_without_a_card_and_contradictions_are_errors() {
        let message = input_spec(&[-1, 3, -1, -1], None).unwrap_err().to_string();
        assert!(
            message.contains("-1") && message.contains("card"),
            "{message}"
        );
        let message = input_spec(&[-1, 3, 32, 32], Some(&card(3, 28, 28)))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("28") && message.contains("32"),
            "{message}"
        );
    }
}
