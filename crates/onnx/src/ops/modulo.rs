//! `Mod`: ONNX operator specification, section "Mod"; here for shapes alone.

use super::Rule;
use crate::{extent::Extent, follow};

pub(super) const RULE: Rule = Rule {
    operator: "Mod",
    shape: |node| {
        // With `fmod` the remainder has the sign of the dividend.
        follow::binary(node, |a, b| match node.flag("fmod") {
            false => a.modulo(b),
            true => Extent::Unknown,
        })
    },
    gradient: None,
};
