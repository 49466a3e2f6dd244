use std::collections::{HashMap, HashSet};

use super::{Features, is_float, kind};
use crate::{
    Error, edit,
    model::is_onnx_domain,
    node::Node,
    proto::{GraphProto, NodeProto},
    shape::{self, Dim, Facts},
};

/// More classes than this are no classifier's.
const MOST_CLASSES: u64 = 1 << 20;

/// Outputs that are looked at, and nodes between an output and the layer it comes from: no classifier has more, and a hostile
/// file could have any number.
const MOST: usize = 64;

/// The logits of a graph.
pub(super) struct Logits {
    pub logits: String,
    pub classes: u64,
    pub probabilities: Option<String>,
}

/// The output `logits`, or else a float matrix that comes out: one from which no other such output is computed, and the first of
/// several. A softmax that ends the graph is taken off.
pub(super) fn find(graph: &GraphProto, facts: &Facts<'_>, image: &[Dim]) -> Result<Logits, Error> {
    let named = graph.output.iter().find(|output| output.name == "logits");
    let output = match named {
        Some(output) if !is_float(output) => {
            return Err(Error::Interface(format!(
                "output `{}` should be float32, and is {}",
                output.name,
                kind(output).name()
            )));
        }
        Some(output) => output.name.as_str(),
        None => last_matrix(graph, facts).ok_or_else(|| {
            Error::Interface(
                "the model has no output `logits`, and no other float32 output of shape [batch, classes]".into(),
            )
        })?,
    };
    let shape = facts
        .shape(output)
        .ok_or_else(|| Error::Interface(format!("the shape of output `{output}` is not known")))?;
    let [rows, classes] = shape else {
        return Err(Error::Interface(format!(
            "output `{output}` should be logits [batch, classes], and has shape {}",
            shape::display(shape)
        )));
    };
    let classes = classes.known().ok_or_else(|| {
        Error::Interface(format!(
            "the number of classes, axis 1 of output `{output}`, is not a number: `{classes}`"
        ))
    })?;
    if !(2..=MOST_CLASSES).contains(&classes) {
        return Err(Error::Interface(format!(
            "output `{output}` has {classes} classes; cross-entropy and margin need 2 to {MOST_CLASSES}"
        )));
    }
    if let (Some(Dim::Known(images)), Dim::Known(rows)) = (image.first(), rows)
        && images != rows
    {
        return Err(Error::Interface(format!(
            "output `{output}` has {rows} rows for {images} images"
        )));
    }
    let before = before_softmax(graph, facts, output);
    Ok(Logits {
        probabilities: before.map(|_| output.into()),
        logits: before.unwrap_or(output).into(),
        classes,
    })
}

fn last_matrix<'a>(graph: &'a GraphProto, facts: &'a Facts<'_>) -> Option<&'a str> {
    let outputs = graph.output.iter();
    let matrices: Vec<&str> = outputs
        .filter(|output| is_float(output))
        .map(|output| output.name.as_str())
        .filter(|name| facts.shape(name).is_some_and(|shape| shape.len() == 2))
        .take(MOST)
        .collect();
    // Probabilities stand for the logits behind which they are computed.
    let logits: HashMap<&str, &str> = matrices
        .iter()
        .map(|&name| (name, before_softmax(graph, facts, name).unwrap_or(name)))
        .collect();
    let behind: HashSet<String> = logits
        .values()
        .flat_map(|name| {
            let mut needed = edit::needed(graph, [*name]);
            needed.remove(*name);
            needed
        })
        .collect();
    let last = matrices.iter().find(|name| {
        logits
            .get(*name)
            .is_some_and(|logits| !behind.contains(*logits))
    });
    last.or(matrices.first()).copied()
}

/// The tensor of which `output`, of shape `[batch, classes]`, is the softmax.
fn before_softmax<'a>(
    graph: &'a GraphProto,
    facts: &'a Facts<'_>,
    output: &'a str,
) -> Option<&'a str> {
    let shape = facts.shape(output)?;
    let mut tensor = output;
    for _ in 0..MOST {
        let node = producer(graph, tensor)?;
        let input = node.input.first()?.as_str();
        let same = facts.shape(input) == Some(shape);
        match node.op_type.as_str() {
            "Softmax" => {
                let axis = Node::new(node, facts).int("axis").unwrap_or(-1);
                return (same && [-1, 1].contains(&axis)).then_some(input);
            }
            "Identity" | "Reshape" | "Flatten" | "Squeeze" if same => tensor = input,
            _ => return None,
        }
    }
    None
}

/// The output `features`, or else what goes into the last linear layer, where it has the shape `[batch, size]`.
pub(super) fn features(graph: &GraphProto, facts: &Facts<'_>, logits: &str) -> Option<Features> {
    let named = graph
        .output
        .iter()
        .find(|output| output.name == "features" && is_float(output));
    let name = match named {
        Some(output) => output.name.as_str(),
        None => before_last_layer(graph, facts, logits)?,
    };
    let batch = facts.shape(logits)?.first();
    let is_input = graph.input.iter().any(|input| input.name == name);
    match facts.shape(name)? {
        [rows, Dim::Known(size)] if Some(rows) == batch && !is_input && name != logits => {
            Some(Features {
                name: name.into(),
                size: *size,
            })
        }
        _ => None,
    }
}

fn before_last_layer<'a>(
    graph: &'a GraphProto,
    facts: &'a Facts<'_>,
    logits: &'a str,
) -> Option<&'a str> {
    let mut tensor = logits;
    for _ in 0..MOST {
        let proto = producer(graph, tensor)?;
        let node = Node::new(proto, facts);
        let first = node.input(0)?;
        tensor = match proto.op_type.as_str() {
            "Gemm" if !node.flag("transA") && node.stored(1).is_some() => return Some(first),
            "MatMul" if node.stored(1).is_some() => return Some(first),
            "Identity" | "Reshape" | "Flatten" | "Squeeze" => first,
            "Add" | "Sub" | "Mul" | "Div" if node.stored(1).is_some() => first,
            "Add" | "Mul" if node.stored(0).is_some() => node.input(1)?,
            _ => return None,
        };
    }
    None
}

fn producer<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    let node = graph
        .node
        .iter()
        .find(|node| node.output.first().is_some_and(|output| output == tensor))?;
    is_onnx_domain(&node.domain).then_some(node)
}
