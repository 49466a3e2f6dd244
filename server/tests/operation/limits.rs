use std::{num::NonZero, time::Duration};

use buckler_server::{Key, Scope};
use futures::future::join_all;
use reqwest::StatusCode;

use crate::{
    ALL, key, refused,
    support::{Server, left, ok},
};

#[tokio::test]
async fn a_key_may_send_so_many_requests_in_a_second() {
    let server = Server::with(|config| {
        let slow = Key {
            requests_per_second: NonZero::new(2),
            ..key("slow", &[Scope::Predict])
        };
        config.keys = vec![slow, key("other", ALL)];
    })
    .await;
    let ask = |plain: &str| server.get("/models").bearer_auth(plain);
    let answers = join_all((0..20).map(|_| ask("slow").send())).await;
    let mut allowed = 0;
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == StatusCode::OK {
            allowed += 1;
            continue;
        }
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
        let body = answer.json::<serde_json::Value>().await.unwrap();
        assert_eq!(body["error"]["code"], "rate_limited");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("`slow`") && message.contains("2 requests"));
    }
    // More than two only where the twenty took longer than half a second.
    assert!((2..20).contains(&allowed), "{allowed}");
    for answer in join_all((0..20).map(|_| ask("other").send())).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    ok(ask("slow").send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_key_s_attacks_are_paid_from_its_budget_before_they_are_admitted() {
    let server = Server::with(|config| {
        let poor = |name: &str| Key {
            attack_evaluations_per_minute: NonZero::new(100),
            ..key(name, ALL)
        };
        config.keys = vec![poor("poor"), poor("fresh")];
    })
    .await;
    // A price of `steps` + 1.
    let attack = |plain: &str, steps: u32| {
        let path = format!("/attack?model=halves&eps=1/255&steps={steps}");
        server.post(&path).body(left(90)).bearer_auth(plain)
    };
    for _ in 0..2 {
        ok(attack("poor", 44).send().await.unwrap()).await;
    }
    let (headers, code, message) = refused(attack("poor", 44), 429).await;
    assert_eq!(code, "attack_budget");
    let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    // 35 are missing, and come back within 21 seconds.
    assert!((1..=21).contains(&wait), "{wait}");
    assert!(
        message.contains("45") && message.contains("100"),
        "{message}"
    );
    ok(attack("fresh", 44).send().await.unwrap()).await;

    let (headers, code, message) = refused(attack("fresh", 100), 422).await;
    assert_eq!(code, "beyond_attack_budget");
    assert!(!headers.contains_key("retry-after"));
    assert!(
        message.contains("101") && message.contains("100"),
        "{message}"
    );
    let certify = server.post("/certify?model=halves&n=1000&n0=10");
    let (_, code, _) = refused(certify.body(left(90)).bearer_auth("fresh"), 422).await;
    assert_eq!(code, "beyond_attack_budget");
    let predict = server.post("/predict?model=halves").body(left(90));
    ok(predict.bearer_auth("poor").send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_costs_nothing_of_the_budget() {
    let server = Server::with(|config| {
        config.keys = vec![Key {
            attack_evaluations_per_minute: NonZero::new(100),
            ..key("poor", ALL)
        }];
    })
    .await;
    let attack = |query: &str, body: Vec<u8>| {
        let path = format!("/attack?model=halves&steps=44&{query}");
        server.post(&path).body(body).bearer_auth("poor")
    };
    let damaged = left(90)[..60].to_vec();
    for _ in 0..4 {
        refused(attack("eps=1/255", damaged.clone()), 400).await;
        let two = attack("eps=1/255,2/255", left(90)).header("accept", "image/png");
        refused(two, 422).await;
        refused(attack("eps=1/255&label=nobody", left(90)), 422).await;
        let certify = server.post("/certify?model=halves&n=20&n0=20");
        refused(certify.body(damaged.clone()).bearer_auth("poor"), 400).await;
    }
    for _ in 0..2 {
        ok(attack("eps=1/255", left(90)).send().await.unwrap()).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_an_attack_does_not_ask_is_given_back() {
    let server = Server::with(|config| {
        config.keys = vec![Key {
            attack_evaluations_per_minute: NonZero::new(100),
            ..key("poor", ALL)
        }];
    })
    .await;
    for _ in 0..4 {
        let path = "/attack?model=halves&eps=64/255&steps=50";
        let request = server.post(path).body(left(20)).bearer_auth("poor");
        let found = ok(request.send().await.unwrap()).await;
        assert_eq!(found["outcome"], "adversarial_found");
    }
    server.stop().await;
}
