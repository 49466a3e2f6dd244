//! From an image file to an answer: what is refused, and what is said about what was done to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use image::{DynamicImage, ImageBuffer, LumaA, Rgba, RgbaImage};
use reqwest::{StatusCode, header::ACCEPT};
use serde_json::{Value, json};
use support::{Server, ok, png};

fn fixture(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/data/tests/fixtures");
    std::fs::read(format!("{path}/{name}")).unwrap()
}

/// Black ink on the left of a transparent ground.
fn ink() -> Vec<u8> {
    png(DynamicImage::ImageLumaA8(ImageBuffer::from_fn(
        8,
        8,
        |x, _| LumaA([0, if x < 4 { 255 } else { 0 }]),
    )))
}

const ROUTES: [&str; 3] = [
    "/predict?model=",
    "/attack?steps=2&eps=0.01&model=",
    "/certify?n0=4&n=8&model=",
];

#[tokio::test]
async fn a_jpeg_that_is_cut_off_is_refused_by_every_route() {
    let server = Server::start().await;
    for name in ["baseline-420.jpg", "progressive-420.jpg"] {
        let whole = fixture(name);
        for route in ROUTES {
            let ask = |bytes: &[u8]| {
                server
                    .post(&format!("{route}colour"))
                    .body(bytes.to_vec())
                    .send()
            };
            for part in [2, 10] {
                let response = ask(&whole[..whole.len() / part]).await.unwrap();
                assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name} {route}");
                let body: Value = response.json().await.unwrap();
                assert_eq!(body["error"]["code"], "broken_image", "{body}");
                assert_eq!(body["error"]["field"], "image");
                let message = body["error"]["message"].as_str().unwrap();
                assert!(
                    message.starts_with("image 0: ") && message.contains("cut off"),
                    "{message}"
                );
            }
            ok(ask(&whole[..whole.len() - 2]).await.unwrap()).await;
            ok(ask(&[&whole[..], b"a film"].concat()).await.unwrap()).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_lies_under_transparent_pixels_is_said_and_can_be_chosen() {
    let server = Server::start().await;
    for route in ROUTES {
        for (background, color, class) in [
            ("", "#000000", None),
            // The ground is brighter than the ink.
            ("&background=%23ffffff", "#ffffff", Some("right")),
            ("&background=FFFFFF", "#ffffff", Some("right")),
        ] {
            let answer = server
                .ask(&format!("{route}halves{background}"), ink())
                .await;
            let expected = format!("image 0: transparent pixels were laid over {color}");
            assert_eq!(answer["assumptions"], json!([expected]), "{route}");
            if let (Some(class), true) = (class, route.starts_with("/predict")) {
                assert_eq!(answer["predictions"][0]["name"], class);
            }
        }
    }
    let path = "/attack?model=halves&steps=8&eps=0.5&background=ffffff";
    for (accept, event) in [("text/event-stream", true), ("image/png", false)] {
        let request = server.post(path).header(ACCEPT, accept).body(ink());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let header = response.headers().get("x-buckler-assumptions").cloned();
        let said = match event {
            true => response.text().await.unwrap(),
            false => header.unwrap().to_str().unwrap().to_owned(),
        };
        assert!(
            said.contains("image 0: transparent pixels were laid over #ffffff"),
            "{said}"
        );
    }
    server.stop().await;
}

/// Nothing is said where there is nothing to say; and each image has its own notes.
#[tokio::test]
async fn notes_are_about_single_images() {
    let server = Server::start().await;
    let opaque = png(RgbaImage::from_pixel(8, 8, Rgba([9, 9, 9, 255])));
    let images: Vec<String> = [&opaque, &ink(), &fixture("exif-6.jpg")]
        .map(|bytes| support::base64(bytes))
        .to_vec();
    let request = server
        .post("/predict?model=colour")
        .json(&json!({ "images": images }));
    let answer = ok(request.send().await.unwrap()).await;
    let notes: Vec<&str> = answer["assumptions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|line| line.as_str().filter(|line| line.starts_with("image ")))
        .collect();
    assert_eq!(
        notes,
        [
            "image 1: transparent pixels were laid over #000000",
            "image 2: it was turned as its EXIF orientation says",
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_background_that_is_not_a_colour_is_refused() {
    let server = Server::start().await;
    for route in ROUTES {
        for wrong in ["white", "%23fff", "%23%2b12345"] {
            let path = format!("{route}halves&background={wrong}");
            let response = server.post(&path).body(ink()).send().await.unwrap();
            assert_eq!(
                response.status(),
                StatusCode::UNPROCESSABLE_ENTITY,
                "{path}"
            );
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "invalid_value");
            assert_eq!(body["error"]["field"], "background");
        }
    }
    server.stop().await;
}
