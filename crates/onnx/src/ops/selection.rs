//! `Where`: ONNX operator specification, section "Where"; a where the condition holds, and b elsewhere, with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, follow, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Where",
    shape: follow::select,
    gradient: Some(gradient),
};

/// da = dy where the condition holds, db = dy elsewhere. The condition is constant almost everywhere.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let condition = node.require_input(0)?;
    let zero = emit.float(0.0);
    let mut gradients = Vec::new();
    for (input, [held, elsewhere]) in [(1, [dy, &zero]), (2, [&zero, dy])] {
        if node.wants(input) {
            let part = emit.node("Where", &[condition, held, elsewhere], []);
            gradients.push((input, broadcast::reduce_to_input(node, emit, part, input)?));
        }
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::shapes;
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            (image, constant) in shapes(), active: [bool; 2], flat: bool, unknown: bool, seed: u64,
        ) {
            let mut net = Net::new([3, image[0], image[1], image[2]], seed);
            let x = if unknown { net.of_unknown_shape("image") } else { "image".into() };
            let mean = net.axes_op("ReduceMean", &x, &[2], true);
            let (bound, other) = (net.floats(&[], &[0.7]), net.weights(&constant));
            // The condition depends on the image as well, on all of it or on its means.
            let seen = if flat { &mean } else { &x };
            let condition = net.op("Greater", &[seen, &bound], []);
            let squared = net.op("Mul", &[&mean, &mean], []);
            let choices = [if active[0] { &x } else { &other }, if active[1] { &squared } else { &other }];
            let y = net.op("Where", &[&condition, choices[0], choices[1]], []);
            // Beside it, so that something is left to compare where no choice depends on the image.
            let y = net.op("Add", &[&y, &x], []);
            net.check(&y, seed);
        }
    }
}
