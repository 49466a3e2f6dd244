//! `QuantizeLinear` and `DequantizeLinear`: ONNX operator specification; here for shapes alone, which they leave as they are.

use super::Rule;
use crate::shape::Fact;

pub(super) const QUANTIZE: Rule = Rule {
    operator: "QuantizeLinear",
    shape: |node| Some(Fact::of_shape(node.shape(0)?.to_vec())),
    gradient: None,
};

pub(super) const DEQUANTIZE: Rule = Rule {
    operator: "DequantizeLinear",
    shape: |node| Some(Fact::of_shape(node.shape(0)?.to_vec())),
    gradient: None,
};
