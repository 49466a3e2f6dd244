//! From a model file and what lies beside it to a classifier.
use std::{borrow::Cow, io, path::Path, sync::Arc};

use buckler_onnx::{
    Card, Error, GradientInfo, Model, Obstacle, Origin, differentiate_for, proto::Bytes,
    read_model_file,
};
use sha2::{Digest, Sha256};

use super::{
    AttackLane, Classifier, Inner, LoadOptions, adapt, cache, forward,
    gradient::{self, Gradient},
    opened::{self, Opened},
    outputs::Outputs,
    verification,
};
use crate::{
    RuntimeError,
    engine::{Engine, Lane, Settings},
    session::Graph,
};

pub(super) fn from_file(path: &Path, options: &LoadOptions) -> Result<Classifier, RuntimeError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let model = read_model_file(path).map_err(unread)?;
    let card = Card::beside(path)?;
    let foreign = foreign(card.as_ref(), path, &model);
    let gradient = match options.make_gradient {
        true => None,
        false => read(&directory.join("gradient.onnx"))?,
    };
    tracing::debug!(model = %path.display(), "loading");
    match Model::from_shared(model.clone()) {
        // Weights in files beside the model are taken in: the runtime is given one piece.
        Err(Error::External { .. }) => {
            let whole = Model::read(path)?;
            from_model(
                &whole,
                &whole.to_bytes(),
                gradient.as_deref(),
                card,
                options,
                foreign,
            )
        }
        parsed => from_model(
            &parsed?,
            &model,
            gradient.as_deref(),
            card,
            options,
            foreign,
        ),
    }
}

/// `card` is the one beside the model, which yields to the one inside it.
pub(super) fn from_bytes(
    bytes: &[u8],
    gradient: Option<&[u8]>,
    card: Option<Card>,
    options: &LoadOptions,
) -> Result<Classifier, RuntimeError> {
    let model = Model::from_bytes(bytes)?;
    from_model(&model, bytes, gradient, card, options, None)
}

/// Where the card beside a model states the checksum of another file of this name.
fn foreign(card: Option<&Card>, path: &Path, model: &[u8]) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stated = card?.sha256.get(name)?;
    let found = format!("{:x}", Sha256::digest(model));
    (*stated != found).then(|| {
        format!(
            "the card.json beside the model is of another file: it states the SHA-256 {}, and `{}` has {found}",
            stated.escape_debug(),
            name.escape_debug()
        )
    })
}

fn from_model(
    model: &Model,
    bytes: &[u8],
    gradient: Option<&[u8]>,
    card: Option<Card>,
    options: &LoadOptions,
    foreign: Option<String>,
) -> Result<Classifier, RuntimeError> {
    let mut opened = opened::open(model, card, options)?;
    let runs: Cow<'_, [u8]> = match opened.changed {
        false => bytes.into(),
        true => opened.runs.to_bytes().into(),
    };
    let mut forward = match opened.session.take() {
        Some(session) => forward::calibrated(&opened, session, options, Lane::Predict)?,
        None => forward::open(&opened, &runs, options, Lane::Predict)?,
    };
    let mut assumptions = opened.assumptions.clone();
    assumptions.extend(foreign);
    let name = opened.name(options);
    let settings = |lane| Settings {
        lane,
        model: name.clone(),
        queue_bytes: options.queue_bytes,
        watch: options.watch.clone(),
        background: options.placement(lane).background,
    };
    let found = gradient_graph(&opened, &mut forward, gradient, &mut assumptions, options);
    let mut graphs = Vec::new();
    let mut put = |graph| {
        graphs.push(graph);
        graphs.len() - 1
    };
    let own_forward = match options.separate_attacks {
        true => Some(put(forward::open(&opened, &runs, options, Lane::Attack)?)),
        false => None,
    };
    let (gradient, terms) = match found {
        Ok(mut found) => {
            let (bad, all) = gradient::not_finite(&mut found, &mut forward, &opened)?;
            if bad > 0 {
                assumptions.push(format!(
                    "the gradient is not finite in {bad} of {all} pixels of the images that the model was tried with"
                ));
            }
            (Some(put(found.graph)), Ok(found.terms))
        }
        Err(reason) => (None, Err(reason)),
    };
    let attack = match graphs.is_empty() {
        true => None,
        false => Some(AttackLane {
            engine: Engine::start(graphs, settings(Lane::Attack))?,
            forward: own_forward,
            gradient,
        }),
    };
    if let Err(error) = &terms {
        tracing::warn!(
            model = name,
            reason = error.reason,
            "the model can predict, but not be attacked with gradients"
        );
    }
    let outputs = Outputs::new(&opened, options);
    Ok(Classifier(Arc::new(Inner {
        predict: Engine::start(vec![forward], settings(Lane::Predict))?,
        attack,
        terms,
        outputs,
        sha256: format!("{:x}", Sha256::digest(bytes)),
        form: opened.form,
        class_names: opened.class_names,
        assumptions,
        depends_on_batch: opened.alone,
        card: opened.card.unwrap_or_default(),
        interface: opened.interface,
    })))
}

