//! Files that are damaged, contradict themselves, or carry metadata.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;
mod survive;

use buckler_onnx::{
    Card, Dim, Error, Model, Summary, check,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto},
};
use proptest::prelude::*;
use reference::net::Net;
use survive::survive;

fn small() -> Model {
    let mut net = Net::new([2, 1, 4, 4], 1);
    let weight = net.weights(&[2, 1, 3, 3]);
    let y = net.op(
        "Conv",
        &["image", &weight],
        [
            AttributeProto::ints("pads", [1; 4]),
            AttributeProto::ints("strides", [2, 2]),
        ],
    );
    let y = net.op("Relu", &[&y], []);
    let y = net.op(
        "MaxPool",
        &[&y],
        [AttributeProto::ints("kernel_shape", [2, 2])],
    );
    let axes = net.ints(&[2, 3]);
    let y = net.op("Squeeze", &[&y, &axes], []);
    let mut model = net.finish(&y, Some(&[Dim::Symbol("n".into()), Dim::Known(2)]));
    model
        .set_card(&Card {
            name: "small".into(),
            ..Card::default()
        })
        .unwrap();
    model
}

#[test]
fn a_model_cut_short_anywhere_is_an_error_or_a_model() {
    let bytes = small().to_bytes();
    check(&small()).unwrap();
    for length in 0..bytes.len() {
        survive(&bytes[..length]);
    }
}

proptest! {
    #![proptest_config(reference::cases(4000))]
    #[test]
    fn flipped_bytes_are_an_error_or_a_model(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = small().to_bytes();
        for (place, value) in flips {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        survive(&bytes);
    }

    #[test]
    fn absurd_numbers_in_attributes_and_shapes_are_an_error_or_a_model(
        node in any::<prop::sample::Index>(), number in prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(-1), Just(0), Just(1 << 40), any::<i64>()],
        place in 0..4usize, image: bool,
    ) {
        let mut proto = small().to_proto();
        let graph = proto.graph.as_mut().unwrap();
        if image {
            let shape = [1, 1, 4, 4].map(Dim::Known);
            let mut info = reference::net::info("image", buckler_onnx::proto::DataType::Float, Some(&shape));
            if let Some(buckler_onnx::proto::type_proto::Value::TensorType(tensor)) = &mut info.r#type.as_mut().unwrap().value {
                let value = buckler_onnx::proto::tensor_shape_proto::dimension::Value::DimValue(number);
                tensor.shape.as_mut().unwrap().dim[place].value = Some(value);
            }
            graph.input = vec![info];
        } else {
            let count = graph.node.len();
            for attribute in &mut graph.node[node.index(count)].attribute {
                let length = attribute.ints.len();
                if length > 0 {
                    attribute.ints[place % length] = number;
                }
            }
        }
        survive(&prost::Message::encode_to_vec(&proto));
    }
}

#[test]
fn shapes_that_grow_without_end_are_not_followed() {
    let mut net = Net::new([2, 3, 2, 2], 1);
    let mut shape = net.op("Shape", &["image"], []);
    for _ in 0..80 {
        shape = net.op(
            "Concat",
            &[&shape, &shape],
            [AttributeProto::int("axis", 0)],
        );
    }
    let deep = net.op("Reshape", &["image", &shape], []);
    let mut x = net.op("Add", &["image", &deep], []);
    let axes = net.ints(&[0; 60]);
    for _ in 0..80 {
        x = net.op("Unsqueeze", &[&x, &axes], []);
    }
    survive(
        &net.finish(&x, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]))
            .to_bytes(),
    );
}

#[test]
fn what_is_no_model_is_named() {
    assert!(matches!(Model::from_bytes(b""), Err(Error::NoGraph)));
    assert!(matches!(
        Model::from_bytes(b"\x89PNG\r\n\x1a\n and so on"),
        Err(Error::OtherFormat(_))
    ));
    assert!(matches!(
        Model::from_bytes(b"just a few words"),
        Err(Error::NotOnnx(_))
    ));
    assert!(
        matches!(Model::read("/nowhere/model.onnx"), Err(Error::Io { path, .. }) if path.ends_with("model.onnx"))
    );
}

