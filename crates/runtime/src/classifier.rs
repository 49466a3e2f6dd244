//! A model that answers: for images with logits, for objectives with gradients.
mod adapt;
mod assumptions;
mod attack_lane;
mod attacker;
mod cache;
mod certifier;
mod decisions;
mod differentiate;
mod find_gradient;
mod form;
mod forward;
mod gradient;
mod load;
mod look;
mod opened;
mod options;
mod outputs;
mod preprocessing;
mod probe;
mod terms;
mod verification;

use std::{path::Path, sync::Arc};

use buckler_attack::{InputSpec, VictimError};
use buckler_data::{Prepared, Preprocessing};
use buckler_onnx::{Card, Interface, Layout, Obstacle};
use ndarray::{Array4, ArrayD};

pub use self::attacker::Attacker;
pub use self::certifier::Certifier;
pub use self::differentiate::{
    Differentiated, differentiate, differentiate_file, differentiate_unverified, differentiate_with,
};
pub use self::options::LoadOptions;
pub use self::outputs::{OutputPort, OutputTensor};
pub use self::verification::Verification;
use self::{
    attack_lane::{AttackLane, GRADIENT_PER_FORWARD},
    attacker::{expected, nobody},
    form::Form,
    outputs::Outputs,
};
use crate::{
    ImageError, ImageLimits, RuntimeError,
    batch::Column,
    engine::{Engine, Timing},
};

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
    interface: Interface,
    outputs: Arc<Outputs>,
    class_names: Vec<String>,
    assumptions: Vec<String>,
    depends_on_batch: bool,
    predict: Engine,
    attacks: Arc<AttackLane>,
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

    /// What was decided and assumed about the model beyond what it says itself, one sentence each, to be stated with every answer.
    /// Those about gradients are among them once the lane of attacks is made: see [`Classifier::prepare_attacks`].
    pub fn assumptions(&self) -> &[String] {
        let made = self.0.attacks.get();
        made.map_or(&self.0.assumptions, |made| &made.assumptions)
    }

    /// Says which of the model's outputs [`Classifier::infer`] does not give, and why; `None` where it gives all.
    pub fn outputs_left_out(&self) -> Option<String> {
        self.0.outputs.left_out(&self.0.interface)
    }

    /// Whether the model's own answer for an image depends on the others of its batch; images are then run one at a time.
    pub fn depends_on_batch(&self) -> bool {
        self.0.depends_on_batch
    }

    /// Whether gradients can be asked for. With [`LoadOptions::attacks_on_demand`], the graph tells; once the lane of attacks is made,
    /// what was seen of it.
    ///
    /// # Errors
    /// The reason why not.
    pub fn can_attack(&self) -> Result<(), &str> {
        let features = self.0.attacks.features();
        features.map(|_| ()).map_err(|error| error.reason.as_str())
    }

    /// Makes the lane of attacks, where it is not made yet ([`LoadOptions::attacks_on_demand`]): an attack waits for this by itself.
    /// Whoever needs [`Classifier::assumptions`] or [`Classifier::seconds_per_row`] of gradients waits for it first. It is made once,
    /// for all who wait, on a thread that may block.
    ///
    /// # Errors
    /// [`VictimError::Closed`] when the runtime of the caller ends. Where gradients cannot be made, [`Classifier::can_attack`] tells
    /// the reason from then on.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, where the lane is not made yet.
    pub async fn prepare_attacks(&self) -> Result<(), VictimError> {
        self.0.attacks.ready().await.map(|_| ())
    }

    /// The operators that stand in the way of gradients; none where there are gradients.
    pub fn obstacles(&self) -> &[Obstacle] {
        match self.0.attacks.features() {
            Ok(_) => &[],
            Err(error) => &error.obstacles,
        }
    }

    /// What was decided about the graph: its input, the output with the logits and why that one, features.
    pub fn interface(&self) -> &Interface {
        &self.0.interface
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

    /// The graph's own input and outputs, for those who send tensors instead of images.
    pub fn tensors(&self) -> Tensors<'_> {
        Tensors {
            input: &self.0.interface.image,
            row: self.0.form.row(),
            layout: self.0.form.layout(),
            outputs: &self.0.outputs.ports,
            output: &self.0.interface.output,
            classes: self.classes(),
        }
    }

    /// The model's own outputs of these names, as its file has them, to tensors `[batch, ...]` as the graph takes them
    /// ([`Classifier::tensors`]): nothing is normalised. With them, where the time went.
    ///
    /// The output with the logits comes from the lane of predictions, the others from a session that is made when one is asked for; see
    /// [`LoadOptions::all_outputs`].
    ///
    /// # Errors
    /// When the rows are not of the graph's shape, there is no such output, or the model fails.
    pub async fn infer(
        &self,
        rows: ArrayD<f32>,
        outputs: &[String],
    ) -> Result<(Vec<OutputTensor>, Timing), VictimError> {
        if rows.ndim() == 0 || rows.is_empty() || rows.shape().get(1..) != Some(self.0.form.row()) {
            return Err(VictimError::Query {
                what: "tensor",
                expected: format!("[1 or more] + {:?}", self.0.form.row()),
                got: format!("{:?}", rows.shape()),
            });
        }
        let ports = &self.0.outputs.ports;
        let interface = &self.0.interface;
        if let Some(other) = outputs
            .iter()
            .find(|name| !ports.iter().any(|port| port.name == **name))
        {
            return Err(VictimError::Query {
                what: "output",
                expected: "one of the model's".to_owned(),
                got: other.clone(),
            });
        }
        let is_predicted = |name: &String| outputs::is_predicted(interface, ports, name);
        if outputs.iter().all(is_predicted) {
            let rows = vec![Column::Float(rows)];
            let answered = self.0.predict.ask(&nobody(), 0, rows).await?;
            let timing = answered.timing;
            let tensors = outputs
                .iter()
                .map(|name| outputs::predicted(interface, ports, name, &answered.outputs));
            return Ok((expected(tensors.collect())?, timing));
        }
        let (own, names) = (Arc::clone(&self.0.outputs), outputs.to_vec());
        tokio::task::spawn_blocking(move || own.run(rows, &names))
            .await
            .unwrap_or(Err(VictimError::Closed))
    }

    /// A view of this classifier for one attack: its queries wait in the lane of attacks, and take turns with those of other tenants
    /// and of the same tenant's other attacks.
    pub fn attacker(&self, tenant: Arc<str>) -> Attacker {
        Attacker::new(self.clone(), tenant)
    }

    /// What the forward pass and the gradient of one row take in the lane of attacks, in seconds: the mean of the
    /// latest runs, and an estimate from the lane of predictions before there are any. Gradients take 0 where there are none.
    pub fn seconds_per_row(&self) -> (f64, f64) {
        let predicted = self.0.predict.seconds_per_row(0);
        let Some(made) = self.0.attacks.get() else {
            let gradient = self.can_attack().map(|()| GRADIENT_PER_FORWARD * predicted);
            return (predicted, gradient.unwrap_or(0.0));
        };
        let seconds =
            |at: Option<(&Engine, usize)>| at.map(|(engine, graph)| engine.seconds_per_row(graph));
        (
            seconds(made.forward()).unwrap_or(predicted),
            seconds(made.gradient()).unwrap_or(0.0),
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

/// The input of a model's graph, of 32-bit floats, and its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensors<'a> {
    /// The input's name.
    pub input: &'a str,
    /// The axes of the input after the batch.
    pub row: &'a [usize],
    /// Where the channels are; `None` where rows are not images.
    pub layout: Option<Layout>,
    /// All outputs, in the model's order.
    pub outputs: &'a [OutputPort],
    /// The one from which classes are read.
    pub output: &'a str,
    /// The number of classes.
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
