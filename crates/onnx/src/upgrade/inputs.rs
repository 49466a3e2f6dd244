//! Attributes that became inputs.

use super::{Upgrade, require, set_input, take};
use crate::proto::{AttributeProto, NodeProto, TensorProto};

impl Upgrade<'_> {
    /// Axes: of `ReduceSum`, `Squeeze` and `Unsqueeze` in operator set 13, of the other reductions in 18.
    pub(super) fn axes(&mut self, node: &mut NodeProto) {
        if let Some(axes) = take(node, "axes") {
            node.input.truncate(1);
            self.store_ints(node, 1, "axes", &axes.ints);
        }
    }

    /// The bounds of `Clip`, in operator set 11.
    pub(super) fn bounds(&mut self, node: &mut NodeProto) {
        node.input.truncate(1);
        for (input, bound) in [(1, "min"), (2, "max")] {
            if let Some(value) = take(node, bound).and_then(|bound| bound.f) {
                self.store_float(node, input, bound, value);
            }
        }
    }

    /// The widths and the value of `Pad`, in operator set 11.
    pub(super) fn pad(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let pads = require(node, "pads")?;
        let value = take(node, "value").and_then(|value| value.f);
        node.input.truncate(1);
        self.store_ints(node, 1, "pads", &pads.ints);
        // Zero is what is left out, whatever the element type.
        if let Some(value) = value.filter(|value| *value != 0.0) {
            self.store_float(node, 2, "value", value);
        }
        Ok(())
    }

    /// The ranges of `Slice`, in operator set 10.
    pub(super) fn slice(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let (starts, ends) = (require(node, "starts")?, require(node, "ends")?);
        let axes = take(node, "axes");
        node.input.truncate(1);
        self.store_ints(node, 1, "starts", &starts.ints);
        self.store_ints(node, 2, "ends", &ends.ints);
        if let Some(axes) = axes {
            self.store_ints(node, 3, "axes", &axes.ints);
        }
        Ok(())
    }

    /// The sizes of the parts of `Split`, in operator set 13; their number has to be stated where they are equal, since 18.
    pub(super) fn split(&mut self, node: &mut NodeProto) {
        if let Some(sizes) = take(node, "split").filter(|sizes| !sizes.ints.is_empty()) {
            node.input.truncate(1);
            self.store_ints(node, 1, "split", &sizes.ints);
        }
        if node.input.get(1).is_none_or(String::is_empty) {
            let parts = node.output.len() as i64;
            node.attribute
                .push(AttributeProto::int("num_outputs", parts));
        }
    }

    /// The number of elements that `TopK` picks, in operator set 10.
    pub(super) fn top_k(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let count = require(node, "k")?.i.unwrap_or_default();
        node.input.truncate(1);
        self.store_ints(node, 1, "k", &[count]);
        Ok(())
    }

    fn store_float(&mut self, node: &mut NodeProto, input: usize, part: &str, value: f32) {
        let name = self.name(node, part);
        self.initializers
            .push(TensorProto::floats(&name, &[], &[value]));
        set_input(node, input, name);
    }
}
