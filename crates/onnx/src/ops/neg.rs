//! `Neg`: ONNX operator specification, section "Neg"; y = -x.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Neg",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = -dy.
fn gradient(_: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    Ok(vec![(0, emit.node("Neg", &[dy], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Neg", &[], 18, seed);
        }
    }
}
