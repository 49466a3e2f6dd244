//! How one output of a graph is computed from another.
use std::collections::HashSet;

use super::{View, candidate::Candidate, probabilities::without_ones};
use crate::{
    edit,
    model::is_onnx_domain,
    order,
    proto::{DataType, NodeProto},
};

/// Layers with weights: what comes before one is a feature of what comes after.
const LEARNED: &[&str] = &[
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Einsum",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "MatMul",
    "MatMulInteger",
    "MatMulNBits",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
];

/// What keeps logits logits, up to a scale.
const SCALING: &[&str] = &[
    "Add",
    "Cast",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Flatten",
    "Identity",
    "Mul",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// What else puts several heads together.
const JOINING: &[&str] = &[
    "Clip",
    "Concat",
    "Exp",
    "Expand",
    "Log",
    "LogSoftmax",
    "Max",
    "Mean",
    "Min",
    "Pow",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Sum",
];

/// What answers instead of scoring: which class it is, and nothing of how sure.
const DECIDING: &[&str] = &[
    "ArgMax",
    "ArgMin",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Hardmax",
    "Less",
    "LessOrEqual",
    "OneHot",
    "TopK",
];

/// Whether one candidate is not the logits since another is: a feature that leads to it, or something computed from it such as
/// its largest values.
pub(super) fn yields<'a>(view: &View<'a>, one: &Candidate<'a>, other: &Candidate<'a>) -> bool {
    matches!(way(view, one, other), Some(Way::ToLogits))
        || matches!(way(view, other, one), Some(Way::FromLogits))
}

/// The candidates that are not features of others: no layer with weights leads from them to another.
pub(super) fn last<'c, 'a>(view: &View<'a>, all: &[&'c Candidate<'a>]) -> Vec<&'c Candidate<'a>> {
    let leads = |one: &Candidate<'a>, other: &Candidate<'a>| {
        path(view, one, other).is_some_and(|nodes| has(&nodes, LEARNED))
    };
    let is_last = |one: &&&Candidate<'a>| !all.iter().any(|other| leads(one, other));
    all.iter().filter(is_last).copied().collect()
}

/// How many layers with weights lead to a candidate.
pub(super) fn depth<'a>(view: &View<'a>, candidate: &Candidate<'a>) -> usize {
    let needed = edit::needed(view.graph, [candidate.logits]);
    let leads = |node: &&NodeProto| {
        let is_layer = LEARNED.contains(&node.op_type.as_str());
        is_layer && node.output.iter().any(|output| needed.contains(output))
    };
    view.graph.node.iter().filter(leads).count()
}

fn has(nodes: &[&NodeProto], operators: &[&str]) -> bool {
    let mut nodes = nodes.iter();
    nodes.any(|node| operators.contains(&node.op_type.as_str()))
}

/// The candidates that are made of two others or more which do not lead to each other, as an ensemble is of its heads, and a
/// difference of heads is not.
pub(super) fn joined<'c, 'a>(view: &View<'a>, all: &[&'c Candidate<'a>]) -> Vec<&'c Candidate<'a>> {
    // Of each, which others it is computed from.
    let made_of: Vec<Vec<bool>> = all
        .iter()
        .map(|one| {
            let of = |other: &&Candidate<'a>| {
                let joins = |nodes: Vec<&NodeProto>| {
                    nodes.iter().all(|node| {
                        let operator = node.op_type.as_str();
                        let scales = SCALING.contains(&operator) && operator != "Sub";
                        scales || JOINING.contains(&operator)
                    })
                };
                other.classes == one.classes && path(view, other, one).is_some_and(joins)
            };
            all.iter().map(of).collect()
        })
        .collect();
    let is_made_of = |one: usize, other: usize| {
        let row = made_of.get(one).and_then(|row| row.get(other));
        row.copied().unwrap_or(false)
    };
    let heads = |one: usize| (0..all.len()).filter(move |&other| is_made_of(one, other));
    let joins = |one: usize| {
        heads(one).any(|a| heads(one).any(|b| a != b && !is_made_of(a, b) && !is_made_of(b, a)))
    };
    let numbered = all.iter().copied().enumerate();
    numbered
        .filter(|(one, _)| joins(*one))
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Those of other candidates that are made from one without layers and without a decision, by which the probabilities of a model may
/// be made from what comes before them otherwise than by a softmax.
pub(super) fn made_from<'c, 'a>(
    view: &View<'a>,
    one: &Candidate<'a>,
    others: &[&'c Candidate<'a>],
) -> Vec<&'c Candidate<'a>> {
    let made = |other: &&&Candidate<'a>| {
        let scores = |nodes: Vec<&NodeProto>| !has(&nodes, LEARNED) && !has(&nodes, DECIDING);
        other.classes == one.classes && path(view, one, other).is_some_and(scores)
    };
    others.iter().filter(made).copied().collect()
}

