//! What the residual networks share.

use burn::module::{Initializer, Module, Param};
use burn::nn::pool::AdaptiveAvgPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// What convolutions compute in. Weights, batch norm, features and losses are in single precision always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision (on NVIDIA GPUs TF32 inside matrix products).
    #[default]
    F32,
    /// bfloat16, whose range is that of single precision, so that no loss needs scaling.
    Bf16,
}

/// PyTorch's, which all reference implementations of the networks here leave as it is.
pub(crate) const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Makes layers on a device.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub device: &'a Device,
    pub precision: Precision,
}

impl Layers<'_> {
    /// A convolution without bias that keeps the size at stride 1, initialised as by He et al. 2015 over the fan out,
    /// as the reference implementations of all residual networks here do.
    pub fn conv(self, from: usize, to: usize, kernel: usize, stride: usize) -> Conv {
        let initializer = Initializer::KaimingNormal {
            gain: std::f64::consts::SQRT_2,
            fan_out_only: true,
        };
        let area = kernel * kernel;
        let shape = [to, from, kernel, kernel];
        Conv {
            weight: initializer.init_with(shape, Some(from * area), Some(to * area), self.device),
            stride,
            padding: kernel / 2,
            reduced: self.precision == Precision::Bf16,
        }
    }

    pub fn norm(self, channels: usize) -> BatchNorm {
        BatchNormConfig::new(channels)
            .with_epsilon(BATCH_NORM_EPSILON)
            .init(self.device)
    }
}

/// A square convolution without bias.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, height, width]`.
    weight: Param<Tensor<4>>,
    stride: usize,
    padding: usize,
    reduced: bool,
}

impl Conv {
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (stride, padding) = (self.stride, self.padding);
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        let weight = self.weight.val();
        if self.reduced {
            let (x, weight) = (x.cast(FloatDType::BF16), weight.cast(FloatDType::BF16));
            conv2d(x, weight, None, options).cast(FloatDType::F32)
        } else {
            conv2d(x, weight, None, options)
        }
    }
}

/// `[batch, channels, height, width]` to `[batch, channels]`.
pub(super) fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, _, _] = x.dims();
    AdaptiveAvgPool2dConfig::new([1, 1])
        .init()
        .forward(x)
        .reshape([batch, channels])
}
