//! `Sigmoid`: ONNX operator specification, section "Sigmoid"; y = 1 / (1 + exp(-x)).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Sigmoid",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy y (1 - y).
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let one = emit.float(1.0);
    let rest = emit.node("Sub", &[&one, node.output()], []);
    let slope = emit.node("Mul", &[node.output(), &rest], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let x = net.centred();
            let y = net.op("Sigmoid", &[&x], []);
            net.check(&y, seed);
        }
    }
}
