//! The way of a request through the layers to its route.
use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{
        HeaderName, HeaderValue, Method, Uri,
        header::{
            ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer, cors::CorsLayer, set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};

use crate::{
    app::App, auth, deadline, error::ApiError, host, in_flight, metrics, openapi, page, request_id,
    routes, telemetry, v2,
};

/// The routes, inside the layers that turn whatever goes wrong into a JSON error.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/assets/{*path}", get(page::asset))
        .route("/health", get(routes::health))
        .route("/metrics", get(routes::metrics))
        .route("/models", get(routes::models))
        .route("/attacks", get(routes::attacks))
        .route("/predict", post(routes::predict))
        .route("/attack", post(routes::attack))
        .route("/certify", post(routes::certify))
        .merge(v2::routes())
        .merge(openapi::router())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are read under the server's own limit, which answers in JSON.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(in_flight::refuse))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            deadline::keep,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            auth::admit,
        ))
        .layer(middleware::from_fn(host::check))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(v2::error_body))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            metrics::count,
        ))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(telemetry::request_span)
                .on_response(telemetry::answered)
                // The failure itself is logged where it arises.
                .on_failure(()),
        )
        .layer(middleware::from_fn(request_id::name))
        .layer(SetResponseHeaderLayer::if_not_present(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(option_layer(cors(&app.config.cors_origins)))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            in_flight::hold,
        ))
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

/// The headers that a page of a listed origin may send, beside those that any may.
const ASKED: [HeaderName; 9] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    ACCEPT,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-request-timeout-ms"),
    HeaderName::from_static("inference-header-content-length"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// The headers of an answer that it may read, beside those that any may.
const ANSWERED: [HeaderName; 6] = [
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-buckler-outcome"),
    HeaderName::from_static("x-buckler-assumptions"),
    HeaderName::from_static("inference-header-content-length"),
];

/// Pages of other origins may call the server only if they are listed.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(ASKED)
            .expose_headers(ANSWERED)
            .allow_private_network(true)
            .max_age(Duration::from_secs(3600))
    })
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::Internal("a bug in the server".to_owned()).into_response()
}
