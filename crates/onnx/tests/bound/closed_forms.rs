use buckler_onnx::{Bounding, Dim, Model, bound, proto::AttributeProto};
use proptest::prelude::*;

use crate::{
    Boxes, METHODS, check, linear,
    reference::{
        self,
        net::{Net, Random},
        tensor::Tensor,
    },
};

const DIMS: [usize; 4] = [3, 1, 2, 4];

fn classes(size: u64) -> [Dim; 2] {
    [Dim::Symbol("n".into()), Dim::Known(size)]
}

/// Two layers with a rectifier between them.
fn two_layers(seed: u64) -> Model {
    let mut net = Net::new(DIMS, seed);
    let x = net.op("Flatten", &["image"], []);
    let x = linear(&mut net, &x, [8, 6]);
    let x = net.op("Relu", &[&x], []);
    let logits = linear(&mut net, &x, [6, 4]);
    net.finish(&logits, Some(&classes(4)))
}

/// Convolutions with residual blocks, and a max pool.
fn residual(seed: u64) -> Model {
    let mut net = Net::new([1, 2, 4, 4], seed);
    let mut x = "image".to_string();
    for channels in [[2, 3], [3, 3]] {
        let weight = net.weights(&[channels[1], channels[0], 3, 3]);
        let bias = net.weights(&[channels[1]]);
        let pads = [AttributeProto::ints("pads", [1; 4])];
        let inner = net.op("Conv", &[&x, &weight, &bias], pads);
        let inner = net.op("Relu", &[&inner], []);
        x = if channels[0] == channels[1] {
            net.op("Add", &[&x, &inner], [])
        } else {
            inner
        };
    }
    let window = [
        AttributeProto::ints("kernel_shape", [2, 2]),
        AttributeProto::ints("strides", [2, 2]),
    ];
    x = net.op("MaxPool", &[&x], window);
    x = net.op("GlobalAveragePool", &[&x], []);
    x = net.op("Flatten", &[&x], []);
    let logits = linear(&mut net, &x, [3, 4]);
    net.finish(&logits, Some(&classes(4)))
}

proptest! {
    #![proptest_config(reference::cases(8))]
    #[test]
    fn a_linear_classifier_has_its_exact_margins(radius in 0.01..0.5f64, seed: u64) {
        let mut net = Net::new(DIMS, seed);
        let flat = net.op("Flatten", &["image"], []);
        let (weight, bias) = (net.weights(&[8, 4]), net.weights(&[4]));
        let logits = net.op("Gemm", &[&flat, &weight, &bias], []);
        let model = net.finish(&logits, Some(&classes(4)));
        let weight = Tensor::stored(&model.graph().initializer[0]);
        let boxes = Boxes::random(DIMS, radius, 4, &mut Random::new(seed));
        let expected = boxes.margins_at(&model, &boxes.at(|_| 0.5));
        for method in METHODS {
            let found = boxes.margins(&bound(&model, method).unwrap());
            for (row, &label) in boxes.labels.iter().enumerate() {
                for class in 0..4 {
                    // The margin at the centre, less the radius times the length of the slope.
                    let spread: f64 = (0..8).map(|pixel| {
                        let slope = weight.at(&[pixel, label]) - weight.at(&[pixel, class]);
                        let at = row * 8 + pixel;
                        slope.abs() * (boxes.upper.data[at] - boxes.lower.data[at]) / 2.0
                    }).sum();
                    let expected = expected.at(&[row, class]) - spread;
                    let found = found.at(&[row, class]);
                    prop_assert!((found - expected).abs() < 1e-3, "{method:?}: {found} {expected}");
                }
            }
        }
    }

    /// For two layers, bounds by lines through the whole interval are the closed form of Zhang et al. 2018, corollary 3.3: the only
    /// rectifier is behind the first layer, whose intervals are exact.
    #[test]
    fn lines_of_two_layers_are_the_same_from_exact_intervals(radius in 0.05..0.5f64, seed: u64) {
        let [_, lines, own] = check(&two_layers(seed), DIMS, radius, seed);
        for (a, b) in lines.data.iter().zip(&own.data) {
            prop_assert!((a - b).abs() <= 1e-6, "{a} {b}");
        }
    }
}

proptest! {
    #![proptest_config(reference::cases(2))]
    #[test]
    fn a_residual_network_with_a_pool_is_bounded(radius in 0.001..0.03f64, seed: u64) {
        check(&residual(seed), [1, 2, 4, 4], radius, seed);
    }
}

/// Not for all weights: where no rectifier is open anywhere in a box, there is nothing to gain.
#[test]
fn lines_are_tighter_than_intervals() {
    for seed in 0..4 {
        let sum = |tensor: &Tensor| tensor.data.iter().sum::<f64>();
        let [intervals, lines, own] = check(&two_layers(seed), DIMS, 0.2, seed);
        assert!(
            sum(&intervals) < sum(&own) && sum(&intervals) < sum(&lines),
            "{seed}"
        );
        let [intervals, lines, own] = check(&residual(seed), [1, 2, 4, 4], 0.02, seed);
        assert!(
            sum(&intervals) < sum(&own) && sum(&lines) < sum(&own),
            "{seed}"
        );
    }
}

#[test]
fn numbers_that_overflow_certify_nothing() {
    let mut net = Net::new(DIMS, 1);
    let flat = net.op("Flatten", &["image"], []);
    let large = net.floats(&[], &[1e30]);
    let mut x = flat;
    for _ in 0..12 {
        x = net.op("Mul", &[&x, &large], []);
    }
    let x = net.op("Relu", &[&x], []);
    let logits = linear(&mut net, &x, [8, 3]);
    let model = net.finish(&logits, Some(&classes(3)));
    let boxes = Boxes::random(DIMS, 0.1, 3, &mut Random::new(2));
    for method in METHODS {
        let found = boxes.margins(&bound(&model, method).unwrap());
        for (row, &label) in boxes.labels.iter().enumerate() {
            for class in (0..3).filter(|class| *class != label) {
                assert_eq!(found.at(&[row, class]), f64::NEG_INFINITY);
            }
        }
    }
}

#[test]
fn a_divisor_that_may_be_zero_certifies_nothing() {
    let mut net = Net::new(DIMS, 1);
    let middle = net.floats(&[], &[0.7]);
    let around_zero = net.op("Sub", &["image", &middle], []);
    let quotient = net.op("Div", &["image", &around_zero], []);
    let x = net.op("Relu", &[&quotient], []);
    let flat = net.op("Flatten", &[&x], []);
    let logits = linear(&mut net, &flat, [8, 2]);
    let model = net.finish(&logits, Some(&classes(2)));
    let whole = Boxes {
        lower: Tensor::filled(&DIMS, 0.0),
        upper: Tensor::filled(&DIMS, 1.0),
        labels: vec![0; 3],
    };
    let found = whole.margins(&bound(&model, Bounding::CrownIbp).unwrap());
    assert_eq!(found.data, [0.0, f64::NEG_INFINITY].repeat(3));
}
