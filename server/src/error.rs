//! Every failure a client can see, with its status, its code and its message.
use std::time::Duration;

use axum::{
    http::{
        HeaderValue, Method, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use buckler_attack::{AttackError, VictimError};
use buckler_runtime::{ImageError, NotServed};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    attacks::{Refused, seconds},
    auth::{Denied, OverBudget},
    in_flight::Full,
    json::Json,
    v2::ProtocolError,
};

/// The code of an error, which goes with the answer through the layers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub &'static str);

/// A request that is not answered as it asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(
        "`{0}` does not exist: use POST /predict, POST /attack, POST /certify, GET /models, GET /, or the Open Inference Protocol below \
         /v2; GET /openapi.json lists them all"
    )]
    UnknownRoute(String),
    #[error(
        "{method} {path} is not possible: use POST for /predict, /attack, /certify, /v2/.../infer and /v2/repository, GET for everything else"
    )]
    WrongMethod { method: Method, path: String },
    #[error(transparent)]
    NotServed(#[from] NotServed),
    #[error("no model is ready: load one, or put one into the models' directory")]
    NoModels,
    #[error(
        "the body is longer than the {limit} bytes allowed (`max_body_bytes`): send fewer or smaller images"
    )]
    BodyTooLarge { limit: usize },
    #[error("the body could not be read ({0}): send it again")]
    Body(String),
    #[error(
        "the request has no image: send a PNG, JPEG, WebP, BMP or GIF file as the body, as multipart field `image`, or \
         base64-encoded as JSON member `image`"
    )]
    NoImage,
    #[error("the request has {count} images, more than the {limit} allowed: split it")]
    TooManyImages { count: usize, limit: usize },
    #[error(
        "the body is no JSON object ({0}): send {{\"image\": \"<base64>\"}}, or the image with its own content type"
    )]
    Json(String),
    #[error("`{field}` is no base64 ({reason}): encode the image file with the standard alphabet")]
    Base64 { field: String, reason: String },
    #[error(
        "the multipart body is malformed ({0}): check its boundary, for example by sending it with `curl -F image=@file`"
    )]
    Multipart(String),
    #[error(
        "the query string is malformed ({0}): write it as name=value&name=value, percent-encoded"
    )]
    Query(String),
    #[error("`{name}` is not known here: send images as `image`, and use {known}")]
    UnknownField { name: String, known: String },
    #[error(
        "a file was sent as `{0}`: send images as `image`, for example with `curl -F image=@FILE`"
    )]
    FileField(String),
    #[error(
        "`image` is the {bytes} bytes of text `{0}` and not a PNG, JPEG, WebP, BMP or GIF file: with curl, put `@` before the \
         file's name, as in `-F image=@FILE` or `--data-binary @FILE`",
        bytes = .0.len()
    )]
    TextForImage(String),
    #[error("`{name}` is {first} in one place and {second} in another: give it once")]
    Conflict {
        name: String,
        first: String,
        second: String,
    },
    #[error("header `{name}` is `{value}`: write {expected}")]
    Header {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("the request has {0} `Host` headers: send one")]
    Host(usize),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the server is stopping and takes no more attacks: ask another one")]
    Stopping,
    #[error("{message}")]
    Value { field: String, message: String },
    #[error("image {index}: {error}")]
    Image { index: usize, error: ImageError },
    #[error(
        "the attack may ask the model {cost} times (images {images}, radii {radii}, restarts {restarts}, steps {steps}), more \
         than the {limit} allowed: ask for fewer, or another attack"
    )]
    TooExpensive {
        cost: u64,
        images: usize,
        radii: usize,
        restarts: usize,
        steps: usize,
        limit: u64,
    },
    #[error(
        "certificates of {images} image(s) with {draws} draws each ask the model {queries} times, more than the {limit} allowed: \
         send fewer images, or lower n"
    )]
    TooManyDraws {
        queries: u64,
        images: usize,
        draws: usize,
        limit: u64,
    },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("a PNG is the answer for one image and one radius: ask for one, or for JSON")]
    OnePicture,
    #[error(
        "there is no adversarial image to send (outcome {outcome}): ask for JSON to see the report"
    )]
    NoPicture { outcome: String },
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    NotLoaded(NotServed),
    #[error("content encoding `{0}` is not supported: use gzip, deflate or none")]
    ContentEncoding(String),
    #[error("{0}: use /predict, or a model that /models lists as attackable")]
    NoGradient(String),
    #[error(transparent)]
    Attack(#[from] AttackError),
    #[error(transparent)]
    Victim(#[from] VictimError),
    #[error(
        "the logits of image {index} are not finite: check the model's weights and its preprocessing"
    )]
    NotFinite { index: usize },
    #[error(
        "the request took longer than the {} seconds allowed: ask for fewer images, steps or restarts, or try again when \
         the server is less busy",
        (.0.as_secs_f64() * 1e6).round() / 1e6
    )]
    Timeout(Duration),
    #[error(
        "the body was not all there within the {} seconds that a request may take (`request_timeout`): send a smaller one, or send it faster",
        .0.as_secs_f64()
    )]
    SlowBody(Duration),
    #[error("the server failed ({0}): report it with the request")]
    Internal(String),
}

