//! `Expand`: ONNX operator specification, section "Expand"; a tensor broadcast against a shape.

use super::{Gradients, Rule, broadcast};
use crate::{
    emitter::Emitter,
    follow,
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Expand",
    shape: infer,
    gradient: Some(gradient),
};

/// dx is the sum of dy over the axes along which x was stretched.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let dx = broadcast::reduce_to_input(node, emit, dy.into(), 0)?;
    Ok(vec![(0, dx)])
}

fn infer(node: &Node<'_>) -> Option<Fact> {
    let input = node.shape(0)?;
    let target = node.value(1)?.iter().enumerate();
    let target: Vec<Dim> = target
        .map(|(axis, extent)| extent.dim(node.output(), axis))
        .collect::<Option<_>>()?;
    let shape = if input.is_empty() && target.is_empty() {
        vec![]
    } else {
        shape::broadcast(node.output(), &[input, &target])?
    };
    let value = || follow::stretch(node.value(0)?, input, &shape);
    let value = value();
    Some(Fact { shape, value })
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            image in [1..3usize, 1..3usize, 1..3usize], target in prop::collection::vec(prop_oneof![Just(1i64), 2..4i64], 0..4), seed: u64,
        ) {
            let mut net = Net::new([3, image[0], image[1], image[2]], seed);
            // Sizes fit where one of both is one.
            let skip = 3 - target.len();
            let target: Vec<i64> = target.iter().zip(&image[skip..]).map(|(&size, &own)| if own > 1 && size > 1 { own as i64 } else { size }).collect();
            let target = net.ints(&target);
            let y = net.op("Expand", &["image", &target], []);
            let bent = net.op("Mul", &[&y, &y], []);
            let weights = net.weights(&[1]);
            let y = net.op("Add", &[&bent, &weights], []);
            net.check(&y, seed);
        }

        #[test]
        fn axes_may_be_added_in_front_of_the_batch(seed: u64) {
            let mut net = Net::new([3, 2, 1, 2], seed);
            let shape = net.op("Shape", &["image"], []);
            let four = net.ints(&[4]);
            let shape = net.op("Concat", &[&four, &shape], [crate::proto::AttributeProto::int("axis", 0)]);
            let many = net.op("Expand", &["image", &shape], []);
            let weights = net.weights(&[4, 1, 2, 1, 2]);
            let weighted = net.op("Mul", &[&many, &weights], []);
            let y = net.axes_op("ReduceSum", &weighted, &[0], false);
            net.check(&y, seed);
        }
    }
}
