//! Topological order of a graph's nodes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use crate::{
    Error,
    proto::{GraphProto, NodeProto},
};

/// Sorts the nodes so that each stands behind those it reads from; nodes that are in order stay as they are.
pub(crate) fn sort(graph: &mut GraphProto) -> Result<(), Error> {
    let order = order(graph)?;
    if order.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) {
        return Ok(());
    }
    let mut nodes: Vec<_> = std::mem::take(&mut graph.node)
        .into_iter()
        .map(Some)
        .collect();
    graph.node = order
        .into_iter()
        .filter_map(|index| nodes.get_mut(index)?.take())
        .collect();
    Ok(())
}

fn order(graph: &GraphProto) -> Result<Vec<usize>, Error> {
    let given = given(graph);
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().map(|output| (output.as_str(), index)));
    }
    let mut waiting = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (index, (node, waiting)) in graph.node.iter().zip(&mut waiting).enumerate() {
        for tensor in reads(node) {
            if given.contains(tensor) {
                continue;
            }
            let Some(readers) = producers
                .get(tensor)
                .and_then(|&from| readers.get_mut(from))
            else {
                return Err(Error::Missing {
                    reader: format!("node `{}` ({})", label(node), node.op_type),
                    tensor: tensor.into(),
                });
            };
            readers.push(index);
            *waiting += 1;
        }
    }
    for output in &graph.output {
        if !given.contains(output.name.as_str()) && !producers.contains_key(output.name.as_str()) {
            return Err(Error::Missing {
                reader: "the graph's output list".into(),
                tensor: output.name.clone(),
            });
        }
    }

    let mut ready: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    ready.extend(
        waiting
            .iter()
            .enumerate()
            .filter(|(_, count)| **count == 0)
            .map(|(index, _)| Reverse(index)),
    );
    let mut order = Vec::with_capacity(graph.node.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in readers.get(index).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(reader) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(reader));
                }
            }
        }
    }
    match graph
        .node
        .iter()
        .zip(&waiting)
        .find(|(_, count)| **count > 0)
    {
        Some((node, _)) => Err(Error::Cycle {
            node: label(node).into(),
            operator: node.op_type.clone(),
        }),
        None => Ok(order),
    }
}

/// Tensors that are there before any node has run.
fn given(graph: &GraphProto) -> HashSet<&str> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let stored = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let sparse = graph
        .sparse_initializer
        .iter()
        .filter_map(|tensor| tensor.values.as_ref());
    let sparse = sparse.map(|values| values.name.as_str());
    inputs.chain(stored).chain(sparse).collect()
}

/// The tensors that a node needs, those its subgraphs take from around them included; each once.
pub(crate) fn reads(node: &NodeProto) -> HashSet<&str> {
    let mut reads: HashSet<&str> = node.input.iter().map(String::as_str).collect();
    for attribute in &node.attribute {
        for subgraph in attribute.g.iter().chain(&attribute.graphs) {
            reads.extend(captures(subgraph));
        }
    }
    reads.remove("");
    reads
}

/// What a subgraph reads without defining it.
fn captures(graph: &GraphProto) -> HashSet<&str> {
    let mut defined = given(graph);
    let outputs = graph.node.iter().flat_map(|node| &node.output);
    defined.extend(outputs.map(String::as_str));
    let mut read: HashSet<&str> = graph.node.iter().flat_map(reads).collect();
    read.extend(graph.output.iter().map(|output| output.name.as_str()));
    read.difference(&defined).copied().collect()
}

/// How a node is called in messages: its name, or its first output where it has none.
pub(crate) fn label(node: &NodeProto) -> &str {
    if node.name.is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        &node.name
    }
}
