//! Features that are divided by their length in front of a last layer without bias, as hypersphere embedding has them. The length is
//! the same for all logits of an image and not negative, so that the sign of every margin is that without the division; where it is
//! zero, so are the features and all margins without the division, and nothing is certified.

use std::collections::{HashMap, HashSet};

use crate::{
    node::Node,
    proto::{GraphProto, NodeProto},
    rename,
    shape::{Dim, Facts},
};

/// Takes the division out where the logits are nothing but a linear map of its result; whether there was one.
pub(super) fn unnormalise(graph: &mut GraphProto, active: &HashSet<String>, logits: &str) -> bool {
    let Some((normal, features)) = find(graph, active, logits) else {
        return false;
    };
    graph
        .node
        .retain(|node| node.output.first() != Some(&normal));
    rename::tensors(graph, &HashMap::from([(normal, features)]));
    true
}

/// The result of the division, and what is divided.
fn find(graph: &GraphProto, active: &HashSet<String>, logits: &str) -> Option<(String, String)> {
    let facts = Facts::of(graph);
    let producers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| {
            node.output
                .iter()
                .map(move |output| (output.as_str(), node))
        })
        .collect();
    let node = |tensor: &str| {
        let proto = producers.get(tensor)?;
        let node = Node::new(proto, &facts).with_active(active);
        node.is_onnx().then_some(node)
    };
    let mut tensor = logits;
    // Each step leads to an earlier node.
    let last = loop {
        let node = node(tensor)?;
        tensor = match node.proto.op_type.as_str() {
            "MatMul" | "Mul" => match [node.wants(0), node.wants(1)] {
                [true, false] => node.input(0)?,
                [false, true] => node.input(1)?,
                _ => return None,
            },
            "Gemm" if node.input(2).is_none() && !node.wants(1) => node.input(0)?,
            "Div" if !node.wants(1) => node.input(0)?,
            "Identity" | "Dropout" | "Flatten" | "Reshape" | "Squeeze" => node.input(0)?,
            "Div" | "LpNormalization" => break node,
            _ => return None,
        };
    };
    let features = last.input(0)?;
    let [_, size] = facts.shape(features)? else {
        return None;
    };
    let normal = match last.proto.op_type.as_str() {
        "LpNormalization" => [-1, 1].contains(&last.int("axis").unwrap_or(-1)),
        _ => is_length(&node, &facts, last.input(1)?, features, size),
    };
    normal.then(|| (last.output().into(), features.into()))
}

/// Whether a tensor is the length of the rows of another, kept from zero or not.
fn is_length<'a>(
    node: &impl Fn(&str) -> Option<Node<'a>>,
    facts: &Facts<'_>,
    tensor: &str,
    features: &str,
    size: &Dim,
) -> bool {
    let mut tensor = tensor;
    // One length for each row.
    let rows = |tensor: &str| match (facts.shape(tensor), facts.shape(features)) {
        (Some([rows, one]), Some([own, _])) => rows == own && *one == Dim::Known(1),
        _ => false,
    };
    let guard = |node: &Node<'_>, index: usize| {
        let values = node.stored(index).and_then(|tensor| tensor.to_f64s());
        values.is_some_and(|values| values.len() == 1 && values.iter().all(|value| *value >= 0.0))
    };
    let squares = |tensor: Option<&str>, features: &str| {
        let Some(square) = tensor.and_then(node) else {
            return false;
        };
        let exponent = square.stored(1).and_then(|tensor| tensor.to_f64s());
        square.input(0) == Some(features)
            && match square.proto.op_type.as_str() {
                "Mul" => square.input(1) == Some(features),
                "Pow" => exponent.is_some_and(|exponent| exponent == [2.0]),
                _ => false,
            }
    };
    let mut root = false;
    // Through the guards to the sum of squares.
    for _ in 0..8 {
        let Some(node) = node(tensor) else {
            return false;
        };
        let operator = node.proto.op_type.as_str();
        let next = match operator {
            // The same length for every feature.
            "Expand"
                if !root
                    && facts
                        .shape(tensor)
                        .is_some_and(|shape| shape.get(1) == Some(size)) =>
            {
                node.input(0)
            }
            "Max" | "Add" if node.proto.input.len() == 2 && guard(&node, 1) => node.input(0),
            "Max" | "Add" if node.proto.input.len() == 2 && guard(&node, 0) => node.input(1),
            "Clip" if guard(&node, 1) && node.input(2).is_none() => node.input(0),
            "Sqrt" if !root => {
                root = true;
                node.input(0)
            }
            "ReduceL2" => return !root && rows(tensor) && node.input(0) == Some(features),
            "ReduceSumSquare" => {
                return root && rows(tensor) && node.input(0) == Some(features);
            }
            "ReduceSum" => return root && rows(tensor) && squares(node.input(0), features),
            _ => None,
        };
        match next {
            Some(next) => tensor = next,
            None => return false,
        }
    }
    false
}
