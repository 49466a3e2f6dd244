//! Memory that the tensors between the layers take in one run, told from a graph before it is run.
mod flatten;
mod sized;

use std::collections::{HashMap, HashSet};

use crate::{
    Error, Model,
    node::Node,
    order,
    prepare::understood,
    printable,
    printable::shortened,
    proto::{GraphProto, NodeProto, tensor_shape_proto::dimension, type_proto},
    shape::{self, Dim, Facts},
};

/// The most memory that the tensors of one run may take together: 8 GiB.
pub const MAX_ACTIVATION_BYTES: u64 = 8 << 30;

/// The most memory that tensors may take together which depend on no input: 2 GiB. A runtime computes them while it opens the graph,
/// once for each of its sessions, and keeps them.
const MAX_CONSTANT_BYTES: u64 = 2 << 30;

/// Bytes of an element: types are not followed, and almost all are of 32 bits.
const ELEMENT: u64 = 4;

/// The bytes that the tensors of a run take together, while each is kept from the node that computes it to the last that reads it.
/// Constants are kept from the beginning. `rows` is the size of a batch that the model leaves open.
///
/// Tensors whose sizes are not known count as nothing, so that this is a lower bound; those of subgraphs are counted.
///
/// # Errors
/// When a run takes more than [`MAX_ACTIVATION_BYTES`], or constants more than 2 GiB, or the pixels of an image decide how large a tensor is, or a loop carries one
/// whose shape changes: such a model could take any memory.
pub fn activation_bytes(model: &Model, rows: u64) -> Result<u64, Error> {
    let mut graph = model.graph().clone();
    fix_batch(&mut graph, rows);
    // What a file says of tensors in between is not relied on.
    graph.value_info.clear();
    let (graph, _) = understood(flatten::flatten(graph), model.opset(), false)?;
    sized::check(&graph)?;
    let facts = Facts::of(&graph);
    sized::check_steps(&graph, &facts)?;
    sized::check_growth(&graph, &facts)?;
    let readers = last_readers(&graph);
    let constants = constants(&graph);
    let mut live = HashMap::new();
    let (mut held, mut kept) = (Total::default(), Total::default());
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            let Some(shape) = shape_of(node, output, &facts) else {
                continue;
            };
            let bytes = bytes(&shape);
            held.add(bytes);
            let is_constant = constants.contains(output.as_str());
            if is_constant {
                kept.add(bytes);
            }
            let (total, limit) = match kept.now > MAX_CONSTANT_BYTES {
                true => (kept.now, MAX_CONSTANT_BYTES),
                false => (held.now, MAX_ACTIVATION_BYTES),
            };
            if total > limit {
                return Err(Error::Memory {
                    node: printable(&shortened(order::label(node))).into_owned(),
                    operator: printable(&shortened(&node.op_type)).into_owned(),
                    shape: shape::display(&shape),
                    bytes: total,
                    limit,
                });
            }
            if !is_constant && let Some(other) = live.insert(output.as_str(), bytes) {
                held.now = held.now.saturating_sub(other);
            }
        }
        let read = order::reads(node).into_iter();
        let written = node.output.iter().map(String::as_str);
        for tensor in read.chain(written) {
            let last = readers.get(tensor).copied().unwrap_or(index);
            if last <= index
                && let Some(bytes) = live.remove(tensor)
            {
                held.now = held.now.saturating_sub(bytes);
            }
        }
    }
    Ok(held.most)
}

#[derive(Default)]
struct Total {
    now: u64,
    most: u64,
}

impl Total {
    fn add(&mut self, bytes: u64) {
        self.now = self.now.saturating_add(bytes);
        self.most = self.most.max(self.now);
    }
}

/// Sizes that are not known count as 1.
fn bytes(shape: &[Dim]) -> u64 {
    let sizes = shape.iter().map(|dim| dim.known().unwrap_or(1));
    sizes.fold(ELEMENT, u64::saturating_mul)
}

fn shape_of(node: &NodeProto, output: &str, facts: &Facts<'_>) -> Option<Vec<Dim>> {
    let first = node.output.first().is_some_and(|first| first == output);
    match facts.shape(output) {
        Some(shape) => Some(shape.to_vec()),
        None if first => sized::shape(&Node::new(node, facts)),
        None => None,
    }
}

/// By tensor, the last node that reads it; outputs of the graph are read after all.
fn last_readers(graph: &GraphProto) -> HashMap<&str, usize> {
    let mut last = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for tensor in order::reads(node) {
            last.insert(tensor, index);
        }
    }
    last.extend(
        graph
            .output
            .iter()
            .map(|output| (output.name.as_str(), usize::MAX)),
    );
    last
}

/// The tensors that do not depend on an input. A runtime computes them once and keeps them.
fn constants(graph: &GraphProto) -> HashSet<&str> {
    let mut varying: HashSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    let mut constants = HashSet::new();
    for node in &graph.node {
        let varies = order::reads(node).iter().any(|name| varying.contains(name));
        let outputs = node.output.iter().map(String::as_str);
        match varies {
            true => varying.extend(outputs),
            false => constants.extend(outputs),
        }
    }
    constants
}

/// Writes the size of the batch into the inputs where they leave it open.
fn fix_batch(graph: &mut GraphProto, rows: u64) {
    for input in &mut graph.input {
        let kind = input.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            continue;
        };
        let first = tensor
            .shape
            .as_mut()
            .and_then(|shape| shape.dim.first_mut());
        if let Some(first) = first
            && !matches!(first.value, Some(dimension::Value::DimValue(1..)))
        {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            first.value = Some(dimension::Value::DimValue(rows));
        }
    }
    // The shapes of outputs are derived, not read.
    for output in &mut graph.output {
        output.r#type = None;
    }
}
