//! `Sum` and `Mean`: ONNX operator specification, sections "Sum" and "Mean"; of any number of tensors, with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, node::Node};

pub(super) const SUM: Rule = Rule {
    operator: "Sum",
    shape: broadcast::infer,
    gradient: Some(gradient),
};

/// As that of the sum, divided by the number of tensors.
pub(super) const MEAN: Rule = Rule {
    operator: "Mean",
    shape: broadcast::infer,
    gradient: Some(|node, emit, dy| {
        let count = emit.float(node.proto.input.len() as f32);
        let share = emit.node("Div", &[dy, &count], []);
        gradient(node, emit, &share)
    }),
};

/// Each input has the gradient dy. One that is there twice is listed twice.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    broadcast::pass_on(node, emit, dy)
}

#[cfg(test)]
mod tests {
    use super::broadcast::tests::{check, shapes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient((image, constant) in shapes(), seed: u64) {
            check("Sum", image, &constant, seed);
            check("Mean", image, &constant, seed);
        }

        #[test]
        fn any_number_of_tensors_is_summed(
            operator in prop::sample::select(vec!["Sum", "Mean"]), picks in prop::collection::vec(0..4usize, 1..5), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let row = net.axes_op("ReduceMean", "image", &[1, 2], true);
            let (row, constant) = (net.op("Sigmoid", &[&row], []), net.weights(&[2, 1, 3]));
            let square = net.op("Mul", &["image", "image"], []);
            let tensors = ["image", &row, &constant, &square];
            let picked: Vec<&str> = picks.iter().map(|&pick| tensors[pick]).chain(["image"]).collect();
            let y = net.op(operator, &picked, []);
            net.check(&y, seed);
            let alone = net.op(operator, &[&y], []);
            net.check(&alone, seed);
        }
    }
}
