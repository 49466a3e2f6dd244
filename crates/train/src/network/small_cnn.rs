use burn::module::{Initializer, Module};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// The MNIST network of TRADES without its last layer.
#[derive(Module, Debug)]
pub struct SmallCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    conv4: Conv2d,
    pool: MaxPool2d,
    hidden1: Linear,
    hidden2: Linear,
    dropout: Dropout,
}

/// He et al. 2015, for layers with a ReLU behind them, with zero biases: the original's default initialisation leaves a
/// narrow network at chance for epochs.
const HE_INITIALIZER: Initializer = Initializer::KaimingUniform {
    gain: std::f64::consts::SQRT_2,
    fan_out_only: false,
};

impl SmallCnn {
    /// The smallest side whose last feature map is not empty: two convolutions and a halving, twice.
    const MIN_SIDE: usize = 16;

    pub(super) fn init(
        width: f32,
        dropout: f64,
        [channels, height, rows]: [usize; 3],
        device: &Device,
    ) -> Result<Self, crate::TrainError> {
        if height.min(rows) < Self::MIN_SIDE {
            return Err(crate::TrainError::Recipe(format!(
                "network small-cnn: images of {height}x{rows} are too small, it needs at least {0}x{0}",
                Self::MIN_SIDE
            )));
        }
        let scaled = |n: usize| ((n as f32 * width).round() as usize).max(1);
        let (narrow, wide, hidden) = (scaled(32), scaled(64), scaled(200));
        let conv = |from, to| {
            let config = Conv2dConfig::new([from, to], [3, 3]).with_initializer(HE_INITIALIZER);
            Conv2d {
                bias: Some(Initializer::Zeros.init([to], device)),
                ..config.init(device)
            }
        };
        let linear = |from, to| {
            let config = LinearConfig::new(from, to).with_initializer(HE_INITIALIZER);
            Linear {
                bias: Some(Initializer::Zeros.init([to], device)),
                ..config.init(device)
            }
        };
        let side = |n: usize| ((n - 4) / 2 - 4) / 2;
        let flat = wide * side(height) * side(rows);
        Ok(Self {
            conv1: conv(channels, narrow),
            conv2: conv(narrow, narrow),
            conv3: conv(narrow, wide),
            conv4: conv(wide, wide),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            hidden1: linear(flat, hidden),
            hidden2: linear(hidden, hidden),
            dropout: DropoutConfig::new(dropout).init(),
        })
    }

    /// The number of penultimate features.
    pub fn features(&self) -> usize {
        self.hidden2.weight.val().dims()[1]
    }

    /// Penultimate features `[batch, features]`, after their activation.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.conv1.forward(images));
        let x = relu(self.conv2.forward(x));
        let x = self.pool.forward(x);
        let x = relu(self.conv3.forward(x));
        let x = relu(self.conv4.forward(x));
        let x = self.pool.forward(x);
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels * height * width]);
        let x = self.dropout.forward(relu(self.hidden1.forward(x)));
        relu(self.hidden2.forward(x))
    }
}
