//! `ReduceSum` and `ReduceMean`: ONNX operator specification, sections of those names, with the axes as an input. What they
//! share with the other reductions is here as well.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
    shape::{self, Dim, Fact},
};

pub(super) const SUM: Rule = Rule {
    operator: "ReduceSum",
    shape: infer,
    gradient: Some(|node, emit, dy| {
        let dy = with_reduced_axes(node, emit, dy);
        Ok(vec![(0, spread(node, emit, &dy)?)])
    }),
};

pub(super) const MEAN: Rule = Rule {
    operator: "ReduceMean",
    shape: infer,
    gradient: Some(mean),
};

/// As that of the sum, divided by the number of elements that were averaged.
fn mean(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let shape = node.shape(0);
    let reduced = shape.and_then(|shape| {
        let axes = axes(node, shape.len())?.into_iter();
        axes.map(|axis| shape.get(axis).cloned())
            .collect::<Option<Vec<Dim>>>()
    });
    let dy = with_reduced_axes(node, emit, dy);
    Ok(vec![(0, spread_mean(node, emit, &dy, reduced.as_deref())?)])
}

/// Repeats dy along the axes of the input that were averaged, divided by their product. Where that product is not known, it is
/// how many times larger the input is than the output.
pub(super) fn spread_mean(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    axes: Option<&[Dim]>,
) -> Result<String, String> {
    let count = axes.and_then(|axes| {
        axes.iter()
            .try_fold(1u64, |product, dim| product.checked_mul(dim.known()?))
    });
    let count = match count {
        Some(count) => emit.float(count as f32),
        None => {
            let [all, groups] = [node.require_input(0)?, node.output()].map(|tensor| {
                let size = emit.node("Size", &[tensor], []);
                let float = AttributeProto::int("to", DataType::Float as i64);
                emit.node("Cast", &[&size], [float])
            });
            emit.node("Div", &[&all, &groups], [])
        }
    };
    let share = emit.node("Div", &[dy, &count], []);
    spread(node, emit, &share)
}

