//! From an HTTP request, in any of its forms, to images and parameters.
mod body;
mod json;
mod multipart;
mod parameters;

use axum::{
    body::Bytes,
    extract::{Query, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use serde_json::Value;

pub(crate) use self::{body::read as read_body, parameters::Parameters};
use crate::{app::App, error::ApiError};

/// The longest name of a file, in bytes, that is taken for one.
const MAX_LINE: usize = 255;

/// A request for something to be done with images.
#[derive(Debug)]
pub(crate) struct ImageRequest {
    /// Encoded; at least one, at most as many as allowed.
    pub images: Vec<Bytes>,
    /// Known names only.
    pub parameters: Parameters,
}

impl ImageRequest {
    /// Reads a request whose parameters may be those of `known`.
    pub async fn read(
        request: Request,
        known: &'static [&'static str],
        app: &App,
    ) -> Result<Self, ApiError> {
        let config = &app.config;
        let mut parameters = Parameters::new(known);
        let (parts, body) = request.into_parts();
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::Query(error.body_text()))?;
        for (name, value) in pairs {
            parameters.add(&name, Value::String(value))?;
        }
        let body = body::read(app, &parts.headers, &parts.extensions, body).await?;
        let images = match Form::of(&parts.headers) {
            Form::Json => {
                let read = move || {
                    let images = json::read(&body, &mut parameters)?;
                    Ok((images, parameters))
                };
                let (images, read) = app.decoding(read).await?;
                parameters = read;
                images
            }
            Form::Multipart => multipart::read(parts, body, &mut parameters).await?,
            Form::Raw if body.is_empty() => Vec::new(),
            Form::Raw => vec![body],
        };
        if let Some(text) = images.iter().find_map(text_for_image) {
            return Err(ApiError::TextForImage(text.to_owned()));
        }
        match images.len() {
            0 => Err(ApiError::NoImage),
            count if count > config.max_images => Err(ApiError::TooManyImages {
                count,
                limit: config.max_images,
            }),
            _ => Ok(Self { images, parameters }),
        }
    }
}

/// The text where a short line of text was sent in place of an image, which is what comes of a file's name without `@`.
fn text_for_image(bytes: &Bytes) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let is_line = (1..=MAX_LINE).contains(&text.len()) && !text.contains(char::is_control);
    is_line.then_some(text)
}

/// How a body carries its images.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
    /// Whatever else the type says: clients send images as `application/x-www-form-urlencoded`, or without any type.
    Raw,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = value.unwrap_or("").split(';').next().unwrap_or("").trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/json" => Self::Json,
            "multipart/form-data" => Self::Multipart,
            _ => Self::Raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_told_by_the_media_type_alone() {
        for (value, expected) in [
            ("application/json", Form::Json),
            ("Application/JSON; charset=utf-8", Form::Json),
            ("multipart/form-data; boundary=x", Form::Multipart),
            ("application/x-www-form-urlencoded", Form::Raw),
            ("image/png", Form::Raw),
            ("", Form::Raw),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(Form::of(&headers), expected, "{value}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Form::Raw);
    }
}
