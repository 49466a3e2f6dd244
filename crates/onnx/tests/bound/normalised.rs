use buckler_onnx::{BoundInfo, Bounding, Dim, Model, bound, proto::AttributeProto};
use proptest::prelude::*;

use crate::{
    Boxes, METHODS, linear,
    reference::{
        self,
        net::{Net, Random},
        run,
    },
};

const DIMS: [usize; 4] = [4, 1, 2, 4];
const FORMS: [&str; 5] = ["sqrt", "l2", "clip", "expand", "LpNormalization"];

/// A network that normalises its features in one of the ways of exporters; `last` makes logits from them.
fn network(form: &str, seed: u64, last: impl Fn(&mut Net, &str) -> String) -> Model {
    let mut net = Net::new(DIMS, seed);
    let x = net.op("Flatten", &["image"], []);
    let x = linear(&mut net, &x, [8, 6]);
    let x = net.op("Tanh", &[&x], []);
    let tiny = net.floats(&[1], &[1e-12]);
    let normal = match form {
        "LpNormalization" => net.op(form, &[&x], [AttributeProto::int("axis", 1)]),
        "sqrt" => {
            let square = net.op("Mul", &[&x, &x], []);
            let sum = net.axes_op("ReduceSum", &square, &[1], true);
            let shifted = net.op("Add", &[&sum, &tiny], []);
            let norm = net.op("Sqrt", &[&shifted], []);
            net.op("Div", &[&x, &norm], [])
        }
        _ => {
            let mut norm = net.axes_op("ReduceL2", &x, &[-1], true);
            if form != "l2" {
                let tiny = net.floats(&[], &[1e-12]);
                norm = net.op("Clip", &[&norm, &tiny], []);
            }
            if form == "expand" {
                let shape = net.op("Shape", &[&x], []);
                norm = net.op("Expand", &[&norm, &shape], []);
            }
            net.op("Div", &[&x, &norm], [])
        }
    };
    let logits = last(&mut net, &normal);
    net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]))
}

fn scaled(net: &mut Net, x: &str) -> String {
    let (weight, scale) = (net.weights(&[6, 3]), net.floats(&[], &[10.0]));
    let cosine = net.op("MatMul", &[x, &weight], []);
    net.op("Mul", &[&cosine, &scale], [])
}

fn unnormalised(model: &Model) -> bool {
    let graph = bound(model, Bounding::Ibp).unwrap();
    BoundInfo::of(&graph).unwrap().unwrap().unnormalised
}

proptest! {
    #![proptest_config(reference::cases(4))]
    #[test]
    fn without_the_division_margins_are_those_of_features_as_they_are(seed: u64) {
        for form in FORMS {
            let model = network(form, seed, scaled);
            let boxes = Boxes::random(DIMS, 0.0, 3, &mut Random::new(seed));
            let tensors = run(model.graph(), &[("image", boxes.lower.clone())]);
            let tanh = model.graph().node.iter().find(|node| node.op_type == "Tanh").unwrap();
            let features = &tensors[&tanh.output[0]];
            let expected = boxes.margins_at(&model, &boxes.lower);
            for method in METHODS {
                let graph = bound(&model, method).unwrap();
                prop_assert!(BoundInfo::of(&graph).unwrap().unwrap().unnormalised, "{form}");
                let found = boxes.margins(&graph);
                for row in 0..4 {
                    let length = (0..6).map(|i| features.at(&[row, i]).powi(2)).sum::<f64>().sqrt();
                    for class in 0..3 {
                        let (found, expected) = (found.at(&[row, class]), length * expected.at(&[row, class]));
                        prop_assert!((found - expected).abs() < 1e-2 * (1.0 + expected.abs()), "{form}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_certified_without_the_division_holds_with_it(radius in 0.001..0.2f64, seed: u64) {
        for form in FORMS {
            let model = network(form, seed, scaled);
            let mut random = Random::new(seed);
            let mut boxes = Boxes::random(DIMS, radius, 3, &mut random);
            let centre = boxes.margins_at(&model, &boxes.at(|_| 0.5));
            // Of the class that wins at the centre, so that there is something to certify.
            for (row, label) in boxes.labels.iter_mut().enumerate() {
                let lowest = |a: &usize, b: &usize| centre.at(&[row, *a]).total_cmp(&centre.at(&[row, *b]));
                *label = (0..3).min_by(lowest).unwrap();
            }
            let samples = boxes.samples(&model, &mut random);
            for method in METHODS {
                let bounds = boxes.margins(&bound(&model, method).unwrap());
                for sample in &samples {
                    let margins = boxes.margins_at(&model, sample);
                    for (bound, margin) in bounds.data.iter().zip(&margins.data) {
                        prop_assert!(*bound <= 0.0 || *margin > 0.0, "{form}: {bound} {margin}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_division_that_is_no_mere_scale_stays() {
    let biased = |net: &mut Net, x: &str| linear(net, x, [6, 3]);
    for form in FORMS {
        assert!(unnormalised(&network(form, 3, scaled)), "{form}");
        assert!(!unnormalised(&network(form, 3, biased)), "{form}");
    }
    // A second way around the division.
    let around = |net: &mut Net, x: &str| {
        let logits = scaled(net, x);
        let flat = net.op("Flatten", &["image"], []);
        let direct = linear(net, &flat, [8, 3]);
        net.op("Add", &[&logits, &direct], [])
    };
    assert!(!unnormalised(&network("sqrt", 3, around)));
}
