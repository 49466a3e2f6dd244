use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::layers::{Conv, Layers, global_average};
use crate::TrainError;

/// PreActResNet-18 without its last layer (He et al. 2016, arXiv 1603.05027), with a 3x3 stem for small images and the
/// final batch norm and ReLU of Fast AT (Wong et al. 2020) and of Rice et al. 2020, whose checkpoints have these names.
#[derive(Module, Debug)]
pub struct PreActResNet {
    conv1: Conv,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    bn: BatchNorm,
}

/// Batch norm, ReLU, convolution, twice, around a shortcut.
#[derive(Module, Debug)]
pub struct Block {
    bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
}

impl PreActResNet {
    pub(super) fn init(
        depth: usize,
        channels: usize,
        layers: Layers<'_>,
    ) -> Result<Self, TrainError> {
        if depth != 18 {
            return Err(TrainError::Recipe(format!(
                "network preact-resnet: depth is {depth}, 18 is what there is"
            )));
        }
        let stage = |from, to, stride| {
            vec![
                Block::init(from, to, stride, layers),
                Block::init(to, to, 1, layers),
            ]
        };
        Ok(Self {
            conv1: layers.conv(channels, 64, 3, 1),
            layer1: stage(64, 64, 1),
            layer2: stage(64, 128, 2),
            layer3: stage(128, 256, 2),
            layer4: stage(256, 512, 2),
            bn: layers.norm(512),
        })
    }

    /// The number of penultimate features.
    pub fn features(&self) -> usize {
        self.bn.gamma.val().dims()[0]
    }

    /// Penultimate features `[batch, features]`, averaged over the image after the last activation.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.conv1.forward(images);
        let x = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(x, |x, block| block.forward(x));
        global_average(relu(self.bn.forward(x)))
    }
}

impl Block {
    fn init(from: usize, to: usize, stride: usize, layers: Layers<'_>) -> Self {
        Self {
            bn1: layers.norm(from),
            conv1: layers.conv(from, to, 3, stride),
            bn2: layers.norm(to),
            conv2: layers.conv(to, to, 3, 1),
            shortcut: (stride != 1 || from != to).then(|| layers.conv(from, to, 1, stride)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let activated = relu(self.bn1.forward(x.clone()));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(activated.clone()),
            None => x,
        };
        let out = self.conv1.forward(activated);
        let out = self.conv2.forward(relu(self.bn2.forward(out)));
        out + shortcut
    }
}
