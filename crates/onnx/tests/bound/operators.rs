use buckler_onnx::{
    Dim,
    proto::{AttributeProto, TensorProto},
};
use proptest::prelude::*;

use crate::{
    check,
    reference::{self, net::Net},
};

const DIMS: [usize; 4] = [2, 2, 4, 4];

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto::ints(name, values)
}

fn window(kernel: i64, stride: i64, pads: i64) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", &[kernel; 2]),
        ints("strides", &[stride; 2]),
        ints("pads", &[pads; 4]),
    ]
}

type Case = fn(&mut Net, &str) -> String;

/// Operators behind a tensor `[batch, 2, 4, 4]` of both signs.
const CASES: &[(&str, Case)] = &[
    ("Conv", |net, x| {
        let (weight, bias) = (net.weights(&[4, 1, 2, 3]), net.weights(&[4]));
        net.op(
            "Conv",
            &[x, &weight, &bias],
            [
                AttributeProto::int("group", 2),
                ints("strides", &[2, 1]),
                ints("pads", &[1, 0, 0, 2]),
                ints("dilations", &[1, 2]),
            ],
        )
    }),
    ("Gemm", |net, x| {
        let flat = net.op("Flatten", &[x], []);
        let (weight, bias) = (net.weights(&[5, 32]), net.weights(&[5]));
        net.op(
            "Gemm",
            &[&flat, &weight, &bias],
            [
                AttributeProto::int("transB", 1),
                AttributeProto::float("alpha", -0.5),
                AttributeProto::float("beta", 2.0),
            ],
        )
    }),
    ("MatMul", |net, x| {
        let weight = net.weights(&[4, 3]);
        net.op("MatMul", &[x, &weight], [])
    }),
    ("MatMul from the left", |net, x| {
        let weight = net.weights(&[3, 4]);
        net.op("MatMul", &[&weight, x], [])
    }),
    ("BatchNormalization", |net, x| {
        let [scale, bias, mean] = [0; 3].map(|_| net.weights(&[2]));
        let variance = net.positive(&[2]);
        net.op(
            "BatchNormalization",
            &[x, &scale, &bias, &mean, &variance],
            [],
        )
    }),
    ("AveragePool", |net, x| {
        net.op("AveragePool", &[x], window(3, 2, 1))
    }),
    ("GlobalAveragePool", |net, x| {
        net.op("GlobalAveragePool", &[x], [])
    }),
    ("ReduceMean", |net, x| {
        net.axes_op("ReduceMean", x, &[2], false)
    }),
    ("ReduceSum", |net, x| {
        net.axes_op("ReduceSum", x, &[1, 3], true)
    }),
    ("Add", |net, x| {
        let (constant, square) = (net.weights(&[4]), net.op("Tanh", &[x], []));
        let sum = net.op("Add", &[&constant, x], []);
        net.op("Add", &[&sum, &square], [])
    }),
    ("Add, stretched", |net, x| {
        let mean = net.axes_op("ReduceMean", x, &[2, 3], true);
        net.op("Add", &[x, &mean], [])
    }),
    ("Sub", |net, x| {
        let constant = net.weights(&[2, 1, 4]);
        let turned = net.op("Sub", &[&constant, x], []);
        let tanh = net.op("Tanh", &[x], []);
        net.op("Sub", &[&turned, &tanh], [])
    }),
    ("Sum", |net, x| {
        let (constant, tanh) = (net.weights(&[4]), net.op("Tanh", &[x], []));
        net.op("Sum", &[x, &constant, &tanh], [])
    }),
    ("Mul", |net, x| {
        let constant = net.weights(&[2, 1, 1]);
        let product = net.op("Mul", &[&constant, x], []);
        let tanh = net.op("Tanh", &[x], []);
        net.op("Mul", &[&product, &tanh], [])
    }),
    ("Div", |net, x| {
        let constant = net.positive(&[4]);
        let quotient = net.op("Div", &[x, &constant], []);
        let positive = net.op("Exp", &[x], []);
        net.op("Div", &[&quotient, &positive], [])
    }),
    ("Neg", |net, x| net.op("Neg", &[x], [])),
    ("Concat", |net, x| {
        let tanh = net.op("Tanh", &[x], []);
        net.op("Concat", &[x, &tanh], [AttributeProto::int("axis", 1)])
    }),
    ("Pad", |net, x| {
        let (pads, value) = (
            net.ints(&[0, 1, 0, 1, 0, 0, 2, 0]),
            net.floats(&[], &[-0.5]),
        );
        net.op("Pad", &[x, &pads, &value], [])
    }),
    ("Pad, reflected", |net, x| {
        let pads = net.ints(&[0, 0, 1, 1, 0, 0, 2, 0]);
        net.op(
            "Pad",
            &[x, &pads],
            [AttributeProto::string("mode", "reflect")],
        )
    }),
    ("Slice", |net, x| {
        let lists = [[1, -1], [4, -4], [2, 3], [1, -2]].map(|list| net.ints(&list));
        let inputs: Vec<&str> = [x]
            .into_iter()
            .chain(lists.iter().map(String::as_str))
            .collect();
        net.op("Slice", &inputs, [])
    }),
    ("Reshape", |net, x| {
        let shape = net.ints(&[-1, 4, 8]);
        net.op("Reshape", &[x, &shape], [])
    }),
    ("Transpose", |net, x| {
        net.op("Transpose", &[x], [ints("perm", &[0, 3, 1, 2])])
    }),
    ("Squeeze", |net, x| {
        let mean = net.axes_op("ReduceMean", x, &[3], true);
        let axes = net.ints(&[3]);
        let square = net.op("Squeeze", &[&mean, &axes], []);
        let last = net.ints(&[1]);
        net.op("Unsqueeze", &[&square, &last], [])
    }),
    ("Identity", |net, x| {
        let same = net.op("Identity", &[x], []);
        let same = net.op("Dropout", &[&same], []);
        net.op("Cast", &[&same], [AttributeProto::int("to", 1)])
    }),
    ("DepthToSpace", |net, x| {
        let deep = net.op("SpaceToDepth", &[x], [AttributeProto::int("blocksize", 2)]);
        net.op(
            "DepthToSpace",
            &[&deep],
            [AttributeProto::int("blocksize", 2)],
        )
    }),
    ("Relu", |net, x| net.op("Relu", &[x], [])),
    ("LeakyRelu", |net, x| {
        net.op("LeakyRelu", &[x], [AttributeProto::float("alpha", 0.3)])
    }),
    ("LeakyRelu, steep", |net, x| {
        net.op("LeakyRelu", &[x], [AttributeProto::float("alpha", 1.7)])
    }),
    ("Clip at zero", |net, x| {
        let low = net.floats(&[], &[0.0]);
        net.op("Clip", &[x, &low], [])
    }),
    ("Clip", |net, x| {
        let (low, high) = (net.floats(&[], &[-0.2]), net.floats(&[], &[0.4]));
        net.op("Clip", &[x, &low, &high], [])
    }),
    ("Sigmoid", |net, x| net.op("Sigmoid", &[x], [])),
    ("Tanh", |net, x| net.op("Tanh", &[x], [])),
    ("Elu", |net, x| net.op("Elu", &[x], [])),
    ("Softplus", |net, x| net.op("Softplus", &[x], [])),
    ("Exp", |net, x| net.op("Exp", &[x], [])),
    ("Sqrt", |net, x| {
        let positive = net.op("Exp", &[x], []);
        net.op("Sqrt", &[&positive], [])
    }),
    ("HardSigmoid", |net, x| net.op("HardSigmoid", &[x], [])),
    ("MaxPool", |net, x| net.op("MaxPool", &[x], window(2, 2, 0))),
    ("MaxPool, overlapping", |net, x| {
        net.op("MaxPool", &[x], window(3, 1, 0))
    }),
    ("MaxPool, padded", |net, x| {
        net.op("MaxPool", &[x], window(2, 1, 1))
    }),
    ("GlobalMaxPool", |net, x| net.op("GlobalMaxPool", &[x], [])),
    ("ReduceMax", |net, x| {
        net.axes_op("ReduceMax", x, &[1], true)
    }),
    ("Max", |net, x| {
        let (constant, turned) = (net.weights(&[4]), net.op("Neg", &[x], []));
        net.op("Max", &[x, &constant, &turned], [])
    }),
    ("Min", |net, x| {
        let constant = net.weights(&[2, 1, 1]);
        net.op("Min", &[&constant, x], [])
    }),
    ("Pow", |net, x| {
        let two = net.store(TensorProto::int64s("", &[], &[2]));
        net.op("Pow", &[x, &two], [])
    }),
    ("Abs", |net, x| net.op("Abs", &[x], [])),
    ("square", |net, x| net.op("Mul", &[x, x], [])),
    ("ReduceL2", |net, x| net.axes_op("ReduceL2", x, &[1], true)),
    ("ReduceSumSquare", |net, x| {
        net.axes_op("ReduceSumSquare", x, &[3], false)
    }),
    ("LpNormalization", |net, x| {
        let one = net.floats(&[], &[3.0]);
        let away = net.op("Add", &[x, &one], []);
        net.op(
            "LpNormalization",
            &[&away],
            [AttributeProto::int("axis", 1)],
        )
    }),
];

