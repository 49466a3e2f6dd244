//! What the first nodes of a graph tell of the pixels that go in.
use super::image::{Layout, is_transposed_first};
use crate::proto::{GraphProto, NodeProto, TensorProto};

/// Nodes that are followed.
const MAX_STEPS: usize = 16;

/// Operators that leave pixels the numbers they are.
const MOVING: &[&str] = &[
    "Cast",
    "Identity",
    "Pad",
    "Reshape",
    "Resize",
    "Transpose",
    "Unsqueeze",
];

/// A number that no pixel in `[0, 1]` is divided by, and one below which nothing multiplies it.
const FACTOR: f64 = 50.0;

/// The largest of the whole numbers that pixels are.
const LARGEST: f64 = 255.0;

/// A number that is not taken off a pixel in `[0, 1]`.
const SHIFT: f64 = 2.0;

/// What the graph first does to pixels, where that is made for numbers of 0 to 255.
pub(super) fn made_for_bytes(graph: &GraphProto, input: &str) -> Option<String> {
    let mut tensor = input;
    for _ in 0..MAX_STEPS {
        let node = only_reader(graph, tensor)?;
        let other = node.input.iter().position(|name| name != tensor);
        let at = |index: Option<usize>| {
            let name = index.and_then(|index| node.input.get(index));
            name.and_then(|name| stored(graph, name))
                .unwrap_or_default()
        };
        let values = match node.op_type.as_str() {
            "Clip" => at(Some(2)),
            "BatchNormalization" => at(Some(3)),
            "Conv" => factors(graph, node)?,
            _ => at(other),
        };
        let all = |test: &dyn Fn(f64) -> bool| {
            !values.is_empty() && values.iter().all(|value| test(*value))
        };
        let found = match node.op_type.as_str() {
            operator if MOVING.contains(&operator) => None,
            // Channels are put in another order.
            "Gather" | "Slice" if node.input.first().is_some_and(|data| data == tensor) => None,
            "Div" if all(&|value| value.abs() >= FACTOR) => Some("divides them by"),
            "Mul" | "Conv" if all(&|value| value.abs() <= 1.0 / FACTOR) => {
                Some("multiplies them by")
            }
            "Sub" | "BatchNormalization" if all(&|value| value.abs() >= SHIFT) => {
                Some("takes from them")
            }
            "Add" if all(&|value| value.abs() >= SHIFT) => Some("adds to them"),
            "Clip" if all(&|value| value >= FACTOR) => Some("cuts them off at"),
            "QuantizeLinear" if all(&|value| LARGEST * value >= FACTOR) => {
                Some("rounds them to multiples of")
            }
            _ => return None,
        };
        if let Some(found) = found {
            return Some(format!("{found} {}", values.first()?));
        }
        tensor = node.output.first()?;
    }
    None
}

/// What the graph first takes off pixels; empty where it does something else.
pub(super) fn taken_off(graph: &GraphProto, input: &str) -> Vec<f64> {
    let mut tensor = input;
    for _ in 0..MAX_STEPS {
        let Some(node) = only_reader(graph, tensor) else {
            break;
        };
        let other = node.input.iter().find(|name| *name != tensor);
        let values = || other.and_then(|name| stored(graph, name));
        let first = node.input.first().is_some_and(|name| name == tensor);
        match (node.op_type.as_str(), node.output.first()) {
            (operator, Some(next)) if MOVING.contains(&operator) => tensor = next,
            ("Sub", _) if first => return values().unwrap_or_default(),
            ("Add", _) => {
                let values = values().unwrap_or_default();
                return values.iter().map(|value| -value).collect();
            }
            _ => break,
        }
    }
    Vec::new()
}

/// What a convolution multiplies each channel by, where it does nothing else to pixels but add something.
fn factors(graph: &GraphProto, node: &NodeProto) -> Option<Vec<f64>> {
    let weight = node.input.get(1)?;
    let dims = &graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == *weight)?
        .dims;
    let &[_, channels, 1, 1] = dims.as_slice() else {
        return None;
    };
    let weights = stored(graph, weight)?;
    let rows = weights.chunks(usize::try_from(channels).ok().filter(|size| *size > 0)?);
    let rows = rows.map(|row| {
        let mut some = row.iter().copied().filter(|weight| *weight != 0.0);
        some.next().filter(|_| some.next().is_none())
    });
    rows.collect()
}

/// The layout and `[channels, height, width]` of rows of values that the graph first gives four axes.
pub(super) fn of_rows(graph: &GraphProto, input: &str) -> Option<(Layout, [usize; 3])> {
    let node = only_reader(graph, input)?;
    if node.op_type != "Reshape" {
        return None;
    }
    let shape = stored(graph, node.input.get(1)?)?;
    let &[_, first, second, third] = shape.as_slice() else {
        return None;
    };
    let sizes = [first, second, third].map(|size| match (1.0..=65536.0).contains(&size) {
        true => size as usize,
        false => 0,
    });
    let is_channels = |size: usize| matches!(size, 1 | 3 | 4);
    let [first, second, third] = sizes;
    let last = match (is_channels(first), is_channels(third)) {
        _ if sizes.contains(&0) => return None,
        (false, false) => return None,
        (true, true) => is_transposed_first(graph, node.output.first()?),
        (_, last) => last,
    };
    Some(match last {
        true => (Layout::ChannelsLast, [third, first, second]),
        false => (Layout::ChannelsFirst, sizes),
    })
}

/// The node that reads a tensor, where there is one alone.
fn only_reader<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    let reads = |node: &&NodeProto| node.input.iter().any(|input| input == tensor);
    let mut readers = graph.node.iter().filter(reads);
    readers.next().filter(|_| readers.next().is_none())
}

/// The elements of a stored tensor, or of a constant.
fn stored(graph: &GraphProto, name: &str) -> Option<Vec<f64>> {
    let stored = graph.initializer.iter().find(|tensor| tensor.name == name);
    let constant = || {
        let makes = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        let node = graph.node.iter().find(makes)?;
        let value = node.attribute.iter().find(|found| found.name == "value")?;
        value.t.as_ref().filter(|_| node.op_type == "Constant")
    };
    stored.or_else(constant).and_then(TensorProto::to_f64s)
}
