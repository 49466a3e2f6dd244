//! Exported graphs in their clean form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{
    CleanNames, Dim, Error, Model, clean, differentiate,
    proto::{
        AttributeProto, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
        TensorProto,
    },
};
use reference::{
    net::{Random, info},
    run,
};

/// A graph as the exporter of Burn writes it: tensors are numbered by a counter of the process, parameters bear their path and
/// are sorted by name, shapes are computed from the input.
struct Exported {
    first: usize,
    graph: GraphProto,
}

impl Exported {
    fn tensor(&self, number: usize) -> String {
        format!("tensor_{}", self.first + number)
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) {
        self.graph.node.push(NodeProto {
            name: format!("node_{}", self.graph.node.len()),
            op_type: operator.into(),
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![output.into()],
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
    }

    fn store(&mut self, tensor: TensorProto) {
        self.graph.initializer.push(tensor);
    }
}

fn exported(first: usize, batch: Dim) -> Model {
    let mut e = Exported {
        first,
        graph: GraphProto {
            name: "burn_graph".into(),
            ..GraphProto::default()
        },
    };
    let t: Vec<String> = (0..12).map(|number| e.tensor(number)).collect();
    let mut random = Random::new(7);
    let mut floats = |name: &str, dims: &[usize]| {
        let values: Vec<f32> = random
            .tensor(dims, -1.0, 1.0)
            .data
            .iter()
            .map(|&v| v as f32)
            .collect();
        TensorProto::floats(
            name,
            &dims.iter().map(|&dim| dim as i64).collect::<Vec<_>>(),
            &values,
        )
    };
    for (name, dims) in [
        ("conv.weight", &[2, 1, 3, 3][..]),
        ("conv.bias", &[2]),
        ("fc.weight", &[8, 5]),
        ("fc.bias", &[5]),
    ] {
        e.store(floats(name, dims));
    }
    let head = floats(&t[11], &[5, 3]);
    e.store(head);
    // The exporter names what is no parameter by number, and sorts: where it stands depends on the counter.
    if first % 2 == 1 {
        e.graph.initializer.reverse();
    }
    let shape = |rest: &[u64]| {
        [
            vec![batch.clone()],
            rest.iter().map(|&size| Dim::Known(size)).collect(),
        ]
        .concat()
    };
    e.graph.input = vec![info(&t[0], DataType::Float, Some(&shape(&[1, 4, 4])))];
    e.node("Identity", &[&t[0]], "passed", &[]);
    let pads = [
        AttributeProto::ints("strides", [1, 1]),
        AttributeProto::ints("dilations", [1, 1]),
        AttributeProto::ints("pads", [1; 4]),
        AttributeProto::int("group", 1),
    ];
    e.node(
        "Conv",
        &["passed", "conv.weight", "conv.bias"],
        &t[1],
        &pads,
    );
    e.node("Relu", &[&t[1]], &t[2], &[]);
    let window = [
        AttributeProto::ints("kernel_shape", [2, 2]),
        AttributeProto::ints("strides", [2, 2]),
    ];
    e.node("MaxPool", &[&t[2]], &t[3], &window);
    e.node("Shape", &[&t[0]], "node_3_source_shape_0", &[]);
    e.store(TensorProto::int64s("node_3_shape_index_0", &[1], &[0]));
    e.node(
        "Gather",
        &["node_3_source_shape_0", "node_3_shape_index_0"],
        "node_3_shape_part_0",
        &[AttributeProto::int("axis", 0)],
    );
    e.store(TensorProto::int64s("node_3_shape_part_1", &[1], &[8]));
    e.node(
        "Concat",
        &["node_3_shape_part_0", "node_3_shape_part_1"],
        "node_3_shape",
        &[AttributeProto::int("axis", 0)],
    );
    e.node("Reshape", &[&t[3], "node_3_shape"], &t[4], &[]);
    e.node("MatMul", &[&t[4], "fc.weight"], "node_4_matmul", &[]);
    e.node("Add", &["node_4_matmul", "fc.bias"], &t[5], &[]);
    e.node("Mul", &[&t[5], &t[5]], &t[6], &[]);
    e.store(TensorProto::int64s("node_6_axes", &[1], &[1]));
    e.node(
        "ReduceSum",
        &[&t[6], "node_6_axes"],
        &t[7],
        &[AttributeProto::int("keepdims", 1)],
    );
    let mut tiny = NodeProto {
        op_type: "Constant".into(),
        output: vec!["node_7_scalar".into()],
        ..NodeProto::default()
    };
    tiny.attribute
        .push(AttributeProto::float("value_float", 1e-12));
    e.graph.node.push(tiny);
    e.node("Add", &[&t[7], "node_7_scalar"], &t[8], &[]);
    e.node("Sqrt", &[&t[8]], &t[9], &[]);
    e.node("Div", &[&t[5], &t[9]], &t[10], &[]);
    e.node("MatMul", &[&t[10], &t[11]], "scores", &[]);
    e.node("Identity", &["scores"], "scores_out", &[]);
    // Left over: nothing reads it.
    e.node("Sqrt", &["fc.bias"], "dead", &[]);
    e.graph.output = vec![
        info("scores_out", DataType::Float, Some(&shape(&[3]))),
        info(&t[10], DataType::Float, Some(&shape(&[5]))),
    ];
    Model::from_proto(ModelProto {
        ir_version: 8,
        producer_name: "burn-onnx".into(),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 18,
        }],
        graph: Some(e.graph),
        ..ModelProto::default()
    })
    .unwrap()
}

