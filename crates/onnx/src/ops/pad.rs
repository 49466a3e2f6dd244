//! `Pad`: ONNX operator specification, section "Pad"; cells before and behind along each axis, or fewer where pads are negative.

use super::{Gradients, Rule, scatter, sizes::Size};
use crate::{
    emitter::{Emitter, LARGEST_CONSTANT},
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Pad",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(2, "padding value")])?;
    let shape = node.require_shape(0)?;
    let pads = pads(node, shape.len())
        .ok_or("its pads or axes are no constants, or out of range; export the model with static image sizes")?;
    let dx = match node.string("mode").unwrap_or("constant") {
        "constant" => cut(emit, dy, &pads),
        "reflect" => folded(node, emit, dy, &pads, reflect)?,
        "edge" => folded(node, emit, dy, &pads, |place, size| {
            Some(place.clamp(0, size - 1))
        })?,
        "wrap" => folded(node, emit, dy, &pads, |place, size| {
            Some(place.rem_euclid(size))
        })?,
        other => return Err(format!("mode `{other}` has no gradient rule")),
    };
    Ok(vec![(0, dx)])
}

/// dx is dy without the cells that were added, and zero where cells were left out.
fn cut(emit: &mut Emitter, dy: &str, pads: &[[i64; 2]]) -> String {
    let mut dx = dy.to_string();
    if pads.iter().flatten().any(|pad| *pad > 0) {
        let starts: Vec<i64> = pads.iter().map(|[before, _]| (*before).max(0)).collect();
        let ends: Vec<i64> = pads
            .iter()
            .map(|[_, behind]| if *behind > 0 { -behind } else { i64::MAX })
            .collect();
        let (starts, ends) = (emit.ints(&starts), emit.ints(&ends));
        dx = emit.node("Slice", &[&dx, &starts, &ends], []);
    }
    let before = pads.iter().map(|[before, _]| (-before).max(0));
    let behind = pads.iter().map(|[_, behind]| (-behind).max(0));
    let zeros: Vec<i64> = before.chain(behind).collect();
    scatter::zeros_around(emit, &dx, &zeros)
}

/// dx has each cell of dy added to the place that `source` says it was copied from: of a place, counted from the first one that was
/// kept, among as many.
fn folded(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    pads: &[[i64; 2]],
    source: impl Fn(i64, i64) -> Option<i64>,
) -> Result<String, String> {
    let shape = node.require_shape(0)?;
    let mut dims = node.require_output_shape()?.to_vec();
    let mut dx = dy.to_string();
    for (axis, ([before, behind], dim)) in pads.iter().zip(shape).enumerate() {
        if *before == 0 && *behind == 0 {
            continue;
        }
        let size = dim.known().and_then(|size| i64::try_from(size).ok()).ok_or_else(|| {
            format!("the size `{dim}` of axis {axis} is not a number; export the model with static image sizes")
        })?;
        let small = |count: i64| count.unsigned_abs() <= LARGEST_CONSTANT;
        if ![*before, *behind, size].into_iter().all(small) {
            return Err(format!(
                "its pads or the size of axis {axis} exceed {LARGEST_CONSTANT}"
            ));
        }
        let first = (-before).max(0);
        let kept = size - first - (-behind).max(0);
        let places: Option<Vec<i64>> = (-(*before).max(0)..kept + (*behind).max(0))
            .map(|place| Some(first + source(place, kept).filter(|_| kept > 0)?))
            .collect();
        let places = places.ok_or_else(|| {
            format!(
                "pads {before} and {behind} are too large for the {kept} cells along axis {axis}"
            )
        })?;
        let places = emit.ints(&places);
        dx = scatter::add_along(emit, &dx, &dims, axis, &places, Size::Number(size));
        if let Some(slot) = dims.get_mut(axis) {
            slot.clone_from(dim);
        }
    }
    Ok(dx)
}

/// Mirrored at the first and the last cell, which are not repeated. Runtimes differ where a mirror image is longer than that.
fn reflect(place: i64, size: i64) -> Option<i64> {
    let mirrored = if place < 0 {
        -place
    } else if place >= size {
        2 * (size - 1) - place
    } else {
        place
    };
    (0..size).contains(&mirrored).then_some(mirrored)
}

/// For each axis the cells before and behind, within bounds in which sums do not overflow.
fn pads(node: &Node<'_>, rank: usize) -> Option<Vec<[i64; 2]>> {
    pads_within(node, rank, i32::MAX as u64)
}

