//! How one output of a graph is computed from another.
use std::collections::HashSet;

use super::{View, candidate::Candidate, probabilities::without_ones};
use crate::{edit, model::is_onnx_domain, order, proto::DataType};

/// Layers with weights: what comes before one is a feature of what comes after.
const LEARNED: &[&str] = &["Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum"];

/// What keeps logits logits, up to a scale.
const SCALING: &[&str] = &[
    "Add",
    "Cast",
    "Div",
    "Dropout",
    "Flatten",
    "Identity",
    "Mul",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// Whether one candidate is not the logits since another is: a feature that leads to it, or something computed from it such as
/// its largest values.
pub(super) fn yields(view: &View<'_>, one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    matches!(way(view, one, other), Some(Way::ToLogits))
        || matches!(way(view, other, one), Some(Way::FromLogits))
}

/// The candidates that are made of two others or more which do not lead to each other, as an ensemble is of its heads.
pub(super) fn joined<'c, 'a>(view: &View<'a>, all: &[&'c Candidate<'a>]) -> Vec<&'c Candidate<'a>> {
    // Of each, which others it is computed from.
    let made_of: Vec<Vec<bool>> = all
        .iter()
        .map(|one| {
            let needed = edit::needed(view.graph, [one.logits]);
            let of = |other: &&Candidate<'_>| {
                other.logits != one.logits
                    && other.classes == one.classes
                    && needed.contains(other.logits)
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

/// Those of other candidates that are made from one without weights, by which the probabilities of a model may be made from what
/// comes before them otherwise than by a softmax.
pub(super) fn made_from<'c, 'a>(
    view: &View<'a>,
    one: &Candidate<'a>,
    others: &[&'c Candidate<'a>],
) -> Vec<&'c Candidate<'a>> {
    let made = |other: &&&Candidate<'a>| {
        other.classes == one.classes && matches!(way(view, one, other), Some(Way::FromLogits))
    };
    others.iter().filter(made).copied().collect()
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
fn way(view: &View<'_>, from: &Candidate<'_>, to: &Candidate<'_>) -> Option<Way> {
    if from.logits == to.logits {
        return None;
    }
    let needed = edit::needed(view.graph, [to.logits]);
    if !needed.contains(from.logits) {
        return None;
    }
    let mut reached = HashSet::from([from.logits]);
    let (mut learned, mut scaled, mut reduced) = (false, true, false);
    for node in &view.graph.node {
        let reads = order::reads(node)
            .iter()
            .any(|tensor| reached.contains(tensor));
        let leads = node.output.iter().any(|output| needed.contains(output));
        if reads && leads {
            let before = reached.clone();
            reached.extend(node.output.iter().map(String::as_str));
            let operator = node.op_type.as_str();
            let others = order::reads(node);
            let others = others.iter().filter(|tensor| !before.contains(*tensor));
            let adds = others.clone().any(|tensor| brings(view, tensor));
            learned |= LEARNED.contains(&operator) || !is_onnx_domain(&node.domain) || adds;
            scaled &= SCALING.contains(&operator);
            let rows = |name: &String| view.facts.shape(name).map(|s| without_ones(s).len());
            reduced |= operator == "Neg"
                || operator.starts_with("Reduce") && node.output.iter().any(|o| rows(o) != Some(1));
        }
    }
    match (learned || scaled, reduced) {
        (true, _) => Some(Way::ToLogits),
        (false, true) => None,
        (false, false) => Some(Way::FromLogits),
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