fn symbol() -> Dim {
    Dim::Symbol("N".into())
}

#[test]
fn two_exports_of_one_network_give_the_same_bytes() {
    let names = CleanNames::default();
    let bytes =
        [8, 97, 1201].map(|first| clean(exported(first, symbol()), &names).unwrap().to_bytes());
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], bytes[2]);
}

#[test]
fn names_say_what_a_tensor_is() {
    let model = clean(exported(5, symbol()), &CleanNames::default()).unwrap();
    let graph = model.graph();
    let nodes: Vec<_> = graph
        .node
        .iter()
        .map(|node| (node.op_type.as_str(), node.output[0].as_str()))
        .collect();
    assert_eq!(
        nodes,
        [
            ("Conv", "conv_0"),
            ("Relu", "relu_0"),
            ("MaxPool", "maxpool_0"),
            ("Reshape", "reshape_0"),
            ("MatMul", "matmul_0"),
            ("Add", "add_0"),
            ("Mul", "mul_0"),
            ("ReduceSum", "reducesum_0"),
            ("Add", "add_1"),
            ("Sqrt", "sqrt_0"),
            ("Div", "features"),
            ("MatMul", "logits"),
        ]
    );
    let stored: Vec<_> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert_eq!(
        stored,
        [
            "conv_0.weight",
            "conv_0.bias",
            "reshape_0.shape",
            "matmul_0.weight",
            "add_0.operand",
            "reducesum_0.axes",
            "add_1.operand",
            "matmul_1.weight",
        ]
    );
    assert_eq!(graph.initializer[2].to_i64s().unwrap(), [0, 8]);
    assert_eq!(
        graph.input[0],
        info(
            "image",
            DataType::Float,
            Some(&[
                Dim::Symbol("batch".into()),
                Dim::Known(1),
                Dim::Known(4),
                Dim::Known(4)
            ])
        )
    );
    assert_eq!(
        graph.output[1],
        info(
            "features",
            DataType::Float,
            Some(&[Dim::Symbol("batch".into()), Dim::Known(5)])
        )
    );
    let proto = model.to_proto();
    assert_eq!(
        (proto.producer_name.as_str(), proto.ir_version),
        ("buckler", 8)
    );
}

#[test]
fn a_clean_graph_computes_the_same_and_stays_as_it_is() {
    let before = exported(5, symbol());
    let after = clean(before.clone(), &CleanNames::default()).unwrap();
    let image = Random::new(2).tensor(&[3, 1, 4, 4], 0.0, 1.0);
    let found = run(after.graph(), &[("image", image.clone())]);
    let expected = run(before.graph(), &[("tensor_5", image)]);
    assert_eq!(found["logits"], expected["scores_out"]);
    assert_eq!(found["features"], expected["tensor_15"]);
    assert_eq!(clean(after.clone(), &CleanNames::default()).unwrap(), after);
    differentiate(&after).unwrap();
}

#[test]
fn a_static_batch_becomes_a_symbol_where_nothing_else_depends_on_it() {
    let names = CleanNames::default();
    let dynamic = clean(exported(5, symbol()), &names).unwrap();
    assert_eq!(clean(exported(5, Dim::Known(2)), &names).unwrap(), dynamic);

    let mut proto = exported(5, Dim::Known(2)).to_proto();
    let graph = proto.graph.as_mut().unwrap();
    graph
        .initializer
        .push(TensorProto::int64s("fixed", &[2], &[2, 8]));
    let reshape = graph
        .node
        .iter_mut()
        .find(|node| node.op_type == "Reshape")
        .unwrap();
    reshape.input[1] = "fixed".into();
    let error = clean(Model::from_proto(proto).unwrap(), &names).unwrap_err();
    assert!(
        matches!(&error, Error::Clean(reason) if reason.contains("[2, 3]")),
        "{error}"
    );
}

#[test]
fn a_reshape_that_takes_zeros_as_sizes_is_cleaned_as_any_other() {
    let mut proto = exported(5, symbol()).to_proto();
    let nodes = &mut proto.graph.as_mut().unwrap().node;
    let reshape = nodes.iter_mut().find(|node| node.op_type == "Reshape");
    reshape
        .unwrap()
        .attribute
        .push(AttributeProto::int("allowzero", 1));
    let names = CleanNames::default();
    assert_eq!(
        clean(Model::from_proto(proto).unwrap(), &names).unwrap(),
        clean(exported(5, symbol()), &names).unwrap()
    );
}

#[test]
fn names_are_not_made_up() {
    let one = CleanNames {
        outputs: vec!["logits".into()],
        ..CleanNames::default()
    };
    assert!(matches!(
        clean(exported(5, symbol()), &one),
        Err(Error::Clean(_))
    ));
    let same = CleanNames {
        outputs: vec!["image".into(), "logits".into()],
        ..CleanNames::default()
    };
    assert!(matches!(
        clean(exported(5, symbol()), &same),
        Err(Error::Clean(_))
    ));
}
