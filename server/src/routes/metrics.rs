use std::sync::Arc;

use axum::{
    body::Bytes,
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
    let own = Arc::clone(&app);
    let write = async move || {
        let write = move || Ok(app.metrics.write(&app.repository, &app.admission));
        blocking(write).await.map(Bytes::from)
    };
    let page = own.metrics.page(write).await?;
    let format = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((format, page).into_response())
}
