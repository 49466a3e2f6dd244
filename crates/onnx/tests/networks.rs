//! Whole networks: their gradient graphs against difference quotients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{Dim, GradientInfo, Model, differentiate, proto::AttributeProto};
use proptest::prelude::*;
use reference::{
    net::{Net, Random, check},
    query::Query,
    tensor::Tensor,
};

fn conv(net: &mut Net, input: &str, channels: [usize; 2], stride: i64) -> String {
    let weight = net.weights(&[channels[1], channels[0], 3, 3]);
    let bias = net.weights(&[channels[1]]);
    net.op(
        "Conv",
        &[input, &weight, &bias],
        [
            AttributeProto::ints("strides", [stride, stride]),
            AttributeProto::ints("pads", [1; 4]),
        ],
    )
}

fn linear(net: &mut Net, input: &str, sizes: [usize; 2]) -> String {
    let (weight, bias) = (net.weights(&sizes), net.weights(&sizes[1..]));
    let product = net.op("MatMul", &[input, &weight], []);
    net.op("Add", &[&product, &bias], [])
}

/// The network that is trained on MNIST, in small, with the head of hypersphere embedding.
pub fn hypersphere(seed: u64) -> Model {
    let mut net = Net::new([3, 1, 8, 8], seed);
    let x = net.centred();
    let mut x = conv(&mut net, &x, [1, 2], 1);
    x = net.op("Relu", &[&x], []);
    x = conv(&mut net, &x, [2, 3], 1);
    x = net.op("Relu", &[&x], []);
    let window = [
        AttributeProto::ints("kernel_shape", [2, 2]),
        AttributeProto::ints("strides", [2, 2]),
    ];
    x = net.op("MaxPool", &[&x], window);
    let shape = net.ints(&[-1, 48]);
    x = net.op("Reshape", &[&x, &shape], []);
    x = linear(&mut net, &x, [48, 6]);
    x = net.op("Relu", &[&x], []);
    x = linear(&mut net, &x, [6, 5]);
    let square = net.op("Mul", &[&x, &x], []);
    let sum = net.axes_op("ReduceSum", &square, &[1], true);
    let tiny = net.floats(&[1], &[1e-12]);
    let shifted = net.op("Add", &[&sum, &tiny], []);
    let norm = net.op("Sqrt", &[&shifted], []);
    let feature = net.op("Div", &[&x, &norm], []);
    let classes = net.weights(&[5, 4]);
    let logits = net.op("MatMul", &[&feature, &classes], []);
    net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(4)]))
}

/// Residual blocks, one of them with a stride, batch normalization, and a global mean at the end.
pub fn residual(seed: u64) -> Model {
    let mut net = Net::new([3, 2, 6, 6], seed);
    let mut x = conv(&mut net, "image", [2, 3], 1);
    for (channels, stride) in [([3, 3], 1), ([3, 4], 2)] {
        let [scale, bias, mean] = [0; 3].map(|_| net.weights(&[channels[0]]));
        let variance = net.positive(&[channels[0]]);
        let normal = net.op(
            "BatchNormalization",
            &[&x, &scale, &bias, &mean, &variance],
            [],
        );
        let active = net.op("Relu", &[&normal], []);
        let inner = conv(&mut net, &active, channels, stride);
        let way = if stride == 1 {
            x
        } else {
            let weight = net.weights(&[channels[1], channels[0], 1, 1]);
            let stride = AttributeProto::ints("strides", [stride, stride]);
            net.op("Conv", &[&x, &weight], [stride])
        };
        x = net.op("Add", &[&inner, &way], []);
    }
    x = net.op("Relu", &[&x], []);
    x = net.op("GlobalAveragePool", &[&x], []);
    x = net.op("Flatten", &[&x], []);
    let (weight, bias) = (net.weights(&[5, 4]), net.weights(&[5]));
    let logits = net.op(
        "Gemm",
        &[&x, &weight, &bias],
        [AttributeProto::int("transB", 1)],
    );
    net.finish(&logits, None)
}

proptest! {
    #![proptest_config(reference::cases(4))]

    #[test]
    fn a_network_with_a_hypersphere_head_has_the_gradient_of_difference_quotients(seed: u64) {
        let image = Random::new(seed ^ 1).tensor(&[3, 1, 8, 8], 0.2, 1.2);
        check(&hypersphere(seed), &image, seed);
    }

    #[test]
    fn a_residual_network_has_the_gradient_of_difference_quotients(seed: u64) {
        let image = Random::new(seed ^ 1).tensor(&[3, 2, 6, 6], 0.2, 1.2);
        check(&residual(seed), &image, seed);
    }

    #[test]
    fn rows_do_not_see_each_other(seed: u64) {
        let gradient = differentiate(&residual(seed)).unwrap();
        let mut random = Random::new(seed);
        let image = random.tensor(&[9, 2, 6, 6], 0.2, 1.2);
        let query = Query::random(&gradient, 9, &mut random);
        let together = query.ask(&gradient, &image);
        for row in 0..9 {
            let image = Tensor::new(&[1, 2, 6, 6], image.data[72 * row..72 * row + 72].to_vec());
            let alone = query.row(row).ask(&gradient, &image);
            prop_assert_eq!(alone.loss.data[0], together.loss.data[row]);
            prop_assert_eq!(&alone.gradient.data, &together.gradient.data[72 * row..72 * row + 72]);
        }
    }
}

