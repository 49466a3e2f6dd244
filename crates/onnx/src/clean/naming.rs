//! Names made of operator and number.

use std::collections::{HashMap, HashSet};

use super::CleanNames;
use crate::{edit, proto::GraphProto, rename};

/// Renames all tensors and nodes, and brings the stored tensors into the order in which they are used.
pub(super) fn rename(graph: &mut GraphProto, names: &CleanNames) {
    let stored: HashSet<&str> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    let mut taken: HashSet<String> = names
        .outputs
        .iter()
        .chain([&names.image])
        .cloned()
        .collect();
    let mut map: HashMap<String, String> = HashMap::new();
    let mut position: HashMap<String, usize> = HashMap::new();
    map.extend(
        graph
            .input
            .iter()
            .map(|input| (input.name.clone(), names.image.clone())),
    );
    let outputs = graph.output.iter().zip(&names.outputs);
    map.extend(outputs.map(|(output, name)| (output.name.clone(), name.clone())));

    let mut counters: HashMap<String, usize> = HashMap::new();
    let mut node_names = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let kind = node.op_type.to_lowercase();
        let counter = counters.entry(kind.clone()).or_default();
        let base = edit::fresh(&mut taken, &format!("{kind}_{counter}"));
        *counter += 1;
        for (index, input) in node.input.iter().enumerate() {
            if stored.contains(input.as_str()) {
                let next = position.len();
                position.entry(input.clone()).or_insert(next);
                map.entry(input.clone()).or_insert_with(|| {
                    edit::fresh(
                        &mut taken,
                        &format!("{base}.{}", role(&node.op_type, index)),
                    )
                });
            }
        }
        for (index, output) in node
            .output
            .iter()
            .enumerate()
            .filter(|(_, output)| !output.is_empty())
        {
            let name = if index == 0 {
                base.clone()
            } else {
                format!("{base}.{index}")
            };
            map.entry(output.clone()).or_insert(name);
        }
        node_names.push(base);
    }

    graph
        .initializer
        .sort_by_key(|tensor| position.get(&tensor.name).copied().unwrap_or(usize::MAX));
    rename::tensors(graph, &map);
    for (node, name) in graph.node.iter_mut().zip(node_names) {
        node.name = name;
    }
}

/// What a stored tensor is to an operator.
fn role(operator: &str, input: usize) -> &'static str {
    match (operator, input) {
        ("Conv" | "ConvTranspose" | "Gemm" | "MatMul", 1) => "weight",
        ("Conv" | "ConvTranspose" | "Gemm", 2) | ("BatchNormalization", 2) => "bias",
        ("BatchNormalization", 1) => "scale",
        ("BatchNormalization", 3) => "mean",
        ("BatchNormalization", 4) => "variance",
        ("Reshape", 1) => "shape",
        ("Squeeze" | "Unsqueeze" | "ReduceSum" | "ReduceMean", 1) => "axes",
        ("Clip", 1) => "min",
        ("Clip", 2) => "max",
        ("Pow", 1) => "exponent",
        _ => "operand",
    }
}
