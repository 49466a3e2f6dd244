use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::layers::{Conv, Layers, global_average};
use super::preact_block::{PreActBlock, ShortcutInput};
use crate::TrainError;

/// PreActResNet-18 without its last layer (He et al. 2016, arXiv 1603.05027), with a 3x3 stem for small images and the
/// final batch norm and ReLU of Fast AT (Wong et al. 2020) and of Rice et al. 2020, whose checkpoints have these names. The
/// two differ in what the shortcuts take, see [`ShortcutInput`].
#[derive(Module, Debug)]
pub struct PreActResNet {
    conv1: Conv,
    layer1: Vec<PreActBlock>,
    layer2: Vec<PreActBlock>,
    layer3: Vec<PreActBlock>,
    layer4: Vec<PreActBlock>,
    bn: BatchNorm,
}

impl PreActResNet {
    pub(super) fn init(
        depth: usize,
        shortcut: ShortcutInput,
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
                PreActBlock::init(from, to, stride, shortcut, layers),
                PreActBlock::init(to, to, 1, shortcut, layers),
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
