//! Certificates over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use serde_json::Value;
use support::{Server, base64, coloured, left, ok};

#[tokio::test]
async fn a_certificate_is_within_the_margin_and_the_same_wherever_its_image_comes() {
    let server = Server::start().await;
    let path = "/certify?model=halves&sigma=0.1&n=2000";
    let answer = server.ask(path, left(90)).await;
    let one = &answer["results"][0];
    assert_eq!(one["name"], "left");
    let radius = one["radius_l2"].as_f64().unwrap();
    // The halves differ by 90/255 in each of 64 pixels; moving all by half of that is an L2 distance of 8 * 45 / 255.
    assert!(radius > 0.1 && radius < 8.0 * 45.0 / 255.0, "{radius}");
    assert_eq!(one["forward_evaluations"], 2100);
    assert_eq!(
        (&answer["sigma"], &answer["n0"]),
        (&0.1.into(), &100.into())
    );
    let body = serde_json::json!({
        "images": [base64(&left(3)), base64(&left(90))],
        "model": "halves", "sigma": 0.1, "n": 2000,
    });
    let both = ok(server.post("/certify").json(&body).send().await.unwrap()).await;
    assert_eq!(&both["results"][1], one);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_certified_is_refused_by_its_field() {
    let server = Server::start().await;
    for (query, field, part) in [
        ("sigma=0", Some("sigma"), "0.25"),
        ("sigma=x", Some("sigma"), "`x`"),
        ("alpha=1", Some("alpha"), "below 1"),
        ("n=0", Some("n"), "10000"),
        ("n=1000000", None, "20000"),
        ("steps=1", Some("steps"), "`sigma`"),
    ] {
        let request = server.post(&format!("/certify?{query}")).body(coloured());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 422, "{query}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["field"].as_str(), field, "{body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    server.stop().await;
}
