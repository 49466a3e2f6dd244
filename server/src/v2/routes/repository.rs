use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Extensions, HeaderMap},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::ToSchema;

use super::{Named, health::ModelReady};
use crate::{
    app::{App, blocking},
    error::ApiError,
    json::Json,
    openapi::{V2IndexFailures, V2LoadFailures},
    request::read_body,
    v2::{
        error::ProtocolError,
        json::{Object, check_depth},
    },
};

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = IndexState)]
enum Availability {
    Ready,
    Loading,
    Unavailable,
}

/// A version in the models' directory.
#[derive(Serialize, ToSchema)]
#[schema(as = IndexEntry)]
pub(crate) struct Listed {
    name: String,
    version: String,
    state: Availability,
    /// Why it is not served; empty if it is.
    reason: String,
}

#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct IndexRequest {
    /// Only what is served.
    #[serde(default)]
    ready: bool,
}

#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct LoadRequest {
    /// `config` and files are refused; all others are passed over.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    parameters: BTreeMap<String, IgnoredAny>,
}

/// `POST /v2/repository/index`: every version there is; `{"ready": true}` asks for those that are served.
#[utoipa::path(post, path = "/v2/repository/index", operation_id = "repository_index", tag = "v2", summary = "Every version there is",
    request_body = Option<IndexRequest>, responses(
    (status = 200, body = Vec<Listed>),
    V2IndexFailures,
))]
pub(crate) async fn index(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Json<Vec<Listed>>, ApiError> {
    let request: IndexRequest = read(&app, (&headers, &extensions), body).await?;
    let index = app.repository.index().into_iter();
    let wanted = index.filter(|listed| listed.ready || !request.ready);
    let mut all: Vec<Listed> = wanted
        .map(|listed| Listed {
            state: match (listed.ready, listed.loading) {
                (true, _) => Availability::Ready,
                (false, true) => Availability::Loading,
                (false, false) => Availability::Unavailable,
            },
            name: listed.name,
            version: listed.version,
            reason: listed.reason,
        })
        .collect();
    // What is not a model because of its name or its place, with its path for a name.
    let left_out = app.repository.left_out().into_iter();
    all.extend(left_out.filter(|_| !request.ready).map(|left| Listed {
        name: left.path,
        version: String::new(),
        state: Availability::Unavailable,
        reason: left.reason,
    }));
    Ok(Json(all))
}

/// `POST /v2/repository/models/{model}/load`: the highest version on disk, anew if it is loaded already.
#[utoipa::path(post, path = "/v2/repository/models/{model}/load", operation_id = "repository_load", tag = "v2", summary = "Loads a model, anew if it is loaded already",
    params(("model" = String, Path)), request_body = Option<LoadRequest>, responses(
    (status = 200, body = ModelReady),
    V2LoadFailures,
))]
pub(crate) async fn load(
    State(app): State<Arc<App>>,
    Path(Named { model, .. }): Path<Named>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Json<ModelReady>, ApiError> {
    let request: LoadRequest = read(&app, (&headers, &extensions), body).await?;
    // What would make another model of it than the directory holds.
    let mut names = request.parameters.into_keys();
    if let Some(name) = names.find(|name| name == "config" || name.starts_with("file:")) {
        return Err(ProtocolError::LoadParameter(name).into());
    }
    let entry = blocking(move || app.repository.load(&model).map_err(ApiError::NotLoaded)).await?;
    Ok(Json(ModelReady {
        name: entry.name.clone(),
        ready: true,
    }))
}

/// `POST /v2/repository/models/{model}/unload`
#[utoipa::path(post, path = "/v2/repository/models/{model}/unload", operation_id = "repository_unload", tag = "v2", summary = "Unloads a model",
    params(("model" = String, Path)), request_body = Option<LoadRequest>, responses(
    (status = 200, body = ModelReady),
    V2LoadFailures,
))]
pub(crate) async fn unload(
    State(app): State<Arc<App>>,
    Path(Named { model, .. }): Path<Named>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Json<ModelReady>, ApiError> {
    // No model depends on another: `unload_dependents` has nothing to do.
    let _: LoadRequest = read(&app, (&headers, &extensions), body).await?;
    let name = model.clone();
    blocking(move || Ok(app.repository.unload(&model)?)).await?;
    Ok(Json(ModelReady { name, ready: false }))
}

/// A body that may be left out, or be `null`.
async fn read<T: Default + for<'de> Deserialize<'de>>(
    app: &App,
    (headers, extensions): (&HeaderMap, &Extensions),
    body: Body,
) -> Result<T, ApiError> {
    let body = read_body(app, headers, extensions, body).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    check_depth(&body)?;
    let malformed = |error: serde_json::Error| ProtocolError::RepositoryJson(error.to_string());
    let request: Option<Object<T>> = serde_json::from_slice(&body).map_err(malformed)?;
    Ok(request.map(|Object(request)| request).unwrap_or_default())
}
