use reqwest::{Body, header::CONTENT_TYPE};
use serde_json::json;

use crate::check;
use crate::support::{Server, base64, coloured, left, png};

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
