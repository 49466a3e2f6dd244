//! `Gather`: ONNX operator specification, section "Gather"; slices along an axis, picked by their indices.

use super::{
    Gradients, Rule, scatter,
    sizes::{self, Size},
};
use crate::{
    emitter::{Emitter, LARGEST_CONSTANT},
    follow,
    node::Node,
    proto::AttributeProto,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Gather",
    shape: infer,
    gradient: Some(gradient),
};

/// Each slice of dy is added to the place it was picked from. Where neighbours were picked in order, that is padding; where all
/// were picked once, picking in the inverse order.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    if !node.wants(0) {
        return Ok(vec![]);
    }
    let (x, shape, picks) = (
        node.require_input(0)?,
        node.require_shape(0)?,
        node.require_shape(1)?,
    );
    let axis = sizes::axis(node.int("axis").unwrap_or(0), shape.len())?;
    let (Some(whole), Some(front), Some(back)) =
        (shape.get(axis), shape.get(..axis), shape.get(axis + 1..))
    else {
        return Err("its axis is out of range".into());
    };
    let constants = constants(node, whole)?;
    let flat = match &constants {
        Some(indices) => emit.ints(indices),
        None => {
            let list = emit.ints(&[-1]);
            emit.node("Reshape", &[node.require_input(1)?, &list], [])
        }
    };

    // The axes of the indices become one.
    let count = match &constants {
        Some(indices) => Dim::Known(indices.len() as u64),
        None => Dim::unknown(&flat, 0),
    };
    let dims = [front, std::slice::from_ref(&count), back].concat();
    let rows = if picks.len() == 1 {
        dy.to_string()
    } else {
        let mut target = Size::all(x, shape);
        if let Some(slot) = target.get_mut(axis) {
            *slot = Size::of(&flat, 0, &count);
        }
        sizes::reshape(emit, dy, node.require_output_shape()?, &target)
    };

    let size = whole.known().and_then(|size| i64::try_from(size).ok());
    if let (Some(indices), Some(size)) = (&constants, size) {
        let count = indices.len() as i64;
        let Some(&first) = indices.first() else {
            return Ok(vec![]);
        };
        if indices
            .iter()
            .zip(first..)
            .all(|(index, next)| *index == next)
        {
            let mut pads = vec![0; 2 * shape.len()];
            for (slot, missing) in [(axis, first), (axis + shape.len(), size - first - count)] {
                if let Some(slot) = pads.get_mut(slot) {
                    *slot = missing;
                }
            }
            return Ok(vec![(0, scatter::zeros_around(emit, &rows, &pads))]);
        }
        if let Some(inverse) = inverse(indices, size) {
            let inverse = emit.ints(&inverse);
            let along = AttributeProto::int("axis", axis as i64);
            return Ok(vec![(0, emit.node("Gather", &[&rows, &inverse], [along]))]);
        }
    }
    let size = Size::of(x, axis, whole);
    let dx = scatter::add_along(emit, &rows, &dims, axis, &flat, size);
    Ok(vec![(0, dx)])
}

/// The indices where they are stored; counted from the front where the size of the axis is known.
fn constants(node: &Node<'_>, whole: &Dim) -> Result<Option<Vec<i64>>, String> {
    let stored = node.stored(1).and_then(|tensor| tensor.to_i64s());
    let Some(mut indices) = stored.or_else(|| node.integers(1)) else {
        return Ok(None);
    };
    if indices.len() as u64 > LARGEST_CONSTANT {
        return Ok(None);
    }
    if let Some(size) = whole.known().and_then(|size| i64::try_from(size).ok()) {
        for index in &mut indices {
            if !(-size..size).contains(index) {
                return Err(format!("index {index} is out of range for size {size}"));
            }
            *index = index.rem_euclid(size);
        }
    }
    Ok(Some(indices))
}

/// The inverse of a permutation; `None` of anything else.
fn inverse(indices: &[i64], size: i64) -> Option<Vec<i64>> {
    let mut inverse = vec![-1; indices.len()];
    if i64::try_from(indices.len()) != Ok(size) {
        return None;
    }
    for (to, &from) in (0..).zip(indices) {
        *inverse.get_mut(usize::try_from(from).ok()?)? = to;
    }
    (!inverse.contains(&-1)).then_some(inverse)
}

