//! `Max` and `Min`: ONNX operator specification, sections of those names; of one or two tensors, with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, node::Node};

pub(super) const MAX: Rule = Rule {
    operator: "Max",
    shape: broadcast::infer,
    gradient: Some(|node, emit, dy| gradient(node, emit, dy, ["GreaterOrEqual", "Greater"])),
};

pub(super) const MIN: Rule = Rule {
    operator: "Min",
    shape: broadcast::infer,
    gradient: Some(|node, emit, dy| gradient(node, emit, dy, ["LessOrEqual", "Less"])),
};

/// dy goes to the input that won. A tie goes to the input that depends on the image (a pixel at the bound of its range still has
/// a gradient), and to the first where both do.
fn gradient(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    wins: [&str; 2],
) -> Result<Gradients, String> {
    match node.proto.input.len() {
        1 => return Ok(vec![(0, dy.into())]),
        2 => (),
        count => {
            return Err(format!(
                "it has {count} inputs, and there is a rule for up to two; nest several nodes"
            ));
        }
    }
    let [or_equal, strictly] = wins;
    let mut gradients = Vec::new();
    for (input, other) in [(0, 1), (1, 0)] {
        if node.wants(input) {
            let comparison = if input == 1 && node.wants(0) {
                strictly
            } else {
                or_equal
            };
            let won = emit.node(
                comparison,
                &[node.require_input(input)?, node.require_input(other)?],
                [],
            );
            let zero = emit.float(0.0);
            let part = emit.node("Where", &[&won, dy, &zero], []);
            gradients.push((input, broadcast::reduce_to_input(node, emit, part, input)?));
        }
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::{check, shapes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient((image, constant) in shapes(), seed: u64) {
            check("Max", image, &constant, seed);
            check("Min", image, &constant, seed);
        }
    }

    #[test]
    fn a_tie_of_two_active_inputs_counts_once() {
        for operator in ["Max", "Min"] {
            let mut net = Net::new([3, 2, 2, 2], 1);
            let same = net.op(operator, &["image", "image"], []);
            net.check(&same, 1);
        }
    }
}
