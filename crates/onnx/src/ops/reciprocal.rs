//! `Reciprocal`: ONNX operator specification, section "Reciprocal"; y = 1 / x.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Reciprocal",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = -dy y y, from the left: the square of y could overflow.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let product = emit.node("Mul", &[dy, node.output()], []);
    let product = emit.node("Mul", &[&product, node.output()], []);
    Ok(vec![(0, emit.node("Neg", &[&product], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check_positive("Reciprocal", seed);
        }
    }
}
