//! `Pow`: ONNX operator specification, section "Pow"; y = x^p with broadcasting, for a stored p.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Pow",
    shape: broadcast::infer,
    gradient: Some(gradient),
};

/// dx = dy p x^(p-1).
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "exponent")])?;
    let x = node.require_input(0)?;
    let exponent = node
        .stored(1)
        .ok_or("its exponent is computed, and there is a rule for stored exponents alone")?;
    let values = exponent
        .to_f64s()
        .ok_or("the element type of its exponent is none of float, double, int32, int64")?;
    let slope = match values.as_slice() {
        [p] if *p == 0.0 => return Ok(vec![]),
        // Without a division by zero, or a logarithm, at x = 0.
        [p] if *p == 1.0 => None,
        [p] if *p == 2.0 => {
            let two = emit.float(2.0);
            Some(emit.node("Mul", &[x, &two], []))
        }
        _ => {
            let powers: Vec<f32> = values.iter().map(|p| *p as f32).collect();
            let lower: Vec<f32> = values.iter().map(|p| (*p - 1.0) as f32).collect();
            let (factor, lower) = (
                emit.floats(&exponent.dims, &powers),
                emit.floats(&exponent.dims, &lower),
            );
            let power = emit.node("Pow", &[x, &lower], []);
            Some(emit.node("Mul", &[&power, &factor], []))
        }
    };
    let dx = match slope {
        Some(slope) => emit.node("Mul", &[dy, &slope], []),
        None => dy.into(),
    };
    Ok(vec![(0, broadcast::reduce_to_input(node, emit, dx, 0)?)])
}

#[cfg(test)]
mod tests {
    use crate::{proto::TensorProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(p in prop_oneof![Just(0.0f32), Just(1.0), Just(2.0), -2.0..3.0f32], seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let p = net.floats(&[1], &[p]);
            let y = net.op("Pow", &["image", &p], []);
            // Beside it, so that an exponent of zero leaves something to compare.
            let y = net.op("Add", &["image", &y], []);
            net.check(&y, seed);
        }

        #[test]
        fn exponents_may_be_integers_and_stretch_the_base(p in prop::collection::vec(-1i64..4, 3), seed: u64) {
            let mut net = Net::new([3, 2, 2, 1], seed);
            let p = net.store(TensorProto::int64s("", &[3], &p));
            let y = net.op("Pow", &["image", &p], []);
            net.check(&y, seed);
        }
    }
}
