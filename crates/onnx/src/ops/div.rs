//! `Div`: ONNX operator specification, section "Div"; y = a / b with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Div",
    shape: |node| crate::follow::binary(node, crate::extent::Extent::over),
    gradient: Some(gradient),
};

/// da = dy / b, db = -dy y / b.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let mut gradients = Vec::new();
    let divisor = node.require_input(1)?;
    let quotient = emit.node("Div", &[dy, divisor], []);
    if node.wants(1) {
        let product = emit.node("Mul", &[&quotient, node.output()], []);
        let sum = broadcast::reduce_to_input(node, emit, product, 1)?;
        gradients.push((1, emit.node("Neg", &[&sum], [])));
    }
    if node.wants(0) {
        gradients.push((0, broadcast::reduce_to_input(node, emit, quotient, 0)?));
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
            check("Div", image, &constant, seed);
        }
    }
}
