//! `Sqrt`: ONNX operator specification, section "Sqrt".

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Sqrt",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy / (2 y): infinite at zero, as the derivative is.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let two = emit.float(2.0);
    let twice = emit.node("Mul", &[node.output(), &two], []);
    Ok(vec![(0, emit.node("Div", &[dy, &twice], []))])
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let y = net.op("Sqrt", &["image"], []);
            net.check(&y, seed);
        }
    }
}
