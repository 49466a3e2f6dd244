//! Bad requests: each gets its JSON error, and the server serves on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod images;
mod load;
mod parameters;
mod routes;
#[path = "../support/mod.rs"]
mod support;

use reqwest::{RequestBuilder, header::CONTENT_TYPE};
use serde_json::Value;
use support::{Server, left};

/// A request, its status, its code, its field, and what its message must say.
type Case = (
    RequestBuilder,
    u16,
    &'static str,
    Option<&'static str>,
    Vec<&'static str>,
);

async fn check(server: &Server, cases: Vec<Case>) {
    for (request, status, code, field, parts) in cases {
        let response = request.send().await.unwrap();
        let got = response.status();
        let content_type = response.headers()[CONTENT_TYPE].clone();
        let body = response.text().await.unwrap();
        assert_eq!(got, status, "{code}: {body}");
        assert_eq!(content_type, "application/json", "{code}: {body}");
        let error = serde_json::from_str::<Value>(&body).unwrap()["error"].clone();
        assert_eq!(error["code"], code, "{body}");
        assert_eq!(error["field"].as_str(), field, "{body}");
        let message = error["message"].as_str().unwrap();
        for part in parts {
            assert!(message.contains(part), "{code}: `{message}` lacks `{part}`");
        }
        let answer = server.ask("/predict?model=halves", left(90)).await;
        assert_eq!(answer["predictions"][0]["name"], "left", "after {code}");
    }
}
