use std::io::{Read, Write};

use flate2::{
    Compression,
    read::{GzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use reqwest::{
    StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};
use serde_json::{Value, json};

use crate::{
    HALVES, JSON_LENGTH, bytes, close, floats, logits, refused, request, sides,
    support::{Server, left, ok},
};

fn compressed(encoding: &str, data: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn decompressed(encoding: &str, data: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    match encoding {
        "gzip" => GzDecoder::new(data).read_to_end(&mut result).unwrap(),
        _ => ZlibDecoder::new(data).read_to_end(&mut result).unwrap(),
    };
    result
}

#[tokio::test]
async fn bodies_may_be_compressed_and_the_header_counts_them_before() {
    let server = Server::start().await;
    let row = sides(0.75, 0.0);
    let json = json!({
        "inputs": [{ "name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "parameters": { "binary_data_size": 256 } }],
    });
    let json = json.to_string();
    let body = [json.as_bytes(), &bytes(&row)].concat();
    for encoding in ["gzip", "deflate"] {
        let request = server
            .post(HALVES)
            .header(CONTENT_ENCODING, encoding)
            .header(JSON_LENGTH, json.len())
            .body(compressed(encoding, &body));
        let answer = ok(request.send().await.unwrap()).await;
        close(&floats(&answer["outputs"][0]["data"]), &logits(0.75, 0.0));
    }
    server.stop().await;
}

#[tokio::test]
async fn codings_are_told_as_the_standard_says() {
    let server = Server::start().await;
    let body = request(&sides(0.75, 0.0)).to_string().into_bytes();
    let whole = compressed("gzip", &body);
    let (start, end) = body.split_at(30);
    let members = [compressed("gzip", start), compressed("gzip", end)].concat();
    for (coding, body) in [
        ("GZIP", &whole),
        ("x-gzip", &whole),
        ("X-GZip", &whole),
        ("identity, gzip", &whole),
        ("gzip", &members),
        ("Identity", &body),
    ] {
        let request = server.post(HALVES).header(CONTENT_ENCODING, coding);
        ok(request.body(body.clone()).send().await.unwrap()).await;
    }
    let image = compressed("gzip", &left(90));
    let request = server.post("/predict?model=halves");
    let request = request.header(CONTENT_ENCODING, "GZip").body(image);
    ok(request.send().await.unwrap()).await;
    let junk = [whole.as_slice(), b"something else"].concat();
    let request = server.post(HALVES).header(CONTENT_ENCODING, "gzip");
    assert!(
        refused(request.body(junk), 400)
            .await
            .contains("could not be read")
    );
    for twice in ["gzip, gzip", "deflate, gzip", "zstd"] {
        let request = server.post(HALVES).header(CONTENT_ENCODING, twice);
        let message = refused(request.body(whole.clone()), 415).await;
        assert!(message.contains(&format!("`{twice}`")), "{message}");
    }
    server.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_on_request_and_failures_never() {
    let server = Server::start().await;
    let mut body = request(&sides(0.75, 0.0));
    for encoding in ["gzip", "deflate"] {
        for binary in [false, true] {
            body["parameters"] = json!({ "binary_data_output": binary });
            let request = server
                .post(HALVES)
                .header(ACCEPT_ENCODING, encoding)
                .json(&body);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[CONTENT_ENCODING], encoding);
            let length = response.headers().get(JSON_LENGTH).cloned();
            let answer = decompressed(encoding, &response.bytes().await.unwrap());
            let length = length.map_or(answer.len(), |length| {
                length.to_str().unwrap().parse().unwrap()
            });
            let answer: Value = serde_json::from_slice(&answer[..length]).unwrap();
            assert_eq!(answer["model_name"], "halves");
        }
        let request = server
            .post(HALVES)
            .header(ACCEPT_ENCODING, encoding)
            .body("{}");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        let failure: Value = response.json().await.unwrap();
        assert!(failure["error"].is_string());
    }
    server.stop().await;
}

#[tokio::test]
async fn compressed_bodies_are_bounded_and_others_are_refused() {
    let server = Server::with(|config| config.max_body_bytes = 64 << 10).await;
    let post = |encoding: &str, body: Vec<u8>| {
        server
            .post(HALVES)
            .header(CONTENT_ENCODING, encoding)
            .body(body)
    };
    for encoding in ["gzip", "deflate"] {
        let bomb = compressed(encoding, &vec![b' '; 50 << 20]);
        assert!(bomb.len() < 64 << 10);
        assert!(refused(post(encoding, bomb), 413).await.contains("65536"));
        let broken = post(encoding, b"neither of them".to_vec());
        assert!(refused(broken, 400).await.contains("could not be read"));
        let mut cut = compressed(encoding, request(&sides(0.0, 0.0)).to_string().as_bytes());
        cut.truncate(40);
        assert!(
            refused(post(encoding, cut), 400)
                .await
                .contains("could not be read")
        );
    }
    let plain = request(&sides(0.0, 0.0)).to_string().into_bytes();
    ok(post("identity", plain).send().await.unwrap()).await;
    let message = refused(post("br", b"{}".to_vec()), 415).await;
    assert!(
        message.contains("`br`") && message.contains("gzip"),
        "{message}"
    );
    server.stop().await;
}
