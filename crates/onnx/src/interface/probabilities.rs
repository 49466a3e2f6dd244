//! Probabilities at the end of a graph, and the logits that they come from.
use super::{Reading, View, features::producer};
use crate::{
    edit,
    node::Node,
    proto::{NodeProto, TensorProto},
    shape::{self, Dim},
};

/// Nodes that are followed from an output backwards: no classifier has more after its softmax, and a hostile file could have any
/// number.
const MAX_STEPS: usize = 64;

/// ONNX Runtime's own softmax of quantised numbers.
const QUANTIZED_SOFTMAX: &str = "QLinearSoftmax";

/// The tensor from which logits are taken for an output, and how.
pub(super) fn logits<'a>(view: &View<'a>, output: &'a str) -> (&'a str, Reading) {
    if let Some(logits) = before_softmax(view, output) {
        return (logits, Reading::BeforeSoftmax);
    }
    let ends = |view: &View<'a>, node: &'a NodeProto, _: bool| {
        let is_softmax = ["Softmax", "Exp"].contains(&node.op_type.as_str());
        is_softmax && softmax_input(view, node).is_some()
            || node.op_type == QUANTIZED_SOFTMAX
            || is_written_out(view, node)
    };
    match walk(view, output, ends) {
        true => (output, Reading::LogOfProbabilities),
        false => (output, Reading::Logits),
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
    walk(view, output, sigmoid)
}

/// Whether a node divides exponentials by a sum of them, perhaps with something small added.
fn is_written_out(view: &View<'_>, node: &NodeProto) -> bool {
    let ("Div", [exponentials, sum]) = (node.op_type.as_str(), node.input.as_slice()) else {
        return false;
    };
    let producer = |tensor: &str| producer(view.graph, tensor);
    let exponential = producer(exponentials).is_some_and(|node| node.op_type == "Exp");
    let rows = view.facts.shape(sum).map(|shape| without_ones(shape).len());
    exponential
        && rows == Some(1)
        && edit::needed(view.graph, [sum.as_str()]).contains(exponentials.as_str())
}

fn walk<'a>(
    view: &View<'a>,
    output: &str,
    ends: impl Fn(&View<'a>, &'a NodeProto, bool) -> bool,
) -> bool {
    let mut walk = Walk {
        view,
        ends,
        steps: 0,
    };
    walk.leads(output, true)
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

/// A way back from an output through operators that leave probabilities what they are, up to positive factors, bounds, rounding and
/// means.
struct Walk<'v, 'a, F> {
    view: &'v View<'a>,
    /// Whether a node is what the way should lead to; it is told whether only shapes changed so far.
    ends: F,
    steps: usize,
}

impl<'a, F: Fn(&View<'a>, &'a NodeProto, bool) -> bool> Walk<'_, 'a, F> {
    /// Whether all ways back from a tensor lead there.
    fn leads(&mut self, tensor: &str, straight: bool) -> bool {
        self.steps += 1;
        let quantized = || {
            let mut nodes = self.view.graph.node.iter();
            nodes.find(|node| {
                node.op_type == QUANTIZED_SOFTMAX && node.output.iter().any(|own| own == tensor)
            })
        };
        let node = producer(self.view.graph, tensor).or_else(quantized);
        let (true, Some(node)) = (self.steps <= MAX_STEPS, node) else {
            return false;
        };
        if (self.ends)(self.view, node, straight) {
            return true;
        }
        let stored = |tensor: &str| self.view.facts.stored(tensor).is_some();
        let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
        let inputs = inputs.as_slice();
        match (node.op_type.as_str(), inputs) {
            (
                "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Cast" | "Dropout",
                [first, ..],
            ) => self.leads(first, straight),
            (
                "Clip" | "Relu" | "Round" | "QuantizeLinear" | "DequantizeLinear" | "Slice"
                | "Gather",
                [first, ..],
            ) => self.leads(first, false),
            ("Mul" | "Div", [first, second]) if is_factor(self.view, second) => {
                self.leads(first, false)
            }
            ("Mul", [first, second]) if is_factor(self.view, first) => self.leads(second, false),
            ("Max" | "Min", [first, second]) if stored(second) => self.leads(first, false),
            ("Max" | "Min", [first, second]) if stored(first) => self.leads(second, false),
            ("Add" | "Sum", [first, second]) if is_factor(self.view, second) => {
                self.leads(first, false)
            }
            ("Add" | "Sum", [first, second]) if is_factor(self.view, first) => {
                self.leads(second, false)
            }
            ("Where", [_, first, second]) if stored(second) => self.leads(first, false),
            ("Where", [_, first, second]) if stored(first) => self.leads(second, false),
            // Several of them together.
            ("Add" | "Sum" | "Mean", [_, ..]) => inputs.iter().all(|one| self.leads(one, false)),
            _ => false,
        }
    }
}

/// Whether a tensor is stored and positive.
fn is_factor(view: &View<'_>, tensor: &str) -> bool {
    let values = view.facts.stored(tensor).and_then(TensorProto::to_f64s);
    values.is_some_and(|values| values.iter().all(|value| *value > 0.0))
}
