//! What the routes fail with, as their documents say it.
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

/// A status, an error's code, and what it means.
pub(super) type Failure = (u16, &'static str, &'static str);

/// What any route may come to.
pub(super) const ANY: &[Failure] = &[
    (400, "invalid_header", "`x-request-timeout-ms` is no time"),
    (400, "invalid_host", "there is not one `Host` header"),
    (500, "internal", "a fault of the server"),
];

/// Where requests take turns.
pub(super) const TURN: &[Failure] = &[(503, "busy", "too many requests are under way")];

/// Where a body is read.
pub(super) const BODY: &[Failure] = &[
    (
        415,
        "unknown_encoding",
        "the body is compressed otherwise than by gzip or deflate",
    ),
    (408, "body_timeout", "the body did not come in time"),
    (
        429,
        "too_many_at_once",
        "the key or the connection has too much under way",
    ),
];

/// Where a key is needed, if the server has keys.
pub(super) const KEY: &[Failure] = &[
    (401, "no_key", "the request has no key"),
    (401, "wrong_key", "the key is not known"),
    (403, "missing_scope", "the key is for something else"),
    (
        403,
        "foreign_origin",
        "a page of an origin that is not listed asks",
    ),
    (
        403,
        "foreign_host",
        "a server without keys is asked for under a name that is not this machine's",
    ),
    (429, "rate_limited", "the key asks too often"),
];

/// Before the images are looked at.
pub(super) const READING: &[Failure] = &[
    (400, "invalid_query", "the query string is malformed"),
    (400, "unreadable_body", "the body broke off"),
    (400, "invalid_json", "the body is no JSON object"),
    (400, "invalid_base64", "an image in JSON is no base64"),
    (400, "invalid_multipart", "the multipart body is malformed"),
    (400, "no_image", "the request has no image"),
    (413, "body_too_large", "the body is too long"),
    (422, "too_many_images", "the request has too many images"),
    (422, "unknown_field", "there is no such parameter"),
    (422, "conflicting_field", "a parameter is given twice"),
    (422, "invalid_value", "a parameter cannot have this value"),
];

/// When the model is looked for.
pub(super) const MODEL: &[Failure] = &[
    (404, "unknown_model", "there is no such model"),
    (503, "model_not_ready", "the model is not loaded"),
];

/// When the images are decoded.
pub(super) const IMAGES: &[Failure] = &[
    (400, "not_an_image", "the bytes are of no known format"),
    (400, "broken_image", "the image is damaged"),
    (413, "image_too_large", "the image has too many bytes"),
    (422, "image_too_large", "the image has too many pixels"),
    (422, "wrong_channels", "a colour image for a grey model"),
];

/// When the model is asked.
pub(super) const ANSWER: &[Failure] = &[
    (429, "overloaded", "the model's queue is full"),
    (503, "closing", "the model is being unloaded"),
];

/// When the logits are looked at.
pub(super) const LOGITS: &[Failure] = &[(500, "not_finite", "the model's logits are no numbers")];

/// Where an answer may take its time.
pub(super) const TIME: &[Failure] = &[(504, "timeout", "the request took too long")];

/// When an attack or a certificate looks for a place.
pub(super) const ADMISSION: &[Failure] = &[
    (422, "too_expensive", "it asks the model too often"),
    (429, "overloaded", "too much is under way"),
    (429, "too_late", "it would not begin in time"),
    (429, "attack_budget", "the key has spent its budget"),
    (
        422,
        "beyond_attack_budget",
        "it costs more than the key's whole budget",
    ),
    (503, "stopping", "the server takes no more attacks"),
];

/// Where strangers are not welcome.
pub(super) const EXPOSED: &[Failure] = &[(
    403,
    "exposed_without_keys",
    "the server has no keys and can be reached from elsewhere",
)];

/// What attacks alone fail with.
pub(super) const ATTACK: &[Failure] = &[
    (422, "no_gradient", "the model has no gradient"),
    (422, "no_features", "the model exposes no features"),
    (422, "one_picture", "several results are no one PNG"),
    (406, "no_adversarial_image", "there is no image to send"),
];

