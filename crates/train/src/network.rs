use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::head::{Head, HeadConfig};
use crate::network::layers::Layers;
use crate::recipe::check::below;

mod layers;
mod normalization;
mod preact_block;
mod preact_resnet;
mod resnet;
mod small_cnn;
mod wide_resnet;

pub(crate) use layers::BATCH_NORM_EPSILON;
pub use layers::Precision;
pub(crate) use normalization::normalization_or_false;
pub use normalization::{Normalization, NormalizationConfig};
pub use preact_block::ShortcutInput;
pub use preact_resnet::PreActResNet;
pub use resnet::ResNet;
pub use small_cnn::SmallCnn;
pub use wide_resnet::WideResNet;

/// The part of a network below its head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetworkConfig {
    /// The MNIST network of TRADES (Zhang et al. 2019): four 3x3 convolutions without padding, two hidden layers.
    SmallCnn {
        /// Multiplies the channels (32, 32, 64, 64) and the hidden units (200, 200).
        #[serde(default = "full_width")]
        width: f32,
        /// After the first hidden layer, in training alone; 0.5 in the original.
        #[serde(default)]
        dropout: f64,
    },
    /// PreActResNet for images of 32x32 or so.
    PreactResnet {
        /// 18.
        depth: usize,
        /// What the convolutions of the shortcuts take.
        #[serde(default)]
        shortcut: ShortcutInput,
    },
    /// ResNet with the ImageNet stem.
    Resnet {
        /// 18, 50 or 152.
        depth: usize,
    },
    /// WRN-depth-width for images of 32x32 or so.
    WideResnet {
        /// 6n + 4.
        depth: usize,
        /// The paper's k; 16k, 32k and 64k channels.
        width: usize,
    },
}

fn full_width() -> f32 {
    1.0
}

/// The widest networks; the published ones have 20 at most.
const MAX_WIDTH: usize = 64;

impl NetworkConfig {
    /// That there is such a network.
    pub(crate) fn check(&self) -> Result<(), String> {
        match *self {
            NetworkConfig::SmallCnn { width, dropout } => {
                let (width, most) = (f64::from(width), MAX_WIDTH as f64);
                if !(width > 0.0 && width <= most) {
                    return Err(format!(
                        "network.width is {width}, it must be in (0, {most}]"
                    ));
                }
                below("network.dropout", dropout, 0.0, 1.0)
            }
            NetworkConfig::PreactResnet { depth: 18, .. } => Ok(()),
            NetworkConfig::PreactResnet { depth, .. } => Err(format!(
                "network.depth is {depth}, preact-resnet has 18 layers alone"
            )),
            NetworkConfig::Resnet {
                depth: 18 | 50 | 152,
            } => Ok(()),
            NetworkConfig::Resnet { depth } => Err(format!(
                "network.depth is {depth}, of resnet there are 18, 50 and 152"
            )),
            NetworkConfig::WideResnet { depth, width } => {
                if !(10..=1000).contains(&depth) || !(depth - 4).is_multiple_of(6) {
                    return Err(format!(
                        "network.depth is {depth}: WRN-{depth}-{width} does not exist, depth must be 6n + 4 (10, 16, 22, 28, 34, ...)"
                    ));
                }
                if !(1..=MAX_WIDTH).contains(&width) {
                    return Err(format!(
                        "network.width is {width}, it must be in 1..={MAX_WIDTH}"
                    ));
                }
                Ok(())
            }
        }
    }
}

/// The features and logits of one batch.
#[derive(Clone, Debug)]
pub struct Output {
    /// `[batch, features]`, after the last activation.
    pub features: Tensor<2>,
    /// `[batch, classes]`; with a hypersphere head `s * cosine`.
    pub logits: Tensor<2>,
}

/// A classifier of images `[batch, channels, height, width]` in `[0, 1]`.
#[derive(Module, Debug)]
pub struct Network {
    /// What the pixels go through first.
    pub normalization: Option<Normalization>,
    /// Everything up to the penultimate features.
    pub body: Body,
    /// From features to logits.
    pub head: Head,
}

/// The networks there are.
#[derive(Module, Debug)]
// There is one of them in a process, not a list.
#[allow(clippy::large_enum_variant)]
pub enum Body {
    /// For 28x28.
    SmallCnn(SmallCnn),
    /// For 32x32.
    PreActResNet(PreActResNet),
    /// For 224x224.
    ResNet(ResNet),
    /// For 32x32.
    WideResNet(WideResNet),
}

impl Network {
    /// A freshly initialised network for images of `[channels, height, width]`; seed the device first for a given one.
    ///
    /// # Errors
    /// When there is no such network, or the images are too small or of other channels.
    pub fn init(
        network: &NetworkConfig,
        normalization: Option<&NormalizationConfig>,
        head: &HeadConfig,
        image: [usize; 3],
        classes: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let channels = image[0];
        if let Some(config) = normalization
            && config.mean.len() != channels
        {
            return Err(TrainError::Recipe(format!(
                "normalization is for {} channel(s), the images have {channels}",
                config.mean.len()
            )));
        }
        let layers = Layers { device, precision };
        let body = match *network {
            NetworkConfig::SmallCnn { width, dropout } => {
                if precision != Precision::F32 {
                    return Err(TrainError::Recipe(
                        "training.precision: network small-cnn trains in f32 alone".to_owned(),
                    ));
                }
                Body::SmallCnn(SmallCnn::init(width, dropout, image, device)?)
            }
            NetworkConfig::PreactResnet { depth, shortcut } => {
                Body::PreActResNet(PreActResNet::init(depth, shortcut, channels, layers)?)
            }
            NetworkConfig::Resnet { depth } => Body::ResNet(ResNet::init(depth, channels, layers)?),
            NetworkConfig::WideResnet { depth, width } => {
                Body::WideResNet(WideResNet::init(depth, width, channels, layers)?)
            }
        };
        let head = Head::init(head, body.features(), classes, device);
        let network = Self {
            normalization: normalization.map(|config| Normalization::init(config, device)),
            body,
            head,
        };
        network.visit(&mut Draw);
        Ok(network)
    }

