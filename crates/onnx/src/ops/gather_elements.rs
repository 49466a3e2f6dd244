//! `GatherElements`: ONNX operator specification, section "GatherElements"; along an axis, an index for every element.

use super::{Gradients, Rule, scatter, sizes};
use crate::{emitter::Emitter, node::Node, shape::Fact};

pub(super) const RULE: Rule = Rule {
    operator: "GatherElements",
    shape: |node| Some(Fact::of_shape(node.shape(1)?.to_vec())),
    gradient: Some(gradient),
};

/// Every element of dy is added to the place it was picked from.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    if !node.wants(0) {
        return Ok(vec![]);
    }
    let axis = sizes::axis(node.int("axis").unwrap_or(0), node.require_shape(0)?.len())?;
    let zeros = scatter::zeros_like(emit, node.require_input(0)?);
    let dx = scatter::elements(emit, &zeros, node.require_input(1)?, dy, axis);
    Ok(vec![(0, dx)])
}

#[cfg(test)]
mod tests {
    use crate::{
        proto::{AttributeProto, TensorProto},
        reference::net::Net,
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            axis in 1..4usize, sizes in [1..3usize, 1..4usize, 1..3usize], drawn in prop::collection::vec(-2i64..2, 3 * 2 * 3 * 2), from_end: bool, seed: u64,
        ) {
            // Smaller than the image along the other axes, of any size along its own.
            let mut net = Net::new([3, 2, 3, 2], seed);
            let dims = [3, sizes[0] as i64, sizes[1] as i64, sizes[2] as i64];
            let count = dims.iter().product::<i64>() as usize;
            let indices = net.store(TensorProto::int64s("", &dims, &drawn[..count]));
            let axis = if from_end { axis as i64 - 4 } else { axis as i64 };
            let y = net.op("GatherElements", &["image", &indices], [AttributeProto::int("axis", axis)]);
            net.check(&y, seed);
        }
    }
}
