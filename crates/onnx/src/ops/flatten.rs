//! `Flatten`: ONNX operator specification, section "Flatten"; the axes before and from `axis` on become one each.

use super::{Rule, reshape};
use crate::{
    extent::Product,
    node::Node,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Flatten",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(reshape::gradient),
};

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let input = node.shape(0)?;
    let axis = node.int("axis").unwrap_or(1);
    let at = if axis == input.len() as i64 {
        input.len()
    } else {
        crate::shape::axis(axis, input.len())?
    };
    let (front, back) = input.split_at_checked(at)?;
    let one = |dims: &[Dim], axis| {
        let product = Product::of(dims).and_then(|product| product.dim());
        product.unwrap_or_else(|| Dim::unknown(node.output(), axis))
    };
    Some(vec![one(front, 0), one(back, 1)])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(axis in prop::sample::select(vec![1i64, -3]), seed: u64) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let y = net.op("Flatten", &["image"], [AttributeProto::int("axis", axis)]);
            net.check(&y, seed);
        }
    }
}
