//! The forward graph: from images to logits.
use ort::session::Session;

use super::{LoadOptions, opened::Opened, probe};
use crate::{
    RuntimeError,
    engine::Lane,
    session::{self, Graph},
};

/// Opens the model for a lane and tries batch sizes out. It returns logits, and in the lane of predictions the features that are an
/// output of the model beside them.
pub(super) fn open(
    opened: &Opened,
    bytes: &[u8],
    options: &LoadOptions,
    lane: Lane,
) -> Result<Graph, RuntimeError> {
    let session = session::open(bytes, options.placement(lane))?;
    calibrated(opened, session, options, lane)
}

/// As [`open`], for a session that is open already.
pub(super) fn calibrated(
    opened: &Opened,
    session: Session,
    options: &LoadOptions,
    lane: Lane,
) -> Result<Graph, RuntimeError> {
    let form = &opened.form;
    let sample = |rows| vec![form.column(probe::images(rows, form.spec))];
    let mut outputs = vec![opened.origin.logits.clone()];
    if lane == Lane::Predict && options.all_outputs {
        outputs.extend(opened.interface.features_output().map(str::to_owned));
    }
    let mut graph = Graph::new(
        session,
        vec![opened.interface.image.clone()],
        outputs,
        sample,
        opened.fixed,
        opened.alone,
        opened.max_batch,
    )?;
    let answer = graph.run(&sample(1))?;
    let shape = answer.first().map(ndarray::ArrayD::shape);
    if shape == Some(&[1, opened.classes()]) {
        return Ok(graph);
    }
    Err(RuntimeError::Unsupported {
        what: "output",
        expected: format!("[batch, classes] with {} classes", opened.classes()),
        got: format!(
            "`{}` of shape {:?} for one image",
            opened.interface.output,
            shape.unwrap_or_default()
        ),
    })
}
