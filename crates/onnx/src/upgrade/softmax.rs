//! `Softmax` and its kin, which before operator set 13 took the axes from `axis` on as one.

use super::{Upgrade, take};
use crate::{
    order,
    proto::{AttributeProto, NodeProto},
};

impl Upgrade<'_> {
    /// Flattens, computes along the rows, and restores the shape; the node itself becomes the last of these.
    pub(super) fn flat_softmax(&mut self, node: &mut NodeProto) {
        let axis = take(node, "axis").and_then(|axis| axis.i).unwrap_or(1);
        let input = node.input.first().cloned().unwrap_or_default();
        let [flat, rows, shape] = ["flat", "rows", "shape"].map(|part| self.name(node, part));
        let helper = |operator: &str, attribute: Option<AttributeProto>, output: &str| NodeProto {
            name: output.into(),
            op_type: operator.into(),
            input: vec![input.clone()],
            output: vec![output.into()],
            attribute: attribute.into_iter().collect(),
            ..NodeProto::default()
        };
        let along_rows = NodeProto {
            // Messages name the operator by what the file calls it.
            name: order::label(node).into(),
            op_type: std::mem::replace(&mut node.op_type, "Reshape".into()),
            input: vec![flat.clone()],
            output: vec![rows.clone()],
            attribute: vec![AttributeProto::int("axis", -1)],
            ..NodeProto::default()
        };
        self.nodes.extend([
            helper("Flatten", Some(AttributeProto::int("axis", axis)), &flat),
            along_rows,
            helper("Shape", None, &shape),
        ]);
        node.name.clear();
        node.input = vec![rows, shape];
        node.attribute.clear();
    }
}
