//! `LpNormalization`: ONNX operator specification, section "LpNormalization"; y = x / n along an axis, with n = |x|_1 or |x|_2, and
//! zero where n is.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "LpNormalization",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = (dy - d sum(dy y)) / n with the direction d of steepest growth of n: sign(x) for p = 1, y for p = 2. Zero where n is zero.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (x, y) = (node.require_input(0)?, node.output());
    let (norm, direction) = match node.int("p").unwrap_or(2) {
        1 => ("ReduceL1", emit.node("Sign", &[x], [])),
        2 => ("ReduceL2", y.into()),
        p => {
            return Err(format!(
                "its p is {p}, which the operator defines for 1 and 2 alone"
            ));
        }
    };
    let axis = emit.ints(&[node.int("axis").unwrap_or(-1)]);
    let keep = || AttributeProto::int("keepdims", 1);
    let norm = emit.node(norm, &[x, &axis], [keep()]);
    // Smaller ones have no reciprocal.
    let (smallest, zero) = (emit.float(f32::MIN_POSITIVE), emit.float(0.0));
    let positive = emit.node("GreaterOrEqual", &[&norm, &smallest], []);
    let factor = emit.node("Reciprocal", &[&norm], []);
    let factor = emit.node("Where", &[&positive, &factor, &zero], []);

    let product = emit.node("Mul", &[dy, y], []);
    let along = emit.node("ReduceSum", &[&product, &axis], [keep()]);
    let along = emit.node("Mul", &[&direction, &along], []);
    let across = emit.node("Sub", &[dy, &along], []);
    Ok(vec![(0, emit.node("Mul", &[&across, &factor], []))])
}

#[cfg(test)]
mod tests {
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    fn power(p: i64) -> AttributeProto {
        AttributeProto::int("p", p)
    }

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(
            axis in prop::option::of(prop::sample::select(vec![-3i64, -1, 1, 2])), p in prop::option::of(1..3i64), unknown: bool,
            seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 4], seed).with_opset(12);
            let mut x = net.centred();
            if unknown {
                x = net.of_unknown_shape(&x);
            }
            let mut attributes: Vec<_> = p.map(power).into_iter().collect();
            attributes.extend(axis.map(|axis| AttributeProto::int("axis", axis)));
            let y = net.op("LpNormalization", &[&x], attributes);
            net.check(&y, seed);
        }
    }

    #[test]
    fn the_gradient_at_zero_is_zero() {
        for p in [1, 2] {
            let mut net = Net::new([1, 2, 1, 2], 3);
            let y = net.op("LpNormalization", &["image"], [power(p)]);
            let gradient = net.gradient_at(&y, &[0.0, 0.0, 0.3, 0.7], &[1.0, -2.0, 0.5]);
            assert_eq!(gradient[..2], [0.0; 2]);
            assert!(gradient[2] != 0.0 && gradient[3] != 0.0, "{gradient:?}");
        }
    }

    #[test]
    fn other_powers_are_refused() {
        let mut net = Net::new([1, 2, 1, 2], 3);
        let y = net.op("LpNormalization", &["image"], [power(3)]);
        let logits = net.op("Flatten", &[&y], []);
        let obstacles = check(&net.finish(&logits, None)).unwrap_err();
        assert!(obstacles[0].reason.contains("p is 3"), "{obstacles:?}");
    }
}
