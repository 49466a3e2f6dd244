//! The real server with the project's own models, over a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use base64::{Engine, prelude::BASE64_STANDARD};
use buckler_data::{Split, digits};
use ndarray::Array3;
use reqwest::{Client, Response, multipart};
use serde_json::{Value, json};
use support::{Server, mnist};

/// The first drawn test digit of `class` as a PNG.
fn digit(class: u16) -> Vec<u8> {
    let data = digits(Split::Test, 50, 0).unwrap();
    let index = data
        .labels()
        .iter()
        .position(|&label| label == class)
        .unwrap();
    let pixels = data.to_f32([index]).unwrap();
    let image = Array3::from_shape_vec((1, 28, 28), pixels).unwrap();
    buckler_runtime::encode_png(image.view()).unwrap()
}

/// A PNG header that announces `width` x `height` grey pixels, with no pixels behind it.
fn announced(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&header[12..]);
    header.extend(crc.sum().to_be_bytes());
    header
}

async fn post(server: &Server, path: &str, body: Vec<u8>) -> Response {
    let url = format!("{}{path}", server.url);
    Client::new().post(url).body(body).send().await.unwrap()
}

async fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn an_image_is_classified_and_attacked_however_it_is_sent() {
    let models = mnist();
    let server = Server::start(models.path());
    let png = digit(7);
    let query = "/attack?eps=0.1&steps=10&seed=5&return=image";
    let raw = ok(post(&server, query, png.clone()).await).await;

    let client = Client::new();
    let url = format!("{}/attack", server.url);
    let form = multipart::Form::new()
        .part(
            "image",
            multipart::Part::bytes(png.clone()).file_name("seven.png"),
        )
        .text("eps", "0.1")
        .text("steps", "10")
        .text("seed", "5")
        .text("return", "image");
    let form = ok(client.post(&url).multipart(form).send().await.unwrap()).await;
    let body = json!({
        "image": BASE64_STANDARD.encode(&png), "eps": 0.1, "steps": 10, "seed": 5, "return": "image",
    });
    let json = ok(client.post(&url).json(&body).send().await.unwrap()).await;
    let timeless = |answer: &Value| {
        let mut answer = answer.clone();
        answer.as_object_mut().unwrap().remove("seconds");
        answer
    };
    assert_eq!(timeless(&raw), timeless(&form));
    assert_eq!(timeless(&raw), timeless(&json));
    for field in [
        "outcome", "attack", "norm", "eps", "steps", "restarts", "seed", "model", "sha256",
        "clean", "cost",
    ] {
        assert!(!raw[field].is_null(), "{field}: {raw}");
    }
}

#[tokio::test]
async fn an_adversarial_png_that_is_said_to_fool_the_model_does() {
    let models = mnist();
    let server = Server::start(models.path());
    let mut fooled = 0;
    for class in 0..10 {
        let answer = ok(post(&server, "/attack?eps=0.5&return=image", digit(class)).await).await;
        if answer["png"]["still_adversarial"] != true {
            continue;
        }
        fooled += 1;
        let uri = answer["adversarial_png"].as_str().unwrap();
        let encoded = uri.strip_prefix("data:image/png;base64,").unwrap();
        let png = BASE64_STANDARD.decode(encoded).unwrap();
        let seen = ok(post(&server, "/predict", png).await).await;
        assert_ne!(seen["predictions"][0]["class"], answer["label"]);
        assert_eq!(
            seen["predictions"][0]["class"],
            answer["png"]["prediction"]["class"]
        );
        assert!(answer["adversarial"]["linf"].as_f64().unwrap() <= 0.5 + 1e-6);
    }
    assert!(fooled >= 5, "eps 0.5 fooled only {fooled} of 10");
}

#[tokio::test]
async fn bad_input_gets_a_json_error_and_the_server_goes_on() {
    let models = mnist();
    let mut server = Server::start(models.path());
    let png = digit(3);
    let truncated = png[..png.len() / 2].to_vec();
    let colours = {
        let image = Array3::from_shape_fn((3, 28, 28), |(c, y, x)| {
            ((c * 9 + y + x) % 28) as f32 / 28.0
        });
        buckler_runtime::encode_png(image.view()).unwrap()
    };
    for (path, body, status, code) in [
        ("/predict", b"not an image".to_vec(), 400, "not_an_image"),
        ("/predict", truncated, 400, "broken_image"),
        (
            "/predict",
            announced(20_000, 20_000),
            422,
            "image_too_large",
        ),
        ("/predict", Vec::new(), 400, "no_image"),
        ("/predict", vec![0; (10 << 20) + 1], 413, "body_too_large"),
        ("/predict", colours, 422, "wrong_channels"),
        ("/predict?model=absent", png.clone(), 404, "unknown_model"),
        ("/attack?eps=-1", png.clone(), 422, "invalid_value"),
        ("/attack?eps=NaN", png.clone(), 422, "invalid_value"),
        ("/attack?eps=300/255", png.clone(), 422, "invalid_value"),
        ("/attack?steps=0", png.clone(), 422, "invalid_value"),
        (
            "/attack?steps=1000000000",
            png.clone(),
            422,
            "invalid_value",
        ),
        ("/attack?target=10", png.clone(), 422, "invalid_value"),
        ("/attack?epsilon=1", png.clone(), 422, "unknown_field"),
        ("/nowhere", png.clone(), 404, "unknown_route"),
    ] {
        let response = post(&server, path, body).await;
        assert_eq!(response.status().as_u16(), status, "{path} {code}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["code"], code, "{path}: {error}");
        assert!(
            error["error"]["message"].as_str().unwrap().len() > 20,
            "{error}"
        );
    }
    assert!(server.is_running());
    ok(post(&server, "/predict", png).await).await;
}

/// Sends a signal to a server, and waits for its end.
#[cfg(unix)]
async fn ended_by(server: &mut Server, signal: &str) -> Option<i32> {
    let kill = std::process::Command::new("kill")
        .args(["-s", signal, &server.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(status) = server.status() {
            return status.code();
        }
        assert!(std::time::Instant::now() < deadline, "still running");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_and_sighup_stop_the_server_in_order() {
    let models = mnist();
    for signal in ["TERM", "HUP"] {
        let mut server = Server::start(models.path());
        assert_eq!(ended_by(&mut server, signal).await, Some(0), "{signal}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_a_server_that_waits_for_its_requests() {
    let models = mnist();
    let mut server = Server::start_with(models.path(), &["--drain", "600"]);
    let first = std::process::Command::new("kill")
        .arg(server.id().to_string())
        .status();
    assert!(first.unwrap().success());
    let url = format!("{}/v2/health/ready", server.url);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while reqwest::get(&url).await.unwrap().status() == 200 {
        assert!(std::time::Instant::now() < deadline, "still ready");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(server.is_running());
    assert_eq!(ended_by(&mut server, "TERM").await, Some(130));
}
