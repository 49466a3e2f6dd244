use std::sync::Arc;

use axum::extract::{Path, State};
use buckler_runtime::Entry;
use serde::Serialize;
use utoipa::ToSchema;

use super::Named;
use crate::{
    app::App,
    error::ApiError,
    json::Json,
    openapi::{V2Failures, V2ModelFailures},
    v2::statistics::{AllStatistics, Snapshot},
};

#[derive(Serialize, ToSchema)]
#[schema(as = ModelStatistics)]
pub(crate) struct Answer {
    model_stats: Vec<ModelStats>,
}

#[derive(Serialize, ToSchema)]
struct ModelStats {
    name: String,
    version: String,
    #[serde(flatten)]
    statistics: Snapshot,
}

/// `GET /v2/models/{model}[/versions/{version}]/stats`
#[utoipa::path(get, path = "/v2/models/{model}/stats", operation_id = "model_statistics", tag = "v2", summary = "What the inferences of a model came to",
    params(("model" = String, Path)), responses(
    (status = 200, body = Answer),
    V2ModelFailures,
))]
pub(crate) async fn model_stats(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Answer>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    Ok(Json(Answer {
        model_stats: vec![of(&chosen.entry, &app.statistics)],
    }))
}

/// `GET /v2/models/stats`: those of all models that are served.
#[utoipa::path(get, path = "/v2/models/stats", operation_id = "all_statistics", tag = "v2", summary = "What the inferences of all models came to",
    responses(
    (status = 200, body = Answer),
    V2Failures,
))]
pub(crate) async fn all(State(app): State<Arc<App>>) -> Json<Answer> {
    let serving = app.repository.serving();
    let model_stats = serving.iter().map(|entry| of(entry, &app.statistics));
    Json(Answer {
        model_stats: model_stats.collect(),
    })
}

fn of(entry: &Entry, statistics: &AllStatistics) -> ModelStats {
    ModelStats {
        name: entry.name.clone(),
        version: entry.version.clone(),
        statistics: statistics.of(&entry.name, &entry.version).answer(),
    }
}
