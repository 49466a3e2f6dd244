//! What operators rely on: keys, limits and metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod browsers;
mod connections;
mod in_flight;
mod keys;
mod limits;
mod logs;
mod metrics;
mod page;
#[path = "../support/mod.rs"]
mod support;

use buckler_server::{Key, Scope};
use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;
use support::Server;
use tokio::net::TcpStream;

/// A key named as it reads, for some scopes.
fn key(plain: &str, scopes: &[Scope]) -> Key {
    Key {
        scopes: scopes.to_vec(),
        ..Key::new(plain, plain)
    }
}

const ALL: &[Scope] = &[Scope::Predict, Scope::Attack, Scope::Admin];

/// A connection on which nothing is said yet.
async fn connect(server: &Server) -> TcpStream {
    let address = server.base.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// The headers of an answer that must have this status, with its error's code and message.
async fn refused(request: RequestBuilder, status: u16) -> (HeaderMap, String, String) {
    let response = request.send().await.unwrap();
    let (got, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&text).unwrap();
    let of = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (headers, of("code"), of("message"))
}
