use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{
        HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::error::Message;
use crate::json::Json;

/// How much of a failure's plain text is taken for its message.
const MAX_TEXT: usize = 4096;

/// Makes the body of every failure below `/v2` `{"error": "a string"}`, wherever it comes from: routes, layers or axum.
pub(crate) async fn error_body(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/v2" || path.starts_with("/v2/");
    let response = next.run(request).await;
    let status = response.status();
    if !ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let message = match parts.extensions.remove::<Message>() {
        Some(Message(message)) => message,
        None if is_json(parts.headers.get(CONTENT_TYPE)) => {
            return Response::from_parts(parts, body);
        }
        None => {
            let text = to_bytes(body, MAX_TEXT).await.unwrap_or_default();
            match String::from_utf8_lossy(&text).trim() {
                "" => status.to_string(),
                text => text.to_owned(),
            }
        }
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let body: Body = Json(json!({ "error": message }))
        .into_response()
        .into_body();
    let mut response = Response::from_parts(parts, body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}
