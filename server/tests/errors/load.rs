use std::time::Duration;

use serde_json::Value;

use crate::check;
use crate::support::{self, Server, coloured, left};

#[tokio::test]
async fn a_request_past_its_deadline_says_what_it_has_or_that_it_has_nothing() {
    let server = Server::with(|config| {
        config.request_timeout = Duration::from_millis(1500);
        config.max_cost = u64::MAX;
        config.max_steps = 1_000_000_000;
    })
    .await;
    let endless = "/attack?model=halves&eps=0.001&steps=1000000000";
    let partial = server.ask(endless, left(90)).await;
    assert_eq!(partial["outcome"], "incomplete");
    let steps = partial["tried"]["steps"].as_u64().unwrap();
    assert!(steps > 0 && steps < 1_000_000_000, "{partial}");
    assert!(partial["note"].as_str().unwrap().contains("stopped"));
    let case = (
        server
            .post(&format!("{endless}&partial=false"))
            .body(left(90)),
        504,
        "timeout",
        None,
        vec!["1.5 seconds", "fewer"],
    );
    check(&server, vec![case]).await;
    server.stop().await;
}

#[tokio::test]
async fn an_attack_without_a_place_is_told_when_to_come_again_and_a_vanished_client_leaves_its_own()
{
    let server = Server::with(|config| {
        config.max_attacks = 1;
        config.max_cost = u64::MAX;
        config.max_steps = 1_000_000_000;
    })
    .await;
    let endless = "/attack?model=halves&eps=0.001&steps=1000000000";
    let events = server.post(endless).header("accept", "text/event-stream");
    // The answer begins once the attack has its place.
    let client = events.body(left(90)).send().await.unwrap();
    let short = "/attack?model=colour&steps=2&eps=0.001";
    let refused = server.post(short).body(coloured()).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(wait >= 1);
    let response = server.post(endless).body(left(90)).send().await.unwrap();
    assert_eq!(response.status(), 429);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "too_late");
    drop(client);
    while server
        .post(short)
        .body(coloured())
        .send()
        .await
        .unwrap()
        .status()
        != 200
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
