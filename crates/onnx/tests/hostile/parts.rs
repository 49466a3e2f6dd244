//! Very many parts of a small file, very many of one thing in a graph, and functions that unfold without end.

use buckler_onnx::{
    Error, Model,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto},
};
use prost::{Message, bytes::Bytes, encoding::encode_varint};

use crate::{chain, encode, node, said};

fn field(tag: u32, contents: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_varint(u64::from(tag) << 3 | 2, &mut field);
    encode_varint(contents.len() as u64, &mut field);
    field.extend(contents);
    field
}

fn error(bytes: &[u8]) -> Error {
    Model::from_bytes(bytes).unwrap_err()
}

#[test]
fn a_megabyte_of_empty_parts_is_refused_before_it_is_decoded() {
    let many = |part: Vec<u8>| part.repeat(3_000_000);
    // Fields from the outside in: nodes, tensors, attributes, inputs of a node, axes of an input, operator sets, nodes of a function.
    for (around, part) in [
        (vec![7], field(1, b"")),
        (vec![7], field(5, b"")),
        (vec![7], field(11, b"")),
        (vec![7, 1], field(5, b"")),
        (vec![7, 1, 5, 6], field(1, b"")),
        (vec![7, 11, 2, 1, 2], field(1, b"").repeat(3)),
        (vec![25], field(7, b"")),
    ] {
        let mut bytes = many(part);
        for tag in around.iter().rev() {
            bytes = field(*tag, &bytes);
        }
        let found = error(&bytes);
        assert!(
            matches!(found, Error::TooManyParts { limit } if limit == 1 << 28),
            "{around:?}: {found}"
        );
    }
    // A byte in the file is eight in memory.
    let numbers = field(7, &field(5, &field(7, &vec![0; 40 << 20])));
    assert!(matches!(error(&numbers), Error::TooManyParts { .. }));
    // As many bytes in the file as in memory.
    let floats = field(7, &field(5, &field(4, &vec![0; 40 << 20])));
    assert!(matches!(error(&floats), Error::Tensor { .. }));
}

#[test]
fn parts_are_counted_up_to_where_the_decoder_stops() {
    let nodes = field(1, b"").repeat(100_000);
    let mut bytes = field(7, &nodes);
    bytes.push(0x3a);
    assert!(matches!(error(&bytes), Error::NotOnnx(_)));
    assert!(matches!(error(&[0x0f]), Error::NotOnnx(_)));
    assert!(matches!(error(&[0xff; 20]), Error::NotOnnx(_)));
}

/// The graph is refused for what it has too many of.
fn too_many(graph: GraphProto, what: &str) {
    let found = error(&encode(graph));
    let said = found.to_string();
    assert!(
        matches!(&found, Error::TooMany { what: named, count, limit, .. } if *named == what && count > limit),
        "{what}: {said}"
    );
    assert!(said.contains("at most") && said.len() < 500, "{said}");
}

#[test]
fn a_graph_that_has_too_many_of_something_is_refused_by_name() {
    let edited = |edit: &dyn Fn(&mut GraphProto)| {
        let mut graph = chain(1, "Relu");
        edit(&mut graph);
        graph
    };
    let inner = chain(1 << 18, "Relu");
    let branch = |name: &str| AttributeProto {
        g: Some(inner.clone()),
        ..AttributeProto::string(name, "")
    };
    too_many(
        edited(&|graph| {
            graph.node[0].attribute = vec![branch("then_branch"), branch("else_branch")];
        }),
        "nodes",
    );
    too_many(
        edited(&|graph| graph.node[0].input = vec!["image".into(); 5000]),
        "inputs",
    );
    too_many(
        edited(&|graph| graph.node[0].attribute = vec![AttributeProto::int("a", 1); 5000]),
        "attributes",
    );
    too_many(
        edited(&|graph| graph.output = vec![graph.output[0].clone(); 1025]),
        "outputs",
    );
    too_many(
        edited(&|graph| {
            graph.initializer = vec![TensorProto::floats("w", &[1; 65], &[1.0])];
        }),
        "axes",
    );
    for (place, name) in [
        (0, "a\u{1b}".repeat(10_000)),
        (1, "n".repeat(4097)),
        (2, "o".repeat(4097)),
    ] {
        let graph = edited(&|graph| match place {
            0 => graph.node[0].name.clone_from(&name),
            1 => graph.node[0].op_type.clone_from(&name),
            _ => graph.node[0].attribute = vec![AttributeProto::int(&name, 1)],
        });
        let said = error(&encode(graph.clone())).to_string();
        assert!(!said.contains('\u{1b}'), "{said}");
        too_many(graph, "bytes");
    }
}

