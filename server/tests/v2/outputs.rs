//! All of a model's own outputs, under their own names.
use std::path::Path;

use buckler_onnx::{Model, proto::DataType};
use serde_json::{Value, json};

use crate::{
    JSON_LENGTH, bytes, close, floats, refused, request, sides,
    support::{
        GREY, Server,
        models::{Batch, Builder, named, numbers, port},
        ok, store,
    },
};

/// Features, probabilities, the class and a mean over all rows; classes are read from the probabilities, whose softmax is left out.
fn model() -> Model {
    let mut builder = Builder::new(GREY, Batch::Any);
    builder.floats("W1", &[64, 6], &numbers(64 * 6, 1));
    builder.floats("W2", &[6, 3], &numbers(18, 2));
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("MatMul", &["flat", "W1"], "embedding", &[]);
    builder.node("MatMul", &["embedding", "W2"], "z", &[]);
    builder.node("Softmax", &["z"], "p", &[]);
    builder.node("ArgMax", &["z"], "class", &[("axis", &[1])]);
    builder.node("ReduceMean", &["z"], "loss", &[("keepdims", &[0])]);
    builder.finish_as(
        None,
        vec![
            named("loss", DataType::Float, &[]),
            port("embedding", None, &[6]),
            named("class", DataType::Int64, &["batch", "1"]),
            port("p", None, &[3]),
        ],
    )
}

async fn server() -> Server {
    let server = Server::sound().await;
    let root: &Path = server.models.path();
    store(root, "several", &model());
    let load = server.post("/v2/repository/models/several/load");
    ok(load.send().await.unwrap()).await;
    server
}

#[tokio::test]
async fn the_metadata_lists_all_outputs_as_the_file_has_them() {
    let server = server().await;
    let get = async |path: &str| ok(server.get(path).send().await.unwrap()).await;
    let metadata = get("/v2/models/several").await;
    assert_eq!(
        metadata["outputs"],
        json!([
            { "name": "loss", "datatype": "FP32", "shape": [] },
            { "name": "embedding", "datatype": "FP32", "shape": [-1, 6] },
            { "name": "class", "datatype": "INT64", "shape": [-1, 1] },
            { "name": "p", "datatype": "FP32", "shape": [-1, 3] },
        ])
    );
    let config = get("/v2/models/several/config").await;
    assert_eq!(config["output"][2]["data_type"], "TYPE_INT64");
    assert_eq!(config["output"][1]["dims"], json!([6]));
    server.stop().await;
}

#[tokio::test]
async fn outputs_that_are_asked_for_come_in_that_order_and_all_where_none_is() {
    let server = server().await;
    let path = "/v2/models/several/infer";
    let infer = async |body: &Value| ok(server.post(path).json(body).send().await.unwrap()).await;
    let mut body = request(&sides(0.75, 0.25));
    let names = |answer: &Value| -> Vec<String> {
        let outputs = answer["outputs"].as_array().unwrap().iter();
        outputs
            .map(|output| output["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = infer(&body).await;
    assert_eq!(names(&all), ["loss", "embedding", "class", "p"]);
    let probabilities = floats(&all["outputs"][3]["data"]);
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    let best = (0..3)
        .max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]))
        .unwrap();
    assert_eq!(all["outputs"][2]["data"], json!([best]));
    let embedding = floats(&all["outputs"][1]["data"]);
    let weights = numbers(64 * 6, 1);
    let expected: Vec<f32> = (0..6)
        .map(|column| {
            let pixels = sides(0.75, 0.25);
            let products = pixels.iter().enumerate();
            products
                .map(|(row, pixel)| pixel * weights[row * 6 + column])
                .sum()
        })
        .collect();
    close(&embedding, &expected);

    body["outputs"] = json!([{ "name": "p" }, { "name": "embedding" }]);
    let two = infer(&body).await;
    assert_eq!(names(&two), ["p", "embedding"]);
    close(&floats(&two["outputs"][0]["data"]), &probabilities);
    close(&floats(&two["outputs"][1]["data"]), &embedding);
    body["outputs"] = json!([{ "name": "p" }]);
    close(
        &floats(&infer(&body).await["outputs"][0]["data"]),
        &probabilities,
    );
    body["outputs"] = json!([{ "name": "p", "parameters": { "classification": 1 } }]);
    let text = infer(&body).await["outputs"][0]["data"][0].to_string();
    assert!(text.contains(&format!(":{best}")), "{text}");

    // More rows than one batch holds.
    let rows: Vec<f32> = (0..40)
        .flat_map(|row| sides(row as f32 / 40.0, 0.5))
        .collect();
    let mut many = json!({ "inputs": [{ "name": "image", "shape": [40, 1, 8, 8], "datatype": "FP32", "data": rows }] });
    many["outputs"] = json!([{ "name": "embedding" }, { "name": "class" }]);
    let answer = infer(&many).await;
    assert_eq!(answer["outputs"][0]["shape"], json!([40, 6]));
    assert_eq!(answer["outputs"][1]["shape"], json!([40, 1]));
    server.stop().await;
}

#[tokio::test]
async fn a_raw_row_is_answered_with_all_outputs_and_unknown_ones_are_named() {
    let server = server().await;
    let request_to = || server.post("/v2/models/several/infer");
    let raw = request_to()
        .header(JSON_LENGTH, 0)
        .body(bytes(&sides(0.5, 0.25)))
        .send()
        .await
        .unwrap();
    let length: usize = raw.headers()[JSON_LENGTH]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let body = raw.bytes().await.unwrap();
    assert_eq!(body.len() - length, 4 + 6 * 4 + 8 + 3 * 4);
    let mut body = request(&sides(0.5, 0.25));
    body["outputs"] = json!([{ "name": "other" }]);
    let message = refused(request_to().json(&body), 400).await;
    assert!(
        message.contains("`loss`, `embedding`, `class`, `p`"),
        "{message}"
    );
    body["outputs"] = json!([{ "name": "embedding", "parameters": { "classification": 1 } }]);
    let message = refused(request_to().json(&body), 400).await;
    assert!(message.contains("ask for those of `p`"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn rows_that_were_run_alone_are_said_to_be() {
    let mut builder = Builder::new(GREY, Batch::Any);
    builder.floats("W", &[64, 3], &numbers(192, 1));
    builder.ints("first", &[0]);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("ReduceMean", &["flat", "first"], "mean", &[]);
    builder.node("Sub", &["flat", "mean"], "centred", &[]);
    builder.node("MatMul", &["centred", "W"], "logits", &[]);
    let server = Server::sound().await;
    store(server.models.path(), "batch", &builder.finish(&[3]));
    let load = server.post("/v2/repository/models/batch/load");
    ok(load.send().await.unwrap()).await;
    let metadata = ok(server.get("/v2/models/batch").send().await.unwrap()).await;
    let said = metadata["parameters"]["assumptions"].as_str().unwrap();
    assert!(said.contains("images are run one at a time"), "{said}");
    let alone = json!({ "rows_run_alone": true });
    for (model, channels, alone) in [("batch", 1, alone), ("colour", 3, Value::Null)] {
        let body = json!({ "inputs": [{
            "name": "image", "datatype": "FP32", "shape": [2, channels, 8, 8], "data": vec![0.5; 128 * channels],
        }] });
        let infer = server
            .post(&format!("/v2/models/{model}/infer"))
            .json(&body);
        let answer = ok(infer.send().await.unwrap()).await;
        assert_eq!(answer["parameters"], alone, "{answer}");
    }
    server.stop().await;
}