fn infer(node: &Node<'_>) -> Option<Fact> {
    let (input, picks) = (node.shape(0)?, node.shape(1)?);
    let axis = shape::axis(node.int("axis").unwrap_or(0), input.len())?;
    let shape = [input.get(..axis)?, picks, input.get(axis + 1..)?].concat();
    let value = || {
        let (value, indices) = (node.value(0)?, node.integers(1)?);
        let size = usize::try_from(input.get(axis)?.known()?).ok()?;
        follow::rearrange(value, input, &shape, |index| {
            let (front, rest) = index.split_at_checked(axis)?;
            let (pick, back) = rest.split_at_checked(picks.len())?;
            let position = pick.iter().zip(picks).try_fold(0, |position, (i, dim)| {
                usize::try_from(dim.known()?)
                    .ok()?
                    .checked_mul(position)?
                    .checked_add(*i)
            })?;
            let from = shape::axis(*indices.get(position)?, size)?;
            Some([front, &[from], back].concat())
        })
    };
    let value = value();
    Some(Fact { shape, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        proto::{DataType, TensorProto},
        reference::net::Net,
    };
    use proptest::prelude::*;

    const SIZES: [usize; 4] = [3, 3, 4, 5];

    /// Indices of all shapes: scalars, lists and matrices; in order, all once, or any.
    fn indices(size: i64) -> impl Strategy<Value = (Vec<i64>, Vec<i64>)> {
        let all: Vec<i64> = (0..size).collect();
        prop_oneof![
            (-size..size).prop_map(|index| (vec![], vec![index])),
            (0..size, 1..=size).prop_map(move |(first, count)| {
                let list: Vec<i64> = (first..(first + count).min(size)).collect();
                (vec![list.len() as i64], list)
            }),
            Just(all).prop_shuffle().prop_map(move |mut list| {
                list.iter_mut().skip(1).for_each(|index| *index -= size);
                (vec![list.len() as i64], list)
            }),
            prop::collection::vec(-size..size, 6).prop_map(|list| (vec![2, 3], list)),
            prop::collection::vec(-size..size, 4).prop_map(|list| (vec![4, 1, 1], list)),
        ]
    }

    proptest! {
        #![proptest_config(crate::reference::cases(64))]
        #[test]
        fn gradient_is_the_difference_quotient(
            (axis, (shape, list)) in (1..4usize).prop_flat_map(|axis| (Just(axis), indices(SIZES[axis] as i64))),
            from_end: bool, hidden: bool, seed: u64,
        ) {
            let mut net = Net::new(SIZES, seed);
            let mut picks = net.store(TensorProto::int64s("", &shape, &list));
            if hidden {
                // Floats are not followed.
                for kind in [DataType::Float, DataType::Int64] {
                    picks = net.op("Cast", &[&picks], [AttributeProto::int("to", kind as i64)]);
                }
            }
            let axis = if from_end { axis as i64 - 4 } else { axis as i64 };
            let y = net.op("Gather", &["image", &picks], [AttributeProto::int("axis", axis)]);
            net.check(&y, seed);
        }

        #[test]
        fn elements_picked_from_a_list_of_all_rows_find_their_way_back(seed: u64) {
            // As PyTorch writes a strided view: positions counted over the whole batch, computed when the graph runs.
            let mut net = Net::new([3, 4, 1, 1], seed);
            let list = net.ints(&[-1]);
            let flat = net.op("Reshape", &["image", &list], []);
            let batch = net.op("Shape", &["image"], [AttributeProto::int("end", 1)]);
            let batch = net.op("Squeeze", &[&batch], []);
            let scalar = |value| TensorProto::int64s("", &[], &[value]);
            let (zero, one, four) = (net.store(scalar(0)), net.store(scalar(1)), net.store(scalar(4)));
            let rows = net.op("Range", &[&zero, &batch, &one], []);
            let starts = net.op("Mul", &[&rows, &four], []);
            let axes = net.ints(&[1, 2]);
            let starts = net.op("Unsqueeze", &[&starts, &axes], []);
            let columns = net.store(TensorProto::int64s("", &[1, 4, 1], &[2, 0, 3, 3]));
            let places = net.op("Add", &[&starts, &columns], []);
            let y = net.op("Gather", &[&flat, &places], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn a_permutation_has_an_inverse_and_nothing_else_has() {
        assert_eq!(inverse(&[2, 0, 1], 3), Some(vec![1, 2, 0]));
        assert_eq!(inverse(&[2, 0, 0], 3), None);
        assert_eq!(inverse(&[1, 0], 3), None);
    }
}
