//! `ConstantOfShape`: ONNX operator specification, section "ConstantOfShape"; here for shapes alone.

use super::Rule;
use crate::{
    extent::Extent,
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "ConstantOfShape",
    shape: infer,
    gradient: None,
};

fn infer(node: &Node<'_>) -> Option<Fact> {
    let sizes = node.value(0)?.iter().enumerate();
    let shape: Vec<Dim> = sizes
        .map(|(axis, size)| size.dim(node.output(), axis))
        .collect::<Option<_>>()?;
    let value = || {
        let element = *node.tensor("value")?.to_i64s()?.first()?;
        let count = shape
            .iter()
            .try_fold(1u64, |count, dim| count.checked_mul(dim.known()?));
        let count = usize::try_from(count?).ok();
        let count = count.filter(|count| *count <= shape::LONGEST_VALUE)?;
        Some(vec![Extent::Integer(element); count])
    };
    let value = value();
    Some(Fact { shape, value })
}
