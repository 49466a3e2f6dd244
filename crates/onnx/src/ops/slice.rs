//! `Slice`: ONNX operator specification, section "Slice"; every so many places from a start up to an end, axis by axis.

use super::{
    Gradients, Rule, scatter,
    sizes::{self, Size},
};
use crate::{
    emitter::Emitter,
    extent::Extent,
    follow,
    node::Node,
    proto::TensorProto,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Slice",
    shape: infer,
    gradient: Some(gradient),
};

/// Places in longer axes are computed when the graph runs.
const LONGEST_AXIS: i64 = 1 << 40;

/// What is taken along one axis: all, or a number of places from a start on. The step is not 0; the count is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    All,
    Places {
        start: i64,
        step: i64,
        count: i64,
        size: i64,
    },
    Nothing,
}

impl Cut {
    /// `None` where it depends on a size that is not known.
    fn of(dim: &Dim, start: i64, end: i64, step: i64) -> Option<Self> {
        if start == 0 && end >= i32::MAX.into() && step == 1 {
            return Some(Self::All);
        }
        // Backwards, runtimes take the largest number for the beginning, and the specification for the end.
        if step < 0 && [i32::MAX.into(), i64::MAX].contains(&end) {
            return None;
        }
        let size = i64::try_from(dim.known()?).ok();
        let size = size.filter(|size| *size <= LONGEST_AXIS)?;
        let place = |bound: i64, low, high| {
            let place = if bound < 0 {
                bound.saturating_add(size)
            } else {
                bound
            };
            place.clamp(low, high)
        };
        let (start, distance) = match step {
            0 => return None,
            _ if size == 0 => (0, 0),
            1.. => {
                let (start, end) = (place(start, 0, size), place(end, 0, size));
                (start, end - start)
            }
            _ => {
                let (start, end) = (place(start, 0, size - 1), place(end, -1, size - 1));
                (start, start - end)
            }
        };
        let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let count = i64::try_from(count).ok()?;
        Some(match (count, start, step) {
            (0, ..) => Self::Nothing,
            (all, 0, 1) if all == size => Self::All,
            // A step from which nothing follows may be absurdly long.
            (1, ..) => Self::Places {
                start,
                step: 1,
                count,
                size,
            },
            _ => Self::Places {
                start,
                step,
                count,
                size,
            },
        })
    }
}

/// One axis of the operator's lists.
struct Range {
    axis: usize,
    /// Its position in the lists.
    position: usize,
    cut: Option<Cut>,
}

/// The axes in the order of the lists; what is taken along them where the lists are known.
fn ranges(node: &Node<'_>) -> Option<Vec<Range>> {
    let shape = node.shape(0)?;
    let (starts, ends) = (node.value(1), node.value(2));
    let axes = match node.input(3) {
        Some(_) => node.integers(3)?,
        None => (0..node.shape(1)?.first()?.known()?.min(shape.len() as u64) as i64).collect(),
    };
    let range = |(position, axis): (usize, i64)| {
        let axis = shape::axis(axis, shape.len())?;
        let number = |list: Option<&[Extent]>| list?.get(position)?.integer();
        let step = match node.input(4) {
            Some(_) => number(node.value(4)),
            None => Some(1),
        };
        let cut = || Cut::of(shape.get(axis)?, number(starts)?, number(ends)?, step?);
        Some(Range {
            axis,
            position,
            cut: cut(),
        })
    };
    axes.into_iter().enumerate().map(range).collect()
}

/// dx is dy with zeros around and between, in the order of x. Along axes whose size or bounds are not known, dy is added to the
/// places that the same slice takes of all places.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let x = node.require_input(0)?;
    let shape = node.require_shape(0)?;
    let mut dims = node.require_output_shape()?.to_vec();
    let ranges = ranges(node).ok_or("its axes are no constant, or out of range")?;
    if dims.len() != shape.len() {
        return Err("its input and its result have different ranks".into());
    }
    let mut dx = dy.to_string();
    let mut pads = vec![0; 2 * dims.len()];
    for Range {
        axis,
        position,
        cut,
    } in ranges
    {
        let whole = shape.get(axis).ok_or("its axes are out of range")?;
        match cut {
            Some(Cut::All) => continue,
            Some(Cut::Nothing) => return Ok(vec![]),
            Some(Cut::Places {
                start,
                step,
                count,
                size,
            }) => {
                let (before, behind) =
                    spread(emit, &mut dx, &mut dims, axis, [start, step, count, size]);
                if let Some(slot) = pads.get_mut(axis) {
                    *slot = before;
                }
                if let Some(slot) = pads.get_mut(axis + shape.len()) {
                    *slot = behind;
                }
            }
            None => {
                let places = places(node, emit, axis, position)?;
                let size = Size::of(x, axis, whole);
                dx = scatter::add_along(emit, &dx, &dims, axis, &places, size);
                if let Some(dim) = dims.get_mut(axis) {
                    dim.clone_from(whole);
                }
            }
        }
    }
    Ok(vec![(0, scatter::zeros_around(emit, &dx, &pads))])
}

