//! Bad requests: each gets its JSON error, and the server serves on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::time::Duration;

use reqwest::{Body, Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};
use support::{Server, base64, coloured, left, png};

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

/// A PNG that announces 20000x20000 pixels; the checksums are right.
fn bomb() -> Vec<u8> {
    let mut bytes = Vec::new();
    let small = png(image::RgbImage::new(1, 1));
    bytes.extend(&small[..16]);
    bytes.extend(20_000u32.to_be_bytes());
    bytes.extend(20_000u32.to_be_bytes());
    bytes.extend(&small[24..29]);
    let crc = !bytes[12..29].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    bytes.extend(crc.to_be_bytes());
    bytes.extend(&small[33..]);
    bytes
}

#[tokio::test]
async fn bad_images_and_bodies() {
    let server = Server::with(|config| config.max_body_bytes = 64 << 10).await;
    let predict = |body: Vec<u8>| server.post("/predict?model=halves").body(body);
    let truncated = left(90)[..60].to_vec();
    let json = |body: &'static str| {
        server
            .post("/predict")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
    };
    let multipart = |body: &'static str| {
        server
            .post("/predict")
            .header(CONTENT_TYPE, "multipart/form-data; boundary=x")
            .body(body)
    };
    let streamed = Body::wrap_stream(futures::stream::iter(
        (0..40).map(|_| Ok::<_, std::io::Error>(vec![7u8; 8 << 10])),
    ));
    let many = vec![base64(&left(1)); 17];
    check(
        &server,
        vec![
            (
                predict(b"hello".to_vec()),
                400,
                "not_an_image",
                Some("image"),
                vec!["5 bytes", "PNG"],
            ),
            (
                predict(truncated),
                400,
                "broken_image",
                Some("image"),
                vec!["image 0"],
            ),
            (
                predict(bomb()),
                422,
                "image_too_large",
                Some("image"),
                vec!["20000x20000", "16000000", "scale"],
            ),
            (
                predict(Vec::new()),
                400,
                "no_image",
                Some("image"),
                vec!["multipart field `image`"],
            ),
            (
                predict(vec![0; 300 << 10]),
                413,
                "body_too_large",
                None,
                vec!["65536"],
            ),
            (
                server.post("/predict").body(streamed),
                413,
                "body_too_large",
                None,
                vec!["65536"],
            ),
            (
                predict(coloured()),
                422,
                "wrong_channels",
                Some("image"),
                vec!["3", "1 (grey)", "convert"],
            ),
            (
                json("{\"image\": "),
                400,
                "invalid_json",
                None,
                vec!["base64"],
            ),
            (json("[]"), 400, "invalid_json", None, vec!["object"]),
            (json(""), 400, "no_image", Some("image"), vec![]),
            (json("{}"), 400, "no_image", Some("image"), vec![]),
            (
                json("{\"image\": \"%%%\"}"),
                400,
                "invalid_base64",
                Some("image"),
                vec!["`image`"],
            ),
            (
                json("{\"image\": \"\"}"),
                400,
                "not_an_image",
                Some("image"),
                vec!["0 bytes"],
            ),
            (
                multipart("--x\r\nnonsense"),
                400,
                "invalid_multipart",
                None,
                vec!["boundary"],
            ),
            (
                multipart(""),
                400,
                "invalid_multipart",
                None,
                vec!["boundary"],
            ),
            (
                server
                    .post("/predict")
                    .header(CONTENT_TYPE, "multipart/form-data")
                    .body("x"),
                400,
                "invalid_multipart",
                None,
                vec!["boundary"],
            ),
            (
                server.post("/predict").json(&json!({ "images": many })),
                422,
                "too_many_images",
                Some("image"),
                vec!["17", "16"],
            ),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn bad_parameters() {
    let server = Server::start().await;
    let attack = |query: &str| {
        server
            .post(&format!("/attack?model=halves&{query}"))
            .body(left(40))
    };
    check(
        &server,
        vec![
            (
                attack("eps=-0.1"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["-0.1", "number"],
            ),
            (
                attack("eps=NaN"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["NaN", "number"],
            ),
            (
                attack("eps=300/255"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["300/255", "limit of 1"],
            ),
            (
                attack("steps=0"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["0", "1000"],
            ),
            (
                attack("steps=1000000000"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["1000000000", "1000"],
            ),
            (
                attack("steps=99999999999999999999999"),
                422,
                "invalid_value",
                Some("steps"),
                vec![],
            ),
            (
                attack("restarts=51"),
                422,
                "invalid_value",
                Some("restarts"),
                vec!["51", "50"],
            ),
            (
                attack("steps=1000&restarts=50"),
                422,
                "too_expensive",
                None,
                vec!["50050", "20000"],
            ),
            (
                attack("step_size=0"),
                422,
                "invalid_value",
                Some("step_size"),
                vec!["0"],
            ),
            (
                attack("attack=deepfool"),
                422,
                "invalid_value",
                Some("attack"),
                vec!["deepfool", "pgd"],
            ),
            (
                attack("attack=fgsm&steps=9"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["9", "pgd"],
            ),
            (
                attack("norm=l7"),
                422,
                "invalid_value",
                Some("norm"),
                vec!["l7", "linf"],
            ),
            (
                attack("objective=dlr"),
                422,
                "invalid_value",
                Some("objective"),
                vec!["dlr", "margin"],
            ),
            (
                attack("target=3"),
                422,
                "invalid_value",
                Some("target"),
                vec!["3", "0 to 2"],
            ),
            (
                attack("target=up"),
                422,
                "invalid_value",
                Some("target"),
                vec!["up", "left"],
            ),
            (
                attack("target=left&label=left"),
                422,
                "invalid_value",
                None,
                vec!["target 0", "another class"],
            ),
            (
                attack("label=-1"),
                422,
                "invalid_value",
                Some("label"),
                vec!["-1", "0 to 2"],
            ),
            (
                attack("seed=x"),
                422,
                "invalid_value",
                Some("seed"),
                vec!["x"],
            ),
            (
                attack("return=video"),
                422,
                "invalid_value",
                Some("return"),
                vec!["video", "image"],
            ),
            (
                attack("epsilon=0.1"),
                422,
                "unknown_field",
                Some("epsilon"),
                vec!["`eps`", "`step_size`"],
            ),
            (
                attack("steps=3&steps=4"),
                422,
                "conflicting_field",
                Some("steps"),
                vec!["3", "4"],
            ),
            (
                server
                    .post("/attack?steps=3")
                    .json(&json!({ "image": base64(&left(1)), "steps": 4 })),
                422,
                "conflicting_field",
                Some("steps"),
                vec!["3", "4"],
            ),
            (
                server.post("/predict?steps=3").body(left(1)),
                422,
                "unknown_field",
                Some("steps"),
                vec!["`model`"],
            ),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn bad_routes_methods_and_models() {
    let server = Server::start().await;
    let model =
        |name: &str, route: &str| server.post(&format!("/{route}?model={name}")).body(left(9));
    let url = server.get("/predict").build().unwrap().url().clone();
    check(
        &server,
        vec![
            (
                server.get("/nothing/here"),
                404,
                "unknown_route",
                None,
                vec!["/nothing/here", "/predict"],
            ),
            (
                server.post("/predict/"),
                404,
                "unknown_route",
                None,
                vec!["/predict/"],
            ),
            (
                server.get("/predict"),
                405,
                "method_not_allowed",
                None,
                vec!["GET", "POST"],
            ),
            (
                server.post("/health").body("x"),
                405,
                "method_not_allowed",
                None,
                vec!["POST /health"],
            ),
            (
                server.client.request(Method::DELETE, url),
                405,
                "method_not_allowed",
                None,
                vec!["DELETE"],
            ),
            (
                model("nobody", "predict"),
                404,
                "unknown_model",
                Some("model"),
                vec!["nobody", "`halves`"],
            ),
            (
                model("../halves", "predict"),
                404,
                "unknown_model",
                Some("model"),
                vec![],
            ),
            (
                model("unreadable", "predict"),
                503,
                "model_not_ready",
                Some("model"),
                vec!["unreadable"],
            ),
            (
                model("rounded", "attack"),
                422,
                "no_gradient",
                None,
                vec!["Round", "/predict"],
            ),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_past_its_deadline_is_told_so_and_stops_working() {
    let server = Server::with(|config| {
        config.request_timeout = Duration::from_millis(300);
        config.max_cost = u64::MAX;
        config.max_steps = 1_000_000_000;
    })
    .await;
    let endless = "/attack?model=halves&eps=0.001&steps=1000000000";
    let case = (
        server.post(endless).body(left(90)),
        504,
        "timeout",
        None,
        vec!["0.3 seconds", "fewer"],
    );
    check(&server, vec![case]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_told_with_when_to_try_again() {
    let server = Server::with(|config| config.load.queue_bytes = 1).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..200 {
        requests.spawn(
            server
                .post("/attack?model=colour&steps=50&eps=0.001")
                .body(coloured())
                .send(),
        );
    }
    let mut overloaded = 0;
    while let Some(response) = requests.join_next().await {
        let response = response.unwrap().unwrap();
        if response.status() == 429 {
            overloaded += 1;
            assert_eq!(response.headers()["retry-after"], "1");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "overloaded");
        } else {
            support::ok(response).await;
        }
    }
    assert!(overloaded > 0);
    server.ask("/predict?model=halves", left(90)).await;
    server.stop().await;
}
