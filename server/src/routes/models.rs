use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use buckler_attack::InputSpec;
use buckler_onnx::Card;
use buckler_runtime::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, json::Json, openapi::ModelsFailures};

/// Everything that can be asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models<'a> {
    /// The model for requests that name none.
    default: Option<String>,
    models: Vec<Model<'a>>,
    /// What lies in the folder of models and is not one; absent where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
}

/// A file or folder that is not a model, because of its name or its place.
#[derive(Serialize, ToSchema)]
struct LeftOut {
    path: String,
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct Model<'a> {
    name: Cow<'a, str>,
    version: Cow<'a, str>,
    #[serde(flatten)]
    availability: Availability<'a>,
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Availability<'a> {
    Ready {
        sha256: &'a str,
        input: InputSpec,
        classes: &'a [String],
        attackable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        not_attackable_because: Option<&'a str>,
        /// Why what is served is not what the model's files hold now; absent where it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        assumptions: &'a [String],
        /// Absent where the model has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        card: Option<&'a Card>,
    },
    Failed {
        reason: String,
    },
    Loading,
}

/// `GET /models`
#[utoipa::path(get, path = "/models", tag = "server", summary = "Lists the models", responses(
    (status = 200, body = Models<'_>),
    ModelsFailures,
))]
pub(crate) async fn models(State(app): State<Arc<App>>) -> Response {
    let serving = app.repository.serving();
    let index = app.repository.index();
    let (stale, failed): (Vec<_>, Vec<_>) = index.into_iter().partition(|listed| listed.ready);
    let mut stale: BTreeMap<String, String> = stale
        .into_iter()
        .filter(|listed| !listed.reason.is_empty())
        .map(|listed| (listed.name, listed.reason))
        .collect();
    let mut models: Vec<Model<'_>> = serving
        .iter()
        .map(|entry| ready(entry, stale.remove(&entry.name)))
        .collect();
    models.extend(failed.into_iter().map(|listed| Model {
        name: listed.name.into(),
        version: listed.version.into(),
        availability: match listed.loading {
            true => Availability::Loading,
            false => Availability::Failed {
                reason: listed.reason,
            },
        },
    }));
    models.sort_by(|a, b| a.name.cmp(&b.name));
    let left_out = app.repository.left_out().into_iter();
    Json(Models {
        default: app.default_model(),
        models,
        left_out: left_out
            .map(|left| LeftOut {
                path: left.path,
                reason: left.reason,
            })
            .collect(),
    })
    .into_response()
}

fn ready(entry: &Entry, reason: Option<String>) -> Model<'_> {
    let classifier = &entry.classifier;
    Model {
        name: (&entry.name).into(),
        version: (&entry.version).into(),
        availability: Availability::Ready {
            sha256: classifier.sha256(),
            input: classifier.input(),
            classes: classifier.class_names(),
            attackable: classifier.can_attack().is_ok(),
            not_attackable_because: classifier.can_attack().err(),
            reason,
            assumptions: classifier.assumptions(),
            card: Some(classifier.card()).filter(|card| **card != Card::default()),
        },
    }
}
