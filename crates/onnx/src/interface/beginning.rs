//! What the first nodes of a graph tell of the pixels that go in.
use super::image::{Layout, is_transposed_first};
use crate::proto::{GraphProto, NodeProto, TensorProto};

/// Nodes that are followed.
const MAX_STEPS: usize = 16;

/// A number that no pixel in `[0, 1]` is divided by, and one below which nothing multiplies it.
const FACTOR: f64 = 50.0;

/// A number that is not taken off a pixel in `[0, 1]`.
const SHIFT: f64 = 2.0;

/// What the graph first does to pixels, where that is made for numbers of 0 to 255.
pub(super) fn made_for_bytes(graph: &GraphProto, input: &str) -> Option<String> {
    let mut tensor = input;
    for _ in 0..MAX_STEPS {
        let node = only_reader(graph, tensor)?;
        let other = node.input.iter().find(|name| *name != tensor);
        let values = other.and_then(|name| stored(graph, name));
        let all = |test: &dyn Fn(f64) -> bool| {
            let values = values.as_deref().unwrap_or_default();
            !values.is_empty() && values.iter().all(|value| test(*value))
        };
        let first = values.as_ref().and_then(|values| values.first().copied());
        let found = match node.op_type.as_str() {
            "Cast" | "Identity" | "Transpose" | "Reshape" | "Unsqueeze" | "Pad" | "Resize" => {
                tensor = node.output.first()?;
                continue;
            }
            "Div" if all(&|value| value.abs() >= FACTOR) => "divides them by",
            "Mul" if all(&|value| value.abs() <= 1.0 / FACTOR) => "multiplies them by",
            "Sub" if all(&|value| value.abs() >= SHIFT) => "takes from them",
            "Add" if all(&|value| value.abs() >= SHIFT) => "adds to them",
            _ => return None,
        };
        return Some(format!("{found} {}", first?));
    }
    None
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
