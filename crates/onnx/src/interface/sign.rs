//! Outputs in which the smallest value is the class, not the largest: distances, and what was negated.
use super::{View, features::producer};
use crate::proto::{NodeProto, TensorProto};

/// Nodes that are followed from an output backwards.
const MAX_STEPS: usize = 64;

/// What a graph computes an output from, through operators that keep the order of values or turn it round.
pub(super) struct Origin<'a> {
    /// The first tensor of which the output is a copy, at another scale perhaps.
    pub tensor: &'a str,
    /// Whether the largest value there is the smallest of the output.
    pub negated: bool,
    /// Whether a square root is on the way.
    pub rooted: bool,
    pub node: Option<&'a NodeProto>,
}

/// Follows an output backwards.
pub(super) fn origin<'a>(view: &View<'a>, output: &'a str) -> Origin<'a> {
    let mut origin = Origin {
        tensor: output,
        negated: false,
        rooted: false,
        node: None,
    };
    for _ in 0..MAX_STEPS {
        origin.node = producer(view.graph, origin.tensor);
        let Some(node) = origin.node else { break };
        let Some((next, turns)) = keeps_order(view, node) else {
            break;
        };
        origin.tensor = next;
        origin.rooted |= node.op_type == "Sqrt";
        origin.negated ^= turns;
    }
    origin
}

/// The input whose values an operator leaves in their order, and whether it turns the order round.
fn keeps_order<'a>(view: &View<'a>, node: &'a NodeProto) -> Option<(&'a str, bool)> {
    let sign = |tensor: &str| {
        let values = view.facts.stored(tensor).and_then(TensorProto::to_f64s)?;
        match values.first()? {
            first if values.iter().any(|value| value != first) => None,
            first if *first > 0.0 => Some(false),
            first if *first < 0.0 => Some(true),
            _ => None,
        }
    };
    let stored = |tensor: &str| view.facts.stored(tensor).is_some_and(is_single);
    let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
    match (node.op_type.as_str(), inputs.as_slice()) {
        (
            "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Dropout"
            | "Clip" | "Relu" | "Sqrt" | "Log" | "Exp" | "DequantizeLinear" | "QuantizeLinear",
            [first, ..],
        ) => Some((first, false)),
        ("Max", [first, second]) if stored(second) => Some((first, false)),
        ("Neg" | "Reciprocal", [first]) => Some((first, true)),
        ("Add", [first, second]) if stored(second) => Some((first, false)),
        ("Add", [first, second]) if stored(first) => Some((second, false)),
        ("Sub", [first, second]) if stored(second) => Some((first, false)),
        ("Sub", [first, second]) if stored(first) => Some((second, true)),
        ("Mul" | "Div", [first, second]) if sign(second).is_some() => Some((first, sign(second)?)),
        ("Mul", [first, second]) if sign(first).is_some() => Some((second, sign(first)?)),
        _ => None,
    }
}

fn is_single(tensor: &TensorProto) -> bool {
    tensor.dims.iter().product::<i64>() == 1
}

/// Whether an output holds probabilities, or their logarithms, that were negated: the likeliest class has the smallest value.
pub(super) fn is_negated_probabilities(view: &View<'_>, output: &str) -> bool {
    let origin = origin(view, output);
    let soft = |node: &NodeProto| ["Softmax", "LogSoftmax"].contains(&node.op_type.as_str());
    origin.negated && origin.node.is_some_and(soft)
}

/// Whether an output holds the sizes or lengths of differences: the nearest class has the smallest value.
pub(super) fn is_distance(view: &View<'_>, output: &str) -> bool {
    let origin = origin(view, output);
    let Some(node) = origin.node.filter(|_| !origin.negated) else {
        return false;
    };
    let Some(input) = node.input.first() else {
        return false;
    };
    match node.op_type.as_str() {
        // |a|^2 + |b|^2 - 2 ab.
        "Add" | "Gemm" | "MatMul" | "Sub" | "Sum" => origin.rooted,
        "Abs" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => is_difference(view, input, false),
        "ReduceSum" | "ReduceMean" => is_difference(view, input, true),
        _ => false,
    }
}

/// Whether a tensor is a difference, or with `positive` its square or absolute value.
fn is_difference(view: &View<'_>, tensor: &str, positive: bool) -> bool {
    let Some(node) = producer(view.graph, tensor) else {
        return false;
    };
    let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
    match (node.op_type.as_str(), inputs.as_slice()) {
        ("Sub", [_, _]) => !positive,
        ("Abs", [first]) | ("Pow", [first, _]) if positive => is_difference(view, first, false),
        ("Mul", [first, second]) if positive && first == second => {
            is_difference(view, first, false)
        }
        // A quadratic form, as Mahalanobis' distance is.
        ("Mul", [first, second]) if positive => {
            is_form(view, first, second) || is_form(view, second, first)
        }
        _ => false,
    }
}

/// Whether one tensor is a difference, and the other the same behind a matrix.
fn is_form(view: &View<'_>, difference: &str, product: &str) -> bool {
    let node = producer(view.graph, product);
    let is_product = node.is_some_and(|node| {
        node.op_type == "MatMul" && node.input.iter().any(|input| input == difference)
    });
    is_product && is_difference(view, difference, false)
}
