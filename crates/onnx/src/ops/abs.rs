//! `Abs`: ONNX operator specification, section "Abs"; y = |x|.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Abs",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy sign(x): zero at zero.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let sign = emit.node("Sign", &[node.require_input(0)?], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &sign], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Abs", &[], 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Abs", &[], [-1.0, 1.0]);
    }
}
