use reqwest::{StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    HALVES, JSON_LENGTH, bytes, close, floats, logits, request, sides,
    support::{Server, ok},
    with_binary,
};

#[tokio::test]
async fn json_goes_in_and_comes_out() {
    let server = Server::start().await;
    let mut body = request(&sides(0.75, 0.25));
    for path in [HALVES, "/v2/models/halves/versions/1/infer"] {
        let request = server.post(path).body(body.to_string());
        let answer = ok(request.send().await.unwrap()).await;
        let output = &answer["outputs"][0];
        close(&floats(&output["data"]), &logits(0.75, 0.25));
        assert_eq!(output["name"], "logits");
        assert_eq!(output["shape"], json!([1, 3]));
        assert_eq!(output["datatype"], "FP32");
        assert_eq!(output.get("parameters"), None);
        assert_eq!(answer["model_name"], "halves");
        assert_eq!(answer["model_version"], "1");
        assert_eq!(answer.get("id"), None);
    }
    body["id"] = json!("a \"b\"");
    let answer = ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
    assert_eq!(answer["id"], "a \"b\"");
    server.stop().await;
}

#[tokio::test]
async fn rows_are_answered_in_order_flat_or_nested() {
    let server = Server::start().await;
    let rows: Vec<f32> = (0..40)
        .flat_map(|row| sides(row as f32 / 40.0, 0.5))
        .collect();
    let lists =
        |values: &[f32], size: usize| -> Value { values.chunks(size).map(Value::from).collect() };
    let nested: Value = rows.chunks(64).map(|row| json!([lists(row, 8)])).collect();
    for data in [json!(rows), nested] {
        let body = json!({ "inputs": [{ "name": "image", "shape": [40, 1, 8, 8], "datatype": "FP32", "data": data }] });
        let answer = ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
        assert_eq!(answer["outputs"][0]["shape"], json!([40, 3]));
        let expected: Vec<f32> = (0..40)
            .flat_map(|row| logits(row as f32 / 40.0, 0.5))
            .collect();
        close(&floats(&answer["outputs"][0]["data"]), &expected);
    }
    server.stop().await;
}

/// The JSON and the tensor behind it.
async fn binary(response: reqwest::Response) -> (Value, Vec<f32>) {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/octet-stream");
    let length: usize = response.headers()[JSON_LENGTH]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let body = response.bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&body[..length]).unwrap();
    let (floats, rest) = body[length..].as_chunks();
    assert!(rest.is_empty());
    let size = &answer["outputs"][0]["parameters"]["binary_data_size"];
    assert_eq!(*size, json!(body.len() - length));
    assert_eq!(answer["outputs"][0].get("data"), None);
    (
        answer,
        floats
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect(),
    )
}

#[tokio::test]
async fn each_side_is_binary_or_json_as_it_is_asked() {
    let server = Server::start().await;
    let row = sides(0.25, 0.5);
    let expected = logits(0.25, 0.5);
    let output =
        |binary: bool| json!([{ "name": "logits", "parameters": { "binary_data": binary } }]);
    let whole = |binary: bool| json!({ "binary_data_output": binary });
    for (outputs, parameters, is_binary) in [
        (Value::Null, Value::Null, false),
        (Value::Null, whole(true), true),
        (json!([]), whole(true), true),
        (json!([{ "name": "logits" }]), whole(true), true),
        (output(true), Value::Null, true),
        (output(true), whole(false), true),
        (output(false), whole(true), false),
    ] {
        let mut body = request(&row);
        body["id"] = json!("7");
        body["outputs"] = outputs;
        body["parameters"] = parameters;
        for request in [
            server.post(HALVES).body(body.to_string()),
            with_binary(&server, body.clone(), &row),
        ] {
            let response = request.send().await.unwrap();
            let (answer, data) = if is_binary {
                binary(response).await
            } else {
                let answer = ok(response).await;
                let data = floats(&answer["outputs"][0]["data"]);
                (answer, data)
            };
            close(&data, &expected);
            assert_eq!(answer["id"], "7");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn one_raw_row_needs_no_json() {
    let server = Server::start().await;
    let request = server
        .post(HALVES)
        .header(JSON_LENGTH, 0)
        .body(bytes(&sides(1.0, 0.0)));
    let (answer, data) = binary(request.send().await.unwrap()).await;
    assert_eq!(answer["outputs"][0]["shape"], json!([1, 3]));
    close(&data, &logits(1.0, 0.0));
    server.stop().await;
}

#[tokio::test]
async fn classification_gives_the_highest_classes_with_their_names() {
    let server = Server::start().await;
    let mut body = request(&sides(0.5, 0.25));
    body["inputs"][0]["shape"] = json!([2, 1, 8, 8]);
    body["inputs"][0]["data"] = json!([sides(0.5, 0.25), sides(0.25, 0.75)].concat());
    body["outputs"] = json!([{ "name": "logits", "parameters": { "classification": 2 } }]);
    let answer = ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
    assert_eq!(
        answer["outputs"],
        json!([{
            "name": "logits",
            "shape": [2, 2],
            "datatype": "BYTES",
            "data": ["3:0:left", "-3:1:right", "6:1:right", "-3:2:neither"],
        }])
    );
    body["outputs"][0]["parameters"]["classification"] = json!(100);
    let answer = ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
    assert_eq!(answer["outputs"][0]["shape"], json!([2, 3]));

    let colour = json!({
        "inputs": [{ "name": "image", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": vec![0.5; 192] }],
        "outputs": [{ "name": "logits", "parameters": { "classification": 1 } }],
    });
    let request = server.post("/v2/models/colour/infer").json(&colour);
    let answer = ok(request.send().await.unwrap()).await;
    let text = answer["outputs"][0]["data"][0].as_str().unwrap();
    assert_eq!(
        text.split(':').count(),
        2,
        "a class without a name has no label: {text}"
    );
    server.stop().await;
}
