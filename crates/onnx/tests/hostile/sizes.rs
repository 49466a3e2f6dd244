//! Sizes beyond all bounds, and very many of everything.

use std::time::{Duration, Instant};

use buckler_onnx::{
    CleanNames, Dim, Model, check, clean,
    proto::{AttributeProto, DataType, GraphProto, ModelProto, NodeProto, TensorProto},
};
use prost::Message;

use crate::{around, chain, encode, node, reference::net::info, said, survive::survive};

/// Far more than anything here takes on a busy machine, and less than what is quadratic.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn sizes_beyond_all_bounds_are_refused_or_followed() {
    let huge = 1u64 << 62;
    for size in [huge, i64::MAX as u64, 1 << 32, 0] {
        for axis in 0..4 {
            let mut graph = chain(2, "Relu");
            let mut shape = [1, 3, 2, 2].map(Dim::Known);
            shape[axis] = Dim::Known(size);
            graph.input = vec![info("image", DataType::Float, Some(&shape))];
            for operator in ["GlobalAveragePool", "MaxPool", "AveragePool", "Conv"] {
                let mut graph = graph.clone();
                graph.initializer = vec![TensorProto::floats("w", &[3, 3, 1, 1], &[1.0; 9])];
                graph.node[1] = node(
                    operator,
                    &["t1", "w"][..if operator == "Conv" { 2 } else { 1 }],
                    &["t2"],
                );
                for sizes in [[1, 1], [1 << 62, 1], [-1, 1]] {
                    let mut graph = graph.clone();
                    if operator.ends_with("Pool") && !operator.starts_with("Global") {
                        graph.node[1].attribute = vec![AttributeProto::ints("kernel_shape", sizes)];
                    }
                    said(graph);
                }
            }
        }
    }
    // Declared in between, or asked for.
    let mut graph = chain(2, "Relu");
    let shape = [huge; 4].map(Dim::Known);
    graph.value_info = vec![info("t1", DataType::Float, Some(&shape))];
    said(graph);
    let mut graph = chain(2, "Relu");
    graph.initializer = vec![TensorProto::int64s("s", &[3], &[1 << 62, 1 << 62, -1])];
    graph.node[1] = node("Reshape", &["t1", "s"], &["t2"]);
    said(graph);
}

#[test]
fn a_kilobyte_that_claims_gigabytes_is_refused() {
    // Field 7 (graph) of the model, field 5 (initializer) of the graph, field 9 (raw data) of the tensor.
    for tags in [
        &[0x3a_u8][..],
        &[0x3a, 0x2a],
        &[0x3a, 0x2a, 0x4a],
        &[0x3a, 0x0a, 0x0a],
    ] {
        for claim in [
            [0xff, 0xff, 0xff, 0xff, 0x07].as_slice(),
            &[0xff; 9],
            &[0x80, 0x80, 0x80, 0x80, 0x08],
        ] {
            let mut bytes = vec![0; 1000];
            for tag in tags.iter().rev() {
                bytes = [&[*tag], claim, &bytes].concat();
            }
            let message = survive(&bytes).unwrap();
            assert!(message.contains("not an ONNX file"), "{message}");
        }
    }
    for dims in [vec![1 << 29], vec![1 << 31, 1 << 31], vec![1 << 62]] {
        let mut graph = chain(1, "Relu");
        graph.initializer = vec![TensorProto::floats("claim", &dims, &[0.0; 200])];
        let message = said(graph);
        assert!(
            message.contains("`claim`") && message.contains("are stored"),
            "{message}"
        );
    }
}

/// A graph in an attribute of a node in a graph, and so on.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = encode(GraphProto::default());
    let model = Model::from_bytes(&bytes).unwrap().to_proto();
    bytes = node("Relu", &["image"], &["inner"]).encode_to_vec();
    let field = |tag: u8, bytes: &[u8]| {
        let mut field = vec![tag];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend(bytes);
        field
    };
    for _ in 0..depth {
        // NodeProto in GraphProto in AttributeProto, of type 5, in NodeProto with operator and output.
        let attribute = [field(0x32, &field(0x0a, &bytes)), vec![0xa0, 0x01, 5]].concat();
        bytes = [
            field(0x12, b"deep"),
            field(0x22, b"If"),
            field(0x2a, &attribute),
        ]
        .concat();
    }
    let graph = around(vec![], "deep").encode_to_vec();
    let graph = [field(0x0a, &bytes), graph].concat();
    let header = ModelProto {
        graph: None,
        ..model
    }
    .encode_to_vec();
    [header, field(0x3a, &graph)].concat()
}

#[test]
fn subgraphs_are_nested_as_deep_as_the_format_allows() {
    for depth in 1..60 {
        let message = survive(&nested(depth)).unwrap();
        let refused = message.contains("(If)") || message.contains("recursion limit");
        assert!(refused, "{depth}: {message}");
    }
    assert!(survive(&nested(20)).unwrap().contains("(If)"));
    assert!(survive(&nested(1_000)).unwrap().contains("recursion limit"));
}

/// On a stack that recursion over nodes would not fit into.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let start = Instant::now();
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(work).unwrap().join().unwrap();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn a_hundred_thousand_nodes_in_a_chain_are_differentiated() {
    in_time(|| {
        let mut graph = chain(100_000, "Relu");
        graph.node.reverse();
        let model = Model::from_bytes(&encode(graph)).unwrap();
        check(&model).unwrap();
    });
}

