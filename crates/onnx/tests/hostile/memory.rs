//! Small graphs whose tensors take any amount of memory when they are run.

use buckler_onnx::{
    Dim, Error, MAX_ACTIVATION_BYTES, Model, activation_bytes,
    proto::{
        AttributeProto, AttributeType, DataType, GraphProto, NodeProto, SparseTensorProto,
        TensorProto,
    },
};

use crate::{chain, encode, node, reference::net::info};

fn bytes(graph: &GraphProto) -> Result<u64, Error> {
    activation_bytes(&Model::from_bytes(&encode(graph.clone())).unwrap(), 1)
}

/// A graph in which a tensor `big` is computed beside the way to the logits, and read by an output of its own.
fn beside(nodes: Vec<NodeProto>, stored: Vec<TensorProto>) -> GraphProto {
    let mut graph = chain(1, "Relu");
    graph.node.extend(nodes);
    graph.node.push(node("Relu", &["big"], &["read"]));
    graph.output.push(info("read", DataType::Float, None));
    graph.initializer = stored;
    graph
}

fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto::int64s(name, &[values.len() as i64], values)
}

fn scalar(name: &str, value: i64) -> TensorProto {
    TensorProto::int64s(name, &[], &[value])
}

fn one() -> TensorProto {
    TensorProto::floats("one", &[1], &[1.0])
}

#[test]
fn operators_that_make_much_of_little_are_refused_by_name_before_they_run() {
    let many = 10_000_000_000;
    type Inputs = Vec<&'static str>;
    let cases: Vec<(&str, Inputs, Vec<AttributeProto>, Vec<TensorProto>)> = vec![
        (
            "ConstantOfShape",
            vec!["s"],
            vec![],
            vec![ints("s", &[many])],
        ),
        (
            "Expand",
            vec!["one", "s"],
            vec![],
            vec![one(), ints("s", &[many])],
        ),
        (
            "Tile",
            vec!["one", "s"],
            vec![],
            vec![one(), ints("s", &[many])],
        ),
        (
            "Pad",
            vec!["one", "s"],
            vec![],
            vec![one(), ints("s", &[0, many])],
        ),
        (
            "Range",
            vec!["a", "b", "c"],
            vec![],
            vec![scalar("a", 0), scalar("b", many), scalar("c", 1)],
        ),
        (
            "RandomNormal",
            vec![],
            vec![AttributeProto::ints("shape", [100_000, 100_000])],
            vec![],
        ),
        (
            "OneHot",
            vec!["s", "d", "v"],
            vec![],
            vec![
                ints("s", &[0]),
                scalar("d", many),
                TensorProto::floats("v", &[2], &[0.0, 1.0]),
            ],
        ),
        (
            "Resize",
            vec!["image", "", "", "s"],
            vec![],
            vec![ints("s", &[1, 3, 100_000, 100_000])],
        ),
        (
            "ConvTranspose",
            vec!["image", "w"],
            vec![AttributeProto::ints("strides", [100_000, 100_000])],
            vec![TensorProto::floats("w", &[3, 3, 1, 1], &[1.0; 9])],
        ),
        (
            "MatMul",
            vec!["x", "y"],
            vec![],
            vec![
                TensorProto::floats("x", &[1 << 17, 1], &vec![1.0; 1 << 17]),
                TensorProto::floats("y", &[1, 1 << 17], &vec![1.0; 1 << 17]),
            ],
        ),
    ];
    for (operator, inputs, attributes, stored) in cases {
        let big = NodeProto {
            attribute: attributes,
            ..node(operator, &inputs, &["big"])
        };
        let graph = beside(vec![big], stored);
        let error = bytes(&graph).expect_err(operator);
        let said = error.to_string();
        assert!(
            matches!(&error, Error::Memory { node, operator: named, bytes, limit, .. }
                if node == "big" && named == operator && *bytes > MAX_ACTIVATION_BYTES && *limit <= MAX_ACTIVATION_BYTES),
            "{operator}: {said}"
        );
        assert!(
            said.contains("bytes") && said.contains("use smaller"),
            "{said}"
        );
    }
}

