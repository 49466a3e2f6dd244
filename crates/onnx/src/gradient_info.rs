//! What a gradient graph says about itself.
use serde::{Deserialize, Serialize};

use crate::{
    Error, Model,
    interface::{Origin, Reading},
    model::json_error,
};

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
    /// The model's own output from which the logits are taken; absent in graphs of before this was stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How the logits are taken from that output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reading: Reading,
    /// Height and width of the images that it was made for, where the model leaves them open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(usize, usize)>,
}

fn is_default(reading: &Reading) -> bool {
    *reading == Reading::default()
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

    /// Whether the graph was made for this model and choice.
    ///
    /// # Errors
    /// For what else it was made.
    pub fn check(&self, origin: &Origin) -> Result<(), String> {
        if self.version != Self::VERSION {
            return Err(format!(
                "it is of version {} instead of {}",
                self.version,
                Self::VERSION
            ));
        }
        if self.graph_sha256 != origin.graph_sha256 {
            return Err(format!(
                "it was made from the graph {} instead of {}",
                self.graph_sha256, origin.graph_sha256
            ));
        }
        let output = self.output.as_ref();
        if let Some(output) = output.filter(|output| **output != origin.output) {
            return Err(format!(
                "it was made for output `{output}` instead of `{}`",
                origin.output
            ));
        }
        if self.size != origin.size {
            let size = |size: Option<(usize, usize)>| {
                size.map_or("the size in the graph".to_owned(), |(height, width)| {
                    format!("{height}x{width}")
                })
            };
            return Err(format!(
                "it was made for images of {} instead of {}",
                size(self.size),
                size(origin.size)
            ));
        }
        // Graphs of before these were stated have logits or what goes into a softmax.
        if self.logits != origin.logits || output.is_some() && self.reading != origin.reading {
            return Err(format!(
                "it was made for logits in `{}` instead of `{}`",
                self.logits, origin.logits
            ));
        }
        Ok(())
    }

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
