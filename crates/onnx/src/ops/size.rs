//! `Size`: ONNX operator specification, section "Size"; the number of elements of a tensor.

use super::Rule;
use crate::{
    extent::{Extent, Product},
    shape::Fact,
};

pub(super) const RULE: Rule = Rule {
    operator: "Size",
    shape: |node| {
        let count = node
            .shape(0)
            .and_then(|shape| Product::of(shape)?.dim())
            .map_or(Extent::Unknown, |count| Extent::from(&count));
        Some(Fact {
            shape: vec![],
            value: Some(vec![count]),
        })
    },
    gradient: None,
};