/// As [`pads`], of up to `most` cells.
fn pads_within(node: &Node<'_>, rank: usize, most: u64) -> Option<Vec<[i64; 2]>> {
    let given = node.integers(1)?;
    let axes = match node.input(3) {
        Some(_) => {
            let axes = node.integers(3)?;
            axes.into_iter()
                .map(|axis| shape::axis(axis, rank))
                .collect::<Option<_>>()?
        }
        None => (0..rank).collect::<Vec<_>>(),
    };
    if given.len() != 2 * axes.len() {
        return None;
    }
    let (before, behind) = given.split_at_checked(axes.len())?;
    let mut pads = vec![[0, 0]; rank];
    for (axis, (before, behind)) in axes.into_iter().zip(before.iter().zip(behind)) {
        let small = |pad: &i64| Some(*pad).filter(|pad| pad.unsigned_abs() <= most);
        *pads.get_mut(axis)? = [small(before)?, small(behind)?];
    }
    Some(pads)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let input = node.shape(0)?;
    let pads = pads_within(node, input.len(), u64::MAX);
    let dims = input.iter().enumerate().map(|(axis, dim)| {
        let pads = pads.as_ref().and_then(|pads| pads.get(axis));
        match (pads, dim.known()) {
            (Some([0, 0]), _) => Some(dim.clone()),
            (Some([before, behind]), Some(size)) => size
                .checked_add_signed(*before)?
                .checked_add_signed(*behind)
                .map(Dim::Known),
            _ => Some(Dim::unknown(node.output(), axis)),
        }
    });
    dims.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    const SIZES: [usize; 4] = [3, 3, 4, 5];

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_is_the_difference_quotient(
            mode in prop::sample::select(vec!["constant", "reflect", "edge", "wrap"]),
            drawn in prop::collection::vec((-1i64..5, -1i64..5), 3),
            axes in prop::option::of(prop::sample::select(vec![vec![2i64, 3], vec![-1, 1], vec![-2]])),
            value: bool, seed: u64,
        ) {
            // Opset 19 brought `wrap`.
            let mut net = Net::new(SIZES, seed).with_opset(19);
            let given = axes.clone().unwrap_or(vec![1, 2, 3]);
            // A mirror image is shorter than what is mirrored.
            let limit = |pad: i64, axis: i64| match mode {
                "reflect" => pad.min(SIZES[axis.rem_euclid(4) as usize] as i64 - 3),
                _ => pad,
            };
            let pads = |side: fn(&(i64, i64)) -> i64| {
                let pads = given.iter().zip(&drawn).map(move |(axis, pads)| limit(side(pads), *axis));
                // Without axes, the batch comes first.
                let batch = if axes.is_some() { vec![] } else { vec![0] };
                [batch, pads.collect()].concat()
            };
            let pads = [pads(|pads| pads.0), pads(|pads| pads.1)].concat();
            let pads = net.ints(&pads);
            let value = if value { net.floats(&[], &[2.5]) } else { String::new() };
            let axes = axes.map_or_else(String::new, |axes| net.ints(&axes));
            let y = net.op("Pad", &["image", &pads, &value, &axes], [AttributeProto::string("mode", mode)]);
            net.check(&y, seed);
        }
    }

    #[test]
    fn a_mirror_image_longer_than_the_axis_is_refused() {
        let mut net = Net::new([1, 1, 2, 2], 1);
        let pads = net.ints(&[0, 0, 0, 1, 0, 0, 0, 2]);
        let mode = AttributeProto::string("mode", "reflect");
        let y = net.op("Pad", &["image", &pads], [mode]);
        let logits = net.op("Flatten", &[&y], []);
        let model = net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(10)]));
        let obstacles = check(&model).unwrap_err();
        assert!(
            obstacles[0].reason.contains("too large for the 2 cells"),
            "{obstacles:?}"
        );
    }

    #[test]
    fn pads_computed_from_sizes_are_followed() {
        // As PyTorch writes them: pairs from the last axis to the first, turned round.
        let mut net = Net::new([3, 2, 5, 4], 5);
        let shape = net.op("Shape", &["image"], []);
        let index = net.store(crate::proto::TensorProto::int64s("", &[], &[2]));
        let height = net.op("Gather", &[&shape, &index], []);
        let window = net.store(crate::proto::TensorProto::int64s("", &[], &[3]));
        let over = net.op("Mod", &[&height, &window], []);
        let missing = net.op("Sub", &[&window, &over], []);
        let first = net.ints(&[0]);
        let missing = net.op("Unsqueeze", &[&missing, &first], []);
        let (zeros, rest) = (net.ints(&[1, 0, 0]), net.ints(&[0, 0, 0, 0]));
        let along = AttributeProto::int("axis", 0);
        let pairs = net.op("Concat", &[&zeros, &missing, &rest], [along]);
        let table = net.ints(&[-1, 2]);
        let pairs = net.op("Reshape", &[&pairs, &table], []);
        let (last, end, back) = (net.ints(&[-1]), net.ints(&[i64::MIN + 1]), net.ints(&[-1]));
        let turned = net.op("Slice", &[&pairs, &last, &end, &first, &back], []);
        let turned = net.op(
            "Transpose",
            &[&turned],
            [AttributeProto::ints("perm", [1, 0])],
        );
        let pads = net.op("Reshape", &[&turned, &last], []);
        let y = net.op("Pad", &["image", &pads], []);
        net.check(&y, 5);
    }
}
