//! `GlobalMaxPool`: ONNX operator specification, section "GlobalMaxPool"; the largest cell of each channel.

use super::{Gradients, Rule, global_average_pool, scatter};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "GlobalMaxPool",
    shape: global_average_pool::infer,
    gradient: Some(gradient),
};

/// dy goes to the cell that the maximum came from; of equal ones to the first, as with `MaxPool`.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let x = node.require_input(0)?;
    let list = emit.ints(&[0, 0, -1]);
    let cells = emit.node("Reshape", &[x, &list], []);
    let place = emit.node("ArgMax", &[&cells], [AttributeProto::int("axis", 2)]);
    let dy = emit.node("Reshape", &[dy, &list], []);
    let zeros = scatter::zeros_like(emit, &cells);
    let dx = scatter::elements(emit, &zeros, &place, &dy, 2);
    Ok(vec![(
        0,
        emit.reshape(
            &dx,
            node.shape(0).and_then(|shape| shape.get(..2)),
            x,
            node.shape(0),
        ),
    )])
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(height in 1..5usize, width in 1..5usize, seed: u64) {
            let mut net = Net::new([3, 3, height, width], seed);
            let y = net.op("GlobalMaxPool", &["image"], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn of_equal_maxima_the_first_counts() {
        let mut net = Net::new([1, 1, 2, 2], 4);
        let y = net.op("GlobalMaxPool", &["image"], []);
        let gradient = net.gradient_at(&y, &[0.2, 0.5, 0.5, 0.1], &[1.0, -2.0, 0.5]);
        let counts: Vec<bool> = gradient.iter().map(|g| *g != 0.0).collect();
        assert_eq!(counts, [false, true, false, false]);
    }
}
