//! New targets for the `Reshape` nodes of a graph.

use crate::{
    edit,
    model::is_onnx_domain,
    proto::{GraphProto, NodeProto, TensorProto},
};

/// The attribute with which a 0 in the target is a size instead of the data's own.
const KEEPS_ZEROS: &str = "allowzero";

/// Data and target of a `Reshape` of ONNX's own; `None` of other nodes.
pub(crate) fn inputs(node: &NodeProto) -> Option<(&str, &str)> {
    match node.input.as_slice() {
        [data, target] if node.op_type == "Reshape" && is_onnx_domain(&node.domain) => {
            Some((data, target))
        }
        _ => None,
    }
}

/// Whether a 0 in the target of a `Reshape` is a size.
pub(crate) fn keeps_zeros(node: &NodeProto) -> bool {
    let mut attributes = node.attribute.iter();
    attributes.any(|attribute| attribute.name == KEEPS_ZEROS && attribute.i.unwrap_or(0) != 0)
}

/// Gives nodes, in the graph's order, constant targets in which a 0 stands for the data's own size.
pub(crate) fn retarget(graph: &mut GraphProto, targets: Vec<Option<Vec<i64>>>) {
    let mut taken = edit::names(graph);
    for (node, target) in graph.node.iter_mut().zip(targets) {
        let (Some(target), Some(_)) = (target, inputs(node)) else {
            continue;
        };
        let name = edit::fresh(&mut taken, "shape");
        let tensor = TensorProto::int64s(&name, &[target.len() as i64], &target);
        graph.initializer.push(tensor);
        node.input.truncate(1);
        node.input.push(name);
        node.attribute
            .retain(|attribute| attribute.name != KEEPS_ZEROS);
    }
}
