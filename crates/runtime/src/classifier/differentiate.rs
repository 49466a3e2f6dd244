//! A gradient graph, made and verified.
use std::path::Path;

use buckler_onnx::{Card, Error, GradientInfo, Model};

use super::{
    LoadOptions,
    decisions::Decisions,
    find_gradient, forward, gradient, opened,
    verification::{self, Verification},
};
use crate::{RuntimeError, engine::Lane};

/// Rows run at once meanwhile: whoever loads the model tries larger batches out.
const MAX_BATCH: usize = 2;

/// A gradient graph with what was seen of it.
#[derive(Clone, Debug)]
pub struct Differentiated {
    /// The graph.
    pub gradient: Model,
    /// What was decided and assumed about the model, as [`Classifier::assumptions`](crate::Classifier::assumptions).
    pub assumptions: Vec<String>,
    /// How it was verified.
    pub verification: Verification,
}

/// Makes the gradient graph of a model and verifies it in the runtime, against the model's own logits and against difference
/// quotients at images of noise.
///
/// The graph is made for the output and the image size that [`Classifier::load`](crate::Classifier::load) chooses with the same card
/// and options.
///
/// # Errors
/// When the model is not an image classifier, when operators have no gradient rule (all are named), when the graph does not run, and
/// when it contradicts the model.
pub fn differentiate(model: &Model, options: &LoadOptions) -> Result<Differentiated, RuntimeError> {
    differentiate_with(model, None, options)
}

/// As [`differentiate`], with the card beside the model, which yields to the one inside it.
///
/// # Errors
/// As [`differentiate`].
pub fn differentiate_with(
    model: &Model,
    card: Option<Card>,
    options: &LoadOptions,
) -> Result<Differentiated, RuntimeError> {
    let options = &LoadOptions {
        max_batch: MAX_BATCH.min(options.max_batch),
        ..options.clone()
    };
    let opened = opened::open(model, card, options)?;
    let gradient = find_gradient::make(&opened.runs, &opened.origin)?;
    let decisions = Decisions::of(&opened);
    let mut forward = forward::open(&decisions, &opened.runs.to_bytes(), options, Lane::Predict)?;
    let info = GradientInfo::of(&gradient)?;
    let info =
        info.ok_or_else(|| Error::Interface("the gradient graph lost its metadata".into()))?;
    let mut backward = gradient::open(&gradient.to_bytes(), &info, &decisions, options)?;
    let verification = verification::verify(
        &decisions,
        &mut forward,
        &mut backward,
        verification::THOROUGH,
    )?;
    Ok(Differentiated {
        gradient,
        assumptions: opened.assumptions,
        verification,
    })
}

/// Makes the gradient graph of a model without running it, for callers that compare its gradient with one of their own.
///
/// # Errors
/// When the model is not an image classifier, and when operators have no gradient rule (all are named).
pub fn differentiate_unverified(
    model: &Model,
    options: &LoadOptions,
) -> Result<Model, RuntimeError> {
    let opened = opened::open(model, None, options)?;
    Ok(find_gradient::make(&opened.runs, &opened.origin)?)
}

/// As [`differentiate`], for a file with the `card.json` beside it.
///
/// # Errors
/// As [`differentiate`], and when a file cannot be read.
pub fn differentiate_file(
    model: &Path,
    options: &LoadOptions,
) -> Result<Differentiated, RuntimeError> {
    let card = Card::beside(model)?;
    differentiate_with(&Model::read(model)?, card, options)
}
