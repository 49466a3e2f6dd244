//! Small models from which a fuzzer starts: every operator, in its forms, and what else a file may hold.

use std::path::PathBuf;

use buckler_onnx::{
    Card, Dim, Model,
    proto::{
        AttributeProto, AttributeType, DataType, GraphProto, NodeProto, SparseTensorProto,
        StringStringEntryProto, TensorProto,
    },
};

use crate::{
    operators::{Weight, operators},
    reference::net::Net,
};

pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/differentiate")
}

/// A convolutional network with a card, residual, pooled, normalised, in operator set 18.
pub fn whole() -> Model {
    let mut net = Net::new([2, 1, 6, 6], 1);
    let (weight, bias) = (net.weights(&[2, 1, 3, 3]), net.weights(&[2]));
    let pads = AttributeProto::ints("pads", [1; 4]);
    let y = net.op("Conv", &["image", &weight, &bias], [pads]);
    let statistics: Vec<String> = (0..4).map(|_| net.positive(&[2])).collect();
    let mut inputs = vec![y.as_str()];
    inputs.extend(statistics.iter().map(String::as_str));
    let normal = net.op("BatchNormalization", &inputs, []);
    let active = net.op("Relu", &[&normal], []);
    let sum = net.op("Add", &[&active, &y], []);
    let kernel = AttributeProto::ints("kernel_shape", [2, 2]);
    let strides = AttributeProto::ints("strides", [2, 2]);
    let pooled = net.op("MaxPool", &[&sum], [kernel.clone(), strides]);
    let pooled = net.op("AveragePool", &[&pooled], [kernel]);
    let mean = net.axes_op("ReduceMean", &pooled, &[2], true);
    let low = net.floats(&[], &[-2.0]);
    let clipped = net.op("Clip", &[&mean, &low], []);
    let shape = net.ints(&[0, -1]);
    let flat = net.op("Reshape", &[&clipped, &shape], []);
    let soft = net.op("Softmax", &[&flat], []);
    let (weight, bias) = (net.weights(&[3, 4]), net.weights(&[3]));
    let turned = AttributeProto::int("transB", 1);
    let logits = net.op("Gemm", &[&soft, &weight, &bias], [turned]);
    let mut model = net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]));
    let card = Card {
        name: "small".into(),
        ..Card::default()
    };
    model.set_card(&card).unwrap();
    model
}

/// All seeds, by file name.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let mut seeds = vec![("whole".to_string(), whole().to_bytes())];
    for opset in [7, 9, 10, 11, 13, 17, 25] {
        let mut proto = whole().to_proto();
        proto.opset_import[0].version = opset;
        seeds.push((
            format!("whole-{opset}"),
            prost::Message::encode_to_vec(&proto),
        ));
    }
    for (index, (opset, operator, weights, attributes)) in operators().into_iter().enumerate() {
        let model = single(opset, operator, &weights, &attributes);
        seeds.push((format!("{index:02}-{operator}-{opset}"), model.to_bytes()));
    }
    seeds.extend(rarities());
    seeds
}

/// One node between image and logits. Weights are lists of integers, or random floats of a shape.
fn single(opset: i64, operator: &str, weights: &[Weight], attributes: &[AttributeProto]) -> Model {
    let mut net = Net::new([1, 2, 4, 4], 1).with_opset(opset);
    let mut inputs = vec!["image".to_string()];
    for weight in weights {
        inputs.push(match weight {
            Weight::Absent => String::new(),
            Weight::Image => "image".into(),
            Weight::Floats(dims) => net.positive(dims),
            Weight::Values(values) => net.floats(&[values.len()], values),
            Weight::Ints(values) => net.ints(values),
        });
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let y = net.op(operator, &inputs, attributes);
    let shape = net.ints(&[0, -1]);
    let flat = net.op("Reshape", &[&y, &shape], []);
    let mean = net.op("Sigmoid", &[&flat], []);
    net.finish(&mean, Some(&[Dim::Symbol("n".into()), Dim::Known(32)]))
}

/// Subgraphs, sparse and external tensors, constants, typed fields, an unfinished file.
fn rarities() -> Vec<(String, Vec<u8>)> {
    let with = |edit: &dyn Fn(&mut GraphProto)| {
        let mut proto = single(18, "Relu", &[], &[]).to_proto();
        edit(proto.graph.as_mut().unwrap());
        prost::Message::encode_to_vec(&proto)
    };
    let branch = |graph: &mut GraphProto| {
        graph.node[0].op_type = "If".into();
        graph.node[0].attribute = vec![AttributeProto {
            name: "then_branch".into(),
            r#type: AttributeType::Graph.into(),
            g: Some(GraphProto {
                node: vec![NodeProto {
                    op_type: "Relu".into(),
                    input: vec!["image".into()],
                    output: vec!["inner".into()],
                    ..NodeProto::default()
                }],
                ..GraphProto::default()
            }),
            ..AttributeProto::default()
        }];
    };
    let constant = |graph: &mut GraphProto| {
        let shape = graph.initializer.remove(0);
        let node = NodeProto {
            op_type: "Constant".into(),
            output: vec![shape.name.clone()],
            attribute: vec![AttributeProto::ints("value_ints", [0, -1])],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
    };
    let sparse = |graph: &mut GraphProto| {
        graph.sparse_initializer.push(SparseTensorProto {
            values: Some(TensorProto::floats("sparse", &[1], &[1.0])),
            indices: Some(TensorProto::int64s("", &[1], &[3])),
            dims: vec![4],
        });
    };
    let external = |graph: &mut GraphProto| {
        graph.initializer[0].data_location = Some(1);
        graph.initializer[0].external_data = vec![StringStringEntryProto {
            key: "location".into(),
            value: "weights.bin".into(),
        }];
    };
    let typed = |graph: &mut GraphProto| {
        graph.initializer[0].raw_data = None;
        graph.initializer[0].int64_data = vec![0, -1];
        graph.initializer.push(TensorProto {
            name: "halves".into(),
            dims: vec![2],
            data_type: DataType::Float16.into(),
            int32_data: vec![0x3c00, 0],
            ..TensorProto::default()
        });
    };
    vec![
        ("branch".into(), with(&branch)),
        ("constant".into(), with(&constant)),
        ("sparse".into(), with(&sparse)),
        ("external".into(), with(&external)),
        ("typed".into(), with(&typed)),
        (
            "empty".into(),
            with(&|graph| *graph = GraphProto::default()),
        ),
        ("cut".into(), with(&|_| ())[..100].to_vec()),
    ]
}
