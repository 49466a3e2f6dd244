//! `Upsample` (until operator set 9) and the older forms of `Resize`.
//!
//! Both left open which pixel of the input a pixel of the output comes from. What runtimes do, and `Resize` of operator set 11 can
//! say: position divided by scale, the nearest one rounded towards the front where the scale enlarges, towards the back where
//! it makes smaller.

use super::{Upgrade, require, set_input};
use crate::proto::{AttributeProto, NodeProto, TensorProto};

impl Upgrade<'_> {
    /// Scales were an attribute in operator set 7, and the second input in 9; they are at least one.
    pub(super) fn upsample(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let scales = if self.from < 9 {
            let values = require(node, "scales")?.floats;
            let name = self.name(node, "scales");
            self.initializers
                .push(TensorProto::floats(&name, &[values.len() as i64], &values));
            name
        } else {
            node.input.get(1).cloned().unwrap_or_default()
        };
        node.op_type = "Resize".into();
        with_scales(node, scales, "floor");
        Ok(())
    }

    /// In operator set 10 the scales were the second input; since 11 they are the third.
    pub(super) fn first_resize(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let scales = node.input.get(1).cloned().unwrap_or_default();
        let rounding = if is_nearest(node) {
            self.rounding(&scales)?
        } else {
            "floor"
        };
        with_scales(node, scales, rounding);
        Ok(())
    }

    /// How a runtime rounds positions, by the scales.
    fn rounding(&self, scales: &str) -> Result<&'static str, String> {
        let values = self.stored.get(scales).and_then(|scales| scales.to_f64s());
        let values = values.ok_or(
            "its scales are computed, which cannot be brought from operator set 10 to 18; export the model with constant sizes",
        )?;
        if values.iter().all(|scale| *scale >= 1.0) {
            Ok("floor")
        } else if values.iter().all(|scale| *scale <= 1.0) {
            Ok("ceil")
        } else {
            Err("it makes one axis larger and another smaller; export the model with operator set 11 or later".into())
        }
    }

    /// In operator set 11 an unused input was an empty tensor, and one more kind of coordinates was there.
    pub(super) fn resize(&mut self, node: &mut NodeProto) -> Result<(), String> {
        let transformation = string(node, "coordinate_transformation_mode");
        if transformation == Some(b"tf_half_pixel_for_nn") {
            return Err("coordinates `tf_half_pixel_for_nn` are gone since operator set 13; export the model with that or a later one".into());
        }
        for input in node.input.iter_mut().skip(1) {
            let stored = self.stored.get(input.as_str());
            if stored.is_some_and(|tensor| tensor.dims.contains(&0)) {
                input.clear();
            }
        }
        Ok(())
    }
}

fn with_scales(node: &mut NodeProto, scales: String, rounding: &str) {
    node.input.truncate(1);
    set_input(node, 2, scales);
    node.attribute.push(AttributeProto::string(
        "coordinate_transformation_mode",
        "asymmetric",
    ));
    if is_nearest(node) {
        node.attribute
            .push(AttributeProto::string("nearest_mode", rounding));
    }
}

fn is_nearest(node: &NodeProto) -> bool {
    string(node, "mode").is_none_or(|mode| mode == b"nearest")
}

fn string<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [u8]> {
    let attribute = node.attribute.iter().find(|own| own.name == name)?;
    attribute.s.as_deref()
}