#[test]
fn tensors_that_grow_step_by_step_are_counted_together() {
    let mut graph = chain(40, "Concat");
    for node in graph
        .node
        .iter_mut()
        .filter(|node| node.op_type == "Concat")
    {
        node.input.push(node.input[0].clone());
        node.attribute = vec![AttributeProto::int("axis", 2)];
    }
    assert!(matches!(bytes(&graph), Err(Error::Memory { .. })));
    // Constants are all kept.
    let constants = |count: usize| {
        let part = |index: usize| node("ConstantOfShape", &["s"], &[&format!("c{index}")]);
        let last = node("Identity", &["c0"], &["big"]);
        let parts = (0..count).map(part).chain([last]).collect();
        bytes(&beside(parts, vec![ints("s", &[1 << 26])]))
    };
    assert!(constants(5).is_ok());
    assert!(matches!(constants(40), Err(Error::Memory { limit, .. }) if limit == 2 << 30));
}

#[test]
fn what_is_no_longer_read_is_not_counted() {
    // Images of 3 x 2 x 2, one tensor written while another is read.
    let long = bytes(&chain(1000, "Relu")).unwrap();
    assert_eq!(long, bytes(&chain(3, "Relu")).unwrap());
    assert_eq!(long, 2 * 3 * 2 * 2 * 4);
    let model = Model::from_bytes(&encode(chain(3, "Relu"))).unwrap();
    assert_eq!(activation_bytes(&model, 16).unwrap(), 16 * long);
    // A batch that the file fixes.
    let mut graph = chain(3, "Relu");
    graph.input = vec![info(
        "image",
        DataType::Float,
        Some(&[5, 3, 2, 2].map(Dim::Known)),
    )];
    assert_eq!(bytes(&graph).unwrap(), 5 * long);
}

#[test]
fn pixels_do_not_decide_how_large_a_tensor_is() {
    let sum = || AttributeProto::int("keepdims", 0);
    let number = || {
        vec![
            NodeProto {
                attribute: vec![sum()],
                ..node("ReduceMax", &["image"], &["most"])
            },
            NodeProto {
                attribute: vec![AttributeProto::int("to", DataType::Int64 as i64)],
                ..node("Cast", &["most"], &["number"])
            },
            node("Reshape", &["number", "list"], &["size"]),
        ]
    };
    let list = || ints("list", &[1]);
    for (operator, inputs) in [
        ("ConstantOfShape", vec!["size"]),
        ("Expand", vec!["one", "size"]),
        ("Tile", vec!["one", "size"]),
        ("Range", vec!["list", "number", "list"]),
    ] {
        let mut nodes = number();
        nodes.push(node(operator, &inputs, &["big"]));
        let error = bytes(&beside(nodes, vec![list(), one()])).unwrap_err();
        assert!(
            matches!(&error, Error::DataDependent { node, operator: named } if node == "big" && named == operator),
            "{operator}: {error}"
        );
    }
    // Nor by how many of them there are of a kind.
    let counted = vec![
        node("NonZero", &["image"], &["places"]),
        node("Shape", &["places"], &["size"]),
        node("ConstantOfShape", &["size"], &["big"]),
    ];
    assert!(matches!(
        bytes(&beside(counted, vec![])),
        Err(Error::DataDependent { .. })
    ));
    // Sizes of the image do.
    let shaped = vec![
        node("Shape", &["image"], &["size"]),
        node("ConstantOfShape", &["size"], &["big"]),
    ];
    assert!(bytes(&beside(shaped, vec![])).is_ok());
}

fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph.into(),
        g: Some(graph),
        ..AttributeProto::default()
    }
}

