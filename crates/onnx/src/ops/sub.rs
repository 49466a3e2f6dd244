//! `Sub`: ONNX operator specification, section "Sub"; y = a - b with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, extent::Extent, follow, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Sub",
    shape: |node| follow::binary(node, Extent::minus),
    gradient: Some(gradient),
};

/// da = dy, db = -dy.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let mut gradients = Vec::new();
    if node.wants(0) {
        gradients.push((0, broadcast::reduce_to_input(node, emit, dy.into(), 0)?));
    }
    if node.wants(1) {
        let sum = broadcast::reduce_to_input(node, emit, dy.into(), 1)?;
        gradients.push((1, emit.node("Neg", &[&sum], [])));
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::{check, shapes};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient((image, constant) in shapes(), seed: u64) {
            check("Sub", image, &constant, seed);
        }
    }
}
