//! Files made to break what reads them: each is an error that names the problem, or a model, in time and memory that the size of
//! the file bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bytes;
mod contradictions;
mod memory;
mod names;
mod operators;
mod parts;
#[path = "../reference/mod.rs"]
mod reference;
mod seeds;
mod sizes;
#[path = "../survive/mod.rs"]
mod survive;

use buckler_onnx::{
    Dim,
    proto::{DataType, GraphProto, NodeProto},
};
use prost::Message;
use reference::net::{Net, info};
use survive::survive;

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    NodeProto {
        op_type: operator.into(),
        input: owned(inputs),
        output: owned(outputs),
        ..NodeProto::default()
    }
}

/// `image` `[n, 3, 2, 2]`, and `logits` `[n, 12]`, which are `x` in rows.
fn around(nodes: Vec<NodeProto>, x: &str) -> GraphProto {
    let rows = || Dim::Symbol("n".into());
    let image = [rows(), Dim::Known(3), Dim::Known(2), Dim::Known(2)];
    let mut graph = GraphProto {
        input: vec![info("image", DataType::Float, Some(&image))],
        output: vec![info(
            "logits",
            DataType::Float,
            Some(&[rows(), Dim::Known(12)]),
        )],
        node: nodes,
        ..GraphProto::default()
    };
    graph.node.push(node("Flatten", &[x], &["logits"]));
    graph
}

fn encode(graph: GraphProto) -> Vec<u8> {
    let mut proto = Net::new([1, 3, 2, 2], 1).finish("image", None).to_proto();
    proto.graph = Some(graph);
    proto.encode_to_vec()
}

/// What is said about a graph.
fn said(graph: GraphProto) -> String {
    survive(&encode(graph)).unwrap_or_else(|| "nothing".into())
}

fn chain(length: usize, operator: &str) -> GraphProto {
    let name = |i: usize| {
        if i == 0 {
            "image".into()
        } else {
            format!("t{i}")
        }
    };
    let nodes = (0..length).map(|i| node(operator, &[&name(i)], &[&name(i + 1)]));
    around(nodes.collect(), &name(length))
}
