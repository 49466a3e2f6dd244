//! `Add`: ONNX operator specification, section "Add"; y = a + b with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, extent::Extent, follow, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Add",
    shape: |node| follow::binary(node, Extent::plus),
    gradient: Some(gradient),
};

/// da = dy, db = dy.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    broadcast::pass_on(node, emit, dy)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::{check, shapes};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient((image, constant) in shapes(), seed: u64) {
            check("Add", image, &constant, seed);
        }
    }
}