/// The answer to a request that is not answered as it asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: Failure,
}

#[derive(Serialize, ToSchema)]
struct Failure {
    /// What went wrong, for programs.
    code: &'static str,
    /// The value, the limit and the remedy, for people.
    message: String,
    /// The parameter that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl ApiError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownRoute(_) => (S::NOT_FOUND, "unknown_route"),
            Self::WrongMethod { .. } => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotServed(NotServed::Unknown { .. }) => (S::NOT_FOUND, "unknown_model"),
            Self::NotServed(NotServed::Version { .. }) => (S::NOT_FOUND, "unknown_version"),
            Self::NotServed(NotServed::NotReady { .. }) | Self::NoModels => {
                (S::SERVICE_UNAVAILABLE, "model_not_ready")
            }
            Self::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Body(_) => (S::BAD_REQUEST, "unreadable_body"),
            Self::NoImage => (S::BAD_REQUEST, "no_image"),
            Self::TooManyImages { .. } => (S::UNPROCESSABLE_ENTITY, "too_many_images"),
            Self::Json(_) => (S::BAD_REQUEST, "invalid_json"),
            Self::Base64 { .. } => (S::BAD_REQUEST, "invalid_base64"),
            Self::Multipart(_) => (S::BAD_REQUEST, "invalid_multipart"),
            Self::Query(_) => (S::BAD_REQUEST, "invalid_query"),
            Self::UnknownField { .. } | Self::FileField(_) => {
                (S::UNPROCESSABLE_ENTITY, "unknown_field")
            }
            Self::TextForImage(_) => (S::BAD_REQUEST, "not_an_image"),
            Self::Conflict { .. } => (S::UNPROCESSABLE_ENTITY, "conflicting_field"),
            Self::Header { .. } => (S::BAD_REQUEST, "invalid_header"),
            Self::Host(_) => (S::BAD_REQUEST, "invalid_host"),
            Self::Full(full) => of_full(full),
            Self::Stopping => (S::SERVICE_UNAVAILABLE, "stopping"),
            Self::Value { .. } => (S::UNPROCESSABLE_ENTITY, "invalid_value"),
            Self::Image { error, .. } => of_image(error),
            Self::TooExpensive { .. } | Self::TooManyDraws { .. } => {
                (S::UNPROCESSABLE_ENTITY, "too_expensive")
            }
            Self::Denied(denied) => of_denied(denied),
            Self::OverBudget(OverBudget::Wait { .. }) => (S::TOO_MANY_REQUESTS, "attack_budget"),
            Self::OverBudget(OverBudget::Never { .. }) => {
                (S::UNPROCESSABLE_ENTITY, "beyond_attack_budget")
            }
            Self::Refused(Refused::Late { .. }) => (S::TOO_MANY_REQUESTS, "too_late"),
            Self::Refused(_) => (S::TOO_MANY_REQUESTS, "overloaded"),
            Self::OnePicture => (S::UNPROCESSABLE_ENTITY, "one_picture"),
            Self::NoPicture { .. } => (S::NOT_ACCEPTABLE, "no_adversarial_image"),
            Self::NotLoaded(NotServed::Unknown { .. }) => (S::NOT_FOUND, "unknown_model"),
            Self::NotLoaded(_) => (S::BAD_REQUEST, "not_loaded"),
            Self::Protocol(_) => (S::BAD_REQUEST, "invalid_request"),
            Self::ContentEncoding(_) => (S::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding"),
            Self::NoGradient(_) => (S::UNPROCESSABLE_ENTITY, "no_gradient"),
            Self::Attack(AttackError::Samples(_)) => (S::UNPROCESSABLE_ENTITY, "invalid_value"),
            Self::Attack(AttackError::NotFinite { .. }) | Self::NotFinite { .. } => {
                (S::INTERNAL_SERVER_ERROR, "not_finite")
            }
            Self::Attack(AttackError::Victim(error)) | Self::Victim(error) => of_victim(error),
            Self::SlowBody(_) => (S::REQUEST_TIMEOUT, "body_timeout"),
            Self::Timeout(_) => (S::GATEWAY_TIMEOUT, "timeout"),
            Self::Attack(_) | Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::Base64 { field, .. } | Self::Value { field, .. } => Some(field),
            Self::UnknownField { name, .. }
            | Self::Conflict { name, .. }
            | Self::FileField(name) => Some(name),
            Self::NotServed(_) | Self::NotLoaded(_) => Some("model"),
            Self::NoImage
            | Self::Image { .. }
            | Self::TextForImage(_)
            | Self::TooManyImages { .. } => Some("image"),
            _ => None,
        }
    }
}

