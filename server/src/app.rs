//! The state that requests share, and the way of a request through the layers to its route.
use std::{any::Any, num::NonZero, sync::Arc, thread};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use buckler_runtime::{Classifier, Entry, Repository};
use ndarray::{Array4, Axis};
use tokio::sync::Semaphore;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use crate::{Config, ServerError, error::ApiError, routes};

/// What every request sees.
pub(crate) struct App {
    pub config: Config,
    pub repository: Repository,
    default_model: String,
    /// Decoding is bounded, because every image under way may need as much memory as the limits allow.
    decoding: Arc<Semaphore>,
}

/// The model that answers a request.
pub(crate) struct Chosen<'a> {
    pub entry: &'a Entry,
    pub classifier: &'a Classifier,
    /// What the model's own assumptions and the choice itself take for granted.
    pub assumptions: Vec<String>,
}

impl App {
    /// Blocking.
    pub fn load(config: Config) -> Result<Arc<Self>, ServerError> {
        let repository = Repository::open(&config.models, &config.load)?;
        let entries = repository.entries();
        let first = entries
            .iter()
            .find(|entry| entry.classifier().is_ok())
            .or(entries.first())
            .ok_or_else(|| ServerError::NoModels(config.models.clone()))?;
        let default_model = config
            .default_model
            .clone()
            .unwrap_or_else(|| first.name.clone());
        if repository.get(&default_model).is_none() {
            return Err(ServerError::DefaultModel {
                name: default_model,
                known: names(&repository),
            });
        }
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Arc::new(Self {
            config,
            repository,
            default_model,
            decoding: Arc::new(Semaphore::new(processors)),
        }))
    }

    /// The model for requests that name none.
    pub fn default_model(&self) -> &str {
        &self.default_model
    }

    /// The model of a name, or the default one.
    pub fn choose(&self, name: Option<&str>) -> Result<Chosen<'_>, ApiError> {
        let wanted = name.unwrap_or(&self.default_model);
        let entry = self
            .repository
            .get(wanted)
            .ok_or_else(|| ApiError::UnknownModel {
                name: wanted.to_owned(),
                known: names(&self.repository),
            })?;
        let classifier = entry.classifier().map_err(|reason| ApiError::ModelFailed {
            name: wanted.to_owned(),
            reason: reason.to_owned(),
        })?;
        let mut assumptions = classifier.assumptions().to_vec();
        let models = self.repository.entries().len();
        if name.is_none() && models > 1 {
            assumptions.push(format!(
                "the request names no model: `{wanted}` is the default of {models}"
            ));
        }
        Ok(Chosen {
            entry,
            classifier,
            assumptions,
        })
    }

    /// Decodes images for a model, away from the threads that serve requests.
    pub async fn decode(
        &self,
        classifier: &Classifier,
        images: Vec<Bytes>,
    ) -> Result<Array4<f32>, ApiError> {
        let permit = Arc::clone(&self.decoding)
            .acquire_owned()
            .await
            .map_err(|closed| ApiError::Internal(closed.to_string()))?;
        let classifier = classifier.clone();
        let limits = self.config.image;
        blocking(move || {
            let _permit = permit;
            let mut pixels = Vec::with_capacity(images.len());
            for (index, bytes) in images.iter().enumerate() {
                let image = classifier
                    .decode(bytes, &limits)
                    .map_err(|error| ApiError::Image { index, error })?;
                pixels.push(image);
            }
            let views: Vec<_> = pixels.iter().map(|image| image.view()).collect();
            ndarray::stack(Axis(0), &views).map_err(|error| ApiError::Internal(error.to_string()))
        })
        .await
    }
}

/// Runs what would block the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ApiError::Internal(error.to_string())))
}

fn names(repository: &Repository) -> String {
    let names: Vec<_> = repository
        .entries()
        .iter()
        .map(|entry| format!("`{}`", entry.name))
        .collect();
    names.join(", ")
}

/// The routes, inside the layers that turn whatever goes wrong into a JSON error.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(routes::page))
        .route("/health", get(routes::health))
        .route("/models", get(routes::models))
        .route("/predict", post(routes::predict))
        .route("/attack", post(routes::attack))
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
