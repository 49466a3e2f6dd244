//! A model that proves: for boxes of images with bounds of its margins.
use std::path::Path;

use buckler_attack::{InputSpec, VictimError};
use buckler_onnx::{BoundInfo, Bounding, Card, Model, bound_for};
use ndarray::{Array1, Array2, Array4, Axis, Zip};

use super::{
    LoadOptions, adapt,
    attacker::{expected, nobody},
    form::Form,
    opened, probe,
};
use crate::{
    RuntimeError,
    batch::{self, Column},
    engine::{Engine, Lane, Settings},
    session::{self, Graph},
};

/// A classifier with certified bounds of its margins, see [`buckler_onnx::bound`].
///
/// It takes the same files, options and images as [`Classifier`](crate::Classifier), in the same form: the batch is freed, a softmax at the end left out,
/// and pixels are normalised as the card or the options say, rounded outwards.
pub struct Certifier {
    engine: Engine,
    form: Form,
    info: BoundInfo,
    assumptions: Vec<String>,
}

impl Certifier {
    /// Loads `model.onnx`, under whatever name, with the `card.json` beside it; the card inside the model wins.
    ///
    /// Blocking: it reads files, builds sessions and tries batch sizes out. With [`Bounding::Crown`], images are run one by one, since
    /// each fills a batch by itself.
    ///
    /// # Errors
    /// When the file is no ONNX model, is not an image classifier, contradicts its card, has operators without bounds (all are
    /// named), has a batch of fixed size that cannot be freed, or when there is no ONNX Runtime.
    pub fn load(
        model: &Path,
        options: &LoadOptions,
        method: Bounding,
    ) -> Result<Self, RuntimeError> {
        let card = Card::beside(model)?;
        Self::open(&Model::read(model)?, card, options, method)
    }

    /// Like [`Certifier::load`], from memory.
    ///
    /// # Errors
    /// As [`Certifier::load`].
    pub fn from_bytes(
        model: &[u8],
        options: &LoadOptions,
        method: Bounding,
    ) -> Result<Self, RuntimeError> {
        Self::open(&Model::from_bytes(model)?, None, options, method)
    }

    fn open(
        model: &Model,
        card: Option<Card>,
        options: &LoadOptions,
        method: Bounding,
    ) -> Result<Self, RuntimeError> {
        let opened = opened::open(model, card, options)?;
        // With constants folded and shapes resolved, more of it is understood.
        let simplified = adapt::simplify(&opened.runs);
        let bounds = simplified.map(|model| bound_for(&model, &opened.origin, method));
        let bounds = match bounds {
            Some(Ok(bounds)) => bounds,
            _ => bound_for(&opened.runs, &opened.origin, method)?,
        };
        let info = BoundInfo::of(&bounds)?.ok_or_else(|| RuntimeError::Unsupported {
            what: "graph of bounds",
            expected: "saying so in its metadata".to_owned(),
            got: "one that does not".to_owned(),
        })?;
        let rows = opened::max_rows(&bounds)?.min(opened.max_batch);
        let session = session::open(&bounds.to_bytes(), options.placement(Lane::Certify))?;
        let name = opened.name(options);
        let (form, mut assumptions) = (opened.form, opened.assumptions);
        let classes = info.classes;
        let sample = |rows| {
            let images = form.column(probe::images(rows, form.spec));
            let labels = (0..rows).map(|row| (row % classes) as i64).collect();
            let labels = Column::Int(Array1::from_vec(labels).into_dyn());
            vec![images.clone(), images, labels]
        };
        let max_batch = match method {
            Bounding::Ibp | Bounding::CrownIbp => rows,
            Bounding::Crown => 1,
        };
        let graph = Graph::new(
            session,
            ["lower", "upper", "label"].map(str::to_owned).to_vec(),
            vec!["margin".to_owned()],
            sample,
            None,
            opened.alone,
            max_batch,
        )?;
        if info.unnormalised {
            assumptions.push(
                "the model divides its features by their length, which changes no margin's sign: margins are those of features as they are"
                    .to_owned(),
            );
        }
        let settings = Settings {
            lane: Lane::Certify,
            model: name,
            queue_bytes: options.queue_bytes,
            watch: options.watch.clone(),
            background: false,
        };
        Ok(Self {
            engine: Engine::start(vec![graph], settings)?,
            form,
            info,
            assumptions,
        })
    }

    /// How bounds are computed.
    pub fn method(&self) -> Bounding {
        self.info.method
    }

    /// The images it takes.
    pub fn input(&self) -> InputSpec {
        self.form.spec
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.info.classes
    }

    /// Whether margins are those of features that are not normalised: of the same sign as the model's, in other units.
    pub fn unnormalised(&self) -> bool {
        self.info.unnormalised
    }

    /// What was assumed or changed, one line each, to be stated with every answer.
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    /// Lower bounds `[batch, classes]` of `z_label - z_t` for every class t, valid for all images between `lower` and `upper` `[batch,
    /// channels, height, width]`; 0 for the label itself. An image is certified where all others are above 0; minus infinity says
    /// that numbers overflowed.
    ///
    /// # Errors
    /// When shapes, counts or labels do not fit the model, a lower end is above its upper one or no number, when too many images wait
    /// already, and when the runtime fails.
    pub async fn margins(
        &self,
        lower: Array4<f32>,
        upper: Array4<f32>,
        labels: &[usize],
    ) -> Result<Array2<f32>, VictimError> {
        self.check(&lower, &upper, labels)?;
        if labels.is_empty() {
            return Ok(Array2::zeros((0, self.classes())));
        }
        let labels = labels.iter().map(|&label| label as i64).collect();
        let inputs = vec![
            self.form.end(lower, f32::next_down),
            self.form.end(upper, f32::next_up),
            Column::Int(Array1::from_vec(labels).into_dyn()),
        ];
        let answered = self.engine.ask(&nobody(), 0, inputs).await?;
        let mut outputs = answered.outputs.into_iter();
        expected(outputs.next().and_then(batch::with_axes))
    }

    fn check(
        &self,
        lower: &Array4<f32>,
        upper: &Array4<f32>,
        labels: &[usize],
    ) -> Result<(), VictimError> {
        let query = |what, expected: String, got: String| {
            Err(VictimError::Query {
                what,
                expected,
                got,
            })
        };
        let InputSpec {
            channels,
            height,
            width,
        } = self.input();
        let shape = [lower.len_of(Axis(0)), channels, height, width];
        for (what, images) in [("lower ends", lower), ("upper ends", upper)] {
            if images.shape() != shape {
                return query(what, format!("{shape:?}"), format!("{:?}", images.shape()));
            }
        }
        if labels.len() != shape[0] {
            return query(
                "labels",
                format!("one per image, {}", shape[0]),
                labels.len().to_string(),
            );
        }
        if let Some(label) = labels.iter().find(|label| **label >= self.classes()) {
            return query(
                "label",
                format!("below {}", self.classes()),
                label.to_string(),
            );
        }
        let ordered = Zip::from(lower)
            .and(upper)
            .all(|lower, upper| lower <= upper && lower.is_finite() && upper.is_finite());
        if !ordered {
            return query(
                "box",
                "finite ends, the lower one of every pixel at most the upper one".to_owned(),
                "other ends".to_owned(),
            );
        }
        Ok(())
    }
}

impl std::fmt::Debug for Certifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certifier")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
