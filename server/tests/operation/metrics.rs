use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use buckler_server::Scope;
use reqwest::Method;

use crate::{
    ALL, key,
    page::Page,
    refused,
    support::{Server, coloured, left, ok},
};

#[tokio::test]
async fn series_are_there_from_the_start_at_zero_but_for_those_of_batches_and_attacks() {
    let server = Server::start().await;
    let page = Page::of(&server).await;
    for name in [
        "buckler_attack_backlog_seconds",
        "buckler_build_info",
        "buckler_attack_evaluations_total",
        "buckler_http_connections",
        "buckler_http_connections_cut_total",
        "buckler_http_in_flight",
        "buckler_http_request_seconds",
        "buckler_http_requests_total",
        "buckler_model_ready",
        "buckler_rejected_total",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ] {
        assert!(page.names().contains(name), "no {name} in\n{}", page.text);
    }
    for (name, labels, value) in page.samples() {
        let expected = match name {
            name if name.starts_with("process_") => continue,
            // The request for this page.
            "buckler_http_in_flight" | "buckler_http_connections" | "buckler_build_info" => 1.0,
            "buckler_model_ready" if labels["model"] != "unreadable" => 1.0,
            _ => 0.0,
        };
        assert_eq!(value, expected, "{name} {labels:?}");
    }
    let models: Vec<_> = page
        .having("buckler_attack_evaluations_total", &[])
        .map(|(labels, _)| labels["model"].as_str())
        .collect();
    assert_eq!(models, ["colour", "halves", "rounded", "unreadable"]);
    page.check_histograms();
    server.stop().await;
}

/// The names with their labels in the table of `docs/operation.md`.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operation.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("\n## Metrics").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, rest) = row.split_once("` | ").unwrap();
        let labels = rest.split(" | ").next().unwrap();
        let labels = labels.split('`').skip(1).step_by(2);
        (name.to_owned(), labels.map(str::to_owned).collect())
    })
    .collect()
}

#[tokio::test]
async fn what_the_server_does_is_counted_where_it_was_done() {
    let (server, idle) = tokio::join!(Server::start(), Server::start());
    Page::of(&server).await;
    for _ in 0..3 {
        server.ask("/predict?model=halves", left(90)).await;
    }
    let found = server
        .ask("/attack?model=halves&eps=32/255&steps=10", left(40))
        .await;
    server
        .ask("/attack?model=halves&eps=1/255,2/255&attack=fgsm", left(40))
        .await;
    let events = server
        .post("/attack?model=colour&eps=8/255&steps=3")
        .header("accept", "text/event-stream")
        .body(coloured());
    events.send().await.unwrap().text().await.unwrap();
    refused(server.post("/predict?model=nobody").body(left(1)), 404).await;
    let page = Page::of(&server).await;
    page.check_histograms();

    let requests = |route: &str, status: &str| {
        let labels = [("route", route), ("method", "POST"), ("status", status)];
        page.sum("buckler_http_requests_total", &labels)
    };
    assert_eq!(requests("/predict", "200"), 3.0);
    assert_eq!(requests("/predict", "404"), 1.0);
    assert_eq!(requests("/attack", "200"), 3.0);
    let of_predict = [("route", "/predict")];
    assert_eq!(
        page.sum("buckler_http_request_seconds_count", &of_predict),
        4.0
    );
    assert!(page.sum("buckler_http_request_seconds_sum", &of_predict) > 0.0);
    assert_eq!(page.sum("buckler_http_in_flight", &[]), 1.0);

    let predicted = [("model", "halves"), ("lane", "predict")];
    for name in ["batch_rows", "queue_seconds", "compute_seconds"] {
        let count = page.sum(&format!("buckler_{name}_count"), &predicted);
        assert_eq!(count, 3.0, "{name}");
    }
    assert_eq!(page.sum("buckler_batch_rows_sum", &predicted), 3.0);

    let attacks = |model: &str, attack: &str, eps: &str, outcome: &str| {
        let labels = [
            ("model", model),
            ("attack", attack),
            ("eps", eps),
            ("outcome", outcome),
        ];
        page.sum("buckler_attacks_total", &labels)
    };
    assert_eq!(
        attacks("halves", "pgd", "gt_16_255", "adversarial_found"),
        1.0
    );
    assert_eq!(attacks("halves", "fgsm", "le_2_255", "not_found"), 2.0);
    let streamed = [("model", "colour"), ("attack", "pgd"), ("eps", "le_8_255")];
    assert_eq!(page.sum("buckler_attacks_total", &streamed), 1.0);
    assert_eq!(page.sum("buckler_attacks_total", &[]), 4.0);
    let asked = page.sum("buckler_attack_evaluations_total", &[("model", "halves")]);
    let reported = found["gradient_evaluations"].as_f64().unwrap();
    assert!(asked > reported && asked < 100.0, "{asked} {reported}");
    let ran = [("model", "halves"), ("lane", "attack")];
    assert_eq!(page.sum("buckler_batch_rows_sum", &ran), asked);

    assert_eq!(page.families(), documented());

    let page = Page::of(&idle).await;
    assert_eq!(page.sum("buckler_http_requests_total", &[]), 0.0);
    assert_eq!(page.count("buckler_batch_rows_count", &[]), 0.0);
    server.stop().await;
    idle.stop().await;
}

