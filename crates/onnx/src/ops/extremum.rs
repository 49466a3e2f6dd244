//! `Max` and `Min`: ONNX operator specification, sections of those names; of any number of tensors, with broadcasting.

use super::{Gradients, Rule, broadcast};
use crate::{emitter::Emitter, node::Node};

pub(super) const MAX: Rule = Rule {
    operator: "Max",
    shape: broadcast::infer,
    gradient: Some(gradient),
};

pub(super) const MIN: Rule = Rule {
    operator: "Min",
    shape: broadcast::infer,
    gradient: Some(gradient),
};

/// dy goes to the input that won. A tie goes to an input that depends on the image (a pixel at the bound of its range still has a
/// gradient), and to the first of several.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    if node.proto.input.len() == 1 {
        return Ok(vec![(0, dy.into())]);
    }
    let wanted = (0..node.proto.input.len()).filter(|&input| node.wants(input));
    let wanted: Vec<usize> = wanted.collect();
    let zero = emit.float(0.0);
    let (mut left, mut gradients) = (dy.to_string(), Vec::new());
    for (count, &input) in (1..).zip(&wanted) {
        let won = emit.node("Equal", &[node.require_input(input)?, node.output()], []);
        let part = emit.node("Where", &[&won, &left, &zero], []);
        if count < wanted.len() {
            left = emit.node("Where", &[&won, &zero, &left], []);
        }
        gradients.push((input, broadcast::reduce_to_input(node, emit, part, input)?));
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

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn one_of_several_tensors_wins(
            operator in prop::sample::select(vec!["Max", "Min"]), picks in prop::collection::vec(0..4usize, 0..4), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let row = net.axes_op("ReduceMean", "image", &[1, 2], true);
            let (row, constant) = (net.op("Sigmoid", &[&row], []), net.positive(&[2, 1, 3]));
            let square = net.op("Mul", &["image", "image"], []);
            let tensors = ["image", &row, &constant, &square];
            let picked: Vec<&str> = picks.iter().map(|&pick| tensors[pick]).chain(["image"]).collect();
            let y = net.op(operator, &picked, []);
            net.check(&y, seed);
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
