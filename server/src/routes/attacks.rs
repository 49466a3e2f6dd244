use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use buckler_attack::{
    Attack, AttackConfig, AttackKind, ConfigError, Epsilon, InputSpec, Limits, Norm, ObjectiveKind,
    Parameters, Variants,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Config, app::App, error::ApiError, json::Json, openapi::AttacksFailures};

/// What `/attack` can be asked for, on whichever model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attacks {
    attacks: Vec<Kind>,
    /// The radius where a request gives none, for each norm.
    eps: BTreeMap<String, Epsilon>,
    objectives: [ObjectiveKind; 3],
    /// Those of `mim`, to be joined by commas.
    variants: [&'static str; 3],
    limits: Most,
}

/// One attack.
#[derive(Serialize, ToSchema)]
struct Kind {
    name: AttackKind,
    description: &'static str,
    /// The first is its default.
    norms: &'static [Norm],
    /// What can be set, beside `norm`, `eps` and `seed`; all else is refused.
    settings: Vec<&'static str>,
    /// What it takes where a request says nothing.
    defaults: Parameters,
    /// Whether the model has to be attackable.
    needs_gradients: bool,
    /// Whether it looks for the closest adversarial, and not for any within the radius.
    seeks_closest: bool,
}

/// The most that one request may ask for.
#[derive(Serialize, ToSchema)]
struct Most {
    images: usize,
    steps: usize,
    restarts: usize,
    /// Rows that the model is asked for.
    cost: u64,
    body_bytes: usize,
    seconds: f64,
}

/// `GET /attacks`
#[utoipa::path(get, path = "/attacks", tag = "server", summary = "Lists the attacks, with what each takes", responses(
    (status = 200, body = Attacks),
    AttacksFailures,
))]
pub(crate) async fn attacks(State(app): State<Arc<App>>) -> Result<Json<Attacks>, ApiError> {
    // The feature attack takes images of other classes, which a request does not bring.
    let kinds = AttackKind::ALL.into_iter();
    let kinds = kinds.filter(|kind| *kind != AttackKind::Feature);
    let attacks: Result<Vec<_>, _> = kinds.map(Kind::of).collect();
    let attacks = attacks.map_err(|error| ApiError::Internal(error.to_string()))?;
    let norms = attacks.iter().flat_map(|kind| kind.norms);
    let eps = norms.map(|&norm| {
        let config = AttackConfig {
            norm: Some(norm),
            ..AttackConfig::default()
        };
        (norm.to_string(), config.threat().epsilon)
    });
    Ok(Json(Attacks {
        eps: eps.collect(),
        attacks,
        objectives: ObjectiveKind::ALL,
        variants: Variants::NAMES,
        limits: Most::of(&app.config),
    }))
}

impl Kind {
    fn of(kind: AttackKind) -> Result<Self, ConfigError> {
        let config = AttackConfig {
            attack: kind,
            ..AttackConfig::default()
        };
        // The defaults fit into the ball's limits for images of any usual size.
        let input = InputSpec {
            channels: 3,
            height: 224,
            width: 224,
        };
        Ok(Self {
            name: kind,
            description: kind.description(),
            norms: kind.norms(),
            settings: kind.settings(),
            defaults: config.validate(&Limits::for_input(input))?.parameters(),
            needs_gradients: kind.needs_gradients(),
            seeks_closest: kind.seeks_closest(),
        })
    }
}

impl Most {
    fn of(config: &Config) -> Self {
        Self {
            images: config.max_images,
            steps: config.max_steps,
            restarts: config.max_restarts,
            cost: config.max_cost,
            body_bytes: config.max_body_bytes,
            seconds: config.request_timeout.as_secs_f64(),
        }
    }
}
