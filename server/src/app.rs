//! The state that requests share.
use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use axum::body::Bytes;
use buckler_onnx::Color;
use buckler_runtime::{Classifier, Entry, LoadOptions, NotServed, Repository};
use ndarray::{Array4, Axis};
use tokio::sync::Semaphore;

use crate::{
    Config, ServerError,
    attacks::{Admission, Frame, Pool},
    auth::Auth,
    connections::{Connections, Patience},
    error::ApiError,
    in_flight::{InFlight, Limits},
    metrics::{Metrics, UPKEEP},
    v2::AllStatistics,
};

/// Requests that arrive or are answered may be as many as this for each that is worked on.
const WAITING: usize = 4;

/// What every request sees.
pub(crate) struct App {
    pub config: Config,
    pub auth: Auth,
    pub metrics: Arc<Metrics>,
    pub repository: Repository,
    pub admission: Arc<Admission>,
    /// Where attacks compute.
    pub attacks: Pool,
    /// Set when the server is to stop: it is not ready any more.
    pub stopping: AtomicBool,
    /// Set when it takes no more connections and no more attacks.
    pub closing: AtomicBool,
    /// Set when the server is about to end: attacks are then answered as they stand.
    pub hurry: Arc<AtomicBool>,
    pub connections: Arc<Connections>,
    pub in_flight: Arc<InFlight>,
    pub statistics: AllStatistics,
    /// Decoding is bounded, because every body under way may need as much memory as the limits allow.
    decoding: Arc<Semaphore>,
}

/// The model that answers a request.
pub(crate) struct Chosen {
    pub entry: Arc<Entry>,
    /// What the model's own assumptions and the choice itself take for granted.
    pub assumptions: Vec<String>,
}

impl Chosen {
    pub fn classifier(&self) -> &Classifier {
        &self.entry.classifier
    }

    /// Waits until the model's lane of attacks is made, and adds what was found out about its gradients.
    pub async fn prepare_attacks(&mut self) -> Result<(), ApiError> {
        let entry = Arc::clone(&self.entry);
        entry.classifier.prepare_attacks().await?;
        for found in entry.classifier.assumptions() {
            if !self.assumptions.contains(found) {
                self.assumptions.push(found.clone());
            }
        }
        Ok(())
    }

    /// What all reports of an attack on it have in common.
    pub fn frame(self, images: bool) -> Frame {
        Frame {
            entry: self.entry,
            assumptions: self.assumptions,
            images,
        }
    }
}

impl App {
    /// Blocking.
    pub fn load(config: Config) -> Result<Arc<Self>, ServerError> {
        let auth = Auth::new(&config)?;
        let metrics = Arc::new(Metrics::new()?);
        let options = LoadOptions {
            separate_attacks: true,
            all_outputs: true,
            gradient_cache: config.gradient_cache.clone(),
            watch: Some(metrics.watch()),
            ..config.load.clone()
        };
        let repository = Repository::open(&config.models, &options)?;
        let listed = repository.index();
        if listed.is_empty() {
            return Err(ServerError::NoModels(config.models.clone()));
        }
        if let Some(name) = &config.default_model
            && let Err(error @ NotServed::Unknown { .. }) = repository.get(name, None)
        {
            return Err(ServerError::DefaultModel(error));
        }
        let most = config.connections_within(open_files());
        let patience = Patience {
            header: config.header_timeout,
            idle: config.idle_timeout,
        };
        // So that a health check finds a connection also where each request has its own.
        let some = (most / 4 * 3).max(1);
        let limits = Limits {
            requests: config.max_requests.min(some),
            waiting: config.max_requests.saturating_mul(WAITING).min(some),
            bytes: config.max_bytes_in_flight,
            connection_bytes: (config.max_bytes_in_flight / 4).max(config.max_body_bytes),
            stall: config.stall_timeout,
            rate: config.min_rate.get(),
        };
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Arc::new(Self {
            admission: Arc::new(Admission::new(config.max_attacks, config.load.queue_bytes)),
            attacks: Pool::start()?,
            hurry: Arc::default(),
            stopping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            connections: Arc::new(Connections::new(most, patience, Arc::clone(&metrics))),
            in_flight: Arc::new(InFlight::new(limits)),
            config,
            auth,
            metrics,
            repository,
            statistics: AllStatistics::default(),
            decoding: Arc::new(Semaphore::new(processors)),
        }))
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Whether every model is served, but for those that were unloaded by request, and the server does not stop.
    pub fn is_ready(&self) -> bool {
        let mut models = BTreeMap::<String, bool>::new();
        for listed in self.repository.index() {
            // A version may be served while a later one is broken.
            *models.entry(listed.name).or_default() |= listed.ready || listed.unloaded;
        }
        !self.is_stopping() && models.values().all(|&ready| ready)
    }

