//! How the rules of operators on single elements of one tensor are judged.

use crate::{proto::AttributeProto, reference::net::Net};

/// By difference quotients, at elements between -4 and 4.
pub(super) fn check(operator: &str, attributes: &[AttributeProto], opset: i64, seed: u64) {
    let mut net = Net::new([3, 2, 3, 3], seed).with_opset(opset);
    let (x, scale) = (net.centred(), net.floats(&[], &[8.0]));
    let x = net.op("Mul", &[&x, &scale], []);
    let y = net.op(operator, &[&x], attributes);
    net.check(&y, seed);
}

/// By difference quotients, at elements between 0.2 and 1.2.
pub(super) fn check_positive(operator: &str, seed: u64) {
    let mut net = Net::new([3, 2, 3, 3], seed);
    let y = net.op(operator, &["image"], []);
    net.check(&y, seed);
}

/// By the slopes far below and far above zero, where powers and exponentials overflow.
pub(super) fn check_far(operator: &str, attributes: &[AttributeProto], slopes: [f64; 2]) {
    let image = [-1e200, -1e30, -1e3, 1e3, 1e30, 1e200];
    let gradient = |operator: &str, attributes: &[AttributeProto]| {
        let mut net = Net::new([1, 1, 1, 6], 3);
        let y = net.op(operator, &["image"], attributes);
        net.gradient_at(&y, &image, &[1.0, -2.0, 0.5])
    };
    let (found, dy) = (gradient(operator, attributes), gradient("Identity", &[]));
    for ((x, found), dy) in image.iter().zip(found).zip(dy) {
        let slope = slopes[usize::from(*x > 0.0)];
        assert!(
            (found / dy - slope).abs() < 1e-6,
            "{operator} at {x}: {}, expected {slope}",
            found / dy
        );
    }
}