#[test]
fn a_header_that_has_too_many_entries_is_refused() {
    let with = |edit: &dyn Fn(&mut ModelProto)| {
        let mut proto = ModelProto::decode(encode(chain(1, "Relu")).as_slice()).unwrap();
        edit(&mut proto);
        error(&proto.encode_to_vec()).to_string()
    };
    let sets = with(&|proto| proto.opset_import = vec![proto.opset_import[0].clone(); 65]);
    assert!(sets.contains("65 operator sets"), "{sets}");
    let entries = with(&|proto| proto.metadata_props = vec![Default::default(); 5000]);
    assert!(entries.contains("5000 metadata entries"), "{entries}");
}

#[test]
fn numbers_with_which_sizes_are_computed_have_a_range() {
    for (operator, attribute, wrong) in [
        (
            "DepthToSpace",
            AttributeProto::int("blocksize", 1 << 62),
            1 << 62,
        ),
        (
            "DepthToSpace",
            AttributeProto::int("blocksize", 1 << 32),
            1 << 32,
        ),
        ("SpaceToDepth", AttributeProto::int("blocksize", 0), 0),
        ("Conv", AttributeProto::int("group", 0), 0),
        ("Conv", AttributeProto::ints("strides", [0, 1]), 0),
        (
            "Conv",
            AttributeProto::ints("dilations", [1, 1 << 62]),
            1 << 62,
        ),
        ("MaxPool", AttributeProto::ints("kernel_shape", [-1, 1]), -1),
        (
            "MaxPool",
            AttributeProto::ints("pads", [0, 0, 0, i64::MIN]),
            i64::MIN,
        ),
        ("Softmax", AttributeProto::int("axis", i64::MIN), i64::MIN),
        ("LSTM", AttributeProto::int("hidden_size", 1 << 62), 1 << 62),
        (
            "Split",
            AttributeProto::int("num_outputs", 1 << 40),
            1i64 << 40,
        ),
    ] {
        let mut graph = chain(1, operator);
        graph.node[0].attribute = vec![attribute.clone()];
        let said = said(graph);
        let named = said.contains(&format!("holds {wrong};"));
        assert!(
            named && said.contains(&attribute.name) && said.contains("has to be from"),
            "{operator}: {said}"
        );
    }
    // Other domains may mean something else.
    let mut graph = chain(1, "DepthToSpace");
    graph.node[0].domain = "own".into();
    graph.node[0].attribute = vec![AttributeProto::int("blocksize", 1 << 62)];
    assert!(Model::from_bytes(&encode(graph)).is_ok());
}

/// A function of the domain `own` that calls others in turn.
fn function(name: &str, calls: &[&str]) -> Bytes {
    let call = |callee: &&str| NodeProto {
        domain: "own".into(),
        ..node(callee, &["x"], &["x"])
    };
    let nodes = calls.iter().map(call);
    let nodes: Vec<u8> = nodes
        .flat_map(|node| field(7, &node.encode_to_vec()))
        .collect();
    [field(1, name.as_bytes()), nodes, field(10, b"own")]
        .concat()
        .into()
}

fn with_functions(called: &str, functions: Vec<Bytes>) -> Result<Model, Error> {
    let mut graph = chain(1, called);
    graph.node[0].domain = "own".into();
    let mut proto = ModelProto::decode(encode(graph).as_slice()).unwrap();
    proto.functions = functions;
    Model::from_proto(proto)
}

#[test]
fn functions_that_call_themselves_or_unfold_without_end_are_refused() {
    let said = |called: &str, functions: Vec<Bytes>| {
        let error = with_functions(called, functions).unwrap_err();
        assert!(matches!(error, Error::Functions(_)), "{error}");
        error.to_string()
    };
    let own = said("a", vec![function("a", &["a"])]);
    assert!(own.contains("`a` calls itself"), "{own}");
    said("a", vec![function("a", &["b"]), function("b", &["a"])]);
    let name = |index: usize| format!("f{index}");
    let line = |count: usize| {
        let next = (0..count).map(|index| function(&name(index), &[&name(index + 1)]));
        next.collect::<Vec<_>>()
    };
    said("f0", line(20_000));
    assert!(with_functions("f0", line(20)).is_ok());
    // The end is reached from near by first.
    let mut detour = line(40);
    detour.push(function("start", &["f20", "f0"]));
    said("start", detour);
    // Ten calls in each of twelve.
    let laughs = (0..12).map(|index| {
        let next = name(index + 1);
        function(&name(index), &[next.as_str(); 10])
    });
    let laughs = said("f0", laughs.collect());
    assert!(laughs.contains("nodes"), "{laughs}");
}
