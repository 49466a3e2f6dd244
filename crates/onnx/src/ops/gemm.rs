//! `Gemm`: ONNX operator specification, section "Gemm"; y = alpha A' B' + beta C, with A' and B' transposed at will.

use super::{Gradients, Rule, broadcast};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Gemm",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// dA' = alpha dy B'^T, dB' = alpha A'^T dy, dC = beta dy; each written so that no transpose is left over.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (a, b) = (node.require_input(0)?, node.require_input(1)?);
    let (turned_a, turned_b) = (node.flag("transA"), node.flag("transB"));
    let alpha = node.float("alpha").unwrap_or(1.0);
    let mut product = |left: &str, right: &str, turn_left: bool, turn_right: bool| {
        let attributes = [
            AttributeProto::float("alpha", alpha),
            AttributeProto::int("transA", turn_left.into()),
            AttributeProto::int("transB", turn_right.into()),
        ];
        emit.node("Gemm", &[left, right], attributes)
    };
    let mut gradients = Vec::new();
    if node.wants(0) {
        let da = if turned_a {
            product(b, dy, turned_b, true)
        } else {
            product(dy, b, false, !turned_b)
        };
        gradients.push((0, da));
    }
    if node.wants(1) {
        let db = if turned_b {
            product(dy, a, true, turned_a)
        } else {
            product(a, dy, !turned_a, false)
        };
        gradients.push((1, db));
    }
    if node.wants(2) {
        let beta = emit.float(node.float("beta").unwrap_or(1.0));
        let scaled = emit.node("Mul", &[dy, &beta], []);
        gradients.push((2, broadcast::reduce_to_input(node, emit, scaled, 2)?));
    }
    Ok(gradients)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let side = |input, turned: bool, axis: usize| match node.shape(input)? {
        [first, second] => Some(if turned == (axis == 0) {
            second.clone()
        } else {
            first.clone()
        }),
        _ => None,
    };
    Some(vec![
        side(0, node.flag("transA"), 0)?,
        side(1, node.flag("transB"), 1)?,
    ])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    fn attributes(alpha: f32, beta: f32, turned: [bool; 2]) -> Vec<AttributeProto> {
        vec![
            AttributeProto::float("alpha", alpha),
            AttributeProto::float("beta", beta),
            AttributeProto::int("transA", turned[0].into()),
            AttributeProto::int("transB", turned[1].into()),
        ]
    }

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            alpha in 0.3..2.0f32, beta in 0.3..2.0f32, turned: [bool; 2], bias in 0..4usize, seed: u64,
        ) {
            let mut net = Net::new([3, 2, 1, 3], seed);
            let mut x = net.op("Flatten", &["image"], []);
            if turned[0] {
                x = net.op("Transpose", &[&x], []);
            }
            let weight = net.weights(if turned[1] { &[4, 6] } else { &[6, 4] });
            let shapes: [&[usize]; 3] = [&[4], &[1, 4], &[]];
            let bias = shapes.get(bias).map_or_else(String::new, |shape| net.weights(shape));
            let y = net.op("Gemm", &[&x, &weight, &bias], attributes(alpha, beta, turned));
            net.check(&y, seed);
        }

        #[test]
        fn both_factors_and_the_summand_may_depend_on_the_image(
            alpha in 0.3..2.0f32, beta in 0.3..2.0f32, turned: [bool; 2], seed: u64,
        ) {
            // One image: the product of the image with itself mixes images.
            let mut net = Net::new([1, 1, 3, 3], seed);
            let square = net.ints(&[3, 3]);
            let x = net.op("Reshape", &["image", &square], []);
            let z = net.op("Sigmoid", &[&x], []);
            let first = net.ints(&[0]);
            let mean = net.op("ReduceMean", &[&x, &first], []);
            let y = net.op("Gemm", &[&x, &z, &mean], attributes(alpha, beta, turned));
            let row = net.ints(&[1, 9]);
            let y = net.op("Reshape", &[&y, &row], []);
            net.check(&y, seed);
        }
    }
}
