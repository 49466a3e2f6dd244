//! Every way to send an image, and the routes that take none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use reqwest::{
    header::CONTENT_TYPE,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use support::{Server, base64, coloured, left, ok, timeless};

fn form(images: &[Vec<u8>], fields: &[(&'static str, &'static str)]) -> Form {
    let form = images.iter().fold(Form::new(), |form, image| {
        form.part("image", Part::bytes(image.clone()).file_name("x.png"))
    });
    fields
        .iter()
        .fold(form, |form, (name, value)| form.text(*name, *value))
}

#[tokio::test]
async fn every_form_of_a_prediction_gives_the_same_answer() {
    let server = Server::start().await;
    let image = left(90);
    let encoded = base64(&image);
    let path = "/predict?model=halves";
    let expected = server.ask(path, image.clone()).await;
    assert_eq!(expected["predictions"][0]["name"], "left");
    assert_eq!(
        (&expected["model"], &expected["version"]),
        (&json!("halves"), &json!("1"))
    );
    assert_eq!(expected["assumptions"], json!([]));
    for request in [
        server
            .post(path)
            .header(CONTENT_TYPE, "image/png")
            .body(image.clone()),
        server
            .post(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(image.clone()),
        server
            .post(path)
            .multipart(form(std::slice::from_ref(&image), &[])),
        server
            .post("/predict")
            .multipart(form(&[image], &[("model", "halves")])),
        server.post(path).json(&json!({ "image": encoded })),
        server
            .post("/predict")
            .json(&json!({ "image": encoded, "model": "halves" })),
        server
            .post(path)
            .json(&json!({ "images": [format!("data:image/png;base64,{encoded}")] })),
    ] {
        assert_eq!(ok(request.send().await.unwrap()).await, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn every_form_of_an_attack_gives_the_same_answer() {
    let server = Server::start().await;
    let image = left(40);
    let path = "/attack?model=halves&eps=0.125&steps=5&seed=3&target=right&label=0";
    let expected = timeless(server.ask(path, image.clone()).await);
    assert_eq!(expected["outcome"], "adversarial_found", "{expected}");
    let fields = [
        ("model", "halves"),
        ("eps", "0.125"),
        ("steps", "5"),
        ("seed", "3"),
        ("target", "1"),
        ("label", "left"),
    ];
    let mut members = json!({
        "image": base64(&image), "model": "halves", "eps": 0.125, "steps": 5, "seed": "3", "target": "right", "label": 0,
    });
    for request in [
        server
            .post("/attack")
            .multipart(form(std::slice::from_ref(&image), &fields)),
        server.post("/attack").json(&members),
        server
            .post(path)
            .multipart(form(std::slice::from_ref(&image), &[("steps", "5")])),
    ] {
        assert_eq!(timeless(ok(request.send().await.unwrap()).await), expected);
    }
    members["image"] = Value::Null;
    members.as_object_mut().unwrap().remove("image");
    members["images"] = json!([base64(&image), base64(&left(80))]);
    let mut several =
        timeless(ok(server.post("/attack").json(&members).send().await.unwrap()).await);
    for (place, result) in several["results"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        assert_eq!(
            result.as_object_mut().unwrap().remove("image"),
            Some(json!(place))
        );
    }
    assert_eq!(several["results"].as_array().unwrap().len(), 2);
    assert_eq!(several["results"][0], expected);
    server.stop().await;
}

#[tokio::test]
async fn repeated_images_are_answered_in_order() {
    let server = Server::start().await;
    let images = [
        left(90),
        left(0),
        support::png(image::DynamicImage::new_luma8(8, 8)),
    ];
    let request = server
        .post("/predict?model=halves")
        .multipart(form(&images, &[]));
    let answer = ok(request.send().await.unwrap()).await;
    let predictions = answer["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 3);
    for (prediction, image) in predictions.iter().zip(images) {
        assert_eq!(
            server.ask("/predict?model=halves", image).await["predictions"][0],
            *prediction
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn the_default_model_and_what_it_assumes_are_stated() {
    let server = Server::start().await;
    let answer = server.ask("/predict", coloured()).await;
    assert_eq!(answer["model"], "colour");
    let assumptions: Vec<String> = serde_json::from_value(answer["assumptions"].clone()).unwrap();
    for part in ["[0, 1]", "numbered", "default"] {
        assert!(
            assumptions.iter().any(|line| line.contains(part)),
            "{assumptions:?}"
        );
    }
    server.stop().await;
    let server = Server::with(|config| config.default_model = Some("halves".to_owned())).await;
    assert_eq!(server.ask("/predict", left(9)).await["model"], "halves");
    server.stop().await;
}

#[tokio::test]
async fn models_and_health_tell_what_can_be_used() {
    let server = Server::start().await;
    let models = ok(server.get("/models").send().await.unwrap()).await;
    assert_eq!(models["default"], "colour");
    let state: Vec<_> = models["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| {
            (
                model["name"].as_str().unwrap(),
                model["state"].as_str().unwrap(),
                model["attackable"].as_bool(),
            )
        })
        .collect();
    assert_eq!(
        state,
        [
            ("colour", "ready", Some(true)),
            ("halves", "ready", Some(true)),
            ("rounded", "ready", Some(false)),
            ("unreadable", "failed", None),
        ]
    );
    assert_eq!(
        models["models"][1]["classes"],
        json!(["left", "right", "neither"])
    );
    assert_eq!(models["models"][1]["card"]["name"], "halves");
    assert!(
        models["models"][2]["not_attackable_because"]
            .as_str()
            .unwrap()
            .contains("Round")
    );
    assert!(!models["models"][3]["reason"].as_str().unwrap().is_empty());
    let health = ok(server.get("/health").send().await.unwrap()).await;
    assert_eq!(
        health,
        json!({ "status": "ok", "models": { "ready": 3, "failed": 1 } })
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_models_or_with_an_unknown_default_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    for (config, part) in [
        (
            buckler_server::Config::new(directory.path()),
            "<name>/<version>/model.onnx",
        ),
        (buckler_server::Config::new("/nowhere"), "/nowhere"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = buckler_server::run(listener, config, std::future::pending())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
