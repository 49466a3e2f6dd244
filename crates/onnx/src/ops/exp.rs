//! `Exp`: ONNX operator specification, section "Exp"; y = exp(x).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Exp",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy y.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    Ok(vec![(0, emit.node("Mul", &[dy, node.output()], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Exp", &[], 18, seed);
        }
    }
}
