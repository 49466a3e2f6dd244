use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// `(x - mean) / std` per channel, inside the network: attacks and exported models work on pixels in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalizationConfig {
    /// One per channel, in units of `[0, 1]`.
    pub mean: Vec<f32>,
    /// One per channel, above 0.
    pub std: Vec<f32>,
}

impl NormalizationConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.mean.len() != self.std.len() {
            return Err(format!(
                "normalization has {} means and {} stds: give one of each per channel",
                self.mean.len(),
                self.std.len()
            ));
        }
        match self
            .std
            .iter()
            .find(|std| !(std.is_finite() && **std > 0.0))
        {
            Some(std) => Err(format!("normalization.std holds {std}, it must be above 0")),
            None => Ok(()),
        }
    }
}

/// The constants of a [`NormalizationConfig`], `[1, channels, 1, 1]`; never trained.
#[derive(Module, Debug)]
pub struct Normalization {
    mean: Param<Tensor<4>>,
    std: Param<Tensor<4>>,
}

impl Normalization {
    pub(super) fn init(config: &NormalizationConfig, device: &Device) -> Self {
        let constant = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, values.len(), 1, 1]);
            Param::from_tensor(Tensor::from_data(data, device)).set_require_grad(false)
        };
        Self {
            mean: constant(&config.mean),
            std: constant(&config.std),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        (images - self.mean.val()) / self.std.val()
    }
}
