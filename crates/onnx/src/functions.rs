//! Functions that a model defines for itself: a runtime puts their nodes in the place of each call, and those of the functions that
//! they call in turn.

use std::collections::HashMap;

use prost::{Message, bytes::Bytes};

use crate::{
    Error,
    printable::shortened,
    proto::{AttributeProto, GraphProto, NodeProto},
};

/// Nodes that a model may have once its functions are in place.
const MAX_NODES: u64 = 1 << 20;

/// Functions that call each other, one in the other. Runtimes recurse.
const MAX_DEPTH: usize = 32;

/// `FunctionProto`, as far as it is looked into.
#[derive(Clone, PartialEq, prost::Message)]
struct FunctionProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "7")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "10")]
    domain: String,
    #[prost(string, tag = "13")]
    overload: String,
}

/// Domain, name and overload.
type Key = (String, String, String);

/// Calls, one entry for each node, and the number of nodes.
struct Body {
    calls: Vec<Key>,
    nodes: u64,
}

/// Refuses functions that call themselves, that call each other too deeply, or that make the graph too large.
pub(crate) fn check(functions: &[Bytes], graph: &GraphProto) -> Result<(), Error> {
    if functions.is_empty() {
        return Ok(());
    }
    let mut bodies = HashMap::new();
    for bytes in functions {
        let function = FunctionProto::decode(bytes.clone()).map_err(Error::NotOnnx)?;
        let key = (
            domain(&function.domain),
            function.name.clone(),
            function.overload.clone(),
        );
        let mut body = Body {
            calls: Vec::new(),
            nodes: 0,
        };
        body.add(&function.node);
        bodies.insert(key, body);
    }
    let mut main = Body {
        calls: Vec::new(),
        nodes: 0,
    };
    main.add(&graph.node);
    let mut known = HashMap::new();
    size(&main, &bodies, &mut known, 0).map(|_| ())
}

impl Body {
    fn add(&mut self, nodes: &[NodeProto]) {
        for node in nodes {
            self.nodes += 1;
            self.calls.push((
                domain(&node.domain),
                node.op_type.clone(),
                node.overload.clone(),
            ));
            let graphs = |attribute: &AttributeProto| {
                let graphs = attribute.g.iter().chain(&attribute.graphs);
                graphs
                    .flat_map(|graph| graph.node.clone())
                    .collect::<Vec<_>>()
            };
            for attribute in &node.attribute {
                self.add(&graphs(attribute));
            }
        }
    }
}

/// The nodes of a body with its calls in place, and how deep these go. Recursion ends at [`MAX_DEPTH`].
fn size(
    body: &Body,
    bodies: &HashMap<Key, Body>,
    known: &mut HashMap<Key, (u64, usize)>,
    depth: usize,
) -> Result<(u64, usize), Error> {
    let (mut nodes, mut height) = (body.nodes, 0);
    for key in &body.calls {
        let Some(called) = bodies.get(key) else {
            continue;
        };
        let refused = |reason: String| {
            let name = shortened(&key.1);
            Err(Error::Functions(format!("function `{name}` {reason}")))
        };
        let too_deep = || {
            refused(format!(
                "calls itself, or is one of more than {MAX_DEPTH} that call each other"
            ))
        };
        let own = match known.get(key) {
            Some(own) => *own,
            None if depth == MAX_DEPTH => return too_deep(),
            None => {
                let own = size(called, bodies, known, depth + 1)?;
                known.insert(key.clone(), own);
                own
            }
        };
        height = height.max(own.1 + 1);
        if depth + height > MAX_DEPTH {
            return too_deep();
        }
        nodes = nodes.saturating_add(own.0);
        if nodes > MAX_NODES {
            return refused(format!(
                "and those that it calls make the graph one of more than {MAX_NODES} nodes"
            ));
        }
    }
    Ok((nodes, height))
}

/// ONNX's own domain has two spellings.
fn domain(name: &str) -> String {
    match name {
        "ai.onnx" => String::new(),
        other => other.to_owned(),
    }
}
