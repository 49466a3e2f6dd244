//! What a classifier's graph takes and returns: the image, the logits, the features; decided here and nowhere else.
mod axes;
mod beginning;
mod candidate;
mod choice;
mod features;
mod image;
mod names;
mod probabilities;
mod sign;
mod way;

use serde::{Deserialize, Serialize};

pub(crate) use self::axes::name_batch;
pub use self::image::{ImageInput, Layout};
use crate::{
    Card, Error, Model,
    prepare::understood,
    proto::{DataType, GraphProto, ValueInfoProto},
    shape::{self, Dim, Facts},
};

/// What is known of a classifier beside its graph: what a caller asks for, or what a card states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the output that holds the logits or probabilities.
    pub output: Option<String>,
    /// Height and width of the images.
    pub size: Option<(usize, usize)>,
    /// Number of channels of the images.
    pub channels: Option<usize>,
    /// Number of classes: of several outputs, the one of this width holds the logits.
    pub classes: Option<usize>,
}

impl Card {
    /// What the card states of a classifier's interface; sizes of 0 state nothing.
    pub fn wanted(&self) -> Wanted {
        let stated = |size: usize| (size > 0).then_some(size);
        Wanted {
            output: self.output.clone(),
            size: stated(self.input.height).zip(stated(self.input.width)),
            channels: stated(self.input.channels),
            classes: stated(self.classes.len()),
        }
    }
}

/// How logits are made from the output that was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// They are the output.
    #[default]
    Logits,
    /// The output is their softmax, which is left out.
    BeforeSoftmax,
    /// The output holds probabilities whose softmax cannot be left out: the logits are their logarithm.
    LogOfProbabilities,
}

/// One of a model's outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputInfo {
    /// Its name.
    pub name: String,
    /// Element type, such as `float32`.
    pub dtype: &'static str,
    /// With the batch; absent where the number of axes is not known.
    pub shape: Option<Vec<Dim>>,
}

/// Where the image goes in, and where the logits and perhaps features come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name of the input that takes images.
    pub image: String,
    /// Shape of that input; [`Layout`] says which axes are channels, height and width.
    pub shape: Vec<Dim>,
    /// The model's own output from which the logits are taken.
    pub output: String,
    /// Why that one.
    pub reason: String,
    /// How they are taken.
    pub reading: Reading,
    /// The tensor that holds them, or the probabilities whose logarithm they are; not an output where the model returns their softmax.
    pub logits: String,
    /// Number of classes.
    pub classes: u64,
    /// Whether axes of size 1 beside the classes are dropped.
    pub flat: bool,
    /// The output is computed from elementwise sigmoids, which need not sum to 1.
    pub sigmoid: bool,
    /// The model's output that is the softmax of the logits.
    pub probabilities: Option<String>,
    /// What goes into the last linear layer.
    pub features: Option<Features>,
    /// All outputs of the model, in its order.
    pub outputs: Vec<OutputInfo>,
    /// What was assumed in choosing the output, one sentence each.
    pub assumptions: Vec<String>,
    /// Other outputs with as many classes that the graph makes from this one without layers and without a decision: perhaps
    /// probabilities that are not its softmax.
    pub derived: Vec<String>,
}

/// The tensor before the last linear layer, `[batch, size]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Its name.
    pub name: String,
    /// Features of one image.
    pub size: u64,
}

/// For which output and image size of which model a graph of gradients or bounds was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// [`Model::graph_sha256`] of the model as its file has it.
    pub graph_sha256: String,
    /// The model's own output.
    pub output: String,
    /// The tensor with the logits.
    pub logits: String,
    /// How logits are made from the output.
    pub reading: Reading,
    /// Height and width of the images, where the file leaves them open.
    pub size: Option<(usize, usize)>,
}

/// Decides which output of a model holds its logits, and how they are taken from it.
///
/// In this order: the output that is wanted; the one called `logits`, where it can be; the only float32 output `[batch, classes]`, axes
/// of size 1 left out; the one of as many classes as wanted; the one that the others lead to by layers with weights, or beside which
/// all are something else by their names or by how they are computed; the one in which others are put together, or from which they are
/// computed; the one whose name says so; the first, where all have the same number of classes.
///
/// # Errors
/// [`Error::Interface`] when the model does not take one float32 tensor, or has no such output; [`Error::AmbiguousOutput`] when
/// nothing decides between outputs of different sizes.
pub fn inspect(model: &Model, wanted: &Wanted) -> Result<Interface, Error> {
    Interface::find(model, wanted, false)
}

