use std::fs;

use serde_json::{Value, json};

use crate::{
    HALVES, refused, request, sides,
    support::{Server, ok},
};

async fn index(server: &Server, body: &'static str) -> Value {
    let request = server.post("/v2/repository/index").body(body);
    ok(request.send().await.unwrap()).await
}

#[tokio::test]
async fn the_index_lists_every_model_with_its_state() {
    let server = Server::start().await;
    let ready =
        |name: &str| json!({ "name": name, "version": "1", "state": "READY", "reason": "" });
    let all = index(&server, "").await;
    assert_eq!(all[0], ready("colour"));
    assert_eq!(all[1], ready("halves"));
    assert_eq!(all[2], ready("rounded"));
    assert_eq!(all[3]["name"], "unreadable");
    assert_eq!(all[3]["state"], "UNAVAILABLE");
    assert!(!all[3]["reason"].as_str().unwrap().is_empty());
    assert_eq!(index(&server, "{}").await, all);
    assert_eq!(index(&server, "null").await, all);
    assert_eq!(
        index(&server, r#"{"ready": true}"#)
            .await
            .as_array()
            .unwrap()
            .len(),
        3
    );
    server.stop().await;
}

#[tokio::test]
async fn a_model_is_unloaded_and_loaded_by_request() {
    let server = Server::sound().await;
    let post = |path: &str, body: &'static str| {
        server
            .post(&format!("/v2/repository/models/{path}"))
            .body(body)
    };
    let body = request(&sides(0.5, 0.0));
    let infer = || server.post(HALVES).json(&body);
    for (unload, load) in [
        ("", ""),
        ("{}", "{}"),
        (
            r#"{"parameters": {"unload_dependents": false}}"#,
            r#"{"parameters": {}}"#,
        ),
    ] {
        let answer = ok(post("halves/unload", unload).send().await.unwrap()).await;
        assert_eq!(answer, json!({ "name": "halves", "ready": false }));
        assert!(refused(infer(), 503).await.contains("unloaded"));
        assert!(
            refused(server.get("/v2/models/halves/ready"), 503)
                .await
                .contains("unloaded")
        );
        let listed = &index(&server, "").await[1];
        assert_eq!(
            (&listed["state"], &listed["version"]),
            (&json!("UNAVAILABLE"), &json!("1"))
        );
        // What was asked for is no reason to take the server out of service.
        ok(server.get("/v2/health/ready").send().await.unwrap()).await;
        let answer = ok(post("halves/load", load).send().await.unwrap()).await;
        assert_eq!(answer, json!({ "name": "halves", "ready": true }));
        ok(infer().send().await.unwrap()).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn loading_brings_in_the_highest_version_and_a_broken_one_changes_nothing() {
    let server = Server::sound().await;
    let halves = server.models.path().join("halves");
    let load = || server.post("/v2/repository/models/halves/load");
    fs::create_dir(halves.join("2")).unwrap();
    fs::copy(halves.join("1/model.onnx"), halves.join("2/model.onnx")).unwrap();
    ok(load().send().await.unwrap()).await;
    let metadata = ok(server.get("/v2/models/halves").send().await.unwrap()).await;
    assert_eq!(metadata["versions"], json!(["2"]));
    assert!(
        refused(server.get("/v2/models/halves/versions/1"), 404)
            .await
            .contains('2')
    );

    fs::create_dir(halves.join("3")).unwrap();
    fs::write(halves.join("3/model.onnx"), "?").unwrap();
    assert!(refused(load(), 400).await.contains("`halves` is not ready"));
    ok(server
        .get("/v2/models/halves/versions/2")
        .send()
        .await
        .unwrap())
    .await;
    ok(server.get("/v2/health/ready").send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_served_on_after_its_files_were_broken_is_told_where_models_are_listed() {
    let server = Server::sound().await;
    let card = server.models.path().join("halves/1/card.json");
    let load = || server.post("/v2/repository/models/halves/load");
    let reasons = async || {
        let models = ok(server.get("/models").send().await.unwrap()).await;
        let halves = models["models"].as_array().unwrap();
        let halves = halves.iter().find(|model| model["name"] == "halves");
        let halves = halves.unwrap().clone();
        assert_eq!(halves["state"], "ready");
        let listed = index(&server, "").await;
        let listed = listed.as_array().unwrap().iter();
        let listed = listed.filter(|listed| listed["name"] == "halves");
        let [listed] = listed.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(listed["state"], "READY");
        (halves.get("reason").cloned(), listed["reason"].clone())
    };
    assert_eq!(reasons().await, (None, json!("")));
    fs::write(&card, "{").unwrap();
    assert!(refused(load(), 400).await.contains("card.json"));
    let (reason, listed) = reasons().await;
    assert_eq!(reason, Some(listed.clone()));
    let listed = listed.as_str().unwrap();
    assert!(
        listed.contains("card.json") && listed.contains("what was loaded before is served"),
        "{listed}"
    );
    fs::remove_file(&card).unwrap();
    ok(load().send().await.unwrap()).await;
    assert_eq!(reasons().await, (None, json!("")));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told() {
    let server = Server::start().await;
    let post =
        |path: &str, body: &'static str| server.post(&format!("/v2/repository/{path}")).body(body);
    for (request, status, part) in [
        (post("models/nobody/load", "{}"), 404, "`nobody`"),
        (post("models/nobody/unload", "{}"), 404, "`nobody`"),
        (post("models/..%2Fhalves/load", "{}"), 404, "`../halves`"),
        (post("models/unreadable/load", ""), 400, "`unreadable`"),
        (post("models/halves/load", "{\"parameters\""), 400, "EOF"),
        (post("models/halves/load", "3"), 400, "expected an object"),
        (post("index", "{\"ready\": 1}"), 400, "expected a boolean"),
        (
            post("models/halves/load", r#"{"parameters": {"config": "{}"}}"#),
            400,
            "`config` is not supported",
        ),
        (
            post(
                "models/halves/load",
                r#"{"parameters": {"file:1/model.onnx": "QQ=="}}"#,
            ),
            400,
            "`file:1/model.onnx` is not supported",
        ),
    ] {
        let message = refused(request, status).await;
        assert!(message.contains(part), "{message}");
    }
    server.stop().await;
}
