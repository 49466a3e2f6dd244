//! The card of a model: what it is, how it takes images, how it was made and what was measured on it.
mod check;
mod edit;
mod error;
mod file;
mod keys;
mod nearest;
mod normalization;
mod parse;
mod reference;
mod template;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    check::MAX_SIDE,
    error::CardError,
    normalization::{Normalization, NormalizationError},
};

/// Bytes of a card: 50 000 classes with names of eighty letters fit.
const MAX_BYTES: usize = 4 << 20;

/// Channels of an image.
const MAX_CHANNELS: usize = 4;

/// What a model is, how it was made and what was measured on it.
///
/// Stored as JSON in the ONNX `metadata_props` under [`Card::KEY`] (without `sha256`, which cannot be inside the file
/// that it covers), and beside the model as `card.json`. Both are read by [`Card::parse`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// The model's name, such as `mnist-he`.
    pub name: String,
    /// One line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// Name of the output with the logits or probabilities, for graphs with several; absent where the graph leaves no choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the `image` input takes.
    pub input: Input,
    /// The last layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// How the weights came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Accuracy, clean and under attack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measurement>,
    /// SHA-256 of the files beside `card.json`, by file name; absent inside the model itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, String>,
}

impl Card {
    /// The `metadata_props` key.
    pub const KEY: &'static str = "buckler.card";

    /// The keys on which answers depend and in which another card of the same model says something else.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differ = [
            ("classes", self.classes != other.classes),
            ("output", self.output != other.output),
            ("input", self.input != other.input),
        ];
        let differ = differ.iter().filter(|(_, differ)| *differ);
        differ.map(|(key, _)| *key).collect()
    }
}

/// The `image` input: `[batch, channels, height, width]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// Order of the channels that the graph takes, RGB where nobody stated it; images and adversarial images are RGB in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_order: Option<ChannelOrder>,
    /// From an encoded image to the tensor in `[0, 1]`; absent where nobody stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// From the tensor in `[0, 1]` to what the graph takes; absent where the graph takes `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

/// Order of the channels of a colour image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads images and Caffe's models take them.
    Bgr,
}

/// From an encoded image to a tensor in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// How an image of another size is brought to the model's.
    pub resize: Resize,
    /// With `center_crop`: side of the centre that is cut out over the side that the image is scaled to, in `(0, 1]`. 0.875
    /// (224 of 256) is usual for ImageNet.
    pub crop_pct: f64,
    /// Colour under transparent pixels.
    pub background: Color,
    /// What a model that takes grey images does with colour ones.
    pub grey: Grey,
}

impl Default for Preprocessing {
    /// Both sides stretched, transparency over black, no colour for grey models.
    fn default() -> Self {
        Self {
            resize: Resize::default(),
            crop_pct: 1.0,
            background: Color::default(),
            grey: Grey::default(),
        }
    }
}

/// How an image of another size is brought to the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Scale both sides to the model's, ignoring the aspect ratio.
    #[default]
    Stretch,
    /// Scale by one factor until the model's size over `crop_pct` is covered, then cut out the centre.
    CenterCrop,
}

/// What a model that takes grey images does with colour ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Grey {
    /// Refuse them, unless all channels are equal in every pixel.
    #[default]
    Refuse,
    /// Convert them to luma, `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601).
    Luma,
}

/// An opaque colour: red, green and blue; `#rrggbb` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, example = "#ffffff"))]
#[serde(try_from = "String", into = "String")]
pub struct Color(pub [u8; 3]);

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl std::str::FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is not a colour: write `#rrggbb`, such as `#ffffff` for white",
                text.escape_debug()
            )
        };
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6)
            .ok_or_else(wrong)?;
        let value = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        let [_, red, green, blue] = value.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl TryFrom<String> for Color {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

/// The last layer of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Head {
    /// A plain linear layer with a bias.
    Linear,
    /// Hypersphere embedding (Pang et al. 2020): logits are `scale * cosine`.
    Hypersphere {
        /// FN.
        feature_norm: bool,
        /// WN.
        weight_norm: bool,
        /// `s`, folded into the exported weights.
        scale: f32,
        /// `m`, used in training alone.
        margin: f32,
    },
}

/// How the weights came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// The recipe's name.
    pub recipe: String,
    /// `plain`, `pgd-at`, ...
    pub framework: String,
    /// The data set's name.
    pub data: String,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// The epoch whose weights these are, from 1.
    pub best_epoch: usize,
    /// The seed of the run.
    pub seed: u64,
    /// Norm of the training adversary, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<String>,
    /// Epsilon of the training adversary, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<String>,
}

/// One measured accuracy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Measurement {
    /// Data set and split, such as `mnist/test`.
    pub data: String,
    /// How many images, taken from the front of the split.
    pub images: usize,
    /// `none` for clean accuracy, else the attack with its parameters, as the attack prints itself.
    pub attack: String,
    /// Norm of the threat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<String>,
    /// Epsilon of the threat, as written (`8/255`, `0.3`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<String>,
    /// In `[0, 1]`.
    pub accuracy: f64,
    /// The command that measured it, or the source of a foreign figure.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
}