/// The nodes by which the logits of one candidate become those of another; `None` where they do not.
fn path<'a>(
    view: &View<'a>,
    from: &Candidate<'a>,
    to: &Candidate<'a>,
) -> Option<Vec<&'a NodeProto>> {
    if from.logits == to.logits {
        return None;
    }
    let needed = edit::needed(view.graph, [to.logits]);
    if !needed.contains(from.logits) {
        return None;
    }
    let mut reached = HashSet::from([from.logits]);
    let mut nodes = Vec::new();
    for node in &view.graph.node {
        let reads = order::reads(node)
            .iter()
            .any(|tensor| reached.contains(tensor));
        let leads = node.output.iter().any(|output| needed.contains(output));
        if reads && leads {
            reached.extend(node.output.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    Some(nodes)
}

/// How one tensor becomes another.
enum Way {
    /// The first is a feature of the second, or the second the first at another scale.
    ToLogits,
    /// The second is made from the first by operators without weights.
    FromLogits,
}

/// `None` where the second is not computed from the first, or in a way that tells nothing: a maximum over parts of a feature may be
/// logits, one over classes is none.
fn way<'a>(view: &View<'a>, from: &Candidate<'a>, to: &Candidate<'a>) -> Option<Way> {
    let nodes = path(view, from, to)?;
    let made: HashSet<&str> = nodes
        .iter()
        .flat_map(|node| node.output.iter().map(String::as_str))
        .chain([from.logits])
        .collect();
    let is_foreign = |node: &&NodeProto| !is_onnx_domain(&node.domain);
    let adds = |node: &&NodeProto| {
        let others = order::reads(node);
        let mut others = others.iter().filter(|tensor| !made.contains(*tensor));
        others.any(|tensor| brings(view, tensor))
    };
    let rows = |name: &String| {
        view.facts
            .shape(name)
            .map(|shape| without_ones(shape).len())
    };
    let reduces = |node: &&NodeProto| {
        node.op_type == "Neg"
            || node.op_type.starts_with("Reduce") && node.output.iter().any(|o| rows(o) != Some(1))
    };
    let layers = has(&nodes, LEARNED) || nodes.iter().any(is_foreign);
    let decides = has(&nodes, DECIDING);
    let scales = nodes
        .iter()
        .all(|node| SCALING.contains(&node.op_type.as_str()));
    match (layers, decides) {
        (true, _) => Some(Way::ToLogits),
        (false, true) => Some(Way::FromLogits),
        _ if scales || nodes.iter().any(adds) => Some(Way::ToLogits),
        _ if nodes.iter().any(reduces) => None,
        _ => Some(Way::FromLogits),
    }
}

/// Whether a tensor brings something of its own: weights, or what else was computed from the image.
fn brings(view: &View<'_>, tensor: &str) -> bool {
    match view.facts.stored(tensor) {
        // Whole numbers of 64 bits are shapes, axes and indices.
        Some(stored) => {
            let values: i64 = stored.dims.iter().product();
            values > 1 && stored.data_type != DataType::Int64 as i32
        }
        None => depends_on_input(view, tensor),
    }
}

pub(super) fn depends_on_input(view: &View<'_>, tensor: &str) -> bool {
    let needed = edit::needed(view.graph, [tensor]);
    let stored = |name: &str| view.facts.stored(name).is_some();
    let mut inputs = view.graph.input.iter().map(|input| input.name.as_str());
    inputs.any(|input| needed.contains(input) && !stored(input))
}
