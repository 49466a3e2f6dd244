use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::app::App;

/// `GET /health`: 200 while at least one model can be used, else 503.
pub(crate) async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let listed = app.repository.index();
    let ready = listed.iter().filter(|listed| listed.ready).count();
    let failed = listed.len() - ready;
    let (status, word) = match (ready, app.is_stopping()) {
        (0, _) => (StatusCode::SERVICE_UNAVAILABLE, "no_models"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (_, false) => (StatusCode::OK, "ok"),
    };
    (
        status,
        Json(json!({ "status": word, "models": { "ready": ready, "failed": failed } })),
    )
}
