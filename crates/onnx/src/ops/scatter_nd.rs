//! `ScatterND`: ONNX operator specification, section "ScatterND"; here for shapes alone, of masks that are filled part by part.

use super::{Rule, same_shape};

pub(super) const RULE: Rule = Rule {
    operator: "ScatterND",
    shape: same_shape,
    gradient: None,
};
