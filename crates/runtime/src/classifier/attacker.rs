//! Classifiers as attacks see them.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use buckler_attack::{Gradient, InputSpec, Objective, Victim, VictimError};
use ndarray::{Array1, Array2, Array4, ArrayD, Axis};

use super::{Classifier, find_gradient::NoGradient, terms::Terms};
use crate::{
    batch::{self, Column},
    engine::{Engine, Flow},
};

/// One attack's view of a classifier; see [`Classifier::attacker`].
#[derive(Clone, Debug)]
pub struct Attacker {
    classifier: Classifier,
    flow: Flow,
}

impl Attacker {
    pub(super) fn new(classifier: Classifier, tenant: Arc<str>) -> Self {
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
        Self {
            classifier,
            flow: Flow { tenant, request },
        }
    }
}

/// The flow of all whose queries need not be told apart.
pub(super) fn nobody() -> Flow {
    Flow {
        tenant: "".into(),
        request: 0,
    }
}

/// Where a query is asked.
struct Asked<'a> {
    classifier: &'a Classifier,
    flow: &'a Flow,
    engine: &'a Engine,
    graph: usize,
}

impl<'a> Asked<'a> {
    /// The forward graph of the lane that predicts.
    fn prediction(classifier: &'a Classifier, flow: &'a Flow) -> Self {
        Self {
            classifier,
            flow,
            engine: &classifier.0.predict,
            graph: 0,
        }
    }

    /// The forward graph of the lane of attacks, where that has one.
    async fn forward(classifier: &'a Classifier, flow: &'a Flow) -> Result<Self, VictimError> {
        let made = classifier.0.attacks.ready().await?;
        Ok(match made.forward() {
            Some((engine, graph)) => Self {
                classifier,
                flow,
                engine,
                graph,
            },
            None => Self::prediction(classifier, flow),
        })
    }

    async fn gradient(
        classifier: &'a Classifier,
        flow: &'a Flow,
    ) -> Result<(Self, &'a Terms), VictimError> {
        let none = |error: &NoGradient| VictimError::NoGradient(error.reason.clone());
        // What the graph tells already need not be tried.
        classifier.0.attacks.features().map_err(none)?;
        let made = classifier.0.attacks.ready().await?;
        let terms = made.terms.as_ref().map_err(none)?;
        let (engine, graph) = made.gradient().ok_or(VictimError::Closed)?;
        let asked = Self {
            classifier,
            flow,
            engine,
            graph,
        };
        Ok((asked, terms))
    }

    async fn ask(
        &self,
        inputs: Vec<Column>,
    ) -> Result<std::vec::IntoIter<ArrayD<f32>>, VictimError> {
        let answered = self.engine.ask(self.flow, self.graph, inputs).await?;
        Ok(answered.outputs.into_iter())
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        self.classifier.check_images(&images)?;
        if images.is_empty() {
            return Ok(Array2::zeros((0, self.classifier.classes())));
        }
        let mut outputs = self
            .ask(vec![self.classifier.0.form.column(images)])
            .await?;
        expected(outputs.next().and_then(batch::with_axes))
    }

    /// The outputs of the gradient graph: logits, loss, gradient, and features where there are some.
    async fn slopes(
        &self,
        terms: &Terms,
        images: Array4<f32>,
        objectives: &[Objective],
    ) -> Result<std::vec::IntoIter<ArrayD<f32>>, VictimError> {
        let mut inputs = vec![self.classifier.0.form.column(images)];
        inputs.extend(terms.columns(objectives)?);
        self.ask(inputs).await
    }
}

async fn gradient(
    classifier: &Classifier,
    flow: &Flow,
    images: Array4<f32>,
    objectives: Vec<Objective>,
) -> Result<Gradient, VictimError> {
    let (asked, terms) = Asked::gradient(classifier, flow).await?;
    classifier.check_images(&images)?;
    if images.len_of(Axis(0)) != objectives.len() {
        return Err(VictimError::Query {
            what: "objectives",
            expected: format!("one per image, {}", images.len_of(Axis(0))),
            got: objectives.len().to_string(),
        });
    }
    if images.is_empty() {
        return Ok(Gradient {
            logits: Array2::zeros((0, classifier.classes())),
            loss: Array1::zeros(0),
            input: images,
        });
    }
    let mut outputs = asked.slopes(terms, images, &objectives).await?;
    let form = &classifier.0.form;
    Ok(Gradient {
        logits: expected(outputs.next().and_then(batch::with_axes))?,
        loss: expected(outputs.next().and_then(batch::with_axes))?,
        input: expected(outputs.next().and_then(|array| form.gradient(array)))?,
    })
}

/// From the gradient graph, whose features are the ones that [`Objective::FeatureDistance`] compares.
async fn features(
    classifier: &Classifier,
    flow: &Flow,
    images: Array4<f32>,
) -> Result<Array2<f32>, VictimError> {
    let (asked, terms) = Asked::gradient(classifier, flow).await?;
    if terms.features == 0 {
        return Err(VictimError::NoFeatures);
    }
    classifier.check_images(&images)?;
    if images.is_empty() {
        return Ok(Array2::zeros((0, terms.features)));
    }
    let nothing = vec![Objective::Cotangent(Vec::new()); images.len_of(Axis(0))];
    let mut outputs = asked.slopes(terms, images, &nothing).await?;
    expected(outputs.nth(3).and_then(batch::with_axes))
}

/// Attacks of one caller: forward passes are asked of the lane that predicts.
impl Victim for Classifier {
    fn input(&self) -> InputSpec {
        Classifier::input(self)
    }

    fn classes(&self) -> usize {
        Classifier::classes(self)
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        Asked::prediction(self, &nobody()).logits(images).await
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        gradient(self, &nobody(), images, objectives).await
    }

    fn depends_on_batch(&self) -> bool {
        Classifier::depends_on_batch(self)
    }

    fn features(&self) -> Option<usize> {
        let features = self.0.attacks.features().ok()?;
        Some(features).filter(|&features| features > 0)
    }

    async fn features_of(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        features(self, &nobody(), images).await
    }
}

impl Victim for Attacker {
    fn input(&self) -> InputSpec {
        self.classifier.input()
    }

    fn classes(&self) -> usize {
        self.classifier.classes()
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let asked = Asked::forward(&self.classifier, &self.flow).await?;
        asked.logits(images).await
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        gradient(&self.classifier, &self.flow, images, objectives).await
    }

    fn depends_on_batch(&self) -> bool {
        self.classifier.depends_on_batch()
    }

    fn features(&self) -> Option<usize> {
        Victim::features(&self.classifier)
    }

    async fn features_of(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        features(&self.classifier, &self.flow, images).await
    }
}

pub(super) fn expected<T>(output: Option<T>) -> Result<T, VictimError> {
    output.ok_or_else(|| VictimError::Query {
        what: "the model's answer",
        expected: "logits [batch, classes], loss [batch], a gradient shaped like the images, and features [batch, features] where it has some"
            .to_owned(),
        got: "another number of axes".to_owned(),
    })
}
