//! `Identity`: ONNX operator specification, section "Identity"; y = x.

use super::Rule;
use crate::shape::Fact;

pub(super) const RULE: Rule = Rule {
    operator: "Identity",
    shape: |node| {
        Some(Fact {
            shape: node.shape(0)?.to_vec(),
            value: node.value(0).map(<[_]>::to_vec),
        })
    },
    gradient: Some(|_, _, dy| Ok(vec![(0, dy.into())])),
};

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;

    #[test]
    fn gradient_passes_through() {
        let mut net = Net::new([3, 2, 2, 2], 5);
        let y = net.op("Identity", &["image"], []);
        net.check(&y, 5);
    }
}
