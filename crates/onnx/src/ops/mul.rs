//! `Mul`: ONNX operator specification, section "Mul"; y = a b with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, extent::Extent, follow, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Mul",
    shape: |node| follow::binary(node, Extent::times),
    gradient: Some(gradient),
};

/// da = dy b, db = dy a.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let mut gradients = Vec::new();
    for (input, other) in [(0, 1), (1, 0)] {
        if node.wants(input) {
            let product = emit.node("Mul", &[dy, node.require_input(other)?], []);
            gradients.push((
                input,
                broadcast::reduce_to_input(node, emit, product, input)?,
            ));
        }
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::{check, shapes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient((image, constant) in shapes(), seed: u64) {
            check("Mul", image, &constant, seed);
        }
    }

    #[test]
    fn a_tensor_times_itself_counts_twice() {
        let mut net = Net::new([3, 2, 2, 2], 1);
        let square = net.op("Mul", &["image", "image"], []);
        net.check(&square, 1);
    }
}