/// Repeats dy along the reduced axes.
pub(super) fn spread(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<String, String> {
    let shape = emit.node("Shape", &[node.require_input(0)?], []);
    Ok(emit.node("Expand", &[dy, &shape], []))
}

/// A tensor of the output's shape with the reduced axes as ones, whether or not the operator kept them, so that it broadcasts
/// against the input.
pub(super) fn with_reduced_axes(node: &Node<'_>, emit: &mut Emitter, tensor: &str) -> String {
    if node.int("keepdims").unwrap_or(1) != 0 {
        return tensor.into();
    }
    let known = node.shape(0).and_then(|shape| axes(node, shape.len()));
    let axes = match (known, node.input(1)) {
        (Some(axes), _) if axes.is_empty() => return tensor.into(),
        (Some(axes), _) => {
            let axes: Vec<i64> = axes.into_iter().map(|axis| axis as i64).collect();
            emit.ints(&axes)
        }
        (None, Some(axes)) => axes.into(),
        // Reduced over all axes: a scalar broadcasts by itself.
        (None, None) => return tensor.into(),
    };
    emit.node("Unsqueeze", &[tensor, &axes], [])
}

/// Another reduction of a tensor of the input's shape over the axes that the node reduces, which are kept as ones.
pub(super) fn reduced(node: &Node<'_>, emit: &mut Emitter, operator: &str, tensor: &str) -> String {
    let inputs: Vec<&str> = [tensor].into_iter().chain(node.input(1)).collect();
    let none = node.flag("noop_with_empty_axes").into();
    let attributes = [
        AttributeProto::int("keepdims", 1),
        AttributeProto::int("noop_with_empty_axes", none),
    ];
    emit.node(operator, &inputs, attributes)
}

/// The reduced axes; all where none are given, unless an attribute turns that into none.
fn axes(node: &Node<'_>, rank: usize) -> Option<Vec<usize>> {
    let given = match node.input(1) {
        Some(_) => node.integers(1)?,
        None => vec![],
    };
    if given.is_empty() && !node.flag("noop_with_empty_axes") {
        return Some((0..rank).collect());
    }
    shape::axes(&given, rank)
}

/// The shape rule of all reductions.
pub(super) fn infer(node: &Node<'_>) -> Option<Fact> {
    let input = node.shape(0)?;
    let axes = axes(node, input.len())?;
    let keep = node.int("keepdims").unwrap_or(1) != 0;
    let dims = input
        .iter()
        .enumerate()
        .filter_map(|(axis, dim)| match axes.contains(&axis) {
            false => Some(dim.clone()),
            true => keep.then_some(Dim::Known(1)),
        });
    Some(Fact::of_shape(dims.collect()))
}

#[cfg(test)]
pub(super) mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    /// One of these axes, from the front or the back, or several.
    pub(in crate::ops) fn some_axes() -> impl Strategy<Value = Vec<i64>> {
        prop::sample::select(vec![
            vec![1],
            vec![-1],
            vec![2, 3],
            vec![-1, 1],
            vec![1, 2, 3],
        ])
    }

    /// A reduction in all the ways to name its axes: as a constant, or computed when the graph runs, of a tensor of known or
    /// unknown shape.
    pub(in crate::ops) fn check(
        operator: &str,
        axes: &[i64],
        keep: bool,
        unknown: [bool; 2],
        seed: u64,
    ) {
        let mut net = Net::new([3, 2, 3, 4], seed);
        let x = net.centred();
        check_of(net, &x, operator, axes, keep, unknown, seed);
    }

    /// As `check`, of positive numbers.
    pub(in crate::ops) fn check_positive(
        operator: &str,
        axes: &[i64],
        keep: bool,
        unknown: [bool; 2],
        seed: u64,
    ) {
        let net = Net::new([3, 2, 3, 4], seed);
        check_of(net, "image", operator, axes, keep, unknown, seed);
    }

    fn check_of(
        mut net: Net,
        x: &str,
        operator: &str,
        axes: &[i64],
        keep: bool,
        unknown: [bool; 2],
        seed: u64,
    ) {
        let x = if unknown[0] {
            net.of_unknown_shape(x)
        } else {
            x.into()
        };
        let mut axes = net.ints(axes);
        if unknown[1] {
            let zero = net.ints(&[0]);
            axes = net.op("Add", &[&axes, &zero], []);
        }
        let keep = AttributeProto::int("keepdims", keep.into());
        let y = net.op(operator, &[&x, &axes], [keep]);
        // Not linear, or every gradient of a sum would be the same.
        let y = net.op("Sigmoid", &[&y], []);
        net.check(&y, seed);
    }

    /// A reduction without axes, which reduces all, or none if told so.
    pub(in crate::ops) fn check_without_axes(
        operator: &str,
        none: bool,
        empty: bool,
        keep: bool,
        unknown: bool,
        seed: u64,
    ) {
        // One image: reducing the batch axis mixes images.
        let mut net = Net::fixed([1, 2, 3, 2], seed);
        let mut x = "image".to_string();
        if unknown {
            x = net.of_unknown_shape(&x);
        }
        let axes = if empty { net.ints(&[]) } else { String::new() };
        let attributes = [
            AttributeProto::int("keepdims", keep.into()),
            AttributeProto::int("noop_with_empty_axes", none.into()),
        ];
        let y = net.op(operator, &[&x, &axes], attributes);
        let shape = net.ints(&[1, -1]);
        let y = net.op("Reshape", &[&y, &shape], []);
        let y = net.op("Sigmoid", &[&y], []);
        net.check(&y, seed);
    }

    /// The form before operator set 18 (13 for the sum), where the axes are an attribute.
    pub(in crate::ops) fn check_old(operator: &str, axes: &[i64], keep: bool, seed: u64) {
        let mut net = Net::new([3, 2, 3, 4], seed).with_opset(11);
        let x = net.centred();
        let attributes = [
            AttributeProto::int("keepdims", keep.into()),
            AttributeProto::ints("axes", axes),
        ];
        let y = net.op(operator, &[&x], attributes);
        let y = net.op("Sigmoid", &[&y], []);
        net.check(&y, seed);
    }

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_is_the_difference_quotient(
            operator in prop::sample::select(vec!["ReduceSum", "ReduceMean"]),
            axes in some_axes(), keep: bool, unknown: [bool; 2], seed: u64,
        ) {
            check(operator, &axes, keep, unknown, seed);
            check_old(operator, &axes, keep, seed);
        }

        #[test]
        fn without_axes_all_are_reduced_or_none(
            operator in prop::sample::select(vec!["ReduceSum", "ReduceMean"]),
            none: bool, empty: bool, keep: bool, unknown: bool, seed: u64,
        ) {
            check_without_axes(operator, none, empty, keep, unknown, seed);
        }
    }
}
