//! Probabilities at the end of a graph, and the logits that they come from.
use super::{Reading, View, features::producer};
use crate::{
    node::Node,
    proto::{NodeProto, TensorProto},
    shape::{self, Dim},
};

/// Nodes that are followed from an output backwards: no classifier has more after its softmax, and a hostile file could have any
/// number.
const MAX_STEPS: usize = 64;

/// The tensor from which logits are taken for an output, and how.
pub(super) fn logits<'a>(view: &View<'a>, output: &'a str) -> (&'a str, Reading) {
    if let Some(logits) = before_softmax(view, output) {
        return (logits, Reading::BeforeSoftmax);
    }
    let walk = Walk::back(view, output, |view, node, _| {
        ["Softmax", "Exp"].contains(&node.op_type.as_str()) && softmax_input(view, node).is_some()
    });
    match walk {
        Some(_) => (output, Reading::LogOfProbabilities),
        None => (output, Reading::Logits),
    }
}

/// The tensor of which an output is the softmax over the classes.
pub(super) fn before_softmax<'a>(view: &View<'a>, output: &'a str) -> Option<&'a str> {
    let classes = without_ones(view.facts.shape(output)?);
    let mut tensor = output;
    for _ in 0..MAX_STEPS {
        let node = producer(view.graph, tensor)?;
        if let Some(logits) = softmax_input(view, node) {
            let same = without_ones(view.facts.shape(logits)?) == classes;
            return same.then_some(logits);
        }
        let input = node.input.first()?.as_str();
        let same = without_ones(view.facts.shape(input)?) == classes;
        match node.op_type.as_str() {
            "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if same => tensor = input,
            _ => return None,
        }
    }
    None
}

/// Whether an output is made of elementwise sigmoids.
pub(super) fn is_sigmoid(view: &View<'_>, output: &str) -> bool {
    let sigmoid = |_: &View<'_>, node: &NodeProto, straight: bool| {
        straight && ["Sigmoid", "HardSigmoid"].contains(&node.op_type.as_str())
    };
    Walk::back(view, output, sigmoid).is_some()
}

/// What goes into a softmax over the classes; `Exp` of a `LogSoftmax` is one too.
fn softmax_input<'a>(view: &View<'a>, node: &'a NodeProto) -> Option<&'a str> {
    let softmax = match node.op_type.as_str() {
        "Softmax" => node,
        "Exp" => {
            let inner = producer(view.graph, node.input.first()?)?;
            (inner.op_type == "LogSoftmax").then_some(inner)?
        }
        _ => return None,
    };
    let input = softmax.input.first()?.as_str();
    let shape = view.facts.shape(input)?;
    // Along which axis the classes are, which is the only one but the batch that is not 1.
    let classes = 1 + shape.iter().skip(1).position(|dim| *dim != Dim::Known(1))?;
    let stated = Node::new(softmax, view.facts).int("axis");
    let fits = match view.opset {
        // All axes from this one on were taken as one.
        ..13 => (1..=classes).contains(&shape::axis(stated.unwrap_or(1), shape.len())?),
        _ => shape::axis(stated.unwrap_or(-1), shape.len())? == classes,
    };
    (fits && without_ones(shape).len() == 2).then_some(input)
}

/// A shape without the axes of size 1 after the batch.
pub(super) fn without_ones(shape: &[Dim]) -> Vec<&Dim> {
    let (batch, rest) = shape.split_at(shape.len().min(1));
    let rest = rest.iter().filter(|dim| **dim != Dim::Known(1));
    batch.iter().chain(rest).collect()
}

/// A way back from an output through operators that leave probabilities what they are, up to a positive factor and to bounds.
struct Walk;

impl Walk {
    /// The node that `ends` the way, which is told whether only shapes changed so far.
    fn back<'a>(
        view: &View<'a>,
        output: &str,
        ends: impl Fn(&View<'a>, &'a NodeProto, bool) -> bool,
    ) -> Option<&'a NodeProto> {
        let mut node = producer(view.graph, output)?;
        let mut straight = true;
        for _ in 0..MAX_STEPS {
            if ends(view, node, straight) {
                return Some(node);
            }
            let facts = Node::new(node, view.facts);
            let first = facts.input(0)?;
            let next = match node.op_type.as_str() {
                "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast"
                | "Dropout" => first,
                "Clip" => {
                    straight = false;
                    first
                }
                "Mul" | "Div" if is_factor(view, facts.input(1)?) => {
                    straight = false;
                    first
                }
                "Mul" if is_factor(view, first) => {
                    straight = false;
                    facts.input(1)?
                }
                _ => return None,
            };
            node = producer(view.graph, next)?;
        }
        None
    }
}

/// Whether a tensor is one stored positive number.
fn is_factor(view: &View<'_>, tensor: &str) -> bool {
    let values = view.facts.stored(tensor).and_then(TensorProto::to_f64s);
    matches!(values.as_deref(), Some([value]) if *value > 0.0)
}
