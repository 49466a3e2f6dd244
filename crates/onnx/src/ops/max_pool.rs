//! `MaxPool`: ONNX operator specification, section "MaxPool".

use super::{Gradients, Rule, average_pool};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto, shape::Fact};

pub(super) const RULE: Rule = Rule {
    operator: "MaxPool",
    shape: |node| average_pool::infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// Every element of dy is added to the place its maximum came from. The operator itself tells the places, counted over the
/// whole tensor, batch and channels included.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    if node.flag("storage_order") {
        return Err("storage_order 1 (columns first) has no gradient rule; export the model with storage_order 0".into());
    }
    let x = node.require_input(0)?;
    let indices = if node.has_output(1) {
        node.proto.output.get(1).cloned().unwrap_or_default()
    } else {
        emit.forward_output(node.output(), 1, "indices")
    };
    let all = emit.ints(&[-1]);
    let flat_indices = emit.node("Reshape", &[&indices, &all], []);
    let flat_dy = emit.node("Reshape", &[dy, &all], []);
    let size = emit.node("Size", &[x], []);
    let size = emit.node("Reshape", &[&size, &all], []);
    let zeros = emit.node("ConstantOfShape", &[&size], []);
    let scattered = emit.node(
        "ScatterElements",
        &[&zeros, &flat_indices, &flat_dy],
        [
            AttributeProto::int("axis", 0),
            AttributeProto::string("reduction", "add"),
        ],
    );
    let shape = emit.node("Shape", &[x], []);
    Ok(vec![(0, emit.node("Reshape", &[&scattered, &shape], []))])
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::windows;
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(48))]
        #[test]
        fn gradient_is_the_difference_quotient(case in windows(), ceil: bool, seed: u64) {
            let mut net = Net::new([3, 2, case.image[0], case.image[1]], seed);
            let mut attributes = case.attributes;
            attributes.push(AttributeProto::int("ceil_mode", ceil.into()));
            let y = net.op("MaxPool", &["image"], attributes);
            net.check(&y, seed);
        }
    }

    #[test]
    fn equal_maxima_count_once() {
        let mut net = Net::new([1, 1, 2, 2], 4);
        let kernel = AttributeProto::ints("kernel_shape", [2, 2]);
        let y = net.op("MaxPool", &["image"], [kernel]);
        let gradient = net.gradient_at(&y, &[0.5; 4], &[1.0, -2.0, 0.5]);
        assert_eq!(
            gradient.iter().filter(|g| **g != 0.0).count(),
            1,
            "{gradient:?}"
        );
    }
}
