//! What was decided about a model, without the model.
use buckler_onnx::{Interface, Origin};

use super::{form::Form, opened::Opened};

/// All that it takes to run a model's graphs beside the graphs.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    pub interface: Interface,
    pub form: Form,
    pub origin: Origin,
    /// The size of a batch that cannot be freed.
    pub fixed: Option<usize>,
    /// Whether a row's answer depends on the others of its batch.
    pub alone: bool,
    /// Number of classes.
    pub classes: usize,
    /// The most rows of a batch, by what is set and by what the model's activations take.
    pub max_batch: usize,
}

impl Decisions {
    pub fn of(opened: &Opened) -> Self {
        Self {
            interface: opened.interface.clone(),
            form: opened.form.clone(),
            origin: opened.origin.clone(),
            fixed: opened.fixed,
            alone: opened.alone,
            classes: opened.classes(),
            max_batch: opened.max_batch,
        }
    }
}
