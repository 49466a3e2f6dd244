//! `Unsqueeze`: ONNX operator specification, section "Unsqueeze"; axes of size one are inserted.

use super::{Rule, reshape};
use crate::{
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Unsqueeze",
    shape: infer,
    gradient: Some(reshape::gradient),
};

fn infer(node: &Node<'_>) -> Option<Fact> {
    let mut input = node.shape(0)?.iter().cloned();
    let axes = node.integers(1)?;
    let rank = input.len() + axes.len();
    let inserted = shape::axes(&axes, rank)?;
    let shape = (0..rank).map(|axis| {
        if inserted.contains(&axis) {
            Some(Dim::Known(1))
        } else {
            input.next()
        }
    });
    Some(Fact {
        shape: shape.collect::<Option<_>>()?,
        value: node.value(0).map(<[_]>::to_vec),
    })
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(
            axes in prop::sample::select(vec![vec![1], vec![-1], vec![1, 3], vec![-1, 1], vec![5, 2]]), seed: u64,
        ) {
            let mut net = Net::new([3, 1, 2, 2], seed);
            let axes = net.ints(&axes);
            let y = net.op("Unsqueeze", &["image", &axes], []);
            net.check(&y, seed);
        }
    }
}
