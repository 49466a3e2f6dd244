//! Brings the nodes of older operator sets to the form of operator set 18.

mod inputs;
mod resize;
mod softmax;
mod unchanged;

use std::collections::{HashMap, HashSet};

use crate::{
    Obstacle, edit,
    model::is_onnx_domain,
    order,
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
};

/// The operator set that the gradient rules are written for, and the oldest that is emitted.
pub(crate) const TARGET: i64 = 18;

/// Before this one, broadcasting was spelled out in attributes.
pub(crate) const OLDEST: i64 = 7;

/// Rewrites the nodes from operator set `from` on. What cannot be rewritten stays, and is returned with the reason.
pub(crate) fn upgrade(graph: &mut GraphProto, from: i64) -> Vec<Obstacle> {
    if from >= TARGET {
        return vec![];
    }
    let taken = edit::names(graph);
    let nodes = std::mem::take(&mut graph.node);
    let stored = graph.initializer.iter();
    let mut work = Upgrade {
        from,
        taken,
        stored: stored
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect(),
        nodes: Vec::with_capacity(nodes.len()),
        initializers: Vec::new(),
        obstacles: Vec::new(),
    };
    for node in nodes {
        work.node(node);
    }
    let (nodes, initializers, obstacles) = (work.nodes, work.initializers, work.obstacles);
    graph.node = nodes;
    graph.initializer.extend(initializers);
    obstacles
}

struct Upgrade<'a> {
    from: i64,
    taken: HashSet<String>,
    stored: HashMap<&'a str, &'a TensorProto>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    obstacles: Vec<Obstacle>,
}

impl Upgrade<'_> {
    fn node(&mut self, mut node: NodeProto) {
        if is_onnx_domain(&node.domain)
            && let Err(reason) = self.rewrite(&mut node)
        {
            self.obstacles.push(Obstacle {
                node: order::label(&node).into(),
                operator: node.op_type.clone(),
                reason,
            });
        }
        self.nodes.push(node);
    }

    /// Brings a node up to date; nodes that have to stand in front of it are added at once.
    fn rewrite(&mut self, node: &mut NodeProto) -> Result<(), String> {
        match node.op_type.as_str() {
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
            | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" | "Squeeze"
            | "Unsqueeze" => self.axes(node),
            "Clip" if self.from < 11 => self.bounds(node),
            "Dropout" if self.from < 12 => {
                node.input.truncate(1);
                node.attribute.clear();
            }
            "Pad" if self.from < 11 => return self.pad(node),
            "Slice" if self.from < 10 => return self.slice(node),
            "Split" => self.split(node),
            "TopK" if self.from < 10 => return self.top_k(node),
            "Softmax" | "LogSoftmax" | "Hardmax" if self.from < 13 => self.flat_softmax(node),
            "Upsample" if self.from < 10 => return self.upsample(node),
            "Resize" if self.from < 11 => return self.first_resize(node),
            "Resize" if self.from < 13 => return self.resize(node),
            "Scatter" if self.from < 11 => node.op_type = "ScatterElements".into(),
            "BatchNormalization" => return self.batch_normalization(node),
            // These are refused whatever their operator set.
            "If" | "Loop" | "Scan" => (),
            unchanged if unchanged::UNCHANGED.contains(&unchanged) => (),
            _ => {
                return Err(format!(
                    "it cannot be brought from operator set {} to {TARGET}; convert the model first (Python: \
                     `onnx.version_converter.convert_version(model, {TARGET})`)",
                    self.from
                ));
            }
        }
        Ok(())
    }

    /// Before operator set 14 further outputs, instead of an attribute, meant training; before 9 statistics could be those of
    /// single pixels.
    fn batch_normalization(&self, node: &mut NodeProto) -> Result<(), String> {
        if self.from < 9
            && let Some(spatial) = take(node, "spatial")
            && spatial.i == Some(0)
        {
            return Err(
                "spatial 0 (statistics for each pixel) is not supported; export the model with operator set 9 or later"
                    .into(),
            );
        }
        if self.from < 14 {
            if node.output.iter().skip(1).any(|output| !output.is_empty()) {
                return Err("it is in training mode, as its further outputs tell; export the model for inference".into());
            }
            node.output.truncate(1);
        }
        Ok(())
    }

    /// Stores a list of integers that a node takes as an input.
    fn store_ints(&mut self, node: &mut NodeProto, input: usize, part: &str, values: &[i64]) {
        let name = self.name(node, part);
        self.initializers
            .push(TensorProto::int64s(&name, &[values.len() as i64], values));
        set_input(node, input, name);
    }

    /// A free name for a part of a node.
    fn name(&mut self, node: &NodeProto, part: &str) -> String {
        let stem = node.output.iter().find(|output| !output.is_empty());
        let stem = stem.map_or("", String::as_str);
        edit::fresh(&mut self.taken, &format!("{stem}.{part}"))
    }
}

/// Removes an attribute.
fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let position = node.attribute.iter().position(|own| own.name == name)?;
    Some(node.attribute.remove(position))
}

/// Removes an attribute that the operator cannot do without.
fn require(node: &mut NodeProto, name: &str) -> Result<AttributeProto, String> {
    take(node, name).ok_or_else(|| format!("attribute `{name}` is missing; export the model again"))
}

fn set_input(node: &mut NodeProto, index: usize, name: String) {
    if node.input.len() <= index {
        node.input.resize(index + 1, String::new());
    }
    if let Some(input) = node.input.get_mut(index) {
        *input = name;
    }
}
