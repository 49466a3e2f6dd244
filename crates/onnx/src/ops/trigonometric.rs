//! `Sin` and `Cos`: ONNX operator specification, sections "Sin" and "Cos".

use super::{Rule, same_shape};

/// dx = dy cos(x).
pub(super) const SIN: Rule = Rule {
    operator: "Sin",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let slope = emit.node("Cos", &[node.require_input(0)?], []);
        Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
    }),
};

/// dx = -dy sin(x).
pub(super) const COS: Rule = Rule {
    operator: "Cos",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let slope = emit.node("Sin", &[node.require_input(0)?], []);
        let product = emit.node("Mul", &[dy, &slope], []);
        Ok(vec![(0, emit.node("Neg", &[&product], []))])
    }),
};

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Sin", &[], 12, seed);
            elementwise::check("Cos", &[], 12, seed);
        }
    }
}
