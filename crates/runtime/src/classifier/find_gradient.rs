//! Which gradient graph a model has: the one that came with it, the one kept from the last time, or one made now.
use std::{borrow::Cow, io, path::PathBuf};

use buckler_onnx::{
    Error, GradientInfo, Model, Obstacle, Origin, differentiate_for, proto::*, read_model_file,
};

use super::{
    adapt,
    attack_lane::{Expected, Recipe},
    cache,
    gradient::{self, Gradient},
    load::unread,
    opened::Opened,
    verification,
};
use crate::{RuntimeError, session::Graph};

/// The gradient graph that came with a model.
#[derive(Clone, Debug)]
pub(super) enum Stored<'a> {
    Bytes(Cow<'a, [u8]>),
    /// Read when it is needed.
    File(PathBuf),
}

impl Stored<'_> {
    /// `None` where there is no such file.
    pub fn read(&self) -> Result<Option<Cow<'_, [u8]>>, RuntimeError> {
        match self {
            Self::Bytes(bytes) => Ok(Some(bytes.as_ref().into())),
            Self::File(path) => match read_model_file(path) {
                Ok(bytes) => Ok(Some(Vec::from(bytes).into())),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    Ok(None)
                }
                Err(error) => Err(unread(error)),
            },
        }
    }
}

/// Why a model has no gradients.
#[derive(Clone, Debug)]
pub(super) struct NoGradient {
    pub reason: String,
    /// The operators that stand in the way.
    pub obstacles: Vec<Obstacle>,
}

impl From<String> for NoGradient {
    fn from(reason: String) -> Self {
        Self {
            obstacles: vec![Obstacle {
                node: "gradient".into(),
                operator: "graph".into(),
                reason: reason.clone(),
            }],
            reason,
        }
    }
}

impl NoGradient {
    fn of(error: buckler_onnx::Error, model: &Model) -> Self {
        Self {
            reason: error.to_string(),
            obstacles: error.obstacles(model),
        }
    }
}

/// What the graph tells of gradients without a session: a stored gradient graph is the model's by what it says, or the model can be
/// differentiated.
pub(super) fn expect(opened: &Opened, stored: Option<&[u8]>) -> Result<Expected, NoGradient> {
    let stored = stored.and_then(|bytes| Model::from_bytes(bytes).ok());
    if let Some(model) = stored
        && matching_info(&opened.origin, &model).is_ok()
    {
        return Ok(expected(&model));
    }
    let made = differentiate_for(&opened.runs, &opened.origin);
    // The runtime resolves shapes and constants that are not resolved here.
    let made = made.or_else(|error| match adapt::simplify(&opened.runs) {
        Some(simplified) => differentiate_for(&simplified, &opened.origin).map_err(|_| error),
        None => Err(error),
    });
    made.map(|model| expected(&model))
        .map_err(|error| NoGradient::of(error, &opened.runs))
}

fn expected(gradient: &Model) -> Expected {
    let inputs = &gradient.graph().input;
    let source = inputs.iter().find(|input| input.name == "source_features");
    let size = source
        .and_then(|input| match input.r#type.as_ref()?.value.as_ref()? {
            type_proto::Value::TensorType(tensor) => tensor.shape.as_ref()?.dim.get(1),
            _ => None,
        })
        .and_then(|dim| match dim.value {
            Some(tensor_shape_proto::dimension::Value::DimValue(size)) => {
                usize::try_from(size).ok()
            }
            _ => None,
        });
    Expected {
        features: size.unwrap_or(0),
    }
}

/// The stored gradient graph if it belongs to the model and its choice of output and size and agrees with what the model computes,
/// else one made now. The error is the reason why there is none.
pub(super) fn find(
    recipe: &Recipe<'_>,
    forward: &mut Graph,
    assumptions: &mut Vec<String>,
) -> Result<Gradient, NoGradient> {
    let (decisions, options) = (&recipe.decisions, &recipe.options);
    let open = |bytes: &[u8], info: &GradientInfo| {
        gradient::open(bytes, info, decisions, options).map_err(|error| error.to_string())
    };
    let origin = &decisions.origin;
    let stored = recipe.stored.as_ref().map(Stored::read);
    let stored = stored.transpose().map(Option::flatten);
    // What a file says of itself proves nothing.
    let used = match &stored {
        Ok(None) => None,
        Err(error) => Some(Err(error.to_string())),
        Ok(Some(bytes)) => Some((|| {
            let info = parsed_info(origin, bytes)?;
            let mut graph = open(bytes, &info)?;
            verification::verify(decisions, forward, &mut graph, verification::QUICK).map_err(
                |error| match error {
                    RuntimeError::Unsupported { expected, got, .. } => {
                        format!("it should be {expected}, but is {got}")
                    }
                    other => other.to_string(),
                },
            )?;
            Ok::<_, String>(graph)
        })()),
    };
    let refused = match used {
        Some(Ok(graph)) => return Ok(graph),
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    let stored = stored.ok().flatten();
    let mut tell = |bytes: Option<&[u8]>| {
        // Difference quotients tell nothing of a model that is random or all kinks.
        let Some(reason) = refused.as_ref().filter(|_| bytes != stored.as_deref()) else {
            return;
        };
        tracing::warn!(
            reason,
            "the stored gradient graph is not used; another is made"
        );
        assumptions.push(format!(
            "the stored gradient graph is not used, and another was made: {reason}"
        ));
    };
    let cache = options.gradient_cache.as_deref();
    if let Some(bytes) = cache.and_then(|folder| cache::read(folder, origin))
        && let Ok(info) = parsed_info(origin, &bytes)
        && let Ok(graph) = open(&bytes, &info)
    {
        tell(Some(&bytes));
        return Ok(graph);
    }
    tracing::info!(model = recipe.name, "making the gradient graph");
    let model = match recipe.model {
        Some(model) => Cow::Borrowed(model),
        None => Cow::Owned(Model::from_bytes(&recipe.bytes).map_err(|error| error.to_string())?),
    };
    let made = make(&model, origin);
    let bytes = made.as_ref().ok().map(Model::to_bytes);
    tell(bytes.as_deref());
    let made = made.map_err(|error| NoGradient::of(error, &model))?;
    let (info, bytes) = (info_of(&made)?, bytes.unwrap_or_default());
    let graph = open(&bytes, &info)?;
    if let Some(folder) = cache
        && let Err(error) = cache::write(folder, origin, &bytes)
    {
        tracing::warn!(folder = %folder.display(), %error, "the gradient graph cannot be kept");
    }
    Ok(graph)
}

/// Differentiates the form that ONNX Runtime's basic optimisation gives the model, or else the model as it is.
pub(super) fn make(model: &Model, origin: &Origin) -> Result<Model, buckler_onnx::Error> {
    let simplified = adapt::simplify(model).map(|model| differentiate_for(&model, origin));
    match simplified {
        Some(Ok(gradient)) => Ok(gradient),
        _ => differentiate_for(model, origin),
    }
}

fn parsed_info(origin: &Origin, gradient: &[u8]) -> Result<GradientInfo, String> {
    let gradient = Model::from_bytes(gradient).map_err(|error| error.to_string())?;
    matching_info(origin, &gradient)
}

/// What a gradient graph says about itself, if it was made from this model for this choice.
fn matching_info(origin: &Origin, gradient: &Model) -> Result<GradientInfo, String> {
    let info = info_of(gradient)?;
    info.check(origin)?;
    Ok(info)
}

fn info_of(gradient: &Model) -> Result<GradientInfo, String> {
    GradientInfo::of(gradient)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "it does not say that it is a gradient graph".to_owned())
}
