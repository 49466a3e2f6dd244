//! `ReduceSum` and `ReduceMean`: ONNX operator specification, sections of those names, with the axes as an input.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const SUM: Rule = Rule {
    operator: "ReduceSum",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(|node, emit, dy| {
        let dy = with_reduced_axes(node, emit, dy)?;
        Ok(vec![(0, spread(node, emit, &dy)?)])
    }),
};

pub(super) const MEAN: Rule = Rule {
    operator: "ReduceMean",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(mean),
};

/// As that of the sum, divided by the number of elements that were averaged.
fn mean(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let shape = node.require_shape(0)?;
    let axes = axes(node, shape.len()).ok_or_else(unknown_axes)?;
    let reduced: Vec<Dim> = axes
        .iter()
        .filter_map(|&axis| shape.get(axis).cloned())
        .collect();
    let dy = with_reduced_axes(node, emit, dy)?;
    Ok(vec![(0, spread_mean(node, emit, &dy, &reduced)?)])
}

/// Repeats dy along the axes of the input, divided by their product.
pub(super) fn spread_mean(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    axes: &[Dim],
) -> Result<String, String> {
    let count = axes
        .iter()
        .try_fold(1u64, |product, dim| product.checked_mul(dim.known()?));
    let count = count.ok_or_else(|| {
        format!(
            "the sizes {} of the averaged axes are not all numbers; export the model with static image sizes",
            shape::display(axes)
        )
    })?;
    let count = emit.float(count as f32);
    let share = emit.node("Div", &[dy, &count], []);
    spread(node, emit, &share)
}

fn spread(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<String, String> {
    let shape = emit.node("Shape", &[node.require_input(0)?], []);
    Ok(emit.node("Expand", &[dy, &shape], []))
}

/// dy with the reduced axes as ones, whether or not the operator kept them.
fn with_reduced_axes(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<String, String> {
    let rank = node.require_shape(0)?.len();
    let axes = axes(node, rank).ok_or_else(unknown_axes)?;
    if node.int("keepdims").unwrap_or(1) != 0 || axes.is_empty() {
        return Ok(dy.into());
    }
    let axes: Vec<i64> = axes.into_iter().map(|axis| axis as i64).collect();
    let axes = emit.ints(&axes);
    Ok(emit.node("Unsqueeze", &[dy, &axes], []))
}

fn unknown_axes() -> String {
    "its axes are no constant, or out of range".into()
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

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
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
    Some(dims.collect())
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_is_the_difference_quotient(
            operator in prop::sample::select(vec!["ReduceSum", "ReduceMean"]),
            axes in prop::sample::select(vec![vec![1], vec![-1], vec![2, 3], vec![-1, 1], vec![1, 2, 3]]),
            keep: bool,
            seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let y = net.axes_op(operator, "image", &axes, keep);
            // Not linear, or every gradient would be the same.
            let y = net.op("Mul", &[&y, &y], []);
            net.check(&y, seed);
        }

        #[test]
        fn without_axes_all_are_reduced_or_none(
            operator in prop::sample::select(vec!["ReduceSum", "ReduceMean"]), none: bool, empty: bool, keep: bool, seed: u64,
        ) {
            // One image: reducing the batch axis mixes images.
            let mut net = Net::fixed([1, 2, 3, 2], seed);
            let axes = if empty { net.ints(&[]) } else { String::new() };
            let y = net.op(operator, &["image", &axes], [
                AttributeProto::int("keepdims", keep.into()),
                AttributeProto::int("noop_with_empty_axes", none.into()),
            ]);
            let shape = net.ints(&[1, -1]);
            let y = net.op("Reshape", &[&y, &shape], []);
            let y = net.op("Mul", &[&y, &y], []);
            net.check(&y, seed);
        }
    }
}
