use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
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

/// A table, or `false` for none: how a recipe takes away what its base has.
pub(crate) fn normalization_or_false<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NormalizationConfig>, D::Error> {
    struct Given;
    impl<'de> Visitor<'de> for Given {
        type Value = Option<NormalizationConfig>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a table with `mean` and `std`, or `false`")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
            match value {
                false => Ok(None),
                true => Err(E::invalid_value(de::Unexpected::Bool(true), &self)),
            }
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            NormalizationConfig::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Given)
}

impl NormalizationConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !matches!(self.mean.len(), 1 | 3) {
            return Err(format!(
                "normalization.mean has {} values: give one per channel, 1 for grey or 3 for RGB",
                self.mean.len()
            ));
        }
        if self.mean.len() != self.std.len() {
            return Err(format!(
                "normalization has {} means and {} stds: give one of each per channel",
                self.mean.len(),
                self.std.len()
            ));
        }
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            // Pixels are in [0, 1], so that their mean is, and their deviation is at most 0.5; 1 means no scaling.
            if values.iter().any(|value| *value > 1.0) {
                let scaled: Vec<String> =
                    values.iter().map(|v| format!("{:.4}", v / 255.0)).collect();
                return Err(format!(
                    "normalization.{key} is {values:?}, which is in units of 0..255: pixels are in [0, 1] here, so write [{}] (divided by 255)",
                    scaled.join(", ")
                ));
            }
        }
        if let Some(mean) = self.mean.iter().find(|mean| !(0.0..=1.0).contains(*mean)) {
            return Err(format!(
                "normalization.mean holds {mean}, it must be in [0, 1]"
            ));
        }
        match self.std.iter().find(|std| std.is_nan() || **std <= 0.0) {
            Some(std) => Err(format!(
                "normalization.std holds {std}, it must be in (0, 1]"
            )),
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
