//! The API's document, at `/openapi.json`, made of the types that the routes answer with, and a page to read it, at `/docs`.
mod bodies;
mod examples;
mod failures;
mod parameters;
mod protocol;

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use buckler_onnx::printable_json;
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

pub(crate) use self::{failures::*, parameters::*, protocol::*};
use crate::{attacks, error, error::ApiError, routes, v2::routes as v2};

/// The routes that take images.
const IMAGES: [&str; 3] = ["/predict", "/attack", "/certify"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Buckler",
        description = "Predicts with ONNX image classifiers, attacks them and reports how much it takes to fool them.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        routes::predict::predict,
        routes::attack::attack,
        routes::certify::certify,
        routes::models::models,
        routes::attacks::attacks,
        routes::health::health,
        v2::metadata::server,
        v2::metadata::model,
        v2::health::live,
        v2::health::ready,
        v2::health::model_ready,
        v2::config::config,
        v2::stats::all,
        v2::stats::model_stats,
        v2::infer::infer,
        v2::repository::index,
        v2::repository::load,
        v2::repository::unload,
    ),
    components(schemas(error::ErrorBody, attacks::Accepted, attacks::Seen, ProtocolFailure)),
    tags(
        (name = "images", description = "Questions about images."),
        (name = "server", description = "What can be asked."),
        (name = "v2", description = "The Open Inference Protocol V2, with the extensions for binary data, classification, statistics and \
            the model repository."),
    ),
)]
struct Document;

/// The document of all routes.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(key));
    // A server without keys takes none.
    let none: [&str; 0] = [];
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("key", none),
    ]);
    bodies::add(&mut document, &IMAGES);
    protocol::add_versions(&mut document);
    examples::add(&mut document);
    document
}

/// `/openapi.json` and `/docs`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let document = serde_json::to_string(&document())
        .map(|text| Bytes::from(printable_json(&text).into_owned()))
        .map_err(|error| error.to_string());
    let answer = async move || match document {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "application/json")], text)),
        Err(error) => Err(ApiError::Internal(error)),
    };
    let config = Config::from("../openapi.json").validator_url("none");
    let docs: Router<S> = SwaggerUi::new("/docs").config(config).into();
    Router::new()
        .route("/openapi.json", axum::routing::get(answer))
        .merge(docs.layer(middleware::from_fn(own_assets)))
}

/// The reader's page may load nothing but its own files; it has its styles inline.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn own_assets(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        return ApiError::UnknownRoute(path).into_response();
    }
    let policy = HeaderValue::from_static(POLICY);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
