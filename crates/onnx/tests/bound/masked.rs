//! Classes whose logits a mask puts at minus infinity.
use buckler_onnx::{Dim, Model, bound};

use crate::{
    Boxes, METHODS, linear,
    reference::net::{Net, Random},
};

const DIMS: [usize; 4] = [3, 1, 2, 4];

/// Two layers, behind which some of four classes are masked.
fn model(mask: Option<[f32; 4]>) -> Model {
    let mut net = Net::new(DIMS, 5);
    let x = net.op("Flatten", &["image"], []);
    let x = linear(&mut net, &x, [8, 6]);
    let x = net.op("Relu", &[&x], []);
    let mut logits = linear(&mut net, &x, [6, 4]);
    if let Some(mask) = mask {
        let mask = net.floats(&[4], &mask);
        logits = net.op("Add", &[&logits, &mask], []);
    }
    net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(4)]))
}

#[test]
fn a_class_that_is_never_chosen_stands_in_the_way_of_no_proof() {
    let masked = model(Some([0.0, 0.0, f32::NEG_INFINITY, 0.0]));
    let mut boxes = Boxes::random(DIMS, 0.05, 4, &mut Random::new(3));
    boxes.labels = vec![0, 1, 3];
    for method in METHODS {
        let plain = boxes.margins(&bound(&model(None), method).unwrap());
        let found = boxes.margins(&bound(&masked, method).unwrap());
        for row in 0..boxes.labels.len() {
            for class in [0, 1, 3] {
                let (found, plain) = (found.at(&[row, class]), plain.at(&[row, class]));
                assert!((found - plain).abs() < 1e-4, "{method:?}: {found} {plain}");
            }
            let never = found.at(&[row, 2]);
            assert!(never > 1e20, "{method:?}: {never}");
        }
    }
}

#[test]
fn a_label_that_is_never_chosen_is_not_proven() {
    let masked = model(Some([0.0, 0.0, f32::NEG_INFINITY, 0.0]));
    let mut boxes = Boxes::random(DIMS, 0.05, 4, &mut Random::new(3));
    boxes.labels = vec![2; 3];
    for method in METHODS {
        let found = boxes.margins(&bound(&masked, method).unwrap());
        for row in 0..boxes.labels.len() {
            for class in [0, 1, 3] {
                let margin = found.at(&[row, class]);
                assert!(margin < 0.0, "{method:?}: {margin}");
            }
        }
    }
}
