//! `Clip`: ONNX operator specification, section "Clip"; y = min(max(x, low), high).

use super::{Gradients, Rule, same_shape};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
};

pub(super) const RULE: Rule = Rule {
    operator: "Clip",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy where y = x. The bounds count as inside: a saturated pixel still has a gradient. A mask is
/// several times cheaper than a selection.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "lower bound"), (2, "upper bound")])?;
    let x = node.require_input(0)?;
    let inside = emit.node("Equal", &[x, node.output()], []);
    let float = AttributeProto::int("to", DataType::Float as i64);
    let mask = emit.node("Cast", &[&inside], [float]);
    Ok(vec![(0, emit.node("Mul", &[dy, &mask], []))])
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(low: bool, high: bool, seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let low = if low { net.floats(&[], &[0.5]) } else { String::new() };
            let high = if high { net.floats(&[], &[0.9]) } else { String::new() };
            let y = net.op("Clip", &["image", &low, &high], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn a_saturated_pixel_still_has_a_gradient() {
        let mut net = Net::new([1, 1, 1, 2], 3);
        let (low, high) = (net.floats(&[], &[0.0]), net.floats(&[], &[1.0]));
        let y = net.op("Clip", &["image", &low, &high], []);
        let gradient = net.gradient_at(&y, &[0.0, 1.0], &[1.0, -2.0, 0.5]);
        assert!(gradient.iter().all(|g| *g != 0.0), "{gradient:?}");
    }
}
