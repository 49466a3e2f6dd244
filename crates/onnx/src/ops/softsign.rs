//! `Softsign`: ONNX operator specification, section "Softsign"; y = x / (1 + |x|).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Softsign",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy / (1 + |x|)^2, divided twice: the square could overflow, and 1 - |y| has lost its digits where x is large.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let size = emit.node("Abs", &[node.require_input(0)?], []);
    let one = emit.float(1.0);
    let divisor = emit.node("Add", &[&size, &one], []);
    let once = emit.node("Div", &[dy, &divisor], []);
    Ok(vec![(0, emit.node("Div", &[&once, &divisor], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Softsign", &[], 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Softsign", &[], [0.0, 0.0]);
    }
}