/// Brings the elements along an axis into the order of x, with zeros between them; returns how many zeros are missing before and
/// behind.
fn spread(
    emit: &mut Emitter,
    dx: &mut String,
    dims: &mut [Dim],
    axis: usize,
    [start, step, count, size]: [i64; 4],
) -> (i64, i64) {
    let axes = emit.ints(&[axis as i64]);
    let start = if step < 0 {
        let [last, first, back] = [-1, i64::MIN, -1].map(|bound| emit.ints(&[bound]));
        *dx = emit.node("Slice", &[dx, &last, &first, &axes, &back], []);
        start + (count - 1) * step
    } else {
        start
    };
    let step = step.abs();
    if step == 1 {
        return (start, size - start - count);
    }
    // Each element in a row of zeros; at a place in the row such that no zeros are left over, if there is one.
    let before = (count * step + start - size).clamp(0, start.min(step - 1));
    let behind = emit.ints(&[axis as i64 + 1]);
    let rows = emit.node("Unsqueeze", &[dx, &behind], []);
    let mut pads = vec![0; 2 * (dims.len() + 1)];
    if let Some(slot) = pads.get_mut(axis + 1) {
        *slot = before;
    }
    if let Some(slot) = pads.get_mut(axis + 1 + dims.len() + 1) {
        *slot = step - 1 - before;
    }
    let rows = scatter::zeros_around(emit, &rows, &pads);
    let mut from = dims.to_vec();
    from.insert(axis + 1, Dim::Known(step.unsigned_abs()));
    let length = count * step;
    let source = dx.clone();
    let old = dims.to_vec();
    let mut target = Size::all(&source, &old);
    if let Some(slot) = target.get_mut(axis) {
        *slot = Size::Number(length);
    }
    *dx = sizes::reshape(emit, &rows, &from, &target);
    if let Some(dim) = dims.get_mut(axis) {
        *dim = Dim::Known(length.unsigned_abs());
    }
    let (before, behind) = (start - before, size - start + before - length);
    if behind >= 0 {
        return (before, behind);
    }
    let (from, to) = (emit.ints(&[0]), emit.ints(&[behind]));
    *dx = emit.node("Slice", &[dx, &from, &to, &axes], []);
    if let Some(dim) = dims.get_mut(axis) {
        *dim = Dim::Known((length + behind).unsigned_abs());
    }
    (before, 0)
}

/// The places that the operator takes along an axis: the same slice of 0, 1, 2...
fn places(
    node: &Node<'_>,
    emit: &mut Emitter,
    axis: usize,
    position: usize,
) -> Result<String, String> {
    let size = sizes::of_axis(emit, node.require_input(0)?, axis);
    let scalar = |emit: &mut Emitter, value| emit.constant(TensorProto::int64s("", &[], &[value]));
    let (zero, one) = (scalar(emit, 0), scalar(emit, 1));
    let first = emit.ints(&[0]);
    let size = emit.node("Squeeze", &[&size, &first], []);
    let all = emit.node("Range", &[&zero, &size, &one], []);
    let (from, to) = (
        emit.ints(&[position as i64]),
        emit.ints(&[position as i64 + 1]),
    );
    let mut own = |input| -> Result<String, String> {
        Ok(emit.node("Slice", &[node.require_input(input)?, &from, &to], []))
    };
    let (start, end) = (own(1)?, own(2)?);
    Ok(match node.input(4) {
        None => emit.node("Slice", &[&all, &start, &end], []),
        Some(_) => {
            let step = own(4)?;
            emit.node("Slice", &[&all, &start, &end, "", &step], [])
        }
    })
}