impl Interface {
    /// Finds them; `strict` refuses what no runtime would load before anything else.
    pub(crate) fn find(model: &Model, wanted: &Wanted, strict: bool) -> Result<Self, Error> {
        let (graph, _) = understood(model.graph().clone(), model.opset(), strict)?;
        let facts = Facts::of(&graph);
        // The shapes are those of the current operator set, the nodes those of the file.
        let view = View {
            graph: model.graph(),
            facts: &facts,
            opset: model.opset(),
        };
        let (image, shape) = image::find(&graph)?;
        let choice = choice::choose(&view, shape.first(), wanted)?;
        let (logits, reading) = probabilities::logits(&view, choice.output);
        let flat = facts.shape(logits).is_some_and(|shape| shape.len() > 2);
        let features = features::find(&graph, &facts, logits);
        Ok(Self {
            image: image.into(),
            output: choice.output.into(),
            reason: choice.reason,
            reading,
            logits: logits.into(),
            classes: choice.classes,
            flat,
            sigmoid: reading == Reading::Logits && probabilities::is_sigmoid(&view, choice.output),
            probabilities: (reading == Reading::BeforeSoftmax).then(|| choice.output.into()),
            features,
            outputs: view.outputs(),
            derived: choice.derived.into_iter().map(String::from).collect(),
            assumptions: choice.assumptions,
            shape,
        })
    }

    /// With the logits in a given tensor `[batch, classes]` of a graph whose stored tensors are not listed as inputs.
    pub(crate) fn exactly(
        graph: &GraphProto,
        facts: &Facts<'_>,
        logits: &str,
    ) -> Result<Self, Error> {
        let (image, shape) = image::find(graph)?;
        let classes = match facts.shape(logits) {
            Some([_, Dim::Known(classes)]) => *classes,
            Some(other) => {
                return Err(Error::Interface(format!(
                    "output `{logits}` should be logits [batch, classes], and has shape {}",
                    shape::display(other)
                )));
            }
            None => {
                return Err(Error::Interface(format!(
                    "the shape of output `{logits}` is not known"
                )));
            }
        };
        Ok(Self {
            image: image.into(),
            output: logits.into(),
            reason: String::new(),
            reading: Reading::Logits,
            logits: logits.into(),
            classes,
            flat: false,
            sigmoid: false,
            probabilities: None,
            features: features::find(graph, facts, logits),
            outputs: vec![],
            assumptions: vec![],
            derived: vec![],
            shape,
        })
    }

    /// The axis along which images are stacked.
    pub(crate) fn batch(&self) -> Dim {
        self.shape.first().cloned().unwrap_or(Dim::Known(1))
    }

    /// Channels, height and width of the images, and how they lie in the input.
    ///
    /// # Errors
    /// [`Error::ImageSize`] when the graph leaves them open and nobody states them, when what is stated contradicts the graph, and when
    /// the input is not an image.
    pub fn image_input(&self, model: &Model, wanted: &Wanted) -> Result<ImageInput, Error> {
        image::decide(model.graph(), &self.image, &self.shape, wanted)
    }

    /// The features where they are an output of the model, called `features`.
    pub fn features_output(&self) -> Option<&str> {
        let features = self.features.as_ref()?;
        let is_output = self
            .outputs
            .iter()
            .any(|output| output.name == features.name);
        (features.name == "features" && is_output).then_some(features.name.as_str())
    }

    /// For graphs that are made from a model for this choice; `size` where the file leaves the size of images open.
    pub fn origin(&self, model: &Model, size: Option<(usize, usize)>) -> Origin {
        Origin {
            graph_sha256: model.graph_sha256(),
            output: self.output.clone(),
            logits: crate::prepare::logits_name(self),
            reading: self.reading,
            size,
        }
    }
}

/// The model with the size of its images fixed where its input leaves it open; `None` where there is nothing to fix.
///
/// # Errors
/// As [`Interface::image_input`], and when the model does not take one float32 tensor.
pub fn fix_image_size(model: &Model, wanted: &Wanted) -> Result<Option<Model>, Error> {
    let mut graph = model.graph().clone();
    crate::edit::drop_stored_inputs(&mut graph);
    let (name, shape) = image::find(&graph)?;
    let decided = image::decide(model.graph(), name, &shape, wanted)?;
    let name = name.to_owned();
    if !axes::fix(&mut graph, &name, &decided.row) {
        return Ok(None);
    }
    let mut proto = model.to_proto();
    proto.graph = Some(graph);
    Model::from_proto(proto).map(Some)
}

/// A graph as its file has it, with what is known of its tensors.
#[derive(Clone, Copy)]
struct View<'a> {
    graph: &'a GraphProto,
    facts: &'a Facts<'a>,
    opset: i64,
}

impl View<'_> {
    fn outputs(&self) -> Vec<OutputInfo> {
        let outputs = self.graph.output.iter();
        outputs
            .map(|output| OutputInfo {
                name: output.name.clone(),
                dtype: kind(output).name(),
                shape: self.shape(output),
            })
            .collect()
    }

    /// The shape that was derived, or else declared.
    fn shape(&self, output: &ValueInfoProto) -> Option<Vec<Dim>> {
        let derived = self.facts.shape(&output.name).map(<[Dim]>::to_vec);
        derived.or_else(|| shape::declared(output))
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
