use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

use crate::app::App;

/// `GET /health`: 200 while at least one model can be used, else 503.
pub(crate) async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let listed = app.repository.index();
    let ready = listed.iter().filter(|listed| listed.ready).count();
    let failed = listed.len() - ready;
    let (status, word) = match (app.is_ready(), ready) {
        (true, _) => (StatusCode::OK, "ok"),
        (false, 0) => (StatusCode::SERVICE_UNAVAILABLE, "no_models"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    (
        status,
        Json(json!({ "status": word, "models": { "ready": ready, "failed": failed } })),
    )
}
