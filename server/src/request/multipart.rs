use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request},
    http::request::Parts,
};
use serde_json::Value;

use super::Parameters;
use crate::error::ApiError;

/// The parts named `image`; all others are parameters and are added to those there are.
pub(super) async fn read(
    parts: Parts,
    body: Bytes,
    parameters: &mut Parameters,
) -> Result<Vec<Bytes>, ApiError> {
    let request = Request::from_parts(parts, Body::from(body));
    let mut multipart = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::Multipart(error.body_text()))?;
    let malformed =
        |error: axum::extract::multipart::MultipartError| ApiError::Multipart(error.body_text());
    let mut images = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or("").to_owned();
        if name == "image" {
            images.push(field.bytes().await.map_err(malformed)?);
        } else if field.file_name().is_some() {
            return Err(ApiError::FileField(name));
        } else {
            let text = field.text().await.map_err(malformed)?;
            parameters.add(&name, Value::String(text))?;
        }
    }
    Ok(images)
}
