//! Nodes that no runtime would load: attributes that are missing or of another type than the operator's, and weights whose shapes
//! do not fit.

use crate::{
    Obstacle,
    model::is_onnx_domain,
    node::Node,
    order::label,
    proto::{AttributeProto, AttributeType, GraphProto, NodeProto},
    shape::{self, Dim, Facts},
};

/// Attributes that have one type throughout the operators of ONNX.
const ATTRIBUTES: [(AttributeType, &[&str]); 4] = [
    (
        AttributeType::Ints,
        &[
            "axes",
            "dilations",
            "ends",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "perm",
            "split",
            "starts",
            "strides",
        ],
    ),
    (
        AttributeType::Int,
        &[
            "align_corners",
            "allowzero",
            "axis",
            "batch_dims",
            "blocksize",
            "ceil_mode",
            "count_include_pad",
            "end",
            "group",
            "k",
            "keepdims",
            "largest",
            "noop_with_empty_axes",
            "num_groups",
            "num_outputs",
            "size",
            "spatial",
            "start",
            "storage_order",
            "training_mode",
            "transA",
            "transB",
            "upper",
        ],
    ),
    (
        AttributeType::Float,
        &[
            "alpha", "beta", "bias", "epsilon", "gamma", "lambd", "max", "min", "ratio",
        ],
    ),
    (
        AttributeType::String,
        &[
            "approximate",
            "auto_pad",
            "coordinate_transformation_mode",
            "equation",
            "mode",
            "nearest_mode",
            "reduction",
        ],
    ),
];

/// Attributes that operators cannot do without.
const REQUIRED: [(&str, &str); 10] = [
    ("AveragePool", "kernel_shape"),
    ("Cast", "to"),
    ("Concat", "axis"),
    ("DepthToSpace", "blocksize"),
    ("Einsum", "equation"),
    ("GroupNormalization", "num_groups"),
    ("LRN", "size"),
    ("LpPool", "kernel_shape"),
    ("MaxPool", "kernel_shape"),
    ("SpaceToDepth", "blocksize"),
];

/// Operators whose inputs broadcast against each other.
const BROADCASTING: [&str; 9] = [
    "Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum",
];

/// How many inputs operators cannot do without, where it is more than one.
const INPUTS: [(usize, &[&str]); 3] = [
    (
        2,
        &[
            "Add",
            "And",
            "Conv",
            "ConvTranspose",
            "CumSum",
            "DequantizeLinear",
            "Div",
            "Equal",
            "Expand",
            "Gather",
            "GatherElements",
            "GatherND",
            "Gemm",
            "Greater",
            "GreaterOrEqual",
            "LayerNormalization",
            "Less",
            "LessOrEqual",
            "MatMul",
            "Mod",
            "Mul",
            "Or",
            "PRelu",
            "Pad",
            "Pow",
            "QuantizeLinear",
            "RMSNormalization",
            "Reshape",
            "Sub",
            "Tile",
            "TopK",
            "Unsqueeze",
            "Xor",
        ],
    ),
    (
        3,
        &[
            "Attention",
            "GroupNormalization",
            "InstanceNormalization",
            "OneHot",
            "Range",
            "ScatterElements",
            "ScatterND",
            "Slice",
            "Where",
        ],
    ),
    (5, &["BatchNormalization"]),
];

/// Attributes that are missing, or of the wrong type and would be taken for absent.
pub(crate) fn attributes(graph: &GraphProto) -> Vec<Obstacle> {
    let nodes = graph
        .node
        .iter()
        .filter(|node| is_onnx_domain(&node.domain));
    nodes
        .filter_map(|node| {
            let wrong = node.attribute.iter().find_map(wrong_type);
            Some(obstacle(node, wrong.or_else(|| missing(node))?))
        })
        .collect()
}

fn wrong_type(attribute: &AttributeProto) -> Option<String> {
    let (expected, _) = ATTRIBUTES
        .iter()
        .find(|(_, names)| names.contains(&attribute.name.as_str()))?;
    let found = attribute.kind();
    (found != *expected).then(|| {
        format!(
            "attribute `{}` should be of type {expected:?}, and is of type {found:?}; export the model again",
            attribute.name
        )
    })
}

fn missing(node: &NodeProto) -> Option<String> {
    let required = REQUIRED
        .iter()
        .filter(|(operator, _)| *operator == node.op_type);
    let mut names = required.map(|(_, name)| *name);
    let name = names.find(|name| node.attribute.iter().all(|own| own.name != *name))?;
    Some(format!(
        "attribute `{name}` is missing; export the model again"
    ))
}

/// Inputs that are missing, or whose shapes, as far as they are known, contradict the operator; of nodes in the form of operator
/// set 18.
pub(crate) fn inputs(graph: &GraphProto, facts: &Facts<'_>) -> Vec<Obstacle> {
    let nodes = graph.node.iter();
    nodes
        .filter_map(|proto| {
            let reason = misfit(&Node::new(proto, facts))?;
            Some(obstacle(proto, format!("{reason}; export the model again")))
        })
        .collect()
}