    /// The name of the model for requests that name none: the configured one, else the first by name that is served.
    pub fn default_model(&self) -> Option<String> {
        let configured = self.config.default_model.clone();
        configured.or_else(|| {
            let serving = self.repository.serving();
            serving.first().map(|entry| entry.name.clone())
        })
    }

    /// The model of a name, or the default one.
    pub fn choose(&self, name: Option<&str>, version: Option<&str>) -> Result<Chosen, ApiError> {
        let default = match name {
            Some(_) => None,
            None => Some(self.default_model().ok_or(ApiError::NoModels)?),
        };
        let wanted = name.or(default.as_deref()).unwrap_or_default();
        let entry = self.repository.get(wanted, version)?;
        let mut assumptions = entry.classifier.assumptions().to_vec();
        let models = self.repository.serving().len();
        if name.is_none() && models > 1 {
            assumptions.push(format!(
                "the request names no model: `{wanted}` is the default of {models}"
            ));
        }
        Ok(Chosen { entry, assumptions })
    }

    /// Runs what takes time and memory by the length of a body, away from the threads that serve requests, and for as many at a time
    /// as there are processors.
    pub async fn decoding<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.decoding).acquire_owned().await;
        let permit = permit.map_err(|closed| ApiError::Internal(closed.to_string()))?;
        blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }

    /// Decodes images for a model, away from the threads that serve requests. What was done to them that their owner may
    /// not expect is added to the answer's assumptions.
    pub async fn decode(
        &self,
        chosen: &mut Chosen,
        images: Vec<Bytes>,
        background: Option<Color>,
    ) -> Result<Array4<f32>, ApiError> {
        let mut preprocessing = chosen.classifier().preprocessing();
        if let Some(Color(color)) = background {
            preprocessing.background = color;
        }
        let limits = self.config.image;
        let (pixels, notes) = self
            .decoding(move || {
                let mut pixels = Vec::with_capacity(images.len());
                let mut notes = Vec::new();
                for (index, bytes) in images.iter().enumerate() {
                    let prepared = buckler_data::decode(bytes, &limits)
                        .and_then(|picture| picture.prepare(&preprocessing))
                        .map_err(|error| ApiError::Image { index, error })?;
                    notes.extend(
                        prepared
                            .notes
                            .iter()
                            .map(|note| format!("image {index}: {note}")),
                    );
                    pixels.push(prepared.pixels);
                }
                let views: Vec<_> = pixels.iter().map(|image| image.view()).collect();
                let pixels = ndarray::stack(Axis(0), &views)
                    .map_err(|error| ApiError::Internal(error.to_string()))?;
                Ok((pixels, notes))
            })
            .await?;
        chosen.assumptions.extend(notes);
        Ok(pixels)
    }
}

/// How many files the process may have open.
fn open_files() -> usize {
    #[cfg(unix)]
    let most = rlimit::Resource::NOFILE.get_soft().ok();
    #[cfg(not(unix))]
    let most = None::<u64>;
    most.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

/// Keeps the metrics of a server small for as long as it is there.
pub(crate) async fn keep_up(app: Weak<App>) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        let Some(app) = app.upgrade() else { return };
        app.metrics.keep_up();
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