fn body(inputs: &[&str], nodes: Vec<NodeProto>, outputs: &[&str]) -> GraphProto {
    let infos = |names: &[&str]| {
        names
            .iter()
            .map(|name| info(name, DataType::Float, None))
            .collect()
    };
    GraphProto {
        input: infos(inputs),
        node: nodes,
        output: infos(outputs),
        ..GraphProto::default()
    }
}

#[test]
fn what_subgraphs_compute_is_counted_too() {
    let large = body(&[], vec![node("ConstantOfShape", &["s"], &["y"])], &["y"]);
    let choice = NodeProto {
        attribute: vec![
            graph_attribute("then_branch", large.clone()),
            graph_attribute("else_branch", large),
        ],
        ..node("If", &["yes"], &["big"])
    };
    let stored = |size| vec![ints("s", &[size]), TensorProto::floats("yes", &[], &[1.0])];
    assert!(bytes(&beside(vec![choice.clone()], stored(1000))).is_ok());
    assert!(matches!(
        bytes(&beside(vec![choice], stored(10_000_000_000))),
        Err(Error::Memory { .. })
    ));
    let steps = |count: i64| {
        let nodes = vec![
            node("Identity", &["go"], &["on"]),
            node("Relu", &["x"], &["y"]),
            node("Relu", &["x"], &["z"]),
        ];
        let each = NodeProto {
            attribute: vec![graph_attribute(
                "body",
                body(&["step", "go", "x"], nodes, &["on", "y", "z"]),
            )],
            ..node("Loop", &["count", "", "image"], &["last", "big"])
        };
        bytes(&beside(vec![each], vec![scalar("count", count)]))
    };
    assert!(steps(10).is_ok());
    // A list of a million images of 1 KiB.
    assert!(matches!(
        steps(1 << 62),
        Err(Error::TooMany { what: "steps", .. })
    ));
    let list = steps(1 << 20).unwrap();
    assert!(list > 48 << 20, "{list}");
}

#[test]
fn loops_that_carry_a_growing_tensor_are_refused_by_its_name() {
    let carried = |operator: &str, inputs: &[&str]| {
        let grow = NodeProto {
            attribute: vec![AttributeProto {
                name: "axis".into(),
                r#type: AttributeType::Int as i32,
                i: Some(1),
                ..AttributeProto::default()
            }],
            ..node(operator, inputs, &["y"])
        };
        let nodes = vec![node("Identity", &["go"], &["on"]), grow];
        let each = NodeProto {
            attribute: vec![graph_attribute(
                "body",
                body(&["step", "go", "x"], nodes, &["on", "y"]),
            )],
            ..node("Loop", &["", "yes", "image"], &["big"])
        };
        let yes = TensorProto::floats("yes", &[], &[1.0]);
        bytes(&beside(vec![each], vec![yes]))
    };
    assert!(carried("LogSoftmax", &["x"]).is_ok());
    let error = carried("Concat", &["x", "x"]).unwrap_err();
    assert!(
        matches!(&error, Error::Grows { tensor, .. } if tensor == "big"),
        "{error}"
    );
}

#[test]
fn sparse_tensors_are_as_large_as_with_their_zeros() {
    let stored = |dims: &[i64]| {
        let mut graph = chain(1, "Relu");
        graph.sparse_initializer = vec![SparseTensorProto {
            values: Some(TensorProto::floats("w", &[1], &[1.0])),
            indices: Some(ints("", &[0])),
            dims: dims.to_vec(),
        }];
        Model::from_bytes(&encode(graph))
    };
    assert!(stored(&[1000, 1000]).is_ok());
    for dims in [&[3, 10_000_000_000][..], &[1 << 62, 1 << 62], &[-3, -10]] {
        let error = stored(dims).unwrap_err();
        assert!(
            matches!(&error, Error::Tensor { name, .. } if name == "w"),
            "{error}"
        );
    }
}
