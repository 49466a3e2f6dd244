use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::Named;
use crate::{app::App, error::ApiError};

/// `GET /v2/health/live`
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// `GET /v2/health/ready`: 200 when every model is served, but for those that were unloaded by request, and the server does not
/// stop; else 503.
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.is_ready();
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "ready": ready })))
}

/// `GET /v2/models/{model}[/versions/{version}]/ready`
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    Ok(Json(json!({ "name": chosen.entry.name, "ready": true })))
}
