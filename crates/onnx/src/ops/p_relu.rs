//! `PRelu`: ONNX operator specification, section "PRelu"; y = x where x >= 0, and s x elsewhere, with a slope s that is stretched to
//! x.

use super::{Gradients, Rule, broadcast, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "PRelu",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy + dy (s - 1) where x < 0, ds = dy min(x, 0).
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (x, slope) = (node.require_input(0)?, node.require_input(1)?);
    let mut gradients = Vec::new();
    if node.wants(0) {
        let steep = [
            AttributeProto::float("alpha", -1e30),
            AttributeProto::float("beta", 0.0),
        ];
        let negative = emit.node("HardSigmoid", &[x], steep);
        let one = emit.float(1.0);
        let excess = emit.node("Sub", &[slope, &one], []);
        let excess = emit.node("Mul", &[&negative, &excess], []);
        let part = emit.node("Mul", &[dy, &excess], []);
        gradients.push((0, emit.node("Add", &[dy, &part], [])));
    }
    if node.wants(1) {
        let zero = emit.float(0.0);
        let negative = emit.node("Min", &[x, &zero], []);
        let product = emit.node("Mul", &[dy, &negative], []);
        gradients.push((1, broadcast::reduce_to_input(node, emit, product, 1)?));
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(
            slope in prop::sample::select(vec![vec![], vec![1], vec![3], vec![2, 1, 1], vec![1, 2, 2, 3]]), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let (x, slope) = (net.centred(), net.weights(&slope));
            let y = net.op("PRelu", &[&x, &slope], []);
            net.check(&y, seed);
        }

        #[test]
        fn the_slope_may_depend_on_the_image(alone: bool, unknown: bool, seed: u64) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let mut x = if alone { net.weights(&[3, 2, 2, 3]) } else { net.centred() };
            if unknown {
                x = net.of_unknown_shape(&x);
            }
            let mean = net.axes_op("ReduceMean", "image", &[2, 3], true);
            let slope = net.op("Sigmoid", &[&mean], []);
            let y = net.op("PRelu", &[&x, &slope], []);
            net.check(&y, seed);
        }
    }
}
