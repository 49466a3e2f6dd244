//! From a model file and what lies beside it to a classifier.
use std::{borrow::Cow, path::Path, sync::Arc};

use buckler_onnx::{Card, Error, Model, read_model_file};
use sha2::{Digest, Sha256};

use super::{
    Classifier, Inner, LoadOptions,
    attack_lane::{self, AttackLane, Recipe},
    decisions::Decisions,
    find_gradient::{self, Stored},
    forward, opened,
    outputs::Outputs,
};
use crate::{
    RuntimeError,
    engine::{Engine, Lane},
};

pub(super) fn from_file(path: &Path, options: &LoadOptions) -> Result<Classifier, RuntimeError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let model = read_model_file(path).map_err(unread)?;
    let card = Card::beside(path)?;
    let foreign = foreign(card.as_ref(), path, &model);
    let stored = Stored::File(directory.join("gradient.onnx"));
    let stored = Some(stored).filter(|_| !options.make_gradient);
    tracing::debug!(model = %path.display(), "loading");
    match Model::from_shared(model.clone()) {
        // Weights in files beside the model are taken in: the runtime is given one piece.
        Err(Error::External { .. }) => {
            let whole = Model::read(path)?;
            from_model(&whole, &whole.to_bytes(), stored, card, options, foreign)
        }
        parsed => from_model(&parsed?, &model, stored, card, options, foreign),
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
    let stored = gradient.map(|bytes| Stored::Bytes(bytes.into()));
    from_model(&model, bytes, stored, card, options, None)
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
    stored: Option<Stored<'_>>,
    card: Option<Card>,
    options: &LoadOptions,
    foreign: Option<String>,
) -> Result<Classifier, RuntimeError> {
    let mut opened = opened::open(model, card, options)?;
    let decisions = Decisions::of(&opened);
    let runs: Cow<'_, [u8]> = match opened.changed {
        false => bytes.into(),
        true => opened.runs.to_bytes().into(),
    };
    let mut forward = match opened.session.take() {
        Some(session) => forward::calibrated(&decisions, session, options, Lane::Predict)?,
        None => forward::open(&decisions, &runs, options, Lane::Predict)?,
    };
    let mut assumptions = opened.assumptions.clone();
    assumptions.extend(foreign);
    let recipe = Recipe {
        decisions,
        bytes: runs,
        model: Some(&opened.runs),
        stored,
        assumptions: assumptions.clone(),
        options: options.clone(),
        name: opened.name(options),
    };
    let predicting = recipe.settings(Lane::Predict);
    let attacks = match options.attacks_on_demand {
        true => {
            // What cannot be read is told when the graphs are made.
            let stored = recipe
                .stored
                .as_ref()
                .and_then(|stored| stored.read().ok()?);
            let expected = find_gradient::expect(&opened, stored.as_deref());
            AttackLane::on_demand(expected, recipe.kept(&opened))
        }
        false => AttackLane::made(recipe.make(Some(&mut forward))?),
    };
    if let Err(error) = attacks.features() {
        attack_lane::warn(&predicting.model, error);
    }
    let outputs = Outputs::new(&opened, options);
    Ok(Classifier(Arc::new(Inner {
        predict: Engine::start(vec![forward], predicting)?,
        attacks,
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

pub(super) fn unread(error: Error) -> RuntimeError {
    match error {
        Error::Io { path, source } => RuntimeError::Read { path, source },
        error => error.into(),
    }
}