    /// Penultimate features `[batch, features]`.
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let images = match &self.normalization {
            Some(normalization) => normalization.forward(images),
            None => images,
        };
        self.body.forward(images)
    }

    /// Features and logits.
    pub fn forward(&self, images: Tensor<4>) -> Output {
        let features = self.features(images);
        let logits = self.head.forward(features.clone());
        Output { features, logits }
    }
}

/// Draws weights at once. Burn draws them at first use, and until then a copy of a network shares more with it than
/// values: `clone().no_grad()` would take the gradients from both.
struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        param.val();
    }
}

impl Body {
    /// The number of penultimate features.
    pub fn features(&self) -> usize {
        match self {
            Body::SmallCnn(network) => network.features(),
            Body::PreActResNet(network) => network.features(),
            Body::ResNet(network) => network.features(),
            Body::WideResNet(network) => network.features(),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Body::SmallCnn(network) => network.forward(images),
            Body::PreActResNet(network) => network.forward(images),
            Body::ResNet(network) => network.forward(images),
            Body::WideResNet(network) => network.forward(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Int, TensorData};

    use super::*;
    use crate::loss::cross_entropy;
    use crate::testing::redrawn;

    fn initialised(
        config: &NetworkConfig,
        image: [usize; 3],
        classes: usize,
        precision: Precision,
        device: &Device,
    ) -> Network {
        let head = HeadConfig::Linear {};
        Network::init(config, None, &head, image, classes, precision, device).unwrap()
    }

    /// Counts the numbers that require gradients: running statistics do not.
    struct Trained(usize);

    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.0 += param.val().shape().num_elements();
            }
        }
    }

    /// Weights and biases of the original networks with ten classes and a linear head, as published or counted by
    /// torchvision and by the reference implementations.
    #[test]
    fn networks_have_as_many_parameters_as_their_originals() {
        let cases = [
            (
                NetworkConfig::PreactResnet {
                    depth: 18,
                    shortcut: ShortcutInput::Activated,
                },
                32,
                10,
                11_172_170,
            ),
            (
                NetworkConfig::WideResnet {
                    depth: 28,
                    width: 10,
                },
                32,
                10,
                36_479_194,
            ),
            (
                NetworkConfig::WideResnet {
                    depth: 34,
                    width: 10,
                },
                32,
                10,
                46_160_474,
            ),
            (NetworkConfig::Resnet { depth: 18 }, 64, 1000, 11_689_512),
            (NetworkConfig::Resnet { depth: 50 }, 64, 1000, 25_557_032),
        ];
        for (config, side, classes, expected) in cases {
            let device = Device::flex().autodiff();
            let image = [3, side, side];
            let network = initialised(&config, image, classes, Precision::F32, &device);
            let mut trained = Trained(0);
            network.visit(&mut trained);
            assert_eq!(trained.0, expected, "{config:?}");
        }
    }

    #[test]
    fn bfloat16_convolutions_agree_with_single_precision_and_leave_weights_in_it() {
        let device = Device::flex().autodiff();
        let config = NetworkConfig::WideResnet {
            depth: 10,
            width: 1,
        };
        let pixels: Vec<f32> = (0..2 * 3 * 16 * 16)
            .map(|i| (i * 37 % 256) as f32)
            .collect();
        let images = TensorData::new(pixels, [2, 3, 16, 16]);
        let [(loss, gradient), (reduced_loss, reduced)] =
            [Precision::F32, Precision::Bf16].map(|precision| {
                let network = initialised(&config, [3, 16, 16], 4, precision, &device);
                let network = redrawn(network, 1);
                let images = Tensor::<4>::from_data(images.clone(), &device).div_scalar(255.0);
                let labels = Tensor::<1, Int>::from_ints([1, 3], &device);
                let leaf = images.require_grad();
                let logits = network.forward(leaf.clone()).logits;
                let loss = cross_entropy(logits, labels, 0.0).mean();
                let value: f32 = loss.clone().into_scalar();
                let gradients = loss.backward();
                assert_eq!(network.head.weight.val().dtype(), DType::F32);
                let gradient = leaf.grad(&gradients).unwrap();
                assert_eq!(gradient.dtype(), DType::F32);
                let mut trained = Trained(0);
                network.visit(&mut trained);
                assert!(trained.0 > 0);
                (value, gradient)
            });
        assert!(
            (loss - reduced_loss).abs() < 0.05 * loss,
            "{loss} {reduced_loss}"
        );
        let inner =
            |a: &Tensor<4>, b: &Tensor<4>| -> f32 { (a.clone() * b.clone()).sum().into_scalar() };
        let cosine = inner(&gradient, &reduced)
            / (inner(&gradient, &gradient) * inner(&reduced, &reduced)).sqrt();
        assert!(cosine > 0.97 && cosine < 0.999_999, "{cosine}");
    }
}
