use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use buckler_attack::InputSpec;
use buckler_onnx::Card;
use buckler_runtime::Entry;
use serde::Serialize;

use crate::app::App;

/// Everything that can be asked for.
#[derive(Serialize)]
struct Models<'a> {
    /// The model for requests that name none.
    default: &'a str,
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    version: &'a str,
    #[serde(flatten)]
    availability: Availability<'a>,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Availability<'a> {
    Ready {
        sha256: &'a str,
        input: InputSpec,
        classes: &'a [String],
        attackable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        not_attackable_because: Option<&'a str>,
        assumptions: &'a [String],
        card: &'a Card,
    },
    Failed {
        reason: &'a str,
    },
}

/// `GET /models`
pub(crate) async fn models(State(app): State<Arc<App>>) -> Response {
    let models = app.repository.entries().iter().map(model).collect();
    Json(Models {
        default: app.default_model(),
        models,
    })
    .into_response()
}

fn model(entry: &Entry) -> Model<'_> {
    let availability = match entry.classifier() {
        Ok(classifier) => Availability::Ready {
            sha256: classifier.sha256(),
            input: classifier.input(),
            classes: classifier.class_names(),
            attackable: classifier.can_attack().is_ok(),
            not_attackable_because: classifier.can_attack().err(),
            assumptions: classifier.assumptions(),
            card: classifier.card(),
        },
        Err(reason) => Availability::Failed { reason },
    };
    Model {
        name: &entry.name,
        version: &entry.version,
        availability,
    }
}
