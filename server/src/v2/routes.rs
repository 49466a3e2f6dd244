//! One file per group of routes.
pub(crate) mod config;
pub(crate) mod health;
pub(crate) mod infer;
pub(crate) mod metadata;
pub(crate) mod repository;
pub(crate) mod stats;

use std::sync::Arc;

use axum::{
    Router,
    http::{Extensions, HeaderMap, StatusCode, Version},
    routing::{get, post},
};
use serde::Deserialize;
use tower_http::compression::{CompressionLayer, DefaultPredicate, Predicate};

use crate::app::App;

/// The model of a path and, if it names one, the version.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    model: String,
    version: Option<String>,
}

/// Everything below `/v2`.
pub(crate) fn routes() -> Router<Arc<App>> {
    let mut router = Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/", get(metadata::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/stats", get(stats::all))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route(
            "/v2/repository/models/{model}/unload",
            post(repository::unload),
        );
    for model in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        router = router
            .route(model, get(metadata::model))
            .route(&format!("{model}/ready"), get(health::model_ready))
            .route(&format!("{model}/config"), get(config::config))
            .route(&format!("{model}/stats"), get(stats::model_stats))
            .route(&format!("{model}/infer"), post(infer::infer));
    }
    // Clients read failures as they come, whatever compression they asked for.
    let success =
        |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| status.is_success();
    router.layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(success)))
}
