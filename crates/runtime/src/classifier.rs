//! A model that answers: for images with logits, for objectives with gradients.
mod adapt;
mod attacker;
mod cache;
mod certifier;
mod differentiate;
mod form;
mod forward;
mod gradient;
mod load;
mod preprocessing;
mod probe;
mod terms;

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use buckler_attack::{InputSpec, VictimError};
use buckler_data::{Prepared, Preprocessing};
use buckler_onnx::{Card, ChannelOrder, Layout, Normalization};
use ndarray::{Array2, Array4, ArrayD};
use serde::Deserialize;

pub use self::attacker::Attacker;
pub use self::certifier::Certifier;
pub use self::differentiate::{
    Differentiated, Verification, differentiate, differentiate_unverified, obstacles,
};
use self::{
    attacker::{expected, nobody},
    form::Form,
    terms::Terms,
};
use crate::{
    ImageError, ImageLimits, RuntimeError,
    batch::{self, Column},
    engine::{Answered, Engine, Lane, Timing, Watch},
    session::{Placement, Provider},
};

/// How a classifier is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// What the model is called in logs and by [`LoadOptions::watch`]; the name on its card where this is `None`.
    #[serde(skip)]
    pub name: Option<String>,
    /// Where the model is run.
    pub provider: Provider,
    /// Threads for one run; predictions and attacks have their own.
    pub threads: usize,
    /// Rows in one batch at most; rounded down to a power of two.
    pub max_batch: usize,
    /// Memory for the rows that wait in each of the two queues, in bytes. More is answered with
    /// [`VictimError::Overloaded`].
    pub queue_bytes: usize,
    /// A [`Repository`](crate::Repository) serves models whose files are links out of its directory.
    pub follow_links: bool,
    /// Name of the output with the logits or probabilities, instead of the card's.
    #[serde(skip)]
    pub output: Option<String>,
    /// Height and width of the images, for graphs that leave them open, instead of the card's.
    #[serde(skip)]
    pub size: Option<(usize, usize)>,
    /// Order of the channels that the graph takes, instead of the card's.
    #[serde(skip)]
    pub channel_order: Option<ChannelOrder>,
    /// What the graph expects of pixels in `[0, 1]`, instead of what its card says.
    #[serde(skip)]
    pub normalization: Option<Normalization>,
    /// Where gradient graphs that had to be made at load are kept for the next time; nowhere without it.
    #[serde(skip)]
    pub gradient_cache: Option<PathBuf>,
    /// Attacks ask nothing of the session that predicts: they have a second one for their forward passes, and leave the
    /// processors to predictions where both want them. This takes the memory of one more session.
    #[serde(skip)]
    pub separate_attacks: bool,
    /// Is told of every batch.
    #[serde(skip)]
    pub watch: Option<Watch>,
}

impl LoadOptions {
    fn placement(&self, lane: Lane) -> Placement {
        Placement {
            provider: self.provider,
            threads: self.threads,
            background: self.separate_attacks && lane == Lane::Attack,
        }
    }
}

impl Default for LoadOptions {
    /// As many threads as this process may use, batches of up to 16 rows, 256 MiB.
    fn default() -> Self {
        Self {
            name: None,
            provider: Provider::default(),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            max_batch: 16,
            queue_bytes: 256 << 20,
            follow_links: false,
            output: None,
            size: None,
            channel_order: None,
            normalization: None,
            gradient_cache: None,
            separate_attacks: false,
            watch: None,
        }
    }
}

/// A loaded model. Clones share it; when the last one is dropped, its threads end and whatever they were asked is
/// answered with [`VictimError::Closed`].
///
/// Predictions and attacks have their own threads, sessions and queues: two lanes. Rows of concurrent callers are merged into
/// one batch, in fair turns, at batch sizes that were seen at load to give bitwise equal answers, so that an answer does not depend on
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
    predict: Engine,
    attack: Option<AttackLane>,
    /// What gradients can be asked for; without them, the reason.
    terms: Result<Terms, String>,
}

/// The lane of attacks. There is none where a model has no gradients and its forward passes are all asked of the other lane.
struct AttackLane {
    engine: Engine,
    forward: Option<usize>,
    gradient: Option<usize>,
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
        self.0.terms.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// What turns images into the pixels that this model takes: as its card states it, else both sides stretched and
    /// transparency laid over black.
    pub fn preprocessing(&self) -> Preprocessing {
        preprocessing::of(self.card(), self.input())
    }

    /// Decodes an image as this model takes it: pixels in `[0, 1]`, `[channels, height, width]`. Blocking.
    ///
    /// # Errors
    /// As [`buckler_data::decode`] and [`buckler_data::Picture::prepare`].
    pub fn decode(&self, bytes: &[u8], limits: &ImageLimits) -> Result<Prepared, ImageError> {
        buckler_data::decode(bytes, limits)?.prepare(&self.preprocessing())
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
    /// normalised. With them, where the time went.
    ///
    /// # Errors
    /// When the rows are not of the graph's shape, or the model fails.
    pub async fn infer(&self, rows: ArrayD<f32>) -> Result<(Array2<f32>, Timing), VictimError> {
        if rows.ndim() == 0 || rows.shape().get(1..) != Some(self.0.form.row()) {
            return Err(VictimError::Query {
                what: "tensor",
                expected: format!("[any] + {:?}", self.0.form.row()),
                got: format!("{:?}", rows.shape()),
            });
        }
        if rows.is_empty() {
            return Ok((Array2::zeros((0, self.classes())), Timing::default()));
        }
        let rows = vec![Column::Float(rows)];
        let Answered { outputs, timing } = self.0.predict.ask(&nobody(), 0, rows).await?;
        let logits = expected(outputs.into_iter().next().and_then(batch::with_axes))?;
        Ok((logits, timing))
    }

    /// A view of this classifier for one attack: its queries wait in the lane of attacks, and take turns with those of other tenants
    /// and of the same tenant's other attacks.
    pub fn attacker(&self, tenant: Arc<str>) -> Attacker {
        Attacker::new(self.clone(), tenant)
    }

    /// What the forward pass and the gradient of one row take in the lane of attacks, in seconds: the mean of the
    /// latest runs. Gradients take 0 where there are none.
    pub fn seconds_per_row(&self) -> (f64, f64) {
        let at = |graph: fn(&AttackLane) -> Option<usize>| {
            let lane = self.0.attack.as_ref()?;
            Some(lane.engine.seconds_per_row(graph(lane)?))
        };
        let forward = at(|lane| lane.forward);
        (
            forward.unwrap_or_else(|| self.0.predict.seconds_per_row(0)),
            at(|lane| lane.gradient).unwrap_or(0.0),
        )
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
