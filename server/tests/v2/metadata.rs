use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    refused,
    support::{Server, ok},
};

#[tokio::test]
async fn the_server_tells_that_it_lives_and_what_it_can() {
    let server = Server::sound().await;
    let get = async |path: &str| ok(server.get(path).send().await.unwrap()).await;
    assert_eq!(get("/v2/health/live").await, json!({ "live": true }));
    assert_eq!(get("/v2/health/ready").await, json!({ "ready": true }));
    for path in ["/v2", "/v2/"] {
        let answer = get(path).await;
        assert_eq!(answer["name"], "buckler");
        assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(
            answer["extensions"],
            json!([
                "binary_tensor_data",
                "classification",
                "model_repository",
                "statistics"
            ])
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_with_a_broken_model_lives_but_is_not_ready() {
    let server = Server::start().await;
    let live = server.get("/v2/health/live").send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
    let ready = server.get("/v2/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = ready.json().await.unwrap();
    assert_eq!(body, json!({ "ready": false }));
    server.stop().await;
}

#[tokio::test]
async fn a_model_tells_its_tensors_with_and_without_its_version() {
    let server = Server::start().await;
    for path in ["/v2/models/colour", "/v2/models/colour/versions/1"] {
        let get =
            async |rest: &str| ok(server.get(&format!("{path}{rest}")).send().await.unwrap()).await;
        let mut metadata = get("").await;
        let said = metadata["parameters"].take();
        let said = said["assumptions"].as_str().unwrap();
        assert!(
            said.contains("in the order RGB; images of another size"),
            "{said}"
        );
        assert_eq!(
            metadata,
            json!({
                "name": "colour",
                "parameters": null,
                "versions": ["1"],
                "platform": "onnxruntime_onnx",
                "inputs": [{ "name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8] }],
                "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, 4] }],
            })
        );
        assert_eq!(
            get("/ready").await,
            json!({ "name": "colour", "ready": true })
        );
        assert_eq!(
            get("/config").await,
            json!({
                "name": "colour",
                "platform": "onnxruntime_onnx",
                "backend": "onnxruntime",
                "max_batch_size": 16,
                "dynamic_batching": {},
                "input": [{ "name": "image", "data_type": "TYPE_FP32", "format": "FORMAT_NCHW", "dims": [3, 8, 8] }],
                "output": [{ "name": "logits", "data_type": "TYPE_FP32", "dims": [4] }],
            })
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_models_and_versions_are_404_and_broken_ones_503() {
    let server = Server::start().await;
    for (name, status, part) in [
        ("nobody", 404, "`nobody`"),
        ("halves/versions/2", 404, "version `2`"),
        ("halves/versions/one", 404, "version `one`"),
        ("unreadable", 503, "not ready"),
    ] {
        for rest in ["", "/ready", "/config", "/stats", "/infer"] {
            let path = format!("/v2/models/{name}{rest}");
            let request = match rest {
                "/infer" => server.post(&path).body("{}"),
                _ => server.get(&path),
            };
            let message = refused(request, status).await;
            assert!(message.contains(part), "{path} {message}");
        }
    }
    server.stop().await;
}
