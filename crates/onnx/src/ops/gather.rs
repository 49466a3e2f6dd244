//! `Gather`: ONNX operator specification, section "Gather"; here for shapes alone, from which sizes are taken.

use super::Rule;
use crate::shape::{self, Fact};

pub(super) const RULE: Rule = Rule {
    operator: "Gather",
    shape: |node| {
        let data = node.value(0)?;
        let picked = node
            .integers(1)?
            .into_iter()
            .map(|index| data.get(shape::axis(index, data.len())?).cloned());
        Some(Fact {
            shape: node.shape(1)?.to_vec(),
            value: Some(picked.collect::<Option<_>>()?),
        })
    },
    gradient: None,
};
