//! The inverse of picking along an axis: slices are added to the places that they were taken from.

use super::sizes::{self, Size};
use crate::{emitter::Emitter, proto::AttributeProto, shape::Dim};

/// Adds the slices of `tensor`, whose shape is `shape`, along an axis to a tensor of zeros that has `size` along this axis, at the
/// places that `indices` (a list, one for each slice, negative ones counted from the end) name.
pub(super) fn add_along(
    emit: &mut Emitter,
    tensor: &str,
    shape: &[Dim],
    axis: usize,
    indices: &str,
    size: Size<'_>,
) -> String {
    let mut target = Size::all(tensor, shape);
    if let Some(slot) = target.get_mut(axis) {
        *slot = size;
    }
    let target = sizes::tensor(emit, &target);
    let zeros = emit.node("ConstantOfShape", &[&target], []);
    // The operator takes an index for every element.
    let mut column = vec![1; shape.len()];
    if let Some(slot) = column.get_mut(axis) {
        *slot = -1;
    }
    let column = emit.ints(&column);
    let column = emit.node("Reshape", &[indices, &column], []);
    let all = sizes::tensor(emit, &Size::all(tensor, shape));
    let indices = emit.node("Expand", &[&column, &all], []);
    elements(emit, &zeros, &indices, tensor, axis)
}

/// Adds every element of `updates` to `zeros` where its index along an axis says.
pub(super) fn elements(
    emit: &mut Emitter,
    zeros: &str,
    indices: &str,
    updates: &str,
    axis: usize,
) -> String {
    emit.node(
        "ScatterElements",
        &[zeros, indices, updates],
        [
            AttributeProto::int("axis", axis as i64),
            AttributeProto::string("reduction", "add"),
        ],
    )
}

/// Zeros in the shape of a tensor.
pub(super) fn zeros_like(emit: &mut Emitter, tensor: &str) -> String {
    let shape = emit.node("Shape", &[tensor], []);
    emit.node("ConstantOfShape", &[&shape], [])
}

/// Puts zeros around a tensor; `pads` are those before all axes, then those behind.
pub(super) fn zeros_around(emit: &mut Emitter, tensor: &str, pads: &[i64]) -> String {
    if pads.iter().all(|pad| *pad == 0) {
        return tensor.into();
    }
    let pads = emit.ints(pads);
    emit.node("Pad", &[tensor, &pads], [])
}
