use burn::module::Module;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::layers::{Conv, Layers, global_average};
use crate::TrainError;

/// ResNet-18, -50 or -152 without its last layer (He et al. 2015, arXiv 1512.03385), with the ImageNet stem and names
/// of torchvision; stride in the 3x3 convolution of a bottleneck ("v1.5").
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv,
    bn1: BatchNorm,
    maxpool: MaxPool2d,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    features: usize,
}

/// A basic block (two 3x3 convolutions) or, with `conv3`, a bottleneck (1x1, 3x3, 1x1).
#[derive(Module, Debug)]
pub struct Block {
    conv1: Conv,
    bn1: BatchNorm,
    conv2: Conv,
    bn2: BatchNorm,
    conv3: Option<Conv>,
    bn3: Option<BatchNorm>,
    downsample: Option<Downsample>,
}

/// The shortcut where the shape changes.
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv,
    bn: BatchNorm,
}

/// The channels of a bottleneck's output over those of its inside.
const EXPANSION: usize = 4;

impl ResNet {
    pub(super) fn init(
        depth: usize,
        channels: usize,
        layers: Layers<'_>,
    ) -> Result<Self, TrainError> {
        let (blocks, bottleneck) = match depth {
            18 => ([2, 2, 2, 2], false),
            50 => ([3, 4, 6, 3], true),
            152 => ([3, 8, 36, 3], true),
            _ => {
                return Err(TrainError::Recipe(format!(
                    "network resnet: depth is {depth}, known are 18, 50 and 152"
                )));
            }
        };
        let expansion = if bottleneck { EXPANSION } else { 1 };
        let stage = |index: usize, from: usize| -> Vec<Block> {
            let inside = 64 << index;
            (0..blocks[index])
                .map(|i| {
                    let from = if i == 0 { from } else { inside * expansion };
                    let stride = if i == 0 && index > 0 { 2 } else { 1 };
                    Block::init(from, inside, stride, bottleneck, layers)
                })
                .collect()
        };
        Ok(Self {
            conv1: layers.conv(channels, 64, 7, 2),
            bn1: layers.norm(64),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layer1: stage(0, 64),
            layer2: stage(1, 64 * expansion),
            layer3: stage(2, 128 * expansion),
            layer4: stage(3, 256 * expansion),
            features: 512 * expansion,
        })
    }

    /// The number of penultimate features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Penultimate features `[batch, features]`, averaged over the image after the last activation.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(self.conv1.forward(images)));
        let x = self.maxpool.forward(x);
        let x = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(x, |x, block| block.forward(x));
        global_average(x)
    }
}

impl Block {
    fn init(
        from: usize,
        inside: usize,
        stride: usize,
        bottleneck: bool,
        layers: Layers<'_>,
    ) -> Self {
        let norm = |channels| layers.norm(channels);
        let (conv1, conv2, to) = if bottleneck {
            (
                layers.conv(from, inside, 1, 1),
                layers.conv(inside, inside, 3, stride),
                inside * EXPANSION,
            )
        } else {
            (
                layers.conv(from, inside, 3, stride),
                layers.conv(inside, inside, 3, 1),
                inside,
            )
        };
        Self {
            conv1,
            bn1: norm(inside),
            conv2,
            bn2: norm(inside),
            conv3: bottleneck.then(|| layers.conv(inside, to, 1, 1)),
            bn3: bottleneck.then(|| norm(to)),
            downsample: (stride != 1 || from != to).then(|| Downsample {
                conv: layers.conv(from, to, 1, stride),
                bn: norm(to),
            }),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let out = relu(self.bn1.forward(self.conv1.forward(x.clone())));
        let out = self.bn2.forward(self.conv2.forward(out));
        let out = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => bn3.forward(conv3.forward(relu(out))),
            _ => out,
        };
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.bn.forward(downsample.conv.forward(x)),
            None => x,
        };
        relu(out + shortcut)
    }
}
