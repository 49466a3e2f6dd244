mod image;
mod logits;

pub use image::Layout;
pub(crate) use image::name_batch;

use crate::{
    Error,
    proto::{DataType, GraphProto, ValueInfoProto},
    shape::{self, Dim, Facts},
};

/// Where the image goes in, and where the logits and perhaps features come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub image: String,
    /// As the graph states it; [`Layout`] says which axes are channels, height and width.
    pub shape: Vec<Dim>,
    /// `[batch, classes]`; no output of the model where that returns probabilities.
    pub logits: String,
    pub classes: u64,
    /// The model's output that is the softmax of the logits.
    pub probabilities: Option<String>,
    pub features: Option<Features>,
}

/// The tensor in front of the last linear layer, `[batch, size]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    pub name: String,
    pub size: u64,
}

impl Interface {
    /// Finds them in a graph whose stored tensors are not listed as inputs.
    pub(crate) fn of(graph: &GraphProto, facts: &Facts<'_>) -> Result<Self, Error> {
        let (image, shape) = image::find(graph)?;
        let found = logits::find(graph, facts, &shape)?;
        Ok(Self {
            image: image.into(),
            shape,
            features: logits::features(graph, facts, &found.logits),
            logits: found.logits,
            classes: found.classes,
            probabilities: found.probabilities,
        })
    }

    /// The axis along which images are stacked.
    pub(crate) fn batch(&self) -> Dim {
        self.shape.first().cloned().unwrap_or(Dim::Known(1))
    }
}

fn is_float(info: &ValueInfoProto) -> bool {
    kind(info) == DataType::Float
}

/// The declared element type.
pub(crate) fn kind(info: &ValueInfoProto) -> DataType {
    let kind =
        shape::tensor_type(info).and_then(|tensor| DataType::try_from(tensor.elem_type).ok());
    kind.unwrap_or(DataType::Undefined)
}