fn refused(graph: GraphProto) -> Error {
    let proto = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    Model::from_bytes(&prost::Message::encode_to_vec(&proto)).unwrap_err()
}

fn node(name: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: name.into(),
        op_type: "Add".into(),
        input: inputs.iter().map(|input| input.to_string()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

#[test]
fn tensors_that_contradict_their_shape_are_named() {
    let cases: [(&[i64], usize, &str); 5] = [
        (&[2, 3], 5, "20 are stored"),
        (&[-1], 1, "negative"),
        (&[i64::MAX, i64::MAX], 1, "more elements"),
        (&[1 << 40], 0, "0 are stored"),
        (&[0], 1, "needs 0 bytes"),
    ];
    for (dims, stored, reason) in cases {
        let tensor = TensorProto::floats("w", dims, &vec![0.0; stored]);
        let error = refused(GraphProto {
            initializer: vec![tensor],
            ..GraphProto::default()
        });
        assert!(
            matches!(&error, Error::Tensor { name, .. } if name == "w"),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    let outside = TensorProto {
        data_location: Some(1),
        ..TensorProto::floats("w", &[2], &[])
    };
    assert!(matches!(
        refused(GraphProto {
            initializer: vec![outside],
            ..GraphProto::default()
        }),
        Error::External { .. }
    ));
}

#[test]
fn graphs_that_do_not_hang_together_are_named() {
    let graph = |nodes: Vec<NodeProto>| GraphProto {
        node: nodes,
        initializer: vec![TensorProto::floats("one", &[], &[1.0])],
        ..GraphProto::default()
    };
    let missing = refused(graph(vec![node("n", &["one", "nothing"], "y")]));
    assert!(
        matches!(&missing, Error::Missing { reader, tensor } if reader.contains("`n`") && tensor == "nothing"),
        "{missing}"
    );
    let cycle = refused(graph(vec![
        node("a", &["one", "y"], "x"),
        node("b", &["one", "x"], "y"),
    ]));
    assert!(
        matches!(&cycle, Error::Cycle { node, .. } if node == "a"),
        "{cycle}"
    );
    let twice = refused(graph(vec![
        node("a", &["one"], "x"),
        node("b", &["one"], "x"),
    ]));
    assert!(
        matches!(&twice, Error::Duplicate { name } if name == "x"),
        "{twice}"
    );
    let shadow = refused(graph(vec![node("a", &["one"], "one")]));
    assert!(matches!(shadow, Error::Duplicate { .. }), "{shadow}");
}

proptest! {
    #[test]
    fn shuffled_nodes_are_sorted(nodes in Just((0..small().graph().node.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let mut proto = small().to_proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.node = nodes.iter().map(|&index| graph.node[index].clone()).collect();
        prop_assert_eq!(Model::from_proto(proto).unwrap(), small());
    }
}

#[test]
fn files_and_metadata_survive_writing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    let mut model = small();
    let hash = model.graph_sha256();
    let card = Card {
        sha256: [("model.onnx".into(), "00".into())].into(),
        ..model.card().unwrap().unwrap()
    };
    model.set_card(&card).unwrap();
    model.set_metadata("a", "1");
    model.set_metadata("a", "2");
    model.write(&path).unwrap();
    let again = Model::read(&path).unwrap();
    assert_eq!(again, model);
    assert_eq!(again.metadata("a"), Some("2"));
    assert_eq!(again.metadata("b"), None);
    assert_eq!(again.graph_sha256(), hash);
    // A file cannot hold its own checksum.
    assert!(again.card().unwrap().unwrap().sha256.is_empty());
}

#[test]
fn a_summary_counts() {
    let summary = Summary::of(&small());
    assert_eq!(summary.parameters, 18);
    assert_eq!(summary.opset, 18);
    assert_eq!(summary.operators["Conv"], 1);
    assert_eq!(summary.inputs[0].dtype, "float32");
    assert_eq!(
        summary.inputs[0].shape.as_deref().unwrap(),
        ["n", "1", "4", "4"]
    );
    assert_eq!(summary.outputs.len(), 1);
}
