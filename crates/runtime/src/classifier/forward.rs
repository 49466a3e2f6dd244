//! The forward graph: from images to logits.
use ort::session::Session;

use super::{LoadOptions, decisions::Decisions, probe};
use crate::{
    RuntimeError,
    engine::Lane,
    session::{self, Graph},
};

/// Opens the model for a lane and tries batch sizes out. It returns logits, and in the lane of predictions the features that are an
/// output of the model beside them.
pub(super) fn open(
    decisions: &Decisions,
    bytes: &[u8],
    options: &LoadOptions,
    lane: Lane,
) -> Result<Graph, RuntimeError> {
    let session = session::open(bytes, options.placement(lane))?;
    calibrated(decisions, session, options, lane)
}

/// As [`open`], for a session that is open already.
pub(super) fn calibrated(
    decisions: &Decisions,
    session: Session,
    options: &LoadOptions,
    lane: Lane,
) -> Result<Graph, RuntimeError> {
    let form = &decisions.form;
    let sample = |rows| vec![form.column(probe::images(rows, form.spec))];
    let mut outputs = vec![decisions.origin.logits.clone()];
    if lane == Lane::Predict && options.all_outputs {
        outputs.extend(decisions.interface.features_output().map(str::to_owned));
    }
    let mut graph = Graph::new(
        session,
        vec![decisions.interface.image.clone()],
        outputs,
        sample,
        decisions.fixed,
        decisions.alone,
        decisions.max_batch,
    )?;
    let answer = graph.run(&sample(1))?;
    let shape = answer.first().map(ndarray::ArrayD::shape);
    if shape == Some(&[1, decisions.classes]) {
        return Ok(graph);
    }
    Err(RuntimeError::Unsupported {
        what: "output",
        expected: format!("[batch, classes] with {} classes", decisions.classes),
        got: format!(
            "`{}` of shape {:?} for one image",
            decisions.interface.output,
            shape.unwrap_or_default()
        ),
    })
}
