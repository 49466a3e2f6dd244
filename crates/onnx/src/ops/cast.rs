//! `Cast`: ONNX operator specification, section "Cast".

use super::{Gradients, Rule};
use crate::{emitter::Emitter, node::Node, proto::DataType, shape::Fact};

pub(super) const RULE: Rule = Rule {
    operator: "Cast",
    shape: |node| {
        let integer = matches!(kind(node), Some(DataType::Int64 | DataType::Int32));
        Some(Fact {
            shape: node.shape(0)?.to_vec(),
            value: node.value(0).filter(|_| integer).map(<[_]>::to_vec),
        })
    },
    gradient: Some(gradient),
};

/// dx = dy where float32 stays float32; everything that depends on the image is float32 up to here.
fn gradient(node: &Node<'_>, _: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    match kind(node) {
        Some(DataType::Float) => Ok(vec![(0, dy.into())]),
        Some(kind @ (DataType::Double | DataType::Float16 | DataType::Bfloat16)) => Err(format!(
            "it changes to {}, and there are rules for float32 alone; export the model in float32",
            kind.name()
        )),
        _ => Err("its result is constant almost everywhere, so that no gradient passes; take it off the way to the logits".into()),
    }
}

fn kind(node: &Node<'_>) -> Option<DataType> {
    let to = i32::try_from(node.int("to")?).ok()?;
    DataType::try_from(to).ok()
}

#[cfg(test)]
mod tests {
    use crate::{
        check,
        proto::{AttributeProto, DataType},
        reference::net::Net,
    };

    fn net(to: DataType) -> (Net, String) {
        let mut net = Net::new([3, 2, 2, 2], 5);
        let y = net.op("Cast", &["image"], [AttributeProto::int("to", to as i64)]);
        (net, y)
    }

    #[test]
    fn gradient_passes_where_nothing_changes() {
        let (net, y) = net(DataType::Float);
        net.check(&y, 5);
    }

    #[test]
    fn other_types_are_refused_with_the_reason() {
        for (to, reason) in [
            (DataType::Float16, "float16"),
            (DataType::Int64, "constant almost everywhere"),
        ] {
            let (net, y) = net(to);
            let obstacles = check(&net.classifier(&y)).unwrap_err();
            assert!(
                obstacles
                    .iter()
                    .any(|o| o.operator == "Cast" && o.reason.contains(reason)),
                "{obstacles:?}"
            );
        }
    }
}
