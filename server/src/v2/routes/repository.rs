use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::Named;
use crate::{
    app::{App, blocking},
    error::ApiError,
    request::read_body,
    v2::{
        error::ProtocolError,
        json::{Object, check_depth},
    },
};

#[derive(Serialize)]
pub(super) struct Listed {
    name: String,
    version: String,
    state: &'static str,
    reason: String,
}

#[derive(Default, Deserialize)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

#[derive(Default, Deserialize)]
struct LoadRequest {
    #[serde(default)]
    parameters: BTreeMap<String, IgnoredAny>,
}

/// `POST /v2/repository/index`: every version there is; `{"ready": true}` asks for those that are served.
pub(super) async fn index(
    State(app): State<Arc<App>>,
    body: Body,
) -> Result<Json<Vec<Listed>>, ApiError> {
    let request: IndexRequest = read(&app, body).await?;
    let index = app.repository.index().into_iter();
    let wanted = index.filter(|listed| listed.ready || !request.ready);
    Ok(Json(
        wanted
            .map(|listed| Listed {
                state: if listed.ready { "READY" } else { "UNAVAILABLE" },
                name: listed.name,
                version: listed.version,
                reason: listed.reason,
            })
            .collect(),
    ))
}

/// `POST /v2/repository/models/{model}/load`: the highest version on disk, anew if it is loaded already.
pub(super) async fn load(
    State(app): State<Arc<App>>,
    Path(Named { model, .. }): Path<Named>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request: LoadRequest = read(&app, body).await?;
    // What would make another model of it than the directory holds.
    let mut names = request.parameters.into_keys();
    if let Some(name) = names.find(|name| name == "config" || name.starts_with("file:")) {
        return Err(ProtocolError::LoadParameter(name).into());
    }
    let entry = blocking(move || app.repository.load(&model).map_err(ApiError::NotLoaded)).await?;
    Ok(Json(json!({ "name": entry.name, "ready": true })))
}

/// `POST /v2/repository/models/{model}/unload`
pub(super) async fn unload(
    State(app): State<Arc<App>>,
    Path(Named { model, .. }): Path<Named>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    // No model depends on another: `unload_dependents` has nothing to do.
    let _: LoadRequest = read(&app, body).await?;
    let name = model.clone();
    blocking(move || Ok(app.repository.unload(&model)?)).await?;
    Ok(Json(json!({ "name": name, "ready": false })))
}

/// A body that may be left out.
async fn read<T: Default + for<'de> Deserialize<'de>>(
    app: &App,
    body: Body,
) -> Result<T, ApiError> {
    let body = read_body(body, app.config.max_body_bytes).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    check_depth(&body)?;
    let malformed = |error: serde_json::Error| ProtocolError::RepositoryJson(error.to_string());
    let Object(request) = serde_json::from_slice(&body).map_err(malformed)?;
    Ok(request)
}
