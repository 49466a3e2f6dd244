//! A graph with the nodes of its subgraphs before the nodes that hold them. It does not compute the same, but its tensors take the
//! memory that those of the subgraphs take once.
use std::collections::HashMap;

use crate::{
    proto::{GraphProto, NodeProto},
    rename,
};

/// Domain of operators that stand in such a graph alone.
pub(super) const DOMAIN: &str = "buckler.activations";

/// As many of the second input as the first says, in a list.
pub(super) const STACK: &str = "Stack";

/// What a loop carries from step to step: what a step makes of it, and what the first one is given.
pub(super) const CARRIED: &str = "Carried";

/// The nodes of all subgraphs in one list.
pub(super) fn flatten(mut graph: GraphProto) -> GraphProto {
    let nodes = std::mem::take(&mut graph.node);
    let mut count = 0;
    for node in nodes {
        add(node, &mut graph, &mut count);
    }
    graph
}

fn add(mut node: NodeProto, to: &mut GraphProto, count: &mut usize) {
    let attributes = node.attribute.iter_mut();
    let bodies: Vec<GraphProto> = attributes
        .flat_map(|attribute| {
            let one = attribute.g.take().into_iter();
            one.chain(std::mem::take(&mut attribute.graphs))
        })
        .collect();
    for mut body in bodies {
        *count += 1;
        own_names(&mut body, *count);
        // A loop takes the number of its steps and a condition before what it carries.
        let carried = node.input.iter().skip(2).zip(body.input.iter().skip(2));
        for (from, into) in carried.filter(|_| node.op_type == "Loop") {
            to.node.push(pseudo("", "Identity", &[from], &into.name));
        }
        to.initializer.append(&mut body.initializer);
        for inner in std::mem::take(&mut body.node) {
            add(inner, to, count);
        }
        results(&node, &body, to);
    }
    to.node.push(node);
}

/// What a node returns has the shape of what its body returns; a loop returns a condition first, and last lists with an entry for
/// each step.
fn results(node: &NodeProto, body: &GraphProto, to: &mut GraphProto) {
    let (skipped, carried) = match node.op_type.as_str() {
        "If" => (0, usize::MAX),
        "Loop" => (1, node.input.len().saturating_sub(2)),
        _ => return,
    };
    let results = body.output.iter().skip(skipped);
    for (index, (from, into)) in results.zip(&node.output).enumerate() {
        let steps = node.input.first().map_or("", String::as_str);
        let first = body.input.get(index + 2).filter(|_| skipped > 0);
        to.node.push(match index < carried {
            true => match first {
                Some(first) => pseudo(DOMAIN, CARRIED, &[&from.name, &first.name], into),
                None => pseudo("", "Identity", &[&from.name], into),
            },
            false => pseudo(DOMAIN, STACK, &[steps, &from.name], into),
        });
    }
}

fn pseudo(domain: &str, operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        domain: domain.into(),
        op_type: operator.into(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// The tensors of a body get names that no other body has.
fn own_names(body: &mut GraphProto, number: usize) {
    let inputs = body.input.iter().map(|input| input.name.clone());
    let stored = body.initializer.iter().map(|tensor| tensor.name.clone());
    let results = body
        .node
        .iter()
        .flat_map(|node| node.output.iter().cloned());
    let names = inputs.chain(stored).chain(results);
    let names: HashMap<String, String> = names
        .filter(|name| !name.is_empty())
        .map(|name| (name.clone(), format!("{name}.body{number}")))
        .collect();
    rename::tensors(body, &names);
}
