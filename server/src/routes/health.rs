use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, json::Json, openapi::HealthFailures};

/// Whether anything can be asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: Word,
    models: Count,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Ok,
    NoModels,
    Stopping,
}

/// Of the models in the directory.
#[derive(Serialize, ToSchema)]
struct Count {
    ready: usize,
    failed: usize,
}

/// `GET /health`: 200 while at least one model can be used and the server does not stop, else 503.
#[utoipa::path(get, path = "/health", tag = "server", summary = "Tells whether any model can be used", responses(
    (status = 200, description = "At least one model can be used.", body = Health),
    (status = 503, description = "None can, or the server is stopping.", body = Health),
    HealthFailures,
))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    let listed = app.repository.index();
    let ready = listed.iter().filter(|listed| listed.ready).count();
    let failed = listed
        .iter()
        .filter(|listed| !listed.ready && !listed.loading)
        .count();
    let (code, status) = match (ready, app.is_stopping()) {
        (0, _) => (StatusCode::SERVICE_UNAVAILABLE, Word::NoModels),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, Word::Stopping),
        (_, false) => (StatusCode::OK, Word::Ok),
    };
    let models = Count { ready, failed };
    (code, Json(Health { status, models }))
}
