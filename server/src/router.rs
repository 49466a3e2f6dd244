//! The way of a request through the layers to its route.
use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use crate::{app::App, error::ApiError, openapi, page, routes};

/// The routes, inside the layers that turn whatever goes wrong into a JSON error.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/assets/{*path}", get(page::asset))
        .route("/health", get(routes::health))
        .route("/models", get(routes::models))
        .route("/attacks", get(routes::attacks))
        .route("/predict", post(routes::predict))
        .route("/attack", post(routes::attack))
        .route("/certify", post(routes::certify))
        .merge(openapi::router())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are read under the server's own limit, which answers in JSON.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), deadline))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::UnknownRoute(uri.path().to_owned())
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::WrongMethod {
        method,
        path: uri.path().to_owned(),
    }
}

/// Dropping the inner future withdraws its queries from the model.
async fn deadline(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let limit = app.config.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout(limit).into_response(),
    }
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::Internal("a bug in the server".to_owned()).into_response()
}
