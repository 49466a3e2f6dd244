//! The API's document against what the server answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{env, fs, path::Path};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use support::{Server, base64, coloured, left, timeless};

struct Document(Value);

impl Document {
    async fn of(server: &Server) -> Self {
        let response = server.get("/openapi.json").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        Self(response.json().await.unwrap())
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.0["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not documented");
        operation
    }

    /// A schema of this document must take a value, with nothing in it that it does not describe.
    fn check(&self, schema: &Value, value: &Value, about: &str) {
        let mut schema = schema.clone();
        let whole = schema.as_object_mut().unwrap();
        whole.insert("components".to_owned(), self.0["components"].clone());
        if !whole.contains_key("oneOf") {
            whole.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{about}: {errors:#?} in {value:#}");
    }

    fn component(&self, name: &str, value: &Value) {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        self.check(&schema, value, name);
    }

    /// The status, the type and the body of an answer must be as documented.
    async fn check_answer(&self, method: &str, path: &str, response: Response) -> Value {
        let about = format!("{method} {path}: {}", response.status());
        let responses = &self.operation(method, path)["responses"];
        let documented = &responses[response.status().as_str()];
        assert!(documented.is_object(), "{about} is not documented");
        let headers = response.headers().clone();
        for name in documented["headers"].as_object().into_iter().flatten() {
            assert!(
                headers.contains_key(name.0) || path == "/attack" || path.ends_with("/infer"),
                "{about} lacks {name:?}"
            );
        }
        assert_eq!(headers["content-type"], "application/json", "{about}");
        let body = response.json().await.unwrap();
        let schema = &documented["content"]["application/json"]["schema"];
        self.check(schema, &body, &about);
        body
    }
}

/// What the document's examples are the answers to.
fn examples(server: &Server) -> Vec<(&'static str, &'static str, &'static str, RequestBuilder)> {
    let image = |path: &str| server.post(path).body(left(40));
    vec![
        (
            "predict",
            "post",
            "/predict",
            image("/predict?model=halves"),
        ),
        (
            "predict-unknown-model",
            "post",
            "/predict",
            image("/predict?model=quarters"),
        ),
        (
            "predict-unknown-field",
            "post",
            "/predict",
            image("/predict?model=halves&top=3"),
        ),
        (
            "attack-found",
            "post",
            "/attack",
            image("/attack?model=halves&eps=32/255&return=image"),
        ),
        (
            "attack-not-found",
            "post",
            "/attack",
            image("/attack?model=halves&eps=8/255"),
        ),
        (
            "attack-radii",
            "post",
            "/attack",
            image("/attack?model=halves&eps=8/255,32/255&attack=fgsm"),
        ),
        (
            "attack-smallest",
            "post",
            "/attack",
            image("/attack?model=halves&eps=64/255&min_eps=true"),
        ),
        (
            "attack-no-image",
            "post",
            "/attack",
            server.post("/attack?model=halves"),
        ),
        (
            "attack-no-picture",
            "post",
            "/attack",
            image("/attack?model=halves&eps=8/255").header("accept", "image/png"),
        ),
        (
            "attack-invalid-value",
            "post",
            "/attack",
            image("/attack?model=halves&eps=300/255"),
        ),
        (
            "certify",
            "post",
            "/certify",
            image("/certify?model=halves&sigma=0.1&n=1000"),
        ),
        ("models", "get", "/models", server.get("/models")),
        ("attacks", "get", "/attacks", server.get("/attacks")),
        ("health", "get", "/health", server.get("/health")),
        ("v2-server", "get", "/v2", server.get("/v2")),
        (
            "v2-model",
            "get",
            "/v2/models/{model}",
            server.get("/v2/models/halves"),
        ),
        (
            "v2-config",
            "get",
            "/v2/models/{model}/config",
            server.get("/v2/models/halves/config"),
        ),
        (
            "v2-unknown-version",
            "get",
            "/v2/models/{model}/versions/{version}/ready",
            server.get("/v2/models/halves/versions/7/ready"),
        ),
        ("v2-infer", "post", INFER, infer(server, json!({}))),
        (
            "v2-infer-classes",
            "post",
            INFER,
            infer(server, json!({ "classification": 2 })),
        ),
        (
            "v2-infer-wrong-shape",
            "post",
            INFER,
            server.post("/v2/models/halves/infer").json(&tensor(3)),
        ),
        (
            "v2-load",
            "post",
            "/v2/repository/models/{model}/load",
            server.post("/v2/repository/models/halves/load"),
        ),
    ]
}

const INFER: &str = "/v2/models/{model}/infer";

/// Rows that are brighter on the left, of so many columns.
fn tensor(columns: usize) -> Value {
    let row = (0..columns).map(|x| if x < 4 { 0.5 } else { 0.4 });
    let rows = vec![row.collect::<Vec<_>>(); 8];
    let input = json!({ "name": "image", "shape": [1, 1, 8, columns], "datatype": "FP32", "data": [[rows]] });
    json!({ "id": "42", "inputs": [input] })
}

fn infer(server: &Server, parameters: Value) -> RequestBuilder {
    let mut body = tensor(8);
    body["outputs"] = json!([{ "name": "logits", "parameters": parameters }]);
    server.post("/v2/models/halves/infer").json(&body)
}

#[tokio::test]
async fn every_example_is_what_the_server_answers() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openapi/examples");
    let mut shown = 0;
    for (name, method, path, request) in examples(&server) {
        let response = request.send().await.unwrap();
        let status = response.status().as_str().to_owned();
        let answer = document.check_answer(method, path, response).await;
        if env::var_os("BUCKLER_WRITE_EXAMPLES").is_some() {
            let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
            fs::write(folder.join(format!("{name}.json")), text).unwrap();
            continue;
        }
        let content = &document.operation(method, path)["responses"][&status]["content"];
        let example = &content["application/json"]["examples"][name]["value"];
        let (example, answer) = (timeless(example.clone()), timeless(answer));
        assert!(alike(&example, &answer), "{name}: {example:#}\n{answer:#}");
        shown += 1;
    }
    if env::var_os("BUCKLER_WRITE_EXAMPLES").is_none() {
        assert_eq!(shown, fs::read_dir(folder).unwrap().count());
    }
    server.stop().await;
}

/// Equal, but for the last digits of numbers.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-4 * a.abs().max(b.abs()).max(1e-3)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| alike(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => one == other,
    }
}

