//! The gradient graph.
use buckler_attack::Objective;
use buckler_onnx::{GradientInfo, Model};
use ndarray::ArrayD;

use super::{LoadOptions, decisions::Decisions, opened::max_rows, probe, terms::Terms};
use crate::{
    RuntimeError,
    batch::Column,
    engine::Lane,
    session::{self, Graph},
};

/// A gradient graph with what was learnt about it.
pub(super) struct Gradient {
    pub graph: Graph,
    pub terms: Terms,
}

impl Gradient {
    /// What the graph returns for images, each with an objective: logits, losses, gradients, and features where there are some.
    pub fn ask(
        &mut self,
        images: Column,
        objectives: &[Objective],
    ) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let columns = self.terms.columns(objectives);
        let columns = columns.map_err(|error| RuntimeError::Unsupported {
            what: "gradient graph",
            expected: "to take the objectives of its model".to_owned(),
            got: error.to_string(),
        })?;
        let inputs: Vec<Column> = [images].into_iter().chain(columns).collect();
        self.graph.run(&inputs)
    }
}

/// Opens a gradient graph and tries it out.
pub(super) fn open(
    model: &[u8],
    info: &GradientInfo,
    decisions: &Decisions,
    options: &LoadOptions,
) -> Result<Gradient, RuntimeError> {
    let (form, classes) = (&decisions.form, decisions.classes);
    if info.classes != classes {
        return Err(RuntimeError::Unsupported {
            what: "gradient graph",
            expected: format!("made for {classes} classes"),
            got: format!("for {}", info.classes),
        });
    }
    // It keeps what the model computes on the way, and takes more memory.
    let rows = max_rows(&Model::from_bytes(model)?)?;
    let session = session::open(model, options.placement(Lane::Attack))?;
    let shape = |name: &str| {
        let mut inputs = session.inputs().iter();
        inputs
            .find(|input| input.name() == name)
            .and_then(session::float_shape)
    };
    let fixed = shape(&info.image).and_then(|shape| fixed_batch(&shape));
    let features = shape("source_features").and_then(|shape| shape.get(1).copied());
    let has = |name: &&str| session.inputs().iter().any(|input| input.name() == *name);
    let terms = Terms {
        objectives: info.objectives.clone(),
        classes,
        features: features
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(0),
        inputs: GradientInfo::INPUTS.into_iter().filter(has).collect(),
    };
    let inputs = [info.image.as_str()]
        .into_iter()
        .chain(terms.inputs.iter().copied());
    let inputs = inputs.map(str::to_owned).collect();
    // Features are an output where the model has some.
    let features = info.features.as_deref().filter(|_| terms.features > 0);
    let outputs = [info.logits.as_str(), "loss", "gradient"];
    let outputs = outputs.into_iter().chain(features);
    let sample = |rows| {
        let mut columns = vec![form.column(probe::images(rows, form.spec))];
        columns.extend(terms.probe(rows));
        columns
    };
    let mut graph = Graph::new(
        session,
        inputs,
        outputs.map(str::to_owned).collect(),
        sample,
        fixed,
        decisions.alone,
        decisions.max_batch.min(rows),
    )?;
    let answer = graph.run(&sample(1))?;
    let image = match sample(1).first() {
        Some(Column::Float(image)) => image.shape().to_vec(),
        _ => vec![],
    };
    let shapes: Vec<&[usize]> = answer.iter().map(|array| array.shape()).collect();
    let mut expected = vec![vec![1, classes], vec![1], image];
    if terms.features > 0 {
        expected.push(vec![1, terms.features]);
    }
    if shapes == expected {
        return Ok(Gradient { graph, terms });
    }
    Err(RuntimeError::Unsupported {
        what: "gradient graph",
        expected: format!("to answer one image with shapes {expected:?}"),
        got: format!("answering with {shapes:?}"),
    })
}

/// A batch size that cannot be chosen.
fn fixed_batch(image_shape: &[i64]) -> Option<usize> {
    let &batch = image_shape.first()?;
    usize::try_from(batch).ok().filter(|&batch| batch > 0)
}

/// How many entries of the gradient of a few images are not finite, and of how many.
pub(super) fn not_finite(
    gradient: &mut Gradient,
    forward: &mut Graph,
    decisions: &Decisions,
) -> Result<(usize, usize), RuntimeError> {
    let form = &decisions.form;
    let images = probe::varied(&[0, probe::VARIED - 1], form.spec);
    let logits = forward.run(&[form.column(images.clone())])?;
    // Other outputs of the model may follow.
    let objectives: Vec<Objective> = logits
        .first()
        .into_iter()
        .flat_map(|logits| logits.outer_iter())
        .map(|row| {
            let ranked = row
                .iter()
                .enumerate()
                .max_by(|(_, a), (_, b)| a.total_cmp(b));
            Objective::CrossEntropy {
                label: ranked.map_or(0, |(class, _)| class),
            }
        })
        .collect();
    let answer = gradient.ask(form.column(images), &objectives)?;
    let slopes = answer.get(2);
    let bad = slopes.map_or(0, |slopes| {
        slopes.iter().filter(|slope| !slope.is_finite()).count()
    });
    Ok((bad, slopes.map_or(0, ArrayD::len)))
}
