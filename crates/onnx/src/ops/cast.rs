//! `Cast`: ONNX operator specification, section "Cast"; here for shapes alone, between integer types.

use super::Rule;
use crate::{proto::DataType, shape::Fact};

pub(super) const RULE: Rule = Rule {
    operator: "Cast",
    shape: |node| {
        let to = node.int("to").and_then(|to| i32::try_from(to).ok());
        let integer =
            to.is_some_and(|to| to == DataType::Int64 as i32 || to == DataType::Int32 as i32);
        Some(Fact {
            shape: node.shape(0)?.to_vec(),
            value: node.value(0).filter(|_| integer).map(<[_]>::to_vec),
        })
    },
    gradient: None,
};
