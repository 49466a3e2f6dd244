//! Small edits that keep what a graph computes.

use std::collections::HashSet;

use crate::{
    model::is_onnx_domain,
    order,
    proto::{GraphProto, NodeProto, TensorProto},
};

/// Stored tensors are no inputs: a caller could otherwise replace them.
pub(crate) fn drop_stored_inputs(graph: &mut GraphProto) {
    let stored: HashSet<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    graph.input.retain(|input| !stored.contains(&input.name));
}

/// Turns `Constant` nodes into stored tensors; those that hold strings or sparse tensors stay.
pub(crate) fn store_constants(graph: &mut GraphProto) {
    let initializers = &mut graph.initializer;
    graph.node.retain(|node| match constant(node) {
        Some(tensor) => {
            initializers.push(tensor);
            false
        }
        None => true,
    });
}

fn constant(node: &NodeProto) -> Option<TensorProto> {
    if node.op_type != "Constant" || !is_onnx_domain(&node.domain) {
        return None;
    }
    let ([name], [attribute]) = (node.output.as_slice(), node.attribute.as_slice()) else {
        return None;
    };
    Some(match attribute.name.as_str() {
        "value" => TensorProto {
            name: name.clone(),
            ..attribute.t.clone()?
        },
        "value_float" => TensorProto::floats(name, &[], &[attribute.f?]),
        "value_floats" => {
            TensorProto::floats(name, &[attribute.floats.len() as i64], &attribute.floats)
        }
        "value_int" => TensorProto::int64s(name, &[], &[attribute.i?]),
        "value_ints" => TensorProto::int64s(name, &[attribute.ints.len() as i64], &attribute.ints),
        _ => return None,
    })
}

/// Drops nodes and stored tensors that no output needs, and what is said about tensors that are gone.
pub(crate) fn prune(graph: &mut GraphProto) {
    let needed = needed(
        graph,
        graph.output.iter().map(|output| output.name.as_str()),
    );
    graph
        .node
        .retain(|node| node.output.iter().any(|output| needed.contains(output)));
    graph
        .initializer
        .retain(|tensor| needed.contains(&tensor.name));
    graph.sparse_initializer.retain(|tensor| {
        let name = tensor.values.as_ref().map(|values| &values.name);
        name.is_some_and(|name| needed.contains(name))
    });
    graph.value_info.retain(|info| needed.contains(&info.name));
    graph
        .quantization_annotation
        .retain(|annotation| needed.contains(&annotation.tensor_name));
}

/// The tensors on which these depend, and these themselves.
pub(crate) fn needed<'a>(
    graph: &GraphProto,
    tensors: impl IntoIterator<Item = &'a str>,
) -> HashSet<String> {
    let mut needed: HashSet<String> = tensors.into_iter().map(str::to_string).collect();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(order::reads(node).into_iter().map(str::to_string));
        }
    }
    needed
}

/// All names of tensors and nodes.
pub(crate) fn names(graph: &GraphProto) -> HashSet<String> {
    let nodes = graph.node.iter().flat_map(|node| {
        let read = order::reads(node).into_iter().map(str::to_string);
        read.chain(node.output.iter().cloned())
            .chain([node.name.clone()])
    });
    let stored = graph.initializer.iter().map(|tensor| tensor.name.clone());
    let infos = graph
        .input
        .iter()
        .chain(&graph.output)
        .map(|info| info.name.clone());
    nodes.chain(stored).chain(infos).collect()
}

/// The name, or with a number behind it when it is taken; from then on it is taken.
pub(crate) fn fresh(taken: &mut HashSet<String>, name: &str) -> String {
    let numbered = |number: u64| format!("{name}.{number}");
    let mut candidate = name.to_string();
    if taken.contains(name) {
        // Doubled and halved, since very many in a row may be taken.
        let mut free = 1;
        while taken.contains(&numbered(free)) {
            free *= 2;
        }
        let mut used = free / 2;
        while free - used > 1 {
            let middle = used + (free - used) / 2;
            if taken.contains(&numbered(middle)) {
                used = middle;
            } else {
                free = middle;
            }
        }
        candidate = numbered(free);
    }
    taken.insert(candidate.clone());
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_names_get_the_next_number() {
        let mut taken = HashSet::from(["x".to_string()]);
        for number in 1..100 {
            assert_eq!(fresh(&mut taken, "x"), format!("x.{number}"));
        }
        assert_eq!(fresh(&mut taken, "y"), "y");
        // With gaps, any free one.
        taken.extend(["z", "z.1", "z.4"].map(String::from));
        let before = taken.len();
        fresh(&mut taken, "z");
        assert_eq!(taken.len(), before + 1);
    }
}
