//! Classes that are never chosen: what is added to their logits is minus infinity, of which no interval can be taken.

use crate::proto::{DataType, GraphProto, NodeProto, TensorProto};

/// In place of minus infinity: below every logit that a network computes, and far enough from the end of what 32 bits hold.
const FLOOR: f32 = -1e30;

/// Makes masks that are added finite. Logits only rise by that, and those of classes that are never chosen alone: a margin over them
/// that is proven is one over minus infinity too.
pub(super) fn make_finite(graph: &mut GraphProto) {
    let GraphProto {
        node, initializer, ..
    } = graph;
    for tensor in initializer {
        let reads = |node: &&NodeProto| node.input.contains(&tensor.name);
        let mut readers = node.iter().filter(reads).peekable();
        let is_added = readers.peek().is_some() && readers.all(|node| node.op_type == "Add");
        if !is_added || tensor.data_type != DataType::Float as i32 {
            continue;
        }
        let Some(values) = tensor.to_f64s() else {
            continue;
        };
        if values.contains(&f64::NEG_INFINITY) {
            let finite = |value: &f64| match *value {
                f64::NEG_INFINITY => FLOOR,
                value => value as f32,
            };
            let values: Vec<f32> = values.iter().map(finite).collect();
            *tensor = TensorProto::floats(&tensor.name, &tensor.dims, &values);
        }
    }
}
