use serde_json::{Value, json};

use crate::{
    HALVES, refused, request, sides,
    support::{Server, ok},
};

async fn stats(server: &Server, path: &str) -> Value {
    ok(server.get(path).send().await.unwrap()).await["model_stats"].clone()
}

#[tokio::test]
async fn every_inference_is_counted_with_its_time() {
    let server = Server::sound().await;
    let path = "/v2/models/halves/stats";
    let nothing = json!({ "count": 0, "ns": 0 });
    let before = stats(&server, path).await;
    for kind in [
        "success",
        "fail",
        "queue",
        "compute_input",
        "compute_infer",
        "compute_output",
        "cache_hit",
        "cache_miss",
    ] {
        assert_eq!(before[0]["inference_stats"][kind], nothing, "{kind}");
    }

    let row = sides(0.5, 0.0);
    let mut two = request(&row);
    two["inputs"][0]["shape"] = json!([2, 1, 8, 8]);
    two["inputs"][0]["data"] = json!([row.clone(), row.clone()].concat());
    for body in [request(&row), two] {
        ok(server.post(HALVES).json(&body).send().await.unwrap()).await;
    }
    refused(server.post(HALVES).body("{}"), 400).await;
    refused(server.post("/v2/models/nobody/infer").body("{}"), 404).await;

    let after = stats(&server, path).await;
    assert_eq!(
        (&after[0]["name"], &after[0]["version"]),
        (&json!("halves"), &json!("1"))
    );
    assert_eq!(after[0]["inference_count"], 3);
    assert_eq!(after[0]["execution_count"], 2);
    let kinds = &after[0]["inference_stats"];
    let ns = |kind: &str| kinds[kind]["ns"].as_u64().unwrap();
    for kind in [
        "success",
        "compute_input",
        "compute_infer",
        "compute_output",
    ] {
        assert_eq!(kinds[kind]["count"], 2, "{kind}");
        assert!(ns(kind) > 0, "{kind}");
    }
    assert_eq!(kinds["fail"]["count"], 1);
    let parts = ns("queue") + ns("compute_input") + ns("compute_infer") + ns("compute_output");
    assert_eq!(ns("success"), parts);

    assert_eq!(
        stats(&server, "/v2/models/halves/versions/1/stats").await,
        after
    );
    let all = stats(&server, "/v2/models/stats").await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(
        (&all[0]["name"], &all[0]["inference_count"]),
        (&json!("colour"), &json!(0))
    );
    assert_eq!(all[1], after[0]);
    server.stop().await;
}
