//! Caps on what a graph may have many or much of.

use std::ops::RangeInclusive;

use crate::{
    Error,
    model::is_onnx_domain,
    printable,
    printable::shortened,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
    },
};

/// Nodes of a graph and its subgraphs together; a gradient graph has three times as many as its model.
const MAX_NODES: usize = 1 << 19;

/// Inputs, outputs or attributes of one node.
const MAX_PORTS: usize = 4096;

/// Stored tensors of a graph, and its inputs: before IR version 4 the stored tensors are inputs too.
const MAX_STORED: usize = 1 << 19;

/// Outputs of a graph.
const MAX_OUTPUTS: usize = 1024;

/// Operator sets that a model names.
const MAX_OPERATOR_SETS: usize = 64;

/// Entries of a model's metadata.
const MAX_METADATA: usize = 4096;

/// Bytes of a name.
const MAX_NAME: usize = 4096;

/// Axes of a tensor.
const MAX_AXES: usize = 64;

/// Attributes of ONNX's own operators that count something, and their ranges.
const RANGES: &[(&[&str], RangeInclusive<i64>)] = &[
    (&["blocksize"], 1..=1 << 15),
    (
        &[
            "dilations",
            "group",
            "kernel_shape",
            "num_groups",
            "strides",
        ],
        1..=i32::MAX as i64,
    ),
    (
        &[
            "axis",
            "axes",
            "batch_axis",
            "batch_dims",
            "pads",
            "perm",
            "time_axis",
        ],
        -(i32::MAX as i64)..=i32::MAX as i64,
    ),
    (
        &[
            "hidden_size",
            "num_outputs",
            "output_height",
            "output_padding",
            "output_width",
            "pooled_shape",
            "sample_size",
            "sampling_ratio",
            "size",
            "split",
        ],
        0..=i32::MAX as i64,
    ),
];

/// Refuses a graph that has more of something than any network needs; `left` counts nodes down through all subgraphs.
pub(crate) fn check(graph: &GraphProto) -> Result<(), Error> {
    nodes(graph, &mut MAX_NODES.clone())
}

/// Refuses a header with very many entries.
pub(crate) fn check_header(header: &ModelProto) -> Result<(), Error> {
    let sets = header.opset_import.len();
    at_most("the model", "operator sets", sets, MAX_OPERATOR_SETS)?;
    let entries = header.metadata_props.len();
    at_most("the model", "metadata entries", entries, MAX_METADATA)
}

fn nodes(graph: &GraphProto, left: &mut usize) -> Result<(), Error> {
    *left = left.checked_sub(graph.node.len()).ok_or_else(|| {
        too_many(
            "the graph",
            "nodes",
            MAX_NODES
                .saturating_add(graph.node.len())
                .saturating_sub(*left),
            MAX_NODES,
        )
    })?;
    let stored = graph.initializer.len() + graph.sparse_initializer.len();
    for (what, count, most) in [
        ("inputs", graph.input.len(), MAX_STORED),
        ("outputs", graph.output.len(), MAX_OUTPUTS),
        ("stored tensors", stored, MAX_STORED),
    ] {
        at_most("the graph", what, count, most)?;
    }
    let infos = graph.input.iter().chain(&graph.output);
    infos.chain(&graph.value_info).try_for_each(info)?;
    graph.initializer.iter().try_for_each(tensor)?;
    for tensor in &graph.sparse_initializer {
        tensor
            .values
            .iter()
            .chain(&tensor.indices)
            .try_for_each(self::tensor)?;
        at_most("a sparse tensor", "axes", tensor.dims.len(), MAX_AXES)?;
    }
    graph
        .node
        .iter()
        .try_for_each(|node| self::node(node, left))
}

fn node(node: &NodeProto, left: &mut usize) -> Result<(), Error> {
    let texts = node.input.iter().chain(&node.output);
    texts
        .chain([&node.name, &node.op_type, &node.domain, &node.overload])
        .try_for_each(|text| name(text))?;
    for (what, count) in [
        ("inputs", node.input.len()),
        ("outputs", node.output.len()),
        ("attributes", node.attribute.len()),
    ] {
        if count > MAX_PORTS {
            let whose = format!("node `{}` ({})", label(node), shown(&node.op_type));
            return Err(too_many(&whose, what, count, MAX_PORTS));
        }
    }
    node.attribute.iter().try_for_each(|attribute| {
        name(&attribute.name)?;
        if is_onnx_domain(&node.domain)
            && let Some(reason) = out_of_range(attribute)
        {
            return Err(Error::Attribute {
                attribute: attribute.name.clone(),
                node: label(node),
                operator: shown(&node.op_type),
                reason,
            });
        }
        self::attribute(attribute, left)
    })
}

/// What is wrong with a number that a runtime computes sizes with; it does not look whether they overflow.
fn out_of_range(attribute: &AttributeProto) -> Option<String> {
    let name = attribute.name.as_str();
    let (_, range) = RANGES.iter().find(|(names, _)| names.contains(&name))?;
    let mut numbers = attribute.i.iter().chain(&attribute.ints);
    let number = numbers.find(|number| !range.contains(number))?;
    Some(format!(
        "holds {number}; it has to be from {} to {}",
        range.start(),
        range.end()
    ))
}

fn attribute(attribute: &AttributeProto, left: &mut usize) -> Result<(), Error> {
    let tensors = attribute.t.iter().chain(&attribute.tensors);
    tensors.into_iter().try_for_each(tensor)?;
    let mut graphs = attribute.g.iter().chain(&attribute.graphs);
    graphs.try_for_each(|graph| nodes(graph, left))
}

fn info(info: &ValueInfoProto) -> Result<(), Error> {
    name(&info.name)?;
    let kind = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let Some(type_proto::Value::TensorType(tensor)) = kind else {
        return Ok(());
    };
    let axes = tensor.shape.as_ref().map_or(0, |shape| shape.dim.len());
    axes_of(&info.name, axes)
}

fn tensor(tensor: &TensorProto) -> Result<(), Error> {
    name(&tensor.name)?;
    tensor
        .external_data
        .iter()
        .try_for_each(|entry| name(&entry.value))?;
    axes_of(&tensor.name, tensor.dims.len())
}

fn axes_of(name: &str, axes: usize) -> Result<(), Error> {
    at_most(&format!("tensor `{}`", shown(name)), "axes", axes, MAX_AXES)
}

fn name(text: &str) -> Result<(), Error> {
    match text.len() {
        ..=MAX_NAME => Ok(()),
        bytes => Err(too_many(
            &format!("the name `{}`", shown(text)),
            "bytes",
            bytes,
            MAX_NAME,
        )),
    }
}

fn at_most(whose: &str, what: &'static str, count: usize, most: usize) -> Result<(), Error> {
    match count > most {
        true => Err(too_many(whose, what, count, most)),
        false => Ok(()),
    }
}

fn too_many(whose: &str, what: &'static str, count: usize, most: usize) -> Error {
    Error::TooMany {
        whose: whose.to_owned(),
        what,
        count: count as u64,
        limit: most as u64,
    }
}

fn label(node: &NodeProto) -> String {
    shown(crate::order::label(node))
}

fn shown(text: &str) -> String {
    printable(&shortened(text)).into_owned()
}
