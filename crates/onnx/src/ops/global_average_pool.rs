//! `GlobalAveragePool`: ONNX operator specification, section "GlobalAveragePool"; the mean over all spatial axes.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    node::Node,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "GlobalAveragePool",
    shape: infer,
    gradient: Some(gradient),
};

/// dx = dy / n at each of the n cells.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let spatial = node.shape(0).and_then(|shape| shape.get(2..));
    Ok(vec![(
        0,
        super::reduce::spread_mean(node, emit, dy, spatial)?,
    )])
}

/// One cell is left of each channel.
pub(super) fn infer(node: &Node<'_>) -> Option<Fact> {
    let mut shape = node.shape(0)?.to_vec();
    let spatial = shape.iter_mut().skip(2);
    spatial.for_each(|dim| *dim = Dim::Known(1));
    Some(Fact::of_shape(shape))
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(
            height in 1..5usize, width in 1..5usize, unknown: bool, seed: u64,
        ) {
            let mut net = Net::new([3, 3, height, width], seed);
            let x = if unknown { net.of_unknown_shape("image") } else { "image".into() };
            let y = net.op("GlobalAveragePool", &[&x], []);
            net.check(&y, seed);
        }
    }
}