/// Characters of a message.
const MAX_MESSAGE: usize = 2000;

/// Characters of a parameter's name.
const MAX_FIELD: usize = 200;

/// A text without its middle, where it is longer than that: what went wrong stands at its start, the remedy at its end.
fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let start = text.chars().take(half);
    let end = text.chars().skip(count - half);
    start.chain(" ... ".chars()).chain(end).collect()
}

fn of_denied(denied: &Denied) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match denied {
        Denied::NoKey => (S::UNAUTHORIZED, "no_key"),
        Denied::WrongKey => (S::UNAUTHORIZED, "wrong_key"),
        Denied::Scope { .. } => (S::FORBIDDEN, "missing_scope"),
        Denied::Exposed(_) => (S::FORBIDDEN, "exposed_without_keys"),
        Denied::TooFast { .. } => (S::TOO_MANY_REQUESTS, "rate_limited"),
        Denied::ForeignOrigin(_) | Denied::CrossSite => (S::FORBIDDEN, "foreign_origin"),
        Denied::ForeignHost(_) => (S::FORBIDDEN, "foreign_host"),
    }
}

fn of_full(full: &Full) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match full {
        Full::Requests(_) | Full::Bytes(_) | Full::GivenUp => (S::SERVICE_UNAVAILABLE, "busy"),
        Full::KeyRequests { .. } | Full::KeyBytes { .. } | Full::ConnectionBytes(_) => {
            (S::TOO_MANY_REQUESTS, "too_many_at_once")
        }
        Full::Stalled { .. } => (S::REQUEST_TIMEOUT, "body_timeout"),
    }
}

fn of_image(error: &ImageError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        ImageError::TooManyBytes { .. } => (S::PAYLOAD_TOO_LARGE, "image_too_large"),
        ImageError::TooManyPixels { .. } => (S::UNPROCESSABLE_ENTITY, "image_too_large"),
        ImageError::NotAnImage { .. } => (S::BAD_REQUEST, "not_an_image"),
        ImageError::Broken(_) => (S::BAD_REQUEST, "broken_image"),
        ImageError::WrongChannels | ImageError::ModelChannels(_) => {
            (S::UNPROCESSABLE_ENTITY, "wrong_channels")
        }
        ImageError::NotEncodable(_) => (S::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn of_victim(error: &VictimError) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match error {
        VictimError::NoGradient(_) => (S::UNPROCESSABLE_ENTITY, "no_gradient"),
        VictimError::NoFeatures => (S::UNPROCESSABLE_ENTITY, "no_features"),
        VictimError::Overloaded { .. } => (S::TOO_MANY_REQUESTS, "overloaded"),
        VictimError::Closed => (S::SERVICE_UNAVAILABLE, "closing"),
        VictimError::Query { .. } | VictimError::Runtime(_) => {
            (S::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

impl ApiError {
    /// A value that is not possible.
    pub fn value(field: &str, message: String) -> Self {
        Self::Value {
            field: field.to_owned(),
            message,
        }
    }

    /// What the client is sent.
    pub fn body(&self) -> ErrorBody {
        let (_, code) = self.status_and_code();
        ErrorBody {
            error: Failure {
                code,
                message: self.message(),
                field: self.field().map(|field| shortened(field, MAX_FIELD)),
            },
        }
    }

    /// The message, in which whatever the client sent is no longer than it has to be.
    fn message(&self) -> String {
        shortened(&self.to_string(), MAX_MESSAGE)
    }

    /// In how many seconds the same request may succeed.
    fn retry_after(&self) -> u64 {
        match self {
            Self::Refused(refused) => seconds(refused.retry()),
            Self::Denied(Denied::TooFast { retry, .. })
            | Self::OverBudget(OverBudget::Wait { retry, .. }) => seconds(*retry).max(1),
            _ => 1,
        }
    }
}
/// What went wrong, beside a response for those who answer in another form.
#[derive(Clone, Debug)]
pub(crate) struct Message(pub String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        // That the server is busy is no failure of it, and is logged with the answer.
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(code, error = self.message(), "request failed");
        }
        let mut response = (status, Json(self.body())).into_response();
        response.extensions_mut().insert(Code(code));
        response.extensions_mut().insert(Message(self.message()));
        let headers = response.headers_mut();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, self.retry_after().into());
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_makes_no_message_long() {
        let error = ApiError::UnknownField {
            name: "é".repeat(5_000_000),
            known: "`eps`, `steps`".to_owned(),
        };
        let message = error.message();
        assert!(message.chars().count() <= MAX_MESSAGE + 5, "{message}");
        assert!(message.starts_with("`éé") && message.ends_with("`eps`, `steps`"));
        let body = serde_json::to_string(&error.body()).unwrap();
        assert!(body.len() < 6_000, "{}", body.len());
        assert_eq!(ApiError::NoImage.message(), ApiError::NoImage.to_string());
    }
}
