//! `Concat`: ONNX operator specification, section "Concat"; here for shapes alone, put together from parts.

use super::Rule;
use crate::shape::Fact;

pub(super) const RULE: Rule = Rule {
    operator: "Concat",
    shape: |node| {
        let parts = 0..node.proto.input.len();
        let parts: Vec<_> = parts
            .map(|index| {
                node.value(index)
                    .filter(|_| node.shape(index).is_some_and(|shape| shape.len() == 1))
            })
            .collect::<Option<_>>()?;
        Some(Fact::of_value(parts.concat()))
    },
    gradient: None,
};
