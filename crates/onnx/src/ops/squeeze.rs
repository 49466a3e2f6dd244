//! `Squeeze`: ONNX operator specification, section "Squeeze"; axes of size one are dropped.

use super::{Rule, reshape};
use crate::{
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Squeeze",
    shape: infer,
    gradient: Some(reshape::gradient),
};

fn infer(node: &Node<'_>) -> Option<Fact> {
    let input = node.shape(0)?;
    let dropped = match node.input(1) {
        Some(_) => shape::axes(&node.integers(1)?, input.len())?,
        // All ones are dropped, and a symbol may be one.
        None if input.iter().all(|dim| dim.known().is_some()) => (0..input.len())
            .filter(|&axis| input.get(axis) == Some(&Dim::Known(1)))
            .collect(),
        None => return None,
    };
    let kept = input
        .iter()
        .enumerate()
        .filter(|(axis, _)| !dropped.contains(axis));
    Some(Fact {
        shape: kept.map(|(_, dim)| dim.clone()).collect(),
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
            axes in prop::sample::select(vec![vec![1], vec![-1], vec![1, 3], vec![-1, 1]]), seed: u64,
        ) {
            let mut net = Net::new([3, 1, 4, 1], seed);
            let axes = net.ints(&axes);
            let y = net.op("Squeeze", &["image", &axes], []);
            net.check(&y, seed);
        }
    }
}
