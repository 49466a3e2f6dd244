//! A model that answers: for images with logits, for objectives with gradients.
mod adapt;
mod certifier;
mod differentiate;
mod form;
mod forward;
mod gradient;
mod load;
mod probe;
mod terms;

use std::{num::NonZero, path::Path, sync::Arc, thread};

use buckler_attack::{Gradient, InputSpec, Objective, Victim, VictimError};
use buckler_onnx::{Card, Layout, Normalization};
use ndarray::{Array2, Array3, Array4, ArrayD, Axis};

pub use self::certifier::Certifier;
pub use self::differentiate::{Differentiated, Verification, differentiate, obstacles};
use self::{form::Form, terms::Terms};
use crate::{
    ImageError, ImageLimits, RuntimeError,
    batch::{self, Column},
    engine::Engine,
    image,
};

/// How a classifier is run.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Threads for one run; predictions and gradients have their own.
    pub threads: usize,
    /// Rows in one batch at most; rounded down to a power of two.
    pub max_batch: usize,
    /// Memory for the rows that wait in each of the two queues, in bytes. More is answered with
    /// [`VictimError::Overloaded`].
    pub queue_bytes: usize,
    /// What the graph expects of pixels in `[0, 1]`, instead of what its card says.
    pub normalization: Option<Normalization>,
}

impl Default for LoadOptions {
    /// As many threads as this process may use, batches of up to 16 rows, 256 MiB.
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            max_batch: 16,
            queue_bytes: 256 << 20,
            normalization: None,
        }
    }
}

/// A loaded model. Clones share it; when the last one is dropped, its threads end and whatever they were asked is
/// answered with [`VictimError::Closed`].
///
/// Predictions and gradients have their own threads, sessions and queues. Rows of concurrent callers are merged into
/// one batch, at batch sizes that were seen at load to give bitwise equal answers, so that an answer does not depend on
/// what else is asked.
#[derive(Clone)]
pub struct Classifier(Arc<Inner>);

struct Inner {
    card: Card,
    sha256: String,
    form: Form,
    /// The names of the graph's input and output.
    names: (String, String),
    class_names: Vec<String>,
    assumptions: Vec<String>,
    forward: Engine,
    /// Without it, the reason.
    gradient: Result<(Engine, Terms), String>,
}

impl Classifier {
    /// Loads `model.onnx`, under whatever name, with the `card.json` and the `gradient.onnx` beside it.
    ///
    /// The card inside the model wins over the file. A gradient graph that is missing or was made from another graph is
    /// made anew in memory. A model that cannot be differentiated is loaded all the same; see
    /// [`Classifier::can_attack`].
    ///
    /// Blocking: it reads files, builds sessions and tries batch sizes out.
    ///
    /// # Errors
    /// When the file is no ONNX model, is not an image classifier (images to `[batch, classes]`), contradicts its card, or when there is no ONNX Runtime.
    pub fn load(model: &Path, options: &LoadOptions) -> Result<Self, RuntimeError> {
        load::from_file(model, options)
    }

    /// Like [`Classifier::load`], from memory: `gradient` is the gradient graph, if there is one.
    ///
    /// # Errors
    /// As [`Classifier::load`].
    pub fn from_bytes(
        model: &[u8],
        gradient: Option<&[u8]>,
        options: &LoadOptions,
    ) -> Result<Self, RuntimeError> {
        load::from_bytes(model, gradient, None, options)
    }

    /// What the model says about itself; empty where it has no card.
    pub fn card(&self) -> &Card {
        &self.0.card
    }

    /// The SHA-256 of the model file, in hexadecimal; of the model with its weights inside where these lie in files beside it.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// The images it takes.
    pub fn input(&self) -> InputSpec {
        self.0.form.spec
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.0.class_names.len()
    }

    /// One name per class; numbers where the model names none.
    pub fn class_names(&self) -> &[String] {
        &self.0.class_names
    }

    /// What was assumed because the model does not say it, one line each, to be stated with every answer.
    pub fn assumptions(&self) -> &[String] {
        &self.0.assumptions
    }

    /// Whether gradients can be asked for.
    ///
    /// # Errors
    /// The reason why not.
    pub fn can_attack(&self) -> Result<(), &str> {
        self.0.gradient.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// Decodes an image as this model takes it: pixels in `[0, 1]`, `[channels, height, width]`. Blocking.
    ///
    /// # Errors
    /// As [`crate::decode`].
    pub fn decode(&self, bytes: &[u8], limits: &ImageLimits) -> Result<Array3<f32>, ImageError> {
        image::decode(
            bytes,
            self.input(),
            self.0.card.input.preprocessing.resize,
            limits,
        )
    }

    /// The graph's own input and output, for those who send tensors instead of images.
    pub fn tensors(&self) -> Tensors<'_> {
        let (input, output) = &self.0.names;
        Tensors {
            input,
            row: self.0.form.row(),
            layout: self.0.form.layout(),
            output,
            classes: self.classes(),
        }
    }