#[test]
fn a_branch_that_meets_itself_three_times_is_summed() {
    let mut net = Net::new([3, 1, 2, 2], 9);
    let shared = net.op("Sigmoid", &["image"], []);
    let branches = ["Tanh", "Sqrt", "Relu"].map(|operator| net.op(operator, &[&shared], []));
    let sum = net.op("Add", &[&branches[0], &branches[1]], []);
    let product = net.op("Mul", &[&sum, &branches[2]], []);
    net.check(&product, 9);
}

/// The same computation in the forms of operator sets 9, 13 and 18.
fn in_opset(opset: i64) -> Model {
    let mut net = Net::new([3, 2, 3, 3], 11).with_opset(opset);
    let weight = net.weights(&[6, 3]);
    let x = net.centred();
    let old = opset == 9;
    let clipped = if old {
        let bounds = [
            AttributeProto::float("min", -0.3),
            AttributeProto::float("max", 0.4),
        ];
        net.op("Clip", &[&x], bounds)
    } else {
        let (low, high) = (net.floats(&[], &[-0.3]), net.floats(&[], &[0.4]));
        net.op("Clip", &[&x, &low, &high], [])
    };
    let kept = if old {
        net.op(
            "Dropout",
            &[&clipped],
            [AttributeProto::float("ratio", 0.5)],
        )
    } else {
        net.op("Dropout", &[&clipped], [])
    };
    // The old one takes all axes from the second on as one.
    let soft = if old {
        net.op("Softmax", &[&kept], [])
    } else {
        let flat = net.op("Flatten", &[&kept], []);
        let soft = net.op("Softmax", &[&flat], []);
        let shape = net.ints(&[0, 2, 3, 3]);
        net.op("Reshape", &[&soft, &shape], [])
    };
    let sum = net.op("Add", &[&kept, &soft], []);
    let axes = AttributeProto::ints("axes", [2]);
    let mean = if opset < 18 {
        let keep = AttributeProto::int("keepdims", 1);
        net.op("ReduceMean", &[&sum], [axes.clone(), keep])
    } else {
        net.axes_op("ReduceMean", &sum, &[2], true)
    };
    let row = if old {
        net.op("Squeeze", &[&mean], [axes])
    } else {
        let axes = net.ints(&[2]);
        net.op("Squeeze", &[&mean, &axes], [])
    };
    let flat = net.op("Flatten", &[&row], []);
    let logits = net.op("MatMul", &[&flat, &weight], []);
    net.finish(&logits, None)
}

#[test]
fn older_operator_sets_are_brought_up_to_date() {
    let image = Random::new(3).tensor(&[3, 2, 3, 3], 0.2, 1.2);
    check(&in_opset(18), &image, 3);
    let newest = differentiate(&in_opset(18)).unwrap();
    let query = Query::random(&newest, 3, &mut Random::new(4));
    let expected = query.ask(&newest, &image);
    for opset in [9, 13] {
        let gradient = differentiate(&in_opset(opset)).unwrap();
        assert_eq!(gradient.opset(), 18);
        assert_eq!(
            query.ask(&gradient, &image),
            expected,
            "operator set {opset}"
        );
    }
}

#[test]
fn the_metadata_say_where_the_gradient_graph_comes_from() {
    let mut model = residual(1);
    let hash = model.graph_sha256();
    model.set_metadata("anything", "else");
    let gradient = differentiate(&model).unwrap();
    let info = GradientInfo::of(&gradient).unwrap().unwrap();
    assert_eq!(info.graph_sha256, hash);
    assert_eq!(
        (info.version, info.classes, info.image.as_str()),
        (2, 5, "image")
    );
    assert_eq!(
        info.objectives,
        [
            "cross_entropy",
            "margin",
            "dlr",
            "targeted_dlr",
            "kl",
            "feature_distance"
        ]
    );
    assert_eq!(info.logits, model.graph().output[0].name);
    assert_ne!(residual(2).graph_sha256(), hash);
    assert_eq!(GradientInfo::of(&model).unwrap(), None);
}

#[test]
fn names_that_the_gradient_graph_needs_are_freed() {
    let mut proto = hypersphere(1).to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let inner = graph.node[3].output[0].clone();
    for node in &mut graph.node {
        let names = node.input.iter_mut().chain(&mut node.output);
        names
            .filter(|name| **name == inner)
            .for_each(|name| *name = "loss".into());
    }
    graph.initializer.iter_mut().for_each(|tensor| {
        if tensor.name == graph.node[0].input[1] {
            tensor.name = "gradient".into();
        }
    });
    graph.node[0].input[1] = "gradient".into();
    let model = Model::from_proto(proto).unwrap();
    let image = Random::new(3).tensor(&[3, 1, 8, 8], 0.2, 1.2);
    check(&model, &image, 1);
}
