//! Attacks over HTTP: what they answer, and that they answer the same under load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use serde_json::{Value, json};
use support::{Server, coloured, data_uri, left, ok, timeless};

#[tokio::test]
async fn an_attack_reports_what_it_did() {
    let server = Server::start().await;
    // The left half is brighter by 40/255, so half of that on both sides suffices, and a tenth does not.
    let found = server
        .ask("/attack?model=halves&eps=32/255&steps=10", left(40))
        .await;
    assert_eq!(found["outcome"], "adversarial_found");
    assert_eq!(
        (&found["eps"], &found["norm"], &found["attack"]),
        (&json!("32/255"), &json!("linf"), &json!("pgd"))
    );
    assert_eq!(
        (&found["model"], &found["version"]),
        (&json!("halves"), &json!("1"))
    );
    assert_eq!(found["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(found["clean"]["name"], "left");
    assert_ne!(found["adversarial"]["prediction"]["name"], "left");
    assert!(found["adversarial"]["linf"].as_f64().unwrap() <= 32.0 / 255.0 + 1e-6);
    assert_eq!(found["cost"], found["gradient_evaluations"]);
    assert!(found["seconds"].as_f64().unwrap() > 0.0);
    assert!(found.get("adversarial_png").is_none());
    let not_found = server
        .ask("/attack?model=halves&eps=4/255&return=image", left(40))
        .await;
    assert_eq!(not_found["outcome"], "not_found");
    assert_eq!(not_found["adversarial_png"], Value::Null);
    assert!(
        not_found
            .as_object()
            .unwrap()
            .contains_key("adversarial_png")
    );
    let wrong = server
        .ask("/attack?model=halves&label=neither", left(40))
        .await;
    assert_eq!(wrong["outcome"], "misclassified_clean");
    server.stop().await;
}

#[tokio::test]
async fn the_returned_image_fools_the_model_exactly_if_the_report_says_so() {
    let server = Server::start().await;
    let mut outcomes = Vec::new();
    for (difference, query) in [
        (40, "eps=32/255"),
        (41, "eps=32/255&target=right"),
        (90, "eps=0.3&attack=fgsm"),
        (20, "norm=l2&eps=1&objective=margin"),
        // Just enough, until the pixels are rounded to whole grey levels.
        (40, "eps=0.0786&steps=100"),
    ] {
        let path = format!("/attack?model=halves&return=image&{query}");
        let attacked = server.ask(&path, left(difference)).await;
        assert_eq!(
            attacked["outcome"], "adversarial_found",
            "{query}: {attacked}"
        );
        let image = data_uri(&attacked["adversarial_png"]);
        let seen =
            server.ask("/predict?model=halves", image).await["predictions"][0]["class"].clone();
        let fooled = match attacked["target"].as_u64() {
            Some(target) => seen == target,
            None => seen != attacked["label"],
        };
        assert_eq!(
            json!(fooled),
            attacked["png"]["still_adversarial"],
            "{query}"
        );
        outcomes.push(fooled);
        assert_eq!(seen, attacked["png"]["prediction"]["class"]);
    }
    assert_eq!(outcomes, [true, true, true, true, false]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_seed_gives_the_same_answer_alone_and_among_sixteen_others() {
    let server = Server::start().await;
    let path = |seed: usize| {
        format!("/attack?model=colour&eps=4/255&steps=10&restarts=2&return=image&seed={seed}")
    };
    let mut alone = Vec::new();
    for seed in 0..16 {
        alone.push(timeless(server.ask(&path(seed), coloured()).await));
    }
    assert!((1..16).any(
        |seed| alone[seed]["adversarial_png"] != alone[0]["adversarial_png"]
            || alone[seed]["cost"] != alone[0]["cost"]
            || alone[seed]["seed"] != alone[0]["seed"]
    ));
    let mut others = tokio::task::JoinSet::new();
    for seed in 0..16 {
        let request = server.post(&path(seed)).body(coloured());
        others.spawn(async move { (seed, timeless(ok(request.send().await.unwrap()).await)) });
    }
    while let Some(answer) = others.join_next().await {
        let (seed, answer) = answer.unwrap();
        assert_eq!(answer, alone[seed]);
    }
    server.stop().await;
}