    /// The logits `[batch, classes]` of tensors `[batch, ...]` as the graph takes them ([`Classifier::tensors`]): nothing is
    /// normalised.
    ///
    /// # Errors
    /// When the rows are not of the graph's shape, or the model fails.
    pub async fn infer(&self, rows: ArrayD<f32>) -> Result<Array2<f32>, VictimError> {
        if rows.ndim() == 0 || rows.shape().get(1..) != Some(self.0.form.row()) {
            return Err(VictimError::Query {
                what: "tensor",
                expected: format!("[any] + {:?}", self.0.form.row()),
                got: format!("{:?}", rows.shape()),
            });
        }
        self.forward(Column::Float(rows)).await
    }

    async fn forward(&self, rows: Column) -> Result<Array2<f32>, VictimError> {
        if rows.rows() == 0 {
            return Ok(Array2::zeros((0, self.classes())));
        }
        let mut outputs = self.0.forward.ask(vec![rows]).await?.into_iter();
        answered(outputs.next().and_then(batch::with_axes))
    }

    fn backward(&self) -> Result<&(Engine, Terms), VictimError> {
        let gradient = self.0.gradient.as_ref();
        gradient.map_err(|reason| VictimError::NoGradient(reason.clone()))
    }

    fn check_images(&self, images: &Array4<f32>) -> Result<(), VictimError> {
        let InputSpec {
            channels,
            height,
            width,
        } = self.input();
        if images.shape().get(1..) == Some(&[channels, height, width]) {
            return Ok(());
        }
        Err(VictimError::Query {
            what: "images",
            expected: format!("[any, {channels}, {height}, {width}]"),
            got: format!("{:?}", images.shape()),
        })
    }
}

/// The input and the output of a model's graph, all of 32-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensors<'a> {
    /// The input's name.
    pub input: &'a str,
    /// The axes of the input behind the batch.
    pub row: &'a [usize],
    /// Where the channels are; `None` where rows are not images.
    pub layout: Option<Layout>,
    /// The output's name.
    pub output: &'a str,
    /// The output is `[batch, classes]`.
    pub classes: usize,
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Classifier")
            .field("name", &self.card().name)
            .field("sha256", &self.sha256())
            .finish_non_exhaustive()
    }
}

impl Victim for Classifier {
    fn input(&self) -> InputSpec {
        Classifier::input(self)
    }

    fn classes(&self) -> usize {
        Classifier::classes(self)
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        self.check_images(&images)?;
        self.forward(self.0.form.column(images)).await
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        let (engine, terms) = self.backward()?;
        self.check_images(&images)?;
        if images.len_of(Axis(0)) != objectives.len() {
            return Err(VictimError::Query {
                what: "objectives",
                expected: format!("one per image, {}", images.len_of(Axis(0))),
                got: objectives.len().to_string(),
            });
        }
        let aims = terms.columns(&objectives)?;
        if images.is_empty() {
            return Ok(Gradient {
                logits: Array2::zeros((0, self.classes())),
                loss: ndarray::Array1::zeros(0),
                input: images,
            });
        }
        let mut inputs = vec![self.0.form.column(images)];
        inputs.extend(aims);
        let mut outputs = engine.ask(inputs).await?.into_iter();
        Ok(Gradient {
            logits: answered(outputs.next().and_then(batch::with_axes))?,
            loss: answered(outputs.next().and_then(batch::with_axes))?,
            input: answered(outputs.next().and_then(|array| self.0.form.gradient(array)))?,
        })
    }

    fn features(&self) -> Option<usize> {
        let (_, terms) = self.backward().ok()?;
        Some(terms.features).filter(|&features| features > 0)
    }

    /// From the gradient graph, whose features are the ones that [`Objective::FeatureDistance`] compares.
    async fn features_of(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let (engine, terms) = self.backward()?;
        if terms.features == 0 {
            return Err(VictimError::NoFeatures);
        }
        self.check_images(&images)?;
        if images.is_empty() {
            return Ok(Array2::zeros((0, terms.features)));
        }
        let nothing = vec![Objective::Cotangent(Vec::new()); images.len_of(Axis(0))];
        let mut inputs = vec![self.0.form.column(images)];
        inputs.extend(terms.columns(&nothing)?);
        let outputs = engine.ask(inputs).await?;
        // Behind logits, loss and gradient.
        answered(outputs.into_iter().nth(3).and_then(batch::with_axes))
    }
}

fn answered<T>(output: Option<T>) -> Result<T, VictimError> {
    output.ok_or_else(|| VictimError::Query {
        what: "the model's answer",
        expected: "logits [batch, classes], loss [batch], a gradient shaped like the images, and features [batch, features] where it has some"
            .to_owned(),
        got: "another number of axes".to_owned(),
    })
}
