use serde::{Deserialize, Serialize};

use crate::{Error, Model, model::json_error};

/// What a gradient graph says about itself, in its metadata under [`GradientInfo::KEY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GradientInfo {
    /// Version of the contract between the graph and those that run it; [`GradientInfo::VERSION`].
    pub version: u32,
    /// The input that takes images.
    pub image: String,
    /// The output that returns logits.
    pub logits: String,
    /// The model's own output, where that is the softmax of the logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<String>,
    /// The output that returns features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// What the columns of the input `objective` weigh.
    pub objectives: Vec<String>,
    /// Number of classes.
    pub classes: usize,
    /// [`Model::graph_sha256`] of the model that was differentiated.
    pub graph_sha256: String,
}

impl GradientInfo {
    /// The `metadata_props` key.
    pub const KEY: &'static str = "buckler.gradient";
    /// The version written here.
    pub const VERSION: u32 = 2;
    /// The inputs that a gradient graph may have beside the image.
    pub const INPUTS: [&str; 6] = [
        "label",
        "objective",
        "cotangent",
        "target",
        "probabilities",
        "source_features",
    ];

    /// Reads it from a model; `None` when the model is no gradient graph.
    ///
    /// # Errors
    /// When the metadata cannot be understood.
    pub fn of(model: &Model) -> Result<Option<Self>, Error> {
        let Some(json) = model.metadata(Self::KEY) else {
            return Ok(None);
        };
        let info = serde_json::from_str(json).map_err(|source| json_error(Self::KEY, source))?;
        Ok(Some(info))
    }

    /// Writes it into a model.
    pub(crate) fn store(&self, model: &mut Model) -> Result<(), Error> {
        let json = serde_json::to_string(self).map_err(|source| json_error(Self::KEY, source))?;
        model.set_metadata(Self::KEY, &json);
        Ok(())
    }
}
