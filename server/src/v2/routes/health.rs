use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Named;
use crate::{
    app::App,
    error::ApiError,
    json::Json,
    openapi::{V2HealthFailures, V2ModelFailures},
};

#[derive(Serialize, ToSchema)]
pub(crate) struct ServerLive {
    live: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ServerReady {
    ready: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ModelReady {
    pub name: String,
    pub ready: bool,
}

/// `GET /v2/health/live`
#[utoipa::path(get, path = "/v2/health/live", operation_id = "server_live", tag = "v2", summary = "Whether the server is there", responses(
    (status = 200, body = ServerLive),
    V2HealthFailures,
))]
pub(crate) async fn live() -> Json<ServerLive> {
    Json(ServerLive { live: true })
}

/// `GET /v2/health/ready`: 200 when every model is served, but for those that were unloaded by request, and the server does not
/// stop; else 503.
#[utoipa::path(get, path = "/v2/health/ready", operation_id = "server_ready", tag = "v2", summary = "Whether all models are ready", responses(
    (status = 200, description = "Every model is, but for those that were unloaded by request.", body = ServerReady),
    (status = 503, description = "One is not, or the server is stopping.", body = ServerReady),
    V2HealthFailures,
))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<ServerReady>) {
    let ready = app.is_ready();
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(ServerReady { ready }))
}

/// `GET /v2/models/{model}[/versions/{version}]/ready`
#[utoipa::path(get, path = "/v2/models/{model}/ready", tag = "v2", summary = "Whether a model is ready",
    params(("model" = String, Path)), responses(
    (status = 200, body = ModelReady),
    V2ModelFailures,
))]
pub(crate) async fn model_ready(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<ModelReady>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    Ok(Json(ModelReady {
        name: chosen.entry.name.clone(),
        ready: true,
    }))
}
