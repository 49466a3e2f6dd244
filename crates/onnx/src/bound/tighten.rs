//! Bounds of what goes into a rectifier by a backward pass of its own (CROWN: Zhang et al. 2018, section 3.3).

use super::{
    affine,
    interval::{Bounds, Interval},
    sweep::{Network, Sweep},
};
use crate::proto::{AttributeProto, TensorProto};

/// Elements of the largest tensor of a pass for one image, 256 MiB; larger ones are done in parts.
const LARGEST: u64 = 1 << 26;

/// Elements that all parts together may have; where it takes more, the interval stays as it is.
const MOST: u64 = 1 << 31;

/// The interval of a tensor, tightened by passes for each of its elements and both directions, unless that takes too many.
pub(super) fn tighten(
    network: &Network<'_>,
    bounds: &mut Bounds,
    tensor: &str,
) -> Result<Interval, String> {
    let known = bounds.intervals.get(tensor).cloned();
    let known = known.ok_or_else(|| format!("`{tensor}` has no bounds"))?;
    let shape = network.shape(tensor)?;
    let size = affine::row(shape)?;
    let nodes = network.graph.node.iter();
    let before = nodes.take_while(|node| node.output.iter().all(|output| output != tensor));
    let widths = before
        .flat_map(|node| &node.output)
        .chain([&network.image.to_string()])
        .filter(|output| network.active.contains(*output))
        .filter_map(|output| affine::row(network.facts.shape(output)?).ok())
        .max();
    let width = widths.unwrap_or(size).max(size).max(1);
    if size.saturating_mul(width) > MOST {
        return Ok(known);
    }
    let part = (LARGEST / width).clamp(1, size);
    let mut ends = Vec::new();
    for sign in [1.0, -1.0] {
        let mut penalties = Vec::new();
        let mut start = 0;
        while start < size {
            let count = part.min(size - start);
            let seed = seed(network, bounds, tensor, start..start + count, sign)?;
            let sweep = Sweep::new(network, bounds, count as i64, true);
            penalties.push(sweep.run(bounds, tensor, seed)?);
            start += count;
        }
        let parts: Vec<&str> = penalties.iter().map(String::as_str).collect();
        let axis = AttributeProto::int("axis", 1);
        let penalty = bounds.emit.node("Concat", &parts, [axis]);
        let sizes = shape
            .iter()
            .skip(1)
            .map(|dim| dim.known().unwrap_or(0) as i64);
        let sizes: Vec<i64> = [-1].into_iter().chain(sizes).collect();
        let sizes = bounds.emit.ints(&sizes);
        let penalty = bounds.two("Reshape", &penalty, &sizes);
        ends.push(bounds.two(if sign > 0.0 { "Sub" } else { "Add" }, tensor, &penalty));
    }
    let [lower, upper] = ends.as_slice() else {
        return Ok(known);
    };
    let found = Interval::new(lower, upper);
    bounds.witness(&found, shape);
    let found = bounds.stepped(&found);
    Ok(bounds.both(&known, &found))
}

/// Some rows of the identity, for each image, times a sign: `[batch * count, ...]`.
fn seed(
    network: &Network<'_>,
    bounds: &mut Bounds,
    tensor: &str,
    range: std::ops::Range<u64>,
    sign: f32,
) -> Result<String, String> {
    let shape = network.shape(tensor)?;
    let size = affine::row(shape)? as i64;
    let (start, end) = (range.start as i64, range.end as i64);
    let list = |values: std::ops::Range<i64>, dims: &[i64]| {
        TensorProto::int64s("", dims, &values.collect::<Vec<i64>>())
    };
    let own = bounds.emit.constant(list(start..end, &[end - start, 1]));
    // Which depends on the batch, so that no runtime computes the identity ahead and keeps it.
    let batch = [
        AttributeProto::int("start", 0),
        AttributeProto::int("end", 1),
    ];
    let batch = bounds.emit.node("Shape", &[network.image], batch);
    let nothing = bounds.emit.ints(&[0]);
    let nothing = bounds.two("Mul", &batch, &nothing);
    let own = bounds.two("Add", &own, &nothing);
    let all = bounds.emit.constant(list(0..size, &[size]));
    let equal = bounds.two("Equal", &own, &all);
    let rows = bounds.float_of(&equal);
    let rows = bounds.scaled(&rows, sign);
    let matrix = bounds.emit.ints(&[end - start, size]);
    let axis = AttributeProto::int("axis", 0);
    let every = bounds.emit.node("Concat", &[&batch, &matrix], [axis]);
    let rows = bounds.two("Expand", &rows, &every);
    let sizes = shape
        .iter()
        .skip(1)
        .map(|dim| dim.known().unwrap_or(0) as i64);
    let sizes: Vec<i64> = [-1].into_iter().chain(sizes).collect();
    let sizes = bounds.emit.ints(&sizes);
    Ok(bounds.two("Reshape", &rows, &sizes))
}
