//! `Shape`: ONNX operator specification, section "Shape"; the sizes of a tensor from axis `start` up to axis `end`.

use super::Rule;
use crate::shape::{Extent, Fact};

pub(super) const RULE: Rule = Rule {
    operator: "Shape",
    shape: |node| {
        let sizes: Vec<_> = node.shape(0)?.iter().map(Extent::from).collect();
        let rank = sizes.len() as i64;
        let bound = |name, default| {
            let axis = node.int(name).unwrap_or(default);
            let axis = if axis < 0 {
                axis.saturating_add(rank)
            } else {
                axis
            };
            axis.clamp(0, rank) as usize
        };
        let sizes = sizes
            .get(bound("start", 0)..bound("end", rank))
            .unwrap_or_default();
        Some(Fact::of_value(sizes.to_vec()))
    },
    gradient: None,
};
