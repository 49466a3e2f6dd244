//! Operators that take elements from places, or put them there.

use super::super::{
    Call,
    tensor::{Tensor, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    Some(vec![match operator {
        "Gather" => {
            let (x, picks, axis) = (call.x(), call.input(1), call.axis("axis", 0));
            let dims = [&x.dims[..axis], &picks.dims, &x.dims[axis + 1..]].concat();
            Tensor::build(&dims, |index| {
                let (front, rest) = index.split_at(axis);
                let (pick, back) = rest.split_at(picks.dims.len());
                let place = counted(picks.at(pick), x.dims[axis]);
                x.at(&[front, &[place], back].concat())
            })
        }
        "GatherElements" => {
            let (x, picks, axis) = (call.x(), call.input(1), call.axis("axis", 0));
            Tensor::build(&picks.dims, |index| {
                let mut from = index.to_vec();
                from[axis] = counted(picks.at(index), x.dims[axis]);
                x.at(&from)
            })
        }
        "ScatterElements" => {
            assert_eq!(call.string("reduction").as_deref(), Some("add"));
            let (places, updates, axis) = (call.input(1), call.input(2), call.axis("axis", 0));
            let mut result = call.x().clone();
            assert_eq!(places.dims, updates.dims);
            for index in indices(&updates.dims) {
                let mut to = index.clone();
                to[axis] = counted(places.at(&index), result.dims[axis]);
                *result.at_mut(&to) += updates.at(&index);
            }
            result
        }
        "Slice" => slice(call),
        "Pad" => pad(call),
        _ => return None,
    }])
}

/// An index that may count from the end.
fn counted(index: f64, size: usize) -> usize {
    let index = index as i64;
    (if index < 0 {
        index + size as i64
    } else {
        index
    }) as usize
}

/// Given axes, or the first ones.
fn axes(call: &Call<'_>, input: usize, count: usize) -> Vec<usize> {
    let rank = call.x().dims.len();
    match call.optional(input) {
        None => (0..count).collect(),
        Some(axes) => axes.data.iter().map(|&axis| counted(axis, rank)).collect(),
    }
}

fn slice(call: &Call<'_>) -> Tensor {
    let x = call.x();
    let (starts, ends) = (call.input(1).ints(), call.input(2).ints());
    let axes = axes(call, 3, starts.len());
    let steps = call.optional(4).map_or(vec![1; starts.len()], Tensor::ints);
    let mut places: Vec<Vec<usize>> = x.dims.iter().map(|&dim| (0..dim).collect()).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let size = x.dims[axis] as i64;
        let (low, high) = if steps[i] > 0 {
            (0, size)
        } else {
            (-1, size - 1)
        };
        let bound = |bound: i64, low: i64| {
            let bound = if bound < 0 {
                bound.saturating_add(size)
            } else {
                bound
            };
            bound.max(low).min(high)
        };
        let (mut at, end) = (bound(starts[i], 0), bound(ends[i], low));
        places[axis].clear();
        while if steps[i] > 0 { at < end } else { at > end } {
            places[axis].push(at as usize);
            at = at.saturating_add(steps[i]);
        }
    }
    let dims: Vec<usize> = places.iter().map(Vec::len).collect();
    Tensor::build(&dims, |index| {
        let from: Vec<usize> = index
            .iter()
            .zip(&places)
            .map(|(&i, places)| places[i])
            .collect();
        x.at(&from)
    })
}

fn pad(call: &Call<'_>) -> Tensor {
    let x = call.x();
    let given = call.input(1).ints();
    let count = given.len() / 2;
    let mut pads = vec![(0, 0); x.dims.len()];
    for (i, axis) in axes(call, 3, count).into_iter().enumerate() {
        pads[axis] = (given[i], given[i + count]);
    }
    let mode = call.string("mode").unwrap_or("constant".into());
    let value = call.optional(2).map_or(0.0, |value| value.data[0]);
    let size = |axis: usize| x.dims[axis] as i64;
    let dims: Vec<usize> = (0..x.dims.len())
        .map(|axis| (size(axis) + pads[axis].0 + pads[axis].1) as usize)
        .collect();
    Tensor::build(&dims, |index| {
        let mut from = vec![];
        for (axis, &i) in index.iter().enumerate() {
            // Cells that negative pads cut off are copied to nowhere.
            let (first, end) = ((-pads[axis].0).max(0), size(axis) - (-pads[axis].1).max(0));
            let mut place = i as i64 - pads[axis].0;
            match mode.as_str() {
                "constant" if place < first || place >= end => return value,
                "edge" => place = place.max(first).min(end - 1),
                "wrap" => {
                    while place < first {
                        place += end - first;
                    }
                    while place >= end {
                        place -= end - first;
                    }
                }
                "reflect" => {
                    if place < first {
                        place = first + (first - place);
                    } else if place >= end {
                        place = end - 1 - (place - (end - 1));
                    }
                }
                _ => (),
            }
            from.push(place as usize);
        }
        x.at(&from)
    })
}
