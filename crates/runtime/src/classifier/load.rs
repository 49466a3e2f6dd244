use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use buckler_onnx::{Card, Error, GradientInfo, Model, differentiate_for};
use sha2::{Digest, Sha256};

use super::{
    AttackLane, Classifier, Inner, LoadOptions, adapt, cache,
    forward::{self, Forward},
    gradient::{self, Gradient},
};
use crate::{
    RuntimeError,
    engine::{Engine, Lane, Settings},
};

pub(super) fn from_file(path: &Path, options: &LoadOptions) -> Result<Classifier, RuntimeError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let model = read(path)?.ok_or_else(|| RuntimeError::Read {
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let card_path = directory.join("card.json");
    let card = match card_path.is_file() {
        true => Some(Card::read(&card_path)?),
        false => None,
    };
    let gradient = read(&directory.join("gradient.onnx"))?;
    tracing::debug!(model = %path.display(), "loading");
    match Model::from_bytes(&model) {
        // Weights in files beside the model are taken in: the runtime is given one piece.
        Err(Error::External { .. }) => {
            let whole = Model::read(path)?;
            from_model(
                &whole,
                &whole.to_bytes(),
                gradient.as_deref(),
                card,
                options,
            )
        }
        parsed => from_model(&parsed?, &model, gradient.as_deref(), card, options),
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
    from_model(&model, bytes, gradient, card, options)
}

fn from_model(
    model: &Model,
    bytes: &[u8],
    gradient: Option<&[u8]>,
    card: Option<Card>,
    options: &LoadOptions,
) -> Result<Classifier, RuntimeError> {
    let card = model.card()?.or(card);
    let adapted = adapt::adapt(model, options.threads)?;
    let runs: Cow<'_, [u8]> = match adapted.changes.is_empty() {
        true => bytes.into(),
        false => adapted.model.to_bytes().into(),
    };
    let forward = forward::open(&runs, card.as_ref(), options, Lane::Predict)?;
    let (class_names, mut assumptions) = names_and_assumptions(card.as_ref(), forward.classes)?;
    assumptions.extend(adapted.changes);
    let name = options
        .name
        .clone()
        .or_else(|| card.as_ref().map(|card| card.name.clone()))
        .unwrap_or_default();
    let settings = |lane| Settings {
        lane,
        model: name.clone(),
        queue_bytes: options.queue_bytes,
        watch: options.watch.clone(),
        background: options.placement(lane).background,
    };
    let origin = model.graph_sha256();
    let graph = gradient_graph(&adapted.model, &origin, gradient, &forward, options);
    let mut graphs = Vec::new();
    let mut put = |graph| {
        graphs.push(graph);
        graphs.len() - 1
    };
    let own_forward = match options.separate_attacks {
        true => Some(put(forward::open(
            &runs,
            card.as_ref(),
            options,
            Lane::Attack,
        )?
        .graph)),
        false => None,
    };
    let (gradient, terms) = match graph {
        Ok(Gradient { graph, terms }) => (Some(put(graph)), Ok(terms)),
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
    if let Err(reason) = &terms {
        tracing::warn!(
            model = name,
            reason,
            "the model can predict, but not be attacked with gradients"
        );
    }
    Ok(Classifier(Arc::new(Inner {
        predict: Engine::start(vec![forward.graph], settings(Lane::Predict))?,
        attack,
        terms,
        sha256: format!("{:x}", Sha256::digest(bytes)),
        form: forward.form,
        names: forward.names,
        class_names,
        assumptions,
        card: card.unwrap_or_default(),
    })))
}

/// The stored gradient graph if it belongs to the model with the graph `origin`, else one made now from its adapted form. The
/// error is the reason why there is none.
fn gradient_graph(
    model: &Model,
    origin: &str,
    stored: Option<&[u8]>,
    forward: &Forward,
    options: &LoadOptions,
) -> Result<Gradient, String> {
    let open = |bytes: &[u8], info: &GradientInfo| {
        gradient::open(bytes, info, &forward.form, forward.classes, options)
            .map_err(|error| error.to_string())
    };
    match stored.map(|bytes| (bytes, matching_info(origin, bytes))) {
        Some((bytes, Ok(info))) => match open(bytes, &info) {
            Ok(graph) => return Ok(graph),
            Err(reason) => tracing::warn!(
                reason,
                "the stored gradient graph does not work; making it anew"
            ),
        },
        Some((_, Err(reason))) => {
            tracing::warn!(
                reason,
                "the stored gradient graph is not used; making it anew"
            );
        }
        None => tracing::debug!("no stored gradient graph"),
    }
    let cache = options.gradient_cache.as_deref();
    if let Some(bytes) = cache.and_then(|folder| cache::read(folder, origin))
        && let Ok(info) = matching_info(origin, &bytes)
        && let Ok(graph) = open(&bytes, &info)
    {
        return Ok(graph);
    }
    tracing::info!("making the gradient graph");
    let made = make_gradient(model, origin).map_err(|error| error.to_string())?;
    let (info, bytes) = (info_of(&made)?, made.to_bytes());
    let graph = open(&bytes, &info)?;
    if let Some(folder) = cache
        && let Err(error) = cache::write(folder, origin, &bytes)
    {
        tracing::warn!(folder = %folder.display(), %error, "the gradient graph cannot be kept");
    }
    Ok(graph)
}

/// Differentiates the form that ONNX Runtime's basic optimisation gives the model, or else the model as it is.
pub(super) fn make_gradient(model: &Model, origin: &str) -> Result<Model, buckler_onnx::Error> {
    let simplified = adapt::simplify(model).map(|model| differentiate_for(&model, origin));
    match simplified {
        Some(Ok(gradient)) => Ok(gradient),
        _ => differentiate_for(model, origin),
    }
}

/// What a gradient graph says about itself, if it was made from this model.
fn matching_info(origin: &str, gradient: &[u8]) -> Result<GradientInfo, String> {
    let gradient = Model::from_bytes(gradient).map_err(|error| error.to_string())?;
    let info = info_of(&gradient)?;
    if info.version != GradientInfo::VERSION {
        return Err(format!(
            "it is of version {} instead of {}; write it anew with `buckler differentiate`",
            info.version,
            GradientInfo::VERSION
        ));
    }
    if info.graph_sha256 == origin {
        Ok(info)
    } else {
        Err(format!(
            "it was made from the graph {} instead of {origin}",
            info.graph_sha256
        ))
    }
}

fn info_of(gradient: &Model) -> Result<GradientInfo, String> {
    GradientInfo::of(gradient)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "it does not say that it is a gradient graph".to_owned())
}

/// One name per class, and what had to be assumed.
fn names_and_assumptions(
    card: Option<&Card>,
    classes: usize,
) -> Result<(Vec<String>, Vec<String>), RuntimeError> {
    let mut assumptions = Vec::new();
    if card.is_none() {
        assumptions.push("the model has no card: its pixels are taken to be in [0, 1]".to_owned());
    }
    let names = match card.map(|card| card.classes.as_slice()).unwrap_or_default() {
        [] => {
            assumptions.push("the model names no classes: they are numbered from 0".to_owned());
            (0..classes).map(|class| class.to_string()).collect()
        }
        names if names.len() == classes => names.to_vec(),
        names => {
            return Err(RuntimeError::Unsupported {
                what: "card's `classes`",
                expected: format!("{classes} names, one per logit"),
                got: format!("{} names", names.len()),
            });
        }
    };
    Ok((names, assumptions))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RuntimeError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RuntimeError::Read {
            path: PathBuf::from(path),
            source,
        }),
    }
}
