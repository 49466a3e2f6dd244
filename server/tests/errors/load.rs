use std::time::Duration;

use serde_json::Value;

use crate::check;
use crate::support::{self, Server, coloured, left};

#[tokio::test]
async fn a_request_past_its_deadline_is_told_so_and_stops_working() {
    let server = Server::with(|config| {
        config.request_timeout = Duration::from_millis(300);
        config.max_cost = u64::MAX;
        config.max_steps = 1_000_000_000;
    })
    .await;
    let endless = "/attack?model=halves&eps=0.001&steps=1000000000";
    let case = (
        server.post(endless).body(left(90)),
        504,
        "timeout",
        None,
        vec!["0.3 seconds", "fewer"],
    );
    check(&server, vec![case]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_told_with_when_to_try_again() {
    let server = Server::with(|config| config.load.queue_bytes = 1).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..200 {
        requests.spawn(
            server
                .post("/attack?model=colour&steps=50&eps=0.001")
                .body(coloured())
                .send(),
        );
    }
    let mut overloaded = 0;
    while let Some(response) = requests.join_next().await {
        let response = response.unwrap().unwrap();
        if response.status() == 429 {
            overloaded += 1;
            assert_eq!(response.headers()["retry-after"], "1");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "overloaded");
        } else {
            support::ok(response).await;
        }
    }
    assert!(overloaded > 0);
    server.ask("/predict?model=halves", left(90)).await;
    server.stop().await;
}
