use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::layers::{Conv, Layers, global_average};
use super::preact_block::{PreActBlock, ShortcutInput};
use crate::TrainError;

/// WRN-d-k without its last layer (Zagoruyko & Komodakis 2016, arXiv 1605.07146), in the form of TRADES, whose
/// checkpoints have the same names: a 3x3 stem of 16 channels and three groups of `(d - 4) / 6` pre-activation blocks.
#[derive(Module, Debug)]
pub struct WideResNet {
    conv1: Conv,
    block1: Group,
    block2: Group,
    block3: Group,
    bn1: BatchNorm,
}

/// Blocks at one resolution.
#[derive(Module, Debug)]
pub struct Group {
    layer: Vec<PreActBlock>,
}

impl WideResNet {
    pub(super) fn init(
        depth: usize,
        width: usize,
        channels: usize,
        layers: Layers<'_>,
    ) -> Result<Self, TrainError> {
        if depth < 10 || !(depth - 4).is_multiple_of(6) || width == 0 {
            return Err(TrainError::Recipe(format!(
                "network wide-resnet: WRN-{depth}-{width} does not exist, depth must be 6n + 4 (10, 16, 22, 28, 34, ...) and width at least 1"
            )));
        }
        let blocks = (depth - 4) / 6;
        let group = |from, to, stride| Group::init(blocks, from, to, stride, layers);
        Ok(Self {
            conv1: layers.conv(channels, 16, 3, 1),
            block1: group(16, 16 * width, 1),
            block2: group(16 * width, 32 * width, 2),
            block3: group(32 * width, 64 * width, 2),
            bn1: layers.norm(64 * width),
        })
    }

    /// The number of penultimate features, `64 k`.
    pub fn features(&self) -> usize {
        self.bn1.gamma.val().dims()[0]
    }

    /// Penultimate features `[batch, features]`, averaged over the image after the last activation.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.conv1.forward(images);
        let x = [&self.block1, &self.block2, &self.block3]
            .into_iter()
            .flat_map(|group| &group.layer)
            .fold(x, |x, block| block.forward(x));
        global_average(relu(self.bn1.forward(x)))
    }
}

impl Group {
    fn init(blocks: usize, from: usize, to: usize, stride: usize, layers: Layers<'_>) -> Self {
        let layer = (0..blocks)
            .map(|i| match i {
                0 => PreActBlock::init(from, to, stride, ShortcutInput::Activated, layers),
                _ => PreActBlock::init(to, to, 1, ShortcutInput::Activated, layers),
            })
            .collect();
        Self { layer }
    }
}
