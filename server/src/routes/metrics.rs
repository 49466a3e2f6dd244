use std::sync::Arc;

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use crate::{
    app::{App, blocking},
    error::ApiError,
};

/// `GET /metrics`, in Prometheus' text format.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let page = blocking(move || Ok(app.metrics.page(&app.repository, &app.admission))).await?;
    let format = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((format, page).into_response())
}
