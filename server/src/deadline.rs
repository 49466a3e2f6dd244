//! Until when a request is to be answered.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{app::App, error::ApiError, in_flight::Held};

/// A request's own limit, in milliseconds.
const HEADER: &str = "x-request-timeout-ms";

/// When the answer is due; a request extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub at: Instant,
    /// How long the request may take in all.
    pub limit: Duration,
}

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        let at = Instant::now() + limit;
        Self { at, limit }
    }

    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// Gives up on an answer that is not there in time. Dropping the inner future withdraws its queries from the model.
pub(crate) async fn keep(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let limit = match asked(&request) {
        Ok(asked) => asked.map_or(app.config.request_timeout, |asked| {
            asked.min(app.config.request_timeout)
        }),
        Err(error) => return error.into_response(),
    };
    let deadline = Deadline::after(limit);
    request.extensions_mut().insert(deadline);
    let held = request.extensions().get::<Arc<Held>>().cloned();
    match tokio::time::timeout_at(deadline.at.into(), next.run(request)).await {
        Ok(response) => response,
        Err(_) if held.is_some_and(|held| held.is_arriving()) => {
            ApiError::SlowBody(limit).into_response()
        }
        Err(_) => ApiError::Timeout(limit).into_response(),
    }
}

fn asked(request: &Request) -> Result<Option<Duration>, ApiError> {
    let Some(value) = request.headers().get(HEADER) else {
        return Ok(None);
    };
    let milliseconds = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match milliseconds {
        Some(milliseconds) if milliseconds > 0 => Ok(Some(Duration::from_millis(milliseconds))),
        _ => Err(ApiError::Header {
            name: HEADER,
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            expected: "a whole number of milliseconds over 0",
        }),
    }
}
