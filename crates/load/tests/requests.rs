//! What goes over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, HeaderValue, Uri},
    routing::{get, post},
};
use buckler_load::{Ask, Image, Target};
use serde_json::{Value, json};
use support::{Server, png};

#[tokio::test]
async fn images_go_as_they_are_or_several_as_a_form_with_the_key_and_the_parameters() {
    let echo = |headers: HeaderMap, uri: Uri, body: Bytes| async move {
        let text = |name| {
            headers
                .get(name)
                .map(|v: &HeaderValue| v.to_str().unwrap().to_owned())
        };
        Json(json!({
            "uri": uri.to_string(), "key": text("authorization"), "type": text("content-type"), "body": body.to_vec(),
        }))
    };
    let routes = Router::new()
        .route("/predict", post(echo))
        .route("/attack", post(echo));
    let server = Server::start(routes).await;
    let image = |copies| Image {
        model: Some("mnist he".to_owned()),
        query: vec![("eps".to_owned(), "8/255".to_owned())],
        file: b"pixels".to_vec(),
        copies,
    };
    let ask = async |ask: Ask| -> Value {
        let target = Target::new(&server.url, &ask, Some("secret"))
            .await
            .unwrap();
        let answer = reqwest::Client::new()
            .execute(target.request)
            .await
            .unwrap();
        answer.json().await.unwrap()
    };
    let one = ask(Ask::Predict(image(1))).await;
    assert_eq!(one["uri"], "/predict?model=mnist+he&eps=8%2F255");
    assert_eq!(one["key"], "Bearer secret");
    assert_eq!(one["body"], json!(b"pixels"));
    let three = ask(Ask::Attack(image(3))).await;
    assert_eq!(three["uri"], "/attack?model=mnist+he&eps=8%2F255");
    let kind = three["type"].as_str().unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body: Vec<u8> = serde_json::from_value(three["body"].clone()).unwrap();
    let body = String::from_utf8(body).unwrap();
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 5);
    assert!(
        parts[1..4]
            .iter()
            .all(|part| part.contains("name=\"image\"") && part.ends_with("\r\n\r\npixels\r\n"))
    );
    assert_eq!(parts[4], "--\r\n");
}

#[tokio::test]
async fn a_tensor_has_the_shape_that_the_server_names_and_the_pixels_channel_by_channel() {
    let metadata = |shape: Value| {
        get(move || async move {
            Json(json!({"inputs": [{"name": "image", "datatype": "FP32", "shape": shape}]}))
        })
    };
    let routes = Router::new()
        .route("/v2/models/colour", metadata(json!([-1, 3, 1, 2])))
        .route("/v2/models/large", metadata(json!([-1, 3, 5, 5])));
    let server = Server::start(routes).await;
    let ask = |model: &str| {
        Ask::Infer(Image {
            model: Some(model.to_owned()),
            query: Vec::new(),
            file: png(2, 1, &[255, 0, 51, 102, 153, 204]),
            copies: 2,
        })
    };
    let target = Target::new(&server.url, &ask("colour"), None)
        .await
        .unwrap();
    let headers = target.request.headers();
    let length: usize = headers["inference-header-content-length"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let body = target.request.body().unwrap().as_bytes().unwrap();
    let header: Value = serde_json::from_slice(&body[..length]).unwrap();
    assert_eq!(header["inputs"][0]["shape"], json!([2, 3, 1, 2]));
    assert_eq!(header["inputs"][0]["parameters"]["binary_data_size"], 48);
    let values = body[length..]
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let values: Vec<f32> = values.map(|value| (value * 255.0).round()).collect();
    let planes = [255.0, 102.0, 0.0, 153.0, 51.0, 204.0];
    assert_eq!(values, [planes, planes].concat());

    let error = Target::new(&server.url, &ask("large"), None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("give one of that size"),
        "{error}"
    );
    let error = Target::new(&server.url, &ask("missing"), None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}