#[tokio::test]
async fn answers_to_good_and_bad_requests_are_as_documented() {
    let server = Server::with(|config| config.max_body_bytes = 64 << 10).await;
    let document = Document::of(&server).await;
    let json = |path: &str, body: Value| server.post(path).json(&body);
    for path in ["/predict", "/attack", "/certify"] {
        let ask = |query: &str| server.post(&format!("{path}?{query}")).body(left(40));
        let both = json!({ "images": [base64(&left(40)), base64(&left(90))], "model": "halves" });
        for request in [
            ask("model=halves"),
            json(path, both),
            ask("model=nobody"),
            ask("model=unreadable"),
            ask("model=halves&seed=x&top_k=x"),
            ask("nonsense=1"),
            ask("model=%ff%zz"),
            server.post(path),
            json(path, json!([1])),
            json(path, json!({ "image": "?" })),
            server.post(path).body(vec![1; 65 << 10]),
            server.post(path).body("no image"),
            server
                .post(&format!("{path}?model=halves"))
                .body(coloured()),
        ] {
            let response = request.send().await.unwrap();
            document.check_answer("post", path, response).await;
        }
    }
    for attack in short_attacks(&server).await {
        let path = format!("/attack?model=halves&eps=0.3&attack={attack}&return=image");
        let response = server.post(&path).body(left(40)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{attack}");
        document.check_answer("post", "/attack", response).await;
    }
    for query in [
        "model=rounded",
        "model=halves&target=left&label=left",
        "model=halves&norm=l2&eps=3&label=neither",
        "model=halves&steps=1000&restarts=50",
        "model=colour&norm=l1&eps=1,2",
        "model=halves&attack=feature",
    ] {
        let request = server.post(&format!("/attack?{query}")).body(left(40));
        document
            .check_answer("post", "/attack", request.send().await.unwrap())
            .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn answers_below_v2_are_as_documented() {
    let server = Server::with(|config| config.max_body_bytes = 64 << 10).await;
    let document = Document::of(&server).await;
    let post = |path: &str, body: &Value| server.post(path).json(body);
    let long = vec![b' '; 65 << 10];
    let halves = "/v2/models/halves";
    for (path, request) in [
        ("/v2/health/live", server.get("/v2/health/live")),
        // One of the models cannot be read.
        ("/v2/health/ready", server.get("/v2/health/ready")),
        ("/v2/models/stats", server.get("/v2/models/stats")),
        ("/v2/models/{model}", server.get("/v2/models/nobody")),
        ("/v2/models/{model}", server.get("/v2/models/unreadable")),
        (
            "/v2/models/{model}/ready",
            server.get(&format!("{halves}/ready")),
        ),
        (
            "/v2/models/{model}/stats",
            server.get(&format!("{halves}/stats")),
        ),
        (
            "/v2/models/{model}/versions/{version}",
            server.get(&format!("{halves}/versions/1")),
        ),
        (
            "/v2/models/{model}/versions/{version}/config",
            server.get(&format!("{halves}/versions/9/config")),
        ),
    ] {
        let response = request.send().await.unwrap();
        document.check_answer("get", path, response).await;
    }
    let at = format!("{halves}/infer");
    let version = format!("{halves}/versions/1/infer");
    let load = "/v2/repository/models/{model}/load";
    let unload = "/v2/repository/models/{model}/unload";
    let config = json!({ "parameters": { "config": "{}" } });
    for (path, request) in [
        (INFER, post(&at, &tensor(8))),
        (INFER, post(&at, &tensor(7))),
        (INFER, post("/v2/models/nobody/infer", &tensor(8))),
        (INFER, server.post(&at).body("{")),
        (INFER, server.post(&at).body(long.clone())),
        (
            INFER,
            post(&at, &tensor(8)).header("content-encoding", "br"),
        ),
        (
            INFER,
            post(&at, &tensor(8)).header("inference-header-content-length", "x"),
        ),
        (
            INFER,
            post(&at, &tensor(8)).header("x-request-timeout-ms", "x"),
        ),
        (
            "/v2/models/{model}/versions/{version}/infer",
            post(&version, &tensor(8)),
        ),
        ("/v2/repository/index", server.post("/v2/repository/index")),
        (
            "/v2/repository/index",
            post("/v2/repository/index", &json!({ "ready": true })),
        ),
        (
            "/v2/repository/index",
            server.post("/v2/repository/index").body("["),
        ),
        (load, post("/v2/repository/models/halves/load", &config)),
        (load, server.post("/v2/repository/models/nobody/load")),
        (load, server.post("/v2/repository/models/unreadable/load")),
        (unload, server.post("/v2/repository/models/nobody/unload")),
        (unload, server.post("/v2/repository/models/halves/unload")),
        (INFER, post(&at, &tensor(8))),
    ] {
        let response = request.send().await.unwrap();
        document.check_answer("post", path, response).await;
    }
    server.stop().await;
}

/// The attacks that a request may ask for, with few steps.
async fn short_attacks(server: &Server) -> Vec<String> {
    let listed = server.get("/attacks").send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    let attacks = listed["attacks"].as_array().unwrap().iter();
    let query = |attack: &Value| {
        let name = attack["name"].as_str().unwrap();
        let settings = attack["settings"].as_array().unwrap();
        let steps = settings.contains(&"steps".into());
        format!("{name}{}", if steps { "&steps=3" } else { "" })
    };
    attacks.map(query).collect()
}

#[tokio::test]
async fn events_hold_what_the_document_says() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    let request = server
        .post("/attack?model=colour&eps=4/255&steps=30")
        .header("accept", "text/event-stream");
    let text = request.body(coloured()).send().await.unwrap().text();
    let text = text.await.unwrap();
    let mut seen = 0;
    for block in text.split("\n\n").filter(|block| block.contains("event:")) {
        let line = |start| block.lines().find_map(|line| line.strip_prefix(start));
        let data = serde_json::from_str(line("data:").unwrap()).unwrap();
        let schema = match line("event:").unwrap().trim() {
            "accepted" => "Accepted",
            "progress" => "Seen",
            "result" => "Attacked",
            other => panic!("{other}"),
        };
        document.component(schema, &data);
        seen += 1;
    }
    assert!(seen > 2);
    server.stop().await;
}

#[tokio::test]
async fn the_documented_parameters_are_those_that_are_taken() {
    let server = Server::start().await;
    let document = Document::of(&server).await;
    for path in ["/predict", "/attack", "/certify"] {
        let request = server.post(&format!("{path}?nonsense=1")).body(left(1));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        let (_, known) = message.split_once("use ").unwrap();
        let known: Vec<_> = known
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        let operation = document.operation("post", path);
        let parameters = operation["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), known.len(), "{path}");
        for name in &known {
            assert!(names.contains(name), "{path} takes {name}");
        }
        let bodies = operation["requestBody"]["content"].as_object().unwrap();
        let json = &bodies["application/json"]["schema"]["anyOf"];
        for (schema, images) in [
            (&bodies["multipart/form-data"]["schema"], "image"),
            (&json[0], "image"),
            (&json[1], "images"),
        ] {
            let members = schema["properties"].as_object().unwrap();
            assert_eq!(members.len(), known.len() + 1);
            assert!(known.iter().all(|name| members.contains_key(*name)));
            assert_eq!(schema["required"], json!([images]));
        }
    }
    let request = server.post("/certify?model=halves").body(left(90));
    let taken: Value = request.send().await.unwrap().json().await.unwrap();
    let certify = document.operation("post", "/certify")["parameters"].as_array();
    for parameter in certify.unwrap() {
        if let Some(default) = parameter["schema"].get("default") {
            let name = parameter["name"].as_str().unwrap();
            assert!(alike(&taken[name], default), "{name}: {taken}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_reader_of_the_document_is_served_and_its_errors_are_json() {
    let server = Server::start().await;
    let page = server.get("/docs").send().await.unwrap();
    assert!(page.status().is_success());
    assert!(page.headers().contains_key("content-security-policy"));
    let text = page.text().await.unwrap();
    assert!(
        text.contains("swagger-ui") && !text.contains("https://"),
        "{text}"
    );
    let missing = server.get("/docs/missing.js").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    let body: Value = missing.json().await.unwrap();
    assert_eq!(body["error"]["code"], "unknown_route");
    server.stop().await;
}
