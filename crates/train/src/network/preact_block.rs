use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use serde::{Deserialize, Serialize};

use super::layers::{Conv, Layers};

/// What the convolution of a shortcut takes where a block changes the size of its input.
///
/// Published networks with the same names and shapes of tensors differ in it, so that no checkpoint tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortcutInput {
    /// The block's input after its first batch norm and ReLU: He et al. 2016, Wide ResNet, TRADES, Rice et al. 2020.
    #[default]
    Activated,
    /// The block's input as it comes: Fast AT (Wong et al. 2020).
    Raw,
}

/// Batch norm, ReLU, convolution, twice, around a shortcut (He et al. 2016, arXiv 1603.05027).
#[derive(Module, Debug)]
pub struct PreActBlock {
    bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    conv_shortcut: Option<Conv>,
    raw_shortcut: bool,
}

impl PreActBlock {
    pub(super) fn init(
        from: usize,
        to: usize,
        stride: usize,
        shortcut: ShortcutInput,
        layers: Layers<'_>,
    ) -> Self {
        Self {
            bn1: layers.norm(from),
            conv1: layers.conv(from, to, 3, stride),
            bn2: layers.norm(to),
            conv2: layers.conv(to, to, 3, 1),
            conv_shortcut: (stride != 1 || from != to).then(|| layers.conv(from, to, 1, stride)),
            raw_shortcut: shortcut == ShortcutInput::Raw,
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.bn1.forward(x.clone()));
        let shortcut = match &self.conv_shortcut {
            Some(conv) if self.raw_shortcut => conv.forward(x),
            Some(conv) => conv.forward(activated.clone()),
            None => x,
        };
        let out = self.conv1.forward(activated);
        let out = self.conv2.forward(relu(self.bn2.forward(out)));
        out + shortcut
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::Param;

    use super::*;
    use crate::ComputeDevice;
    use crate::network::Precision;

    /// What a block whose first activation is zero everywhere returns: what its shortcut makes of the input itself.
    fn behind_dead_activation(shortcut: ShortcutInput) -> f32 {
        let device = ComputeDevice::Cpu.open().unwrap();
        let layers = Layers {
            device: &device,
            precision: Precision::F32,
        };
        let mut block = PreActBlock::init(2, 3, 2, shortcut, layers);
        block.bn1.gamma = Param::from_tensor(Tensor::zeros([2], &device));
        let images = Tensor::ones([1, 2, 4, 4], &device);
        block.forward(images).abs().max().into_scalar()
    }

    #[test]
    fn the_shortcut_takes_the_input_or_its_activation() {
        assert_eq!(behind_dead_activation(ShortcutInput::Activated), 0.0);
        assert!(behind_dead_activation(ShortcutInput::Raw) > 0.0);
    }
}
