use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a model is, how it was made and what was measured on it.
///
/// Stored as JSON in the ONNX `metadata_props` under [`Card::KEY`] (without `sha256`, which cannot be inside the file
/// that it covers), and beside the model as `card.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Card {
    /// The model's name, such as `mnist-he`.
    pub name: String,
    /// One line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
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
}

/// The `image` input: `[batch, channels, height, width]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Input {
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// From an encoded image to the tensor in `[0, 1]`.
    pub preprocessing: Preprocessing,
    /// From the tensor in `[0, 1]` to what the graph takes; absent where the graph takes `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
}

/// `(x - mean) / std`, for graphs that do not do so themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Normalization {
    /// One for each channel, or one for all.
    pub mean: Vec<f32>,
    /// One for each channel, or one for all; positive.
    pub std: Vec<f32>,
}

/// From an encoded image to a tensor in `[0, 1]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Preprocessing {
    /// How an image of another size is brought to the model's.
    pub resize: Resize,
}

/// How an image of another size is brought to the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Scale both sides to the model's, ignoring the aspect ratio.
    #[default]
    Stretch,
    /// Scale the shorter side, then cut the centre.
    CenterCrop,
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
#[serde(default)]
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
#[serde(default)]
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
