use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    HALVES, JSON_LENGTH, bytes, close, floats, logits, refused, request, sides,
    support::{Server, ok},
    with_binary,
};

#[tokio::test]
async fn requests_that_do_not_fit_the_model_are_told_what_it_takes() {
    let server = Server::start().await;
    let row = sides(0.5, 0.0);
    let altered = |pointer: &str, value: Value| {
        let mut body = request(&row);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let inputs = |inputs: Value| altered("/inputs", inputs);
    let input = &request(&row)["inputs"][0];
    let outputs = |outputs: Value| {
        let mut body = request(&row);
        body["outputs"] = outputs;
        body
    };
    for (body, words) in [
        (
            inputs(json!([])),
            "the request has no input `image`: the model takes that one",
        ),
        (
            altered("/inputs/0/name", json!("pixels")),
            "the model has no input `pixels`: it takes `image` alone",
        ),
        (
            inputs(json!([input, input])),
            "input `image` is there twice: send all rows in one tensor",
        ),
        (
            altered("/inputs/0/datatype", json!("FP64")),
            "input `image` is FP64, but the model takes FP32: convert it first",
        ),
        (
            altered("/inputs/0/shape", json!([1, 8, 8])),
            "input `image` has the shape [1, 8, 8], but the model takes [-1, 1, 8, 8]: reshape it",
        ),
        (
            altered("/inputs/0/shape", json!([1, 1, 4, 16])),
            "input `image` has the shape [1, 1, 4, 16], but the model takes [-1, 1, 8, 8]: reshape it",
        ),
        (
            inputs(json!([{ "name": "image", "shape": [], "datatype": "FP32", "data": [1] }])),
            "input `image` has the shape [], but the model takes [-1, 1, 8, 8]: reshape it",
        ),
        (
            inputs(
                json!([{ "name": "image", "shape": [0, 1, 8, 8], "datatype": "FP32", "data": [] }]),
            ),
            "input `image` has no rows: send at least one",
        ),
        (
            outputs(json!([{ "name": "loss" }])),
            "the model has no output `loss`: ask for `logits`",
        ),
        (
            outputs(json!([{ "name": "logits" }, { "name": "logits" }])),
            "output `logits` is asked for twice: ask once",
        ),
    ] {
        let message = refused(server.post(HALVES).body(body.to_string()), 400).await;
        assert_eq!(message, words);
    }
    let raw = server.post(HALVES).header(JSON_LENGTH, 0).body("abc");
    assert_eq!(
        refused(raw, 400).await,
        "the raw tensor has 3 bytes, but one row of `image` (FP32, [1, 8, 8]) has 256: send one row, or several with their shape \
         in JSON"
    );
    server.stop().await;
}

#[tokio::test]
async fn malformed_bodies_and_headers_are_refused_and_the_server_serves_on() {
    let server = Server::start().await;
    let row = sides(0.5, 0.0);
    let with_header = |value: &str| server.post(HALVES).header(JSON_LENGTH, value).body("{}");
    let not_finite = [[f32::INFINITY; 32], [0.0; 32]].concat();
    for (request, part) in [
        (server.post(HALVES), "EOF"),
        (server.post(HALVES).body("no JSON"), "expected"),
        (server.post(HALVES).body(vec![0xff; 10]), "expected value"),
        (
            server.post(HALVES).body("[".repeat(100_000)),
            "deeper than 64",
        ),
        (
            with_header("-1"),
            "`Inference-Header-Content-Length` is `-1`",
        ),
        (with_header("3"), "only 2 bytes"),
        (with_header("1"), "EOF"),
        (
            with_binary(&server, request(&row), &row[1..]),
            "has 256 bytes",
        ),
        (
            with_binary(&server, request(&row), &not_finite),
            "element 0 is ",
        ),
    ] {
        let message = refused(request, 400).await;
        assert!(message.contains(part), "{message}");
        let answer = server.post(HALVES).json(&crate::request(&row));
        let answer = ok(answer.send().await.unwrap()).await;
        close(&floats(&answer["outputs"][0]["data"]), &logits(0.5, 0.0));
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_route_or_method_is_told_as_text_in_json() {
    let server = Server::start().await;
    let url = server.get("/v2").build().unwrap().url().clone();
    for (request, status, part) in [
        (server.get("/v2/nothing"), 404, "`/v2/nothing`"),
        (server.get("/v2/models"), 404, "`/v2/models`"),
        (server.get("/v2/trace/setting"), 404, "/v2/trace/setting"),
        (
            server.get("/v2/systemsharedmemory/status"),
            404,
            "/v2/systemsharedmemory",
        ),
        (server.get("/v2/models/%ff"), 400, "UTF-8"),
        (server.get(HALVES), 405, "GET"),
        (server.post("/v2/health/live"), 405, "POST"),
        (server.get("/v2/repository/index"), 405, "POST"),
        (server.client.request(Method::DELETE, url), 405, "DELETE"),
    ] {
        let message = refused(request, status).await;
        assert!(message.contains(part), "{message}");
    }
    let elsewhere = server.get("/v2x").send().await.unwrap();
    let body: Value = elsewhere.json().await.unwrap();
    assert_eq!(body["error"]["code"], "unknown_route");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_is_told_that_the_model_is_unknown() {
    let server = Server::start().await;
    let address = server.base.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let length = 8 << 20;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "POST /v2/models/nobody/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
        stream.write_all(&vec![0; length]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("`nobody`"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn bodies_and_tensors_have_a_limit() {
    let server = Server::with(|config| config.max_body_bytes = 4096).await;
    let long = server.post(HALVES).body(vec![b' '; 5000]);
    assert!(refused(long, 413).await.contains("4096"));
    let mut body = request(&sides(0.0, 0.0));
    body["inputs"][0]["shape"] = json!([17, 1, 8, 8]);
    let message = refused(server.post(HALVES).json(&body), 400).await;
    assert!(message.contains("4096 bytes allowed"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn time_is_bounded_by_the_request_and_by_the_server() {
    let server = Server::start().await;
    let mut body = request(&sides(0.5, 0.0));
    body["parameters"] = json!({ "timeout": 1 });
    let message = refused(server.post(HALVES).json(&body), 504).await;
    assert!(message.contains("0.000001 seconds"), "{message}");
    for timeout in [0, 60_000_000] {
        body["parameters"] = json!({ "timeout": timeout });
        ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
    }
    server.stop().await;

    let server = Server::with(|config| config.request_timeout = Duration::from_millis(200)).await;
    // The end of the body never comes.
    let start = futures::stream::iter([Ok::<_, std::io::Error>(bytes(&[0.0]))]);
    let endless = futures::StreamExt::chain(start, futures::stream::pending());
    let request = server
        .post(HALVES)
        .body(reqwest::Body::wrap_stream(endless));
    let message = refused(request, 408).await;
    assert!(message.contains("0.2 seconds"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_told_with_when_to_try_again() {
    let server = Server::with(|config| config.load.queue_bytes = 1).await;
    let body = json!({ "inputs": [{ "name": "image", "shape": [64, 3, 8, 8], "datatype": "FP32", "data": vec![0.5; 64 * 192] }] });
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let request = server.post("/v2/models/colour/infer").json(&body);
        requests.spawn(request.send());
    }
    let mut overloaded = 0;
    while let Some(response) = requests.join_next().await {
        let response = response.unwrap().unwrap();
        if response.status() == 429 {
            overloaded += 1;
            assert!(response.headers().contains_key("retry-after"));
            let body: Value = response.json().await.unwrap();
            assert!(body["error"].is_string(), "{body}");
        } else {
            ok(response).await;
        }
    }
    assert!(overloaded > 0);
    server.stop().await;
}