/// The stored gradient graph if it belongs to the model and its choice of output and size and agrees with what the model computes,
/// else one made now. The error is the reason why there is none.
fn gradient_graph(
    opened: &Opened,
    forward: &mut Graph,
    stored: Option<&[u8]>,
    assumptions: &mut Vec<String>,
    options: &LoadOptions,
) -> Result<Gradient, NoGradient> {
    let open = |bytes: &[u8], info: &GradientInfo| {
        gradient::open(bytes, info, opened, options).map_err(|error| error.to_string())
    };
    let origin = &opened.origin;
    // What a file says of itself proves nothing.
    let used = stored.map(|bytes| {
        let info = matching_info(origin, bytes)?;
        let mut graph = open(bytes, &info)?;
        verification::verify(opened, forward, &mut graph, verification::QUICK).map_err(
            |error| match error {
                RuntimeError::Unsupported { expected, got, .. } => {
                    format!("it should be {expected}, but is {got}")
                }
                other => other.to_string(),
            },
        )?;
        Ok::<_, String>(graph)
    });
    let refused = match used {
        Some(Ok(graph)) => return Ok(graph),
        Some(Err(reason)) => Some(reason),
        None => None,
    };
    let mut tell = |bytes: Option<&[u8]>| {
        // Difference quotients tell nothing of a model that is random or all kinks.
        let Some(reason) = refused.as_ref().filter(|_| bytes != stored) else {
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
        && let Ok(info) = matching_info(origin, &bytes)
        && let Ok(graph) = open(&bytes, &info)
    {
        tell(Some(&bytes));
        return Ok(graph);
    }
    tracing::info!("making the gradient graph");
    let made = make_gradient(&opened.runs, origin);
    let bytes = made.as_ref().ok().map(Model::to_bytes);
    tell(bytes.as_deref());
    let made = made.map_err(|error| NoGradient {
        reason: error.to_string(),
        obstacles: error.obstacles(&opened.runs),
    })?;
    let (info, bytes) = (info_of(&made)?, bytes.unwrap_or_default());
    let graph = open(&bytes, &info)?;
    if let Some(folder) = cache
        && let Err(error) = cache::write(folder, origin, &bytes)
    {
        tracing::warn!(folder = %folder.display(), %error, "the gradient graph cannot be kept");
    }
    Ok(graph)
}

/// Why a model has no gradients.
#[derive(Debug)]
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

/// Differentiates the form that ONNX Runtime's basic optimisation gives the model, or else the model as it is.
pub(super) fn make_gradient(model: &Model, origin: &Origin) -> Result<Model, buckler_onnx::Error> {
    let simplified = adapt::simplify(model).map(|model| differentiate_for(&model, origin));
    match simplified {
        Some(Ok(gradient)) => Ok(gradient),
        _ => differentiate_for(model, origin),
    }
}

/// What a gradient graph says about itself, if it was made from this model for this choice.
fn matching_info(origin: &Origin, gradient: &[u8]) -> Result<GradientInfo, String> {
    let gradient = Model::from_bytes(gradient).map_err(|error| error.to_string())?;
    let info = info_of(&gradient)?;
    info.check(origin)?;
    Ok(info)
}

fn info_of(gradient: &Model) -> Result<GradientInfo, String> {
    GradientInfo::of(gradient)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "it does not say that it is a gradient graph".to_owned())
}

fn read(path: &Path) -> Result<Option<Bytes>, RuntimeError> {
    match read_model_file(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unread(error)),
    }
}

fn unread(error: Error) -> RuntimeError {
    match error {
        Error::Io { path, source } => RuntimeError::Read { path, source },
        error => error.into(),
    }
}