fn obstacle(node: &NodeProto, reason: String) -> Obstacle {
    Obstacle {
        node: label(node).into(),
        operator: node.op_type.clone(),
        reason,
    }
}

fn misfit(node: &Node<'_>) -> Option<String> {
    if !node.is_onnx() {
        return None;
    }
    if let Some(index) = missing_input(node) {
        return Some(format!("input {index} is missing"));
    }
    match node.proto.op_type.as_str() {
        "Conv" => convolution(node, false),
        "ConvTranspose" => convolution(node, true),
        "Gemm" => {
            let (a, b) = (node.shape(0)?, node.shape(1)?);
            let axes = (!node.flag("transA"), node.flag("transB"));
            product(a, b, a.get(usize::from(axes.0)), b.get(usize::from(axes.1)))
        }
        "MatMul" => {
            let (a, b) = (node.shape(0)?, node.shape(1)?);
            product(a, b, a.last(), b.get(b.len().saturating_sub(2)))
        }
        "BatchNormalization" => per_channel(node, 1..5),
        "InstanceNormalization" => per_channel(node, 1..3),
        operator if BROADCASTING.contains(&operator) => {
            let inputs = 0..node.proto.input.len();
            let shapes: Vec<_> = inputs.filter_map(|input| node.shape(input)).collect();
            let fits = shapes.is_empty() || shape::broadcast("", &shapes).is_some();
            (!fits).then(|| {
                let shapes: Vec<_> = shapes.iter().map(|own| shape::display(own)).collect();
                format!(
                    "its inputs, of shapes {}, do not fit each other",
                    shapes.join(" and ")
                )
            })
        }
        _ => None,
    }
}

fn missing_input(node: &Node<'_>) -> Option<usize> {
    let operator = node.proto.op_type.as_str();
    let needed = INPUTS
        .iter()
        .find(|(_, names)| names.contains(&operator))
        .map_or(0, |(count, _)| *count);
    (0..needed).find(|index| node.input(*index).is_none())
}

/// Weights are `[out, in / group, kernel...]`, or `[in, out / group, kernel...]` where they are transposed.
fn convolution(node: &Node<'_>, transposed: bool) -> Option<String> {
    let (input, weights) = (node.shape(0)?, node.shape(1)?);
    let group = node.int("group").unwrap_or(1);
    let Some(groups) = u64::try_from(group).ok().filter(|groups| *groups > 0) else {
        return Some(format!("group {group} should be positive"));
    };
    let whole = |axis: usize| weights.get(axis).and_then(Dim::known);
    let times = |axis: usize| whole(axis)?.checked_mul(groups);
    let (takes, makes) = match transposed {
        false => (times(1), whole(0)),
        true => (whole(0), times(1)),
    };
    let channels = input.get(1).and_then(Dim::known);
    let shown = shape::display(weights);
    if input.len() != weights.len() || input.len() < 3 {
        let given = shape::display(input);
        return Some(format!(
            "its weights, of shape {shown}, do not fit its input, of shape {given}"
        ));
    }
    if let (Some(takes), Some(channels)) = (takes, channels)
        && takes != channels
    {
        return Some(format!(
            "its weights, of shape {shown} in {groups} groups, take {takes} channels, and its input has {channels}"
        ));
    }
    if whole(0).is_some_and(|size| size % groups != 0) {
        return Some(format!(
            "its weights, of shape {shown}, cannot be split into {groups} groups"
        ));
    }
    let bias = node.shape(2)?;
    let fits = makes.is_none_or(|makes| sized(bias, makes));
    (!fits).then(|| {
        format!(
            "its bias has shape {}, and its weights shape {shown}",
            shape::display(bias)
        )
    })
}

fn product(a: &[Dim], b: &[Dim], inner_a: Option<&Dim>, inner_b: Option<&Dim>) -> Option<String> {
    let (inner_a, inner_b) = (inner_a?.known()?, inner_b?.known()?);
    (inner_a != inner_b).then(|| {
        format!(
            "the inner sizes {inner_a} and {inner_b} of its factors, of shapes {} and {}, differ",
            shape::display(a),
            shape::display(b)
        )
    })
}

/// One number for each channel.
fn per_channel(node: &Node<'_>, mut inputs: std::ops::Range<usize>) -> Option<String> {
    let channels = node.shape(0)?.get(1)?.known()?;
    inputs.find_map(|input| {
        let shape = node.shape(input)?;
        (!sized(shape, channels)).then(|| {
            format!(
                "its input {input} has shape {}, and should have one number for each of {channels} channels",
                shape::display(shape)
            )
        })
    })
}

/// Whether a tensor may be a list of this length.
fn sized(shape: &[Dim], length: u64) -> bool {
    match shape {
        [size] => size.known().is_none_or(|size| size == length),
        _ => false,
    }
}
