//! `Pow` with exponent 2, `Abs`, `ReduceL2`, `ReduceSumSquare` and `LpNormalization`: ONNX operator specification, sections of
//! those names. They grow with the absolute value.

use super::{
    Passage, Rule,
    affine::row,
    interval::{Bounds, Interval},
    product, rounding,
};
use crate::proto::AttributeProto;

pub(super) const ABS: Rule = Rule {
    operators: &["Abs"],
    bound: |node, bounds| {
        let x = bounds.input(node, 0)?;
        Ok(absolute(bounds, &x))
    },
    passage: |_| Passage::Cut,
};

pub(super) const POW: Rule = Rule {
    operators: &["Pow"],
    bound: |node, bounds| {
        let exponent = node.stored(1).and_then(|tensor| tensor.to_f64s());
        match exponent.as_deref() {
            Some([2.0]) if node.wants(0) => {
                let x = bounds.input(node, 0)?;
                Ok(square_by_kernel(bounds, &x))
            }
            _ => Err("there are bounds for the constant exponent 2 alone; write other powers as products".into()),
        }
    },
    passage: |_| Passage::Cut,
};

pub(super) const LENGTH: Rule = Rule {
    operators: &["ReduceL2", "ReduceSumSquare"],
    bound: |node, bounds| {
        let x = bounds.input(node, 0)?;
        let share = rounding::share(row(node.require_shape(0)?)?)?;
        let ends = absolute(bounds, &x).map(|end| bounds.again(node, &[(0, end)]));
        Ok(bounds.outward(&ends, share))
    },
    passage: |_| Passage::Cut,
};

/// y = x / |x|_p along an axis.
pub(super) const NORMALIZATION: Rule = Rule {
    operators: &["LpNormalization"],
    bound: |node, bounds| {
        let norm = match node.int("p").unwrap_or(2) {
            1 => "ReduceL1",
            2 => "ReduceL2",
            p => {
                return Err(format!(
                    "its p is {p}, which the operator defines for 1 and 2 alone"
                ));
            }
        };
        let x = bounds.input(node, 0)?;
        let share = rounding::share(row(node.require_shape(0)?)?)?;
        let axis = bounds.emit.ints(&[node.int("axis").unwrap_or(-1)]);
        let keep = || AttributeProto::int("keepdims", 1);
        let length =
            absolute(bounds, &x).map(|end| bounds.emit.node(norm, &[end, &axis], [keep()]));
        let length = bounds.outward(&length, share);
        Ok(product::quotient(bounds, &x, &length))
    },
    passage: |_| Passage::Cut,
};

/// Of |x|.
fn absolute(bounds: &mut Bounds, x: &Interval) -> Interval {
    let zero = bounds.emit.float(0.0);
    let below = bounds.one("Neg", &x.upper);
    let lower = bounds.emit.node("Max", &[&x.lower, &below, &zero], []);
    Interval::new(lower, bounds.size(x))
}

/// Of x x.
pub(super) fn interval(bounds: &mut Bounds, x: &Interval) -> Interval {
    let squares = absolute(bounds, x).map(|end| bounds.two("Mul", end, end));
    bounds.stepped(&squares)
}

fn square_by_kernel(bounds: &mut Bounds, x: &Interval) -> Interval {
    let squares = interval(bounds, x);
    bounds.outward(&squares, rounding::KERNEL)
}
