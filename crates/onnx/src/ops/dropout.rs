//! `Dropout`: ONNX operator specification, section "Dropout"; in inference y = x.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Dropout",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy.
fn gradient(node: &Node<'_>, _: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    if node.input(2).is_some() {
        let training = node.stored(2).and_then(|tensor| tensor.to_i64s());
        if training.is_none_or(|flags| flags != [0]) {
            return Err("it is in training mode, or may be; export the model for inference".into());
        }
    }
    Ok(vec![(0, dy.into())])
}

#[cfg(test)]
mod tests {
    use crate::{
        check,
        proto::{DataType, TensorProto},
        reference::net::Net,
    };

    fn net(training: i32) -> (Net, String) {
        let mut net = Net::new([3, 2, 2, 2], 5);
        let ratio = net.floats(&[], &[0.5]);
        let training = net.store(TensorProto {
            data_type: DataType::Bool.into(),
            int32_data: vec![training],
            ..TensorProto::default()
        });
        let y = net.op("Dropout", &["image", &ratio, &training], []);
        (net, y)
    }

    #[test]
    fn gradient_passes_through_in_inference() {
        let (net, y) = net(0);
        net.check(&y, 5);
    }

    #[test]
    fn training_mode_is_refused() {
        let (net, y) = net(1);
        let obstacles = check(&net.classifier(&y)).unwrap_err();
        assert!(
            obstacles[0].reason.contains("training mode"),
            "{obstacles:?}"
        );
    }
}