/// When a version of a model is looked for.
pub(super) const VERSION: &[Failure] = &[(404, "unknown_version", "there is no such version")];

/// When a body below `/v2` is read.
pub(super) const V2_BODY: &[Failure] = &[
    (400, "unreadable_body", "the body broke off"),
    (
        400,
        "invalid_request",
        "the body is no request, or none that the model can answer",
    ),
    (413, "body_too_large", "the body is too long"),
];

/// When a model is loaded or unloaded.
pub(super) const LOAD: &[Failure] = &[
    (400, "not_loaded", "the model cannot be used"),
    (404, "unknown_model", "there is no such model"),
];

/// For `GET /health`.
pub(crate) struct HealthFailures;
/// For `GET /attacks`.
pub(crate) struct AttacksFailures;
/// For `GET /models`.
pub(crate) struct ModelsFailures;
/// For `POST /predict`.
pub(crate) struct PredictFailures;
/// For `POST /attack`.
pub(crate) struct AttackFailures;
/// For `POST /certify`.
pub(crate) struct CertifyFailures;
/// For `GET /v2/health/live` and `GET /v2/health/ready`.
pub(crate) struct V2HealthFailures;
/// For `GET /v2` and `GET /v2/models/stats`.
pub(crate) struct V2Failures;
/// For `GET` of a model below `/v2`.
pub(crate) struct V2ModelFailures;
/// For `POST /v2/models/{model}/infer`.
pub(crate) struct InferFailures;
/// For `POST /v2/repository/index`.
pub(crate) struct V2IndexFailures;
/// For `POST /v2/repository/models/{model}/load` and `unload`.
pub(crate) struct V2LoadFailures;

macro_rules! failures {
    ($body:literal, $($route:ty: $($group:ident),*;)*) => {
        $(impl IntoResponses for $route {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses($body, &[$($group),*])
            }
        })*
    };
}

failures! {
    "ErrorBody",
    HealthFailures: ANY;
    AttacksFailures: ANY, TURN;
    ModelsFailures: ANY, TURN, KEY;
    PredictFailures: ANY, TURN, KEY, BODY, READING, MODEL, IMAGES, ANSWER, LOGITS, TIME;
    AttackFailures: ANY, TURN, KEY, BODY, READING, MODEL, IMAGES, ANSWER, LOGITS, TIME, EXPOSED, ADMISSION, ATTACK;
    CertifyFailures: ANY, TURN, KEY, BODY, READING, MODEL, IMAGES, ANSWER, LOGITS, TIME, EXPOSED, ADMISSION;
}

failures! {
    "ProtocolFailure",
    V2HealthFailures: ANY;
    V2Failures: ANY, TURN, KEY;
    V2ModelFailures: ANY, TURN, KEY, MODEL, VERSION;
    InferFailures: ANY, TURN, KEY, BODY, V2_BODY, MODEL, VERSION, ANSWER, TIME;
    V2IndexFailures: ANY, TURN, KEY, BODY, V2_BODY;
    V2LoadFailures: ANY, TURN, KEY, BODY, EXPOSED, V2_BODY, LOAD, TIME;
}

/// One response for each status, with all codes that it may have.
fn responses(body: &str, groups: &[&[Failure]]) -> BTreeMap<String, RefOr<Response>> {
    let mut texts: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for (status, code, meaning) in groups.iter().copied().flatten() {
        let line = format!("`{code}`: {meaning}");
        texts.entry(*status).or_default().push(line);
    }
    texts
        .into_iter()
        .map(|(status, lines)| {
            let schema = Ref::from_schema_name(body);
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new()
                .description(lines.join("; "))
                .content("application/json", content);
            let response = match status {
                429 | 503 => response.header("retry-after", retry_after()),
                _ => response,
            };
            (status.to_string(), response.build().into())
        })
        .collect()
}

fn retry_after() -> utoipa::openapi::Header {
    utoipa::openapi::HeaderBuilder::new()
        .description(Some("Seconds after which the same request may succeed."))
        .schema(Some(utoipa::schema!(u64)))
        .build()
}