fn network(case: Case, seed: u64) -> buckler_onnx::Model {
    let mut net = Net::new(DIMS, seed);
    let x = net.centred();
    let weight = net.weights(&[2, 2, 1, 1]);
    let x = net.op("Conv", &[&x, &weight], []);
    let y = case(&mut net, &x);
    let y = net.op("Relu", &[&y], []);
    net.classifier(&y)
}

proptest! {
    #![proptest_config(reference::cases(1))]
    #[test]
    fn no_image_of_a_box_is_below_the_bounds_whatever_the_operator(radius in 0.01..0.6f64, seed: u64) {
        for (name, case) in CASES {
            let bounds = std::panic::catch_unwind(|| check(&network(*case, seed), DIMS, radius, seed));
            prop_assert!(bounds.is_ok(), "{name}");
        }
    }

    #[test]
    fn the_box_of_a_single_image_has_the_margins_of_that_image(seed: u64) {
        for (name, case) in CASES {
            let model = network(*case, seed);
            let mut random = reference::net::Random::new(seed);
            let boxes = crate::Boxes::random(DIMS, 0.0, 3, &mut random);
            let expected = boxes.margins_at(&model, &boxes.lower);
            for method in crate::METHODS {
                let found = boxes.margins(&buckler_onnx::bound(&model, method).unwrap());
                let scale = expected.data.iter().fold(1.0f64, |most, value| most.max(value.abs()));
                for (found, expected) in found.data.iter().zip(&expected.data) {
                    prop_assert!((found - expected).abs() <= 2e-3 * scale, "{name} {method:?}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn every_shape_keeps_the_batch_in_front() {
    let mut net = Net::new(DIMS, 3);
    let turned = net.op("Transpose", &["image"], [ints("perm", &[1, 0, 2, 3])]);
    let back = net.op("Transpose", &[&turned], [ints("perm", &[1, 0, 2, 3])]);
    let flat = net.op("Flatten", &[&back], []);
    let model = net.finish(&flat, Some(&[Dim::Symbol("n".into()), Dim::Known(32)]));
    let error = buckler_onnx::bound(&model, buckler_onnx::Bounding::Ibp).unwrap_err();
    assert!(
        error.to_string().contains("first axis is not the batch"),
        "{error}"
    );
}
