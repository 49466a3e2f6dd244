//! The tensor before the last linear layer.
use super::{Features, is_float};
use crate::{
    model::is_onnx_domain,
    node::Node,
    proto::{GraphProto, NodeProto},
    shape::{Dim, Facts},
};

/// Nodes between logits and the layer that they come from: no classifier has more, and a hostile file could have any number.
const MAX_STEPS: usize = 64;

/// The output `features`, or else what goes into the last linear layer, where it has the shape `[batch, size]`.
pub(super) fn find(graph: &GraphProto, facts: &Facts<'_>, logits: &str) -> Option<Features> {
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
    for _ in 0..MAX_STEPS {
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

/// The node of ONNX's own domain whose first output a tensor is.
pub(super) fn producer<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    let node = graph
        .node
        .iter()
        .find(|node| node.output.first().is_some_and(|output| output == tensor))?;
    is_onnx_domain(&node.domain).then_some(node)
}
