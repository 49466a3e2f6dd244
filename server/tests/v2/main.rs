//! The Open Inference Protocol V2 over a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod compression;
mod errors;
mod infer;
mod metadata;
mod outputs;
mod repository;
mod statistics;
#[path = "../support/mod.rs"]
mod support;

use reqwest::{RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use support::Server;

const JSON_LENGTH: &str = "Inference-Header-Content-Length";
const HALVES: &str = "/v2/models/halves/infer";

/// A grey image whose left half has the one value and the right half the other.
fn sides(left: f32, right: f32) -> Vec<f32> {
    (0..64)
        .map(|pixel| if pixel % 8 < 4 { left } else { right })
        .collect()
}

/// What `halves` answers to it.
fn logits(left: f32, right: f32) -> [f32; 3] {
    [12.0 * (left - right), 12.0 * (right - left), -3.0]
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A request with one row in JSON.
fn request(row: &[f32]) -> Value {
    json!({ "inputs": [{ "name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": row }] })
}

/// A request with its input behind the JSON.
fn with_binary(server: &Server, mut request: Value, values: &[f32]) -> RequestBuilder {
    let input = request["inputs"][0].as_object_mut().unwrap();
    input.remove("data");
    let size = size_of_val(values);
    input.insert("parameters".into(), json!({ "binary_data_size": size }));
    let json = request.to_string();
    server
        .post(HALVES)
        .header(JSON_LENGTH, json.len())
        .body([json.into_bytes(), bytes(values)].concat())
}

fn close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A failure as the protocol has it, and as clients can read it; the message.
async fn refused(request: RequestBuilder, status: u16) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let got = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(got, StatusCode::from_u16(status).unwrap(), "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["error"].as_str().unwrap().to_owned()
}
