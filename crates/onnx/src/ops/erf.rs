//! `Erf`: ONNX operator specification, section "Erf"; y = 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Erf",
    shape: same_shape,
    gradient: Some(gradient),
};

/// ln(2 / sqrt(pi)).
const LOG_PEAK: f32 = 0.120_782_24;

/// dx = dy 2 / sqrt(pi) exp(-x^2), with the factor inside the exponential.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let x = node.require_input(0)?;
    let square = emit.node("Mul", &[x, x], []);
    let peak = emit.float(LOG_PEAK);
    let exponent = emit.node("Sub", &[&peak, &square], []);
    let slope = emit.node("Exp", &[&exponent], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Erf", &[], 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Erf", &[], [0.0, 0.0]);
    }
}
