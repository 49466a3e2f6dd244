use std::collections::HashSet;

use crate::{
    model::is_onnx_domain,
    proto::{AttributeProto, NodeProto, TensorProto},
    shape::{Dim, Extent, Facts},
};

/// A node together with what is known about its tensors; what the rules of the operators see.
pub(crate) struct Node<'a> {
    pub proto: &'a NodeProto,
    facts: &'a Facts<'a>,
    active: Option<&'a HashSet<String>>,
}

impl<'a> Node<'a> {
    pub(crate) fn new(proto: &'a NodeProto, facts: &'a Facts<'a>) -> Self {
        Self {
            proto,
            facts,
            active: None,
        }
    }

    /// With the tensors that depend on the image and reach the logits.
    pub(crate) fn with_active(self, active: &'a HashSet<String>) -> Self {
        Self {
            active: Some(active),
            ..self
        }
    }

    /// Whether the operator is one of ONNX itself.
    pub(crate) fn is_onnx(&self) -> bool {
        is_onnx_domain(&self.proto.domain)
    }

    /// Whether the gradient with respect to an input is wanted.
    pub(crate) fn wants(&self, index: usize) -> bool {
        let active = self.active.zip(self.input(index));
        active.is_some_and(|(active, name)| active.contains(name))
    }

    /// Refuses when the gradient with respect to one of these inputs is wanted.
    pub(crate) fn constant_inputs(&self, inputs: &[(usize, &str)]) -> Result<(), String> {
        match inputs.iter().find(|(index, _)| self.wants(*index)) {
            None => Ok(()),
            Some((_, what)) => Err(format!(
                "its {what} depends on the image, for which there is no gradient rule; make the {what} a constant"
            )),
        }
    }

    /// The name of an input that is there.
    pub(crate) fn input(&self, index: usize) -> Option<&'a str> {
        let name = self.proto.input.get(index)?;
        (!name.is_empty()).then_some(name)
    }

    /// The name of an input that the operator cannot do without.
    pub(crate) fn require_input(&self, index: usize) -> Result<&'a str, String> {
        self.input(index)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The name of the first output.
    pub(crate) fn output(&self) -> &'a str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// Whether an output beside the first is named.
    pub(crate) fn has_output(&self, index: usize) -> bool {
        self.proto
            .output
            .get(index)
            .is_some_and(|name| !name.is_empty())
    }

    pub(crate) fn shape(&self, index: usize) -> Option<&'a [Dim]> {
        self.facts.shape(self.input(index)?)
    }

    pub(crate) fn require_shape(&self, index: usize) -> Result<&'a [Dim], String> {
        let name = self.require_input(index)?;
        self.facts.shape(name).ok_or_else(|| unknown_shape(name))
    }

    /// The shape of the first output.
    pub(crate) fn require_output_shape(&self) -> Result<&'a [Dim], String> {
        self.facts
            .shape(self.output())
            .ok_or_else(|| unknown_shape(self.output()))
    }

    /// The elements of an input that holds a shape or a part of one.
    pub(crate) fn value(&self, index: usize) -> Option<&'a [Extent]> {
        self.facts.value(self.input(index)?)
    }

    /// The elements of an input that is a constant list of integers.
    pub(crate) fn integers(&self, index: usize) -> Option<Vec<i64>> {
        self.value(index)?.iter().map(Extent::integer).collect()
    }

    /// An input that is a stored tensor.
    pub(crate) fn stored(&self, index: usize) -> Option<&'a TensorProto> {
        self.facts.stored(self.input(index)?)
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// A switch that is off unless the attribute says otherwise.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.int(name).unwrap_or(0) != 0
    }

    pub(crate) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        let ints = &self.attribute(name)?.ints;
        (!ints.is_empty()).then_some(ints)
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    pub(crate) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.f
    }

    pub(crate) fn string(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(name)?.s.as_deref()?).ok()
    }
}

fn unknown_shape(name: &str) -> String {
    format!(
        "the shape of `{name}` is not known; export the model with static image sizes, or add the shapes \
         (Python: `onnx.shape_inference.infer_shapes`)"
    )
}
