use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use buckler_runtime::Entry;
use serde::Serialize;

use super::Named;
use crate::{
    app::App,
    error::ApiError,
    v2::statistics::{AllStatistics, Snapshot},
};

#[derive(Serialize)]
pub(super) struct Answer {
    model_stats: Vec<ModelStats>,
}

#[derive(Serialize)]
struct ModelStats {
    name: String,
    version: String,
    #[serde(flatten)]
    statistics: Snapshot,
}

/// `GET /v2/models/{model}[/versions/{version}]/stats`
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Answer>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    Ok(Json(Answer {
        model_stats: vec![of(&chosen.entry, &app.statistics)],
    }))
}

/// `GET /v2/models/stats`: those of all models that are served.
pub(super) async fn all(State(app): State<Arc<App>>) -> Json<Answer> {
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