#[test]
fn chains_of_nodes_that_need_names_or_edits_take_linear_time() {
    for (operator, opset) in [
        ("Identity", 18),
        ("MaxPool", 18),
        ("Softmax", 9),
        ("Clip", 9),
        ("Round", 18),
    ] {
        in_time(move || {
            let mut graph = chain(10_000, operator);
            let attributes = match operator {
                "MaxPool" => vec![AttributeProto::ints("kernel_shape", [1, 1])],
                "Clip" => vec![AttributeProto::float("max", 0.5)],
                _ => vec![],
            };
            for node in &mut graph.node {
                if node.op_type == operator {
                    node.attribute.clone_from(&attributes);
                }
            }
            let mut proto = ModelProto::decode(encode(graph).as_slice()).unwrap();
            proto.opset_import[0].version = opset;
            let model = Model::from_proto(proto).unwrap();
            assert_eq!(check(&model).is_err(), operator == "Round", "{operator}");
            clean(model, &CleanNames::default()).unwrap();
        });
    }
}

#[test]
fn very_many_of_anything_take_linear_time() {
    let many = 30_000;
    let names = move |stem: &'static str| (0..many).map(move |i| format!("{stem}{i}"));
    type Build = Box<dyn FnOnce() -> GraphProto + Send>;
    let cases: [(&str, Build); 9] = [
        (
            "inputs of a node",
            Box::new(move || {
                let mut graph = chain(1, "Sum");
                graph.node[0].input.extend(names("w"));
                graph.initializer = names("w")
                    .map(|name| TensorProto::floats(&name, &[1], &[0.5]))
                    .collect();
                graph
            }),
        ),
        (
            "shapes to join",
            Box::new(move || {
                let mut graph = chain(1, "Relu");
                graph.initializer = vec![TensorProto::int64s("s", &[64], &[1; 64])];
                graph.node.push(NodeProto {
                    attribute: vec![AttributeProto::int("axis", 0)],
                    ..node("Concat", &vec!["s"; many], &["joined"])
                });
                graph
            }),
        ),
        (
            "outputs of a node",
            Box::new(move || {
                let mut graph = chain(1, "Relu");
                let mut split = node("Split", &["image"], &[]);
                split.output = names("o").collect();
                graph.node.push(split);
                graph
            }),
        ),
        (
            "attributes of a node",
            Box::new(move || {
                let mut graph = chain(1, "MaxPool");
                let attributes = names("a").map(|name| AttributeProto::int(&name, 1));
                graph.node[0].attribute = attributes.collect();
                graph.node[0]
                    .attribute
                    .push(AttributeProto::ints("kernel_shape", [1, 1]));
                graph
            }),
        ),
        (
            "numbers in an attribute",
            Box::new(move || {
                let mut graph = chain(1, "Transpose");
                let perm: Vec<i64> = (0..many as i64).rev().collect();
                graph.node[0].attribute = vec![AttributeProto::ints("perm", perm)];
                graph
            }),
        ),
        (
            "inputs of the graph",
            Box::new(move || {
                let mut graph = chain(1, "Relu");
                graph
                    .input
                    .extend(names("i").map(|name| info(&name, DataType::Float, None)));
                graph
            }),
        ),
        (
            "outputs of the graph",
            Box::new(move || {
                let mut graph = chain(1, "Relu");
                let again = graph.output[0].clone();
                graph.output.extend(vec![again; many]);
                graph
            }),
        ),
        (
            "readers of a tensor",
            Box::new(move || {
                let nodes = names("x").map(|name| node("Relu", &["image"], &[&name]));
                let mut nodes: Vec<_> = nodes.collect();
                let inputs: Vec<String> = names("x").collect();
                nodes.push(NodeProto {
                    input: inputs,
                    ..node("Sum", &[], &["sum"])
                });
                around(nodes, "sum")
            }),
        ),
        (
            "nodes without results",
            Box::new(move || {
                let mut graph = chain(1, "Relu");
                graph
                    .node
                    .extend(vec![node("Clip", &["image"], &[""]); many]);
                graph.node.extend(vec![NodeProto::default(); many]);
                graph
            }),
        ),
    ];
    for (what, build) in cases {
        println!("{what}");
        in_time(move || _ = said(build()));
    }
}

#[test]
fn constants_of_the_gradient_graph_do_not_add_up_without_bound() {
    // Every window has a kernel of its own size, of up to 4 MiB.
    let pool = |i: i64| NodeProto {
        attribute: vec![
            AttributeProto::ints("kernel_shape", [501 - 2 * i, 301]),
            AttributeProto::ints("pads", [250 - i, 150, 250 - i, 150]),
        ],
        ..node(
            "AveragePool",
            &[&format!("t{i}")],
            &[&format!("t{}", i + 1)],
        )
    };
    let mut graph = around((0..250).map(pool).collect(), "t250");
    let shape = [1, 3, 512, 320].map(Dim::Known);
    graph.input = vec![info("t0", DataType::Float, Some(&shape))];
    let logits = [1, 3 * 512 * 320].map(Dim::Known);
    graph.output = vec![info("logits", DataType::Float, Some(&logits))];
    let message = said(graph);
    assert!(
        message.contains("constants of more than"),
        "{}",
        &message[..message.len().min(300)]
    );
}
