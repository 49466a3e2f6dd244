use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::layers::{Conv, Layers};

/// Batch norm, ReLU, convolution, twice, around a shortcut (He et al. 2016, arXiv 1603.05027).
#[derive(Module, Debug)]
pub struct PreActBlock {
    bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    conv_shortcut: Option<Conv>,
}

impl PreActBlock {
    pub(super) fn init(from: usize, to: usize, stride: usize, layers: Layers<'_>) -> Self {
        Self {
            bn1: layers.norm(from),
            conv1: layers.conv(from, to, 3, stride),
            bn2: layers.norm(to),
            conv2: layers.conv(to, to, 3, 1),
            conv_shortcut: (stride != 1 || from != to).then(|| layers.conv(from, to, 1, stride)),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.bn1.forward(x.clone()));
        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(activated.clone()),
            None => x,
        };
        let out = self.conv1.forward(activated);
        let out = self.conv2.forward(relu(self.bn2.forward(out)));
        out + shortcut
    }
}