fn infer(node: &Node<'_>) -> Option<Fact> {
    let input = node.shape(0)?;
    let mut shape = input.to_vec();
    let ranges = ranges(node)?;
    for range in &ranges {
        let dim = shape.get_mut(range.axis)?;
        match range.cut {
            Some(Cut::All) => (),
            Some(Cut::Nothing) => *dim = Dim::Known(0),
            Some(Cut::Places { count, .. }) => *dim = Dim::Known(count.unsigned_abs()),
            None => *dim = Dim::unknown(node.output(), range.axis),
        }
    }
    let value = || {
        follow::rearrange(node.value(0)?, input, &shape, |index| {
            let mut source = index.to_vec();
            for range in &ranges {
                if let Cut::Places { start, step, .. } = range.cut? {
                    let place = source.get_mut(range.axis)?;
                    let at = start.checked_add(step.checked_mul(i64::try_from(*place).ok()?)?)?;
                    *place = usize::try_from(at).ok()?;
                }
            }
            Some(source)
        })
    };
    let value = value();
    Some(Fact { shape, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    fn bound() -> impl Strategy<Value = i64> {
        prop_oneof![
            6 => -8i64..8,
            1 => Just(i64::MAX),
            1 => Just(i64::MIN),
            1 => Just(i64::from(i32::MAX)),
        ]
    }

    /// Start, end and step along an axis. Backwards, the largest number means different things to the runtime and the
    /// specification.
    fn range(steps: Vec<i64>) -> impl Strategy<Value = (i64, i64, i64)> {
        (bound(), bound(), prop::sample::select(steps)).prop_map(|(start, end, step)| match step {
            ..0 if end > 8 => (start, i64::MIN, step),
            _ => (start, end, step),
        })
    }

    fn slice(
        net: &mut Net,
        x: &str,
        ranges: &[(i64, i64, i64)],
        axes: Option<&[i64]>,
        steps: bool,
    ) -> String {
        let list = |pick: fn(&(i64, i64, i64)) -> i64| ranges.iter().map(pick).collect::<Vec<_>>();
        let (starts, ends) = (net.ints(&list(|r| r.0)), net.ints(&list(|r| r.1)));
        let axes = axes.map_or_else(String::new, |axes| net.ints(axes));
        let steps = if steps {
            net.ints(&list(|r| r.2))
        } else {
            String::new()
        };
        net.op("Slice", &[x, &starts, &ends, &axes, &steps], [])
    }

    proptest! {
        #![proptest_config(crate::reference::cases(96))]
        #[test]
        fn gradient_is_the_difference_quotient(
            image in [1..3usize, 3..8usize, 2..6usize],
            ranges in prop::collection::vec(range(vec![1, 1, 1, 2, 3, -1, -2, 5, i64::MAX, i64::MIN + 1]), 1..3), axes in prop::sample::select(vec![[1i64, 2], [2, -3], [-1, -2], [3, 1]]),
            steps: bool, seed: u64,
        ) {
            let mut net = Net::new([3, image[0], image[1], image[2]], seed);
            let y = slice(&mut net, "image", &ranges, Some(&axes[..ranges.len()]), steps);
            // Something is left to compare where nothing is taken.
            let joined = net.op("Flatten", &[&y], []);
            let flat = net.op("Flatten", &["image"], []);
            let joined = net.op("Concat", &[&joined, &flat], [AttributeProto::int("axis", 1)]);
            net.check(&joined, seed);
        }

        #[test]
        fn sizes_and_bounds_that_are_not_known_are_looked_up(
            bounds in prop::collection::vec(range(vec![1, 2, -1, -3]), 1..3), seed: u64,
        ) {
            // Reshaping does not tell an axis of no size from one that is kept.
            let taken = |size: i64, &(start, end, step): &(i64, i64, i64)| !matches!(Cut::of(&Dim::Known(size as u64), start, end, step), Some(Cut::Nothing));
            prop_assume!(bounds.iter().zip([6, 2]).all(|(bounds, size)| taken(size, bounds)));
            // A symbolic axis of size 6 beside the batch, and one of size 2.
            let mut net = Net::new([3, 6, 2, 1], seed);
            let batch = net.op("Shape", &["image"], [AttributeProto::int("end", 1)]);
            let twice = net.op("Add", &[&batch, &batch], []);
            let rest = net.ints(&[-1]);
            let shape = net.op("Concat", &[&batch, &twice, &rest], [AttributeProto::int("axis", 0)]);
            let x = net.op("Reshape", &["image", &shape], []);
            let axes = [1, -1];
            let y = slice(&mut net, &x, &bounds, Some(&axes[..bounds.len()]), true);
            let joined = net.op("Flatten", &[&y], []);
            let flat = net.op("Flatten", &["image"], []);
            let joined = net.op("Concat", &[&joined, &flat], [AttributeProto::int("axis", 1)]);
            net.check(&joined, seed);
        }
    }

    #[test]
    fn without_axes_the_first_ones_are_meant() {
        let mut net = Net::new([3, 4, 5, 2], 4);
        let ranges = [(0, i64::MAX, 1), (1, 3, 1), (-4, -1, 1)];
        let y = slice(&mut net, "image", &ranges, None, false);
        net.check(&y, 4);
    }

    #[test]
    fn a_slice_up_to_the_largest_number_keeps_the_name_of_the_size() {
        let n = Dim::Symbol("n".into());
        assert_eq!(Cut::of(&n, 0, i64::MAX, 1), Some(Cut::All));
        assert_eq!(Cut::of(&n, 0, i32::MAX.into(), 1), Some(Cut::All));
        assert_eq!(Cut::of(&n, 1, i64::MAX, 1), None);
        assert_eq!(Cut::of(&Dim::Known(3), 2, i64::MAX, -1), None);
        assert_eq!(Cut::of(&Dim::Known(3), 0, 9, 1), Some(Cut::All));
    }
}
