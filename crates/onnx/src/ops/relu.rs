//! `Relu`: ONNX operator specification, section "Relu"; y = max(x, 0).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "Relu",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy where y > 0. A steep hard sigmoid of the output is the cheapest such mask, and leaves the runtime its fusion of
/// convolution and activation.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let steep = [
        AttributeProto::float("alpha", 1e30),
        AttributeProto::float("beta", 0.0),
    ];
    let mask = emit.node("HardSigmoid", &[node.output()], steep);
    Ok(vec![(0, emit.node("Mul", &[dy, &mask], []))])
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let x = net.centred();
            let y = net.op("Relu", &[&x], []);
            net.check(&y, seed);
        }
    }
}
