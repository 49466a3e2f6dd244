//! `Range`: ONNX operator specification, section "Range"; here for shapes alone.

use super::Rule;
use crate::{
    extent::Extent,
    node::Node,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Range",
    shape: |node| {
        let count = count(node).unwrap_or_else(|| Dim::unknown(node.output(), 0));
        Some(Fact::of_shape(vec![count]))
    },
    gradient: None,
};

/// How many steps fit before the limit.
fn count(node: &Node<'_>) -> Option<Dim> {
    let bound = |input| node.value(input)?.first();
    match (bound(0)?, bound(1)?, bound(2)?) {
        (Extent::Integer(0), Extent::Symbol(limit), Extent::Integer(1)) => {
            Some(Dim::Symbol(limit.clone()))
        }
        (Extent::Integer(start), Extent::Integer(limit), Extent::Integer(step)) => {
            let distance = if *step > 0 {
                limit.checked_sub(*start)?
            } else {
                start.checked_sub(*limit)?
            };
            let steps = distance.max(0).unsigned_abs();
            (*step != 0).then(|| Dim::Known(steps.div_ceil(step.unsigned_abs())))
        }
        _ => None,
    }
}
