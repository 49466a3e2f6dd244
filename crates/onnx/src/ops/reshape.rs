//! `Reshape`: ONNX operator specification, section "Reshape"; the same elements in another shape.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    extent::{Extent, Product},
    node::Node,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Reshape",
    shape: |node| {
        Some(Fact {
            shape: infer(node)?,
            value: node.value(0).map(<[_]>::to_vec),
        })
    },
    gradient: Some(gradient),
};

/// dx has dy's elements in x's shape.
pub(super) fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let from = node.require_output_shape().ok();
    let dx = emit.reshape(dy, from, node.require_input(0)?, node.shape(0));
    Ok(vec![(0, dx)])
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let target = node.value(1)?;
    let input = node.shape(0);
    let mut inferred = None;
    let mut shape = Vec::with_capacity(target.len());
    for (axis, extent) in target.iter().enumerate() {
        shape.push(match extent {
            Extent::Integer(0) if !node.flag("allowzero") => input
                .and_then(|dims| dims.get(axis))
                .cloned()
                .unwrap_or_else(|| Dim::unknown(node.output(), axis)),
            Extent::Integer(-1) => {
                inferred = Some(axis);
                Dim::unknown(node.output(), axis)
            }
            size => size.dim(node.output(), axis)?,
        });
    }
    if let Some((axis, input)) = inferred.zip(input) {
        let others: Vec<_> = shape
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != axis)
            .map(|(_, dim)| dim)
            .collect();
        if let (Some(dim), Some(slot)) = (quotient(input, &others), shape.get_mut(axis)) {
            *slot = dim;
        }
    }
    Some(shape)
}

/// The one size that is missing so that `others` hold as many elements as `input`.
fn quotient(input: &[Dim], others: &[&Dim]) -> Option<Dim> {
    let others = Product::of(others.iter().copied())?;
    Product::of(input)?.over(&others)?.dim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(
            shape in prop_oneof![
                Just(vec![0, -1]), Just(vec![-1, 12]), Just(vec![0, 0, -1]), Just(vec![-1, 3, 2, 2]), Just(vec![0, 12, 1]),
                Just(vec![3, 12]),
            ],
            seed: u64,
        ) {
            let mut net = Net::new([3, 2, 2, 3], seed);
            let shape = net.ints(&shape);
            let y = net.op("Reshape", &["image", &shape], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn a_shape_computed_in_the_graph_is_followed() {
        let mut net = Net::new([3, 2, 2, 3], 8);
        let shape = net.op("Shape", &["image"], []);
        let (first, rest) = (net.ints(&[0]), net.ints(&[-1]));
        let batch = net.op("Gather", &[&shape, &first], []);
        let target = net.op(
            "Concat",
            &[&batch, &rest],
            [crate::proto::AttributeProto::int("axis", 0)],
        );
        let y = net.op("Reshape", &["image", &target], []);
        net.check(&y, 8);
    }

    #[test]
    fn the_missing_size_follows_from_the_others() {
        let symbol = |name: &str| Dim::Symbol(name.into());
        let input = [symbol("n"), Dim::Known(4), Dim::Known(3)];
        assert_eq!(quotient(&input, &[&symbol("n")]), Some(Dim::Known(12)));
        assert_eq!(quotient(&input, &[&Dim::Known(12)]), Some(symbol("n")));
        assert_eq!(quotient(&input, &[&Dim::Known(6)]), Some(symbol("2*n")));
        let product = [symbol("2*n"), Dim::Known(6)];
        assert_eq!(quotient(&product, &[&symbol("n")]), Some(Dim::Known(12)));
        assert_eq!(quotient(&product, &[&symbol("12*n")]), Some(Dim::Known(1)));
        assert_eq!(quotient(&input, &[&symbol("n"), &Dim::Known(5)]), None);
        assert_eq!(quotient(&input, &[&symbol("n"), &Dim::Known(0)]), None);
        assert_eq!(quotient(&input, &[&symbol("m")]), None);
    }
}
