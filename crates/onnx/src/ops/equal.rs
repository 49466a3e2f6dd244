//! `Equal`: ONNX operator specification, section "Equal"; here for shapes alone.

use super::Rule;
use crate::{extent::Extent, follow};

pub(super) const RULE: Rule = Rule {
    operator: "Equal",
    shape: |node| follow::binary(node, Extent::equals),
    gradient: None,
};
