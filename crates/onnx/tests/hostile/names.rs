//! Names that occur twice, nowhere, are empty, long, or no text; and ends of the graph that do not meet.

use buckler_onnx::{
    Dim,
    proto::{AttributeProto, DataType, GraphProto, TensorProto, ValueInfoProto},
};

use crate::{chain, encode, node, reference::net::info, said, survive::survive};

#[test]
fn a_name_of_four_kilobytes_is_a_name() {
    let long = "ü".repeat(2000);
    let mut graph = chain(3, "Relu");
    for node in &mut graph.node {
        node.name.clone_from(&long);
        for name in node.input.iter_mut().chain(&mut node.output) {
            if name.starts_with('t') {
                name.push_str(&long);
            }
        }
    }
    assert_eq!(said(graph.clone()), "nothing");
    graph.node[1].op_type.clone_from(&long);
    assert!(said(graph.clone()).contains("no gradient rule"));
    graph.input[0].name.clone_from(&long);
    graph.node[0].input[0].clone_from(&long);
    said(graph);
}

#[test]
fn text_that_is_no_utf8_is_named() {
    let bytes = encode(chain(1, "Relu"));
    for (text, field) in [("Relu", "op_type"), ("t1", "output"), ("image", "name")] {
        let mut bytes = bytes.clone();
        let place = bytes
            .windows(text.len())
            .position(|part| part == text.as_bytes());
        bytes[place.unwrap()] = 0xff;
        let message = survive(&bytes).unwrap();
        assert!(
            message.contains("UTF-8") && message.contains("ONNX"),
            "{field}: {message}"
        );
    }
    // An attribute's text is bytes.
    let mut graph = chain(1, "MaxPool");
    graph.node[0].attribute = vec![
        AttributeProto::ints("kernel_shape", [1, 1]),
        AttributeProto {
            s: Some(prost::bytes::Bytes::from_static(b"\xff\xfe")),
            ..AttributeProto::string("auto_pad", "")
        },
    ];
    said(graph);
}

#[test]
fn names_that_occur_twice_are_named_or_harmless() {
    let twice = |edit: &dyn Fn(&mut GraphProto)| {
        let mut graph = chain(2, "Relu");
        edit(&mut graph);
        said(graph)
    };
    let stored = || TensorProto::floats("t1", &[1], &[1.0]);
    let first: ValueInfoProto = chain(0, "Relu").input[0].clone();
    assert!(
        twice(&|graph| graph.input.push(first.clone()))
            .contains("`image` is defined more than once")
    );
    assert!(
        twice(&|graph| graph.initializer = vec![stored()])
            .contains("`t1` is defined more than once")
    );
    assert!(
        twice(&|graph| graph.initializer = vec![
            TensorProto {
                name: "w".into(),
                ..stored()
            };
            2
        ])
        .contains("`w` is defined more than once")
    );
    assert!(
        twice(&|graph| graph.node[1].output = vec!["t2".into(), "t2".into()])
            .contains("`t2` is defined more than once")
    );
    assert_eq!(
        twice(&|graph| graph
            .node
            .iter_mut()
            .for_each(|node| node.name = "same".into())),
        "nothing"
    );
    assert_eq!(
        twice(&|graph| graph.output.push(graph.output[0].clone())),
        "nothing"
    );
    let relu = graph_with_attribute_twice();
    said(relu);
}

fn graph_with_attribute_twice() -> GraphProto {
    let mut graph = chain(1, "MaxPool");
    graph.node[0].attribute = vec![AttributeProto::ints("kernel_shape", [1, 1]); 2];
    graph
}

#[test]
fn graphs_whose_ends_do_not_meet_are_named() {
    let with = |edit: &dyn Fn(&mut GraphProto)| {
        let mut graph = chain(2, "Relu");
        graph.initializer = vec![TensorProto::floats("stored", &[1, 12], &[0.5; 12])];
        edit(&mut graph);
        said(graph)
    };
    let output = |name: &str| {
        let shape = [Dim::Known(1), Dim::Known(12)];
        vec![info(name, DataType::Float, Some(&shape))]
    };
    assert!(with(&|graph| graph.output.clear()).contains("no output `logits`"));
    assert!(
        with(&|graph| graph.input.clear())
            .contains("`image`, which no node, input or initializer defines")
    );
    assert!(with(&|graph| graph.node.clear()).contains("`logits`, which no node"));
    assert!(with(&|graph| graph.initializer.clear()) == "nothing");
    assert!(
        with(&|graph| graph.output = output("stored")).contains("does not depend on input `image`")
    );
    assert!(
        with(&|graph| graph.output = output("image")).contains("is not logits [batch, classes]")
    );
    assert!(with(&|graph| graph.output = output("")).contains("reads tensor ``"));
    assert_eq!(
        with(&|graph| graph.output.push(graph.input[0].clone())),
        "nothing"
    );
    // Outputs without a name are not wanted, and cannot be read.
    assert!(with(&|graph| graph.node[1].output[0].clear()).contains("`t2`, which no node"));
    assert_eq!(
        with(&|graph| graph.node.push(node("Relu", &["t1"], &[""]))),
        "nothing"
    );
    assert_eq!(
        with(&|graph| graph.node.push(node("Relu", &["t1"], &[]))),
        "nothing"
    );
    assert!(with(&|graph| graph.node[1].input.clear()).contains("does not depend on"));
    // A name that stands for what is absent.
    said({
        let mut graph = chain(1, "Relu");
        graph.input[0].name.clear();
        graph.node[0].input[0].clear();
        graph
    });
    said({
        let mut graph = chain(1, "Relu");
        graph.initializer = vec![TensorProto::floats("", &[1], &[1.0])];
        graph
    });
}