#[tokio::test]
async fn what_clients_invent_is_no_label() {
    let server = Server::start().await;
    for path in ["/invented/path", "/attack/invented", "/%69nvented"] {
        refused(server.get(path), 404).await;
    }
    refused(server.post("/predict?model=invented").body(left(1)), 404).await;
    let url = server.get("/predict").build().unwrap().url().clone();
    let method = Method::from_bytes(b"INVENTED").unwrap();
    refused(server.client.request(method, url), 405).await;
    let page = Page::of(&server).await;
    let unknown = [("route", "none"), ("status", "404")];
    assert_eq!(page.sum("buckler_http_requests_total", &unknown), 3.0);
    let other = [
        ("route", "/predict"),
        ("method", "other"),
        ("status", "405"),
    ];
    assert_eq!(page.sum("buckler_http_requests_total", &other), 1.0);
    assert!(
        !page.text.to_lowercase().contains("invented"),
        "{}",
        page.text
    );
    server.stop().await;
}

#[tokio::test]
async fn refusals_are_counted_by_their_code() {
    let server = Server::with(|config| {
        config.keys = vec![key("a", &[Scope::Predict])];
        config.metrics_need_key = true;
    })
    .await;
    let (_, code, _) = refused(server.get("/metrics"), 401).await;
    assert_eq!(code, "no_key");
    refused(server.get("/models").bearer_auth("b"), 401).await;
    refused(server.post("/attack").bearer_auth("a"), 403).await;
    let answer = server.get("/metrics").bearer_auth("a").send();
    let text = answer.await.unwrap().text().await.unwrap();
    for (reason, count) in [
        ("no_key", 1),
        ("wrong_key", 1),
        ("missing_scope", 1),
        ("rate_limited", 0),
    ] {
        let line = format!("buckler_rejected_total{{reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "no {line} in\n{text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_attack_whose_client_leaves_is_counted_as_unanswered() {
    let server = Server::with(|config| {
        config.keys = vec![key("a", ALL)];
        config.max_cost = u64::MAX;
        config.max_steps = 1_000_000;
    })
    .await;
    let path = "/attack?model=colour&eps=1/255&steps=500000";
    let mut response = server
        .post(path)
        .bearer_auth("a")
        .header("accept", "text/event-stream")
        .header("content-type", "image/png")
        .body(coloured())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.chunk().await.unwrap().unwrap();
    let backlog = [("model", "colour")];
    let page = Page::of(&server).await;
    assert!(page.sum("buckler_attack_backlog_seconds", &backlog) > 0.0);
    drop(response);
    let left = [("model", "colour"), ("outcome", "unanswered")];
    let mut page = Page::of(&server).await;
    for _ in 0..200 {
        if page.count("buckler_attacks_total", &left) == 1.0
            && page.sum("buckler_attack_backlog_seconds", &backlog) == 0.0
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        page = Page::of(&server).await;
    }
    assert_eq!(page.sum("buckler_attacks_total", &left), 1.0);
    assert_eq!(page.sum("buckler_attacks_total", &[]), 1.0);
    assert_eq!(page.sum("buckler_attack_backlog_seconds", &backlog), 0.0);
    ok(server.get("/health").send().await.unwrap()).await;
    server.stop().await;
}
