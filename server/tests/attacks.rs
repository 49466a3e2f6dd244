//! Attacks over HTTP: what they answer, and that they answer the same under load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use serde_json::{Value, json};
use support::{Server, base64, coloured, data_uri, left, ok, timeless};

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

#[tokio::test]
async fn several_images_and_radii_are_answered_image_by_image() {
    let server = Server::start().await;
    let body = json!({
        "images": [base64(&left(40)), base64(&left(90))],
        "model": "halves", "eps": ["4/255", "32/255", 0.3], "return": "image",
    });
    let answer = ok(server.post("/attack").json(&body).send().await.unwrap()).await;
    let results = answer["results"].as_array().unwrap();
    let seen: Vec<_> = results
        .iter()
        .map(|one| {
            let outcome = one["outcome"].as_str().unwrap();
            assert_eq!(
                one["adversarial_png"].is_string(),
                outcome == "adversarial_found"
            );
            (
                one["image"].as_u64().unwrap(),
                one["eps"].as_str().unwrap(),
                outcome,
            )
        })
        .collect();
    let (found, not) = ("adversarial_found", "not_found");
    assert_eq!(
        seen,
        [
            (0, "4/255", not),
            (0, "32/255", found),
            (0, "0.3", found),
            (1, "4/255", not),
            (1, "32/255", not),
            (1, "0.3", found),
        ]
    );
    let mut alone = server
        .ask("/attack?model=halves&eps=32/255&return=image", left(40))
        .await;
    alone["image"] = json!(0);
    assert_eq!(timeless(alone), timeless(results[1].clone()));
    let query = server
        .ask("/attack?model=halves&eps=4/255,32/255", left(40))
        .await;
    assert_eq!(query["results"].as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_smallest_radius_is_found_and_is_that_of_its_image() {
    let server = Server::start().await;
    let path = "/attack?model=halves&min_eps=true&eps=64/255";
    let found = server.ask(path, left(40)).await;
    // Half of the difference, moved on both sides, and the logits' offset does the rest.
    let value = found["min_eps"]["value_255"].as_f64().unwrap();
    assert!((20.0..20.3).contains(&value), "{found}");
    assert!((found["adversarial"]["linf_255"].as_f64().unwrap() - value).abs() < 1e-4);
    assert_eq!(found["min_eps"]["complete"], true);
    let nothing = found["min_eps"]["nothing_at"].as_f64().unwrap();
    assert!((19.5..20.01).contains(&(255.0 * nothing)), "{nothing}");
    let held = server
        .ask("/attack?model=halves&min_eps=true&eps=4/255", left(40))
        .await;
    assert_eq!(held["outcome"], "not_found");
    assert!(held.get("min_eps").is_none());
    let both = server
        .post("/attack?model=halves&min_eps=true&eps=1/255,2/255")
        .body(left(40));
    assert_eq!(both.send().await.unwrap().status(), 422);
    server.stop().await;
}

#[tokio::test]
async fn events_tell_the_course_and_end_with_the_same_answer() {
    let server = Server::start().await;
    let path = "/attack?model=colour&eps=4/255&steps=30&return=image";
    let expected = server.ask(path, coloured()).await;
    let request = server
        .post(path)
        .header("accept", "text/event-stream")
        .body(coloured());
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(&response.text().await.unwrap());
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"accepted"));
    assert_eq!(names.last(), Some(&"result"));
    let between = &events[1..events.len() - 1];
    assert!(!between.is_empty() && between.iter().all(|(name, _)| name == "progress"));
    let steps: Vec<_> = between
        .iter()
        .map(|(_, data)| data["step"].as_u64().unwrap())
        .collect();
    assert!(
        steps.is_sorted() && steps.iter().all(|&step| step <= 30),
        "{steps:?}"
    );
    for (_, data) in between {
        assert_eq!(data["eps"], "4/255");
        assert!(data["margin"].is_f64() && data["confidence"].is_f64() || data["remaining"] == 0);
    }
    assert_eq!(events[0].1["cost"], 31);
    let (_, result) = events.into_iter().next_back().unwrap();
    assert_eq!(timeless(result), timeless(expected));

    let broken = server
        .post(path)
        .header("accept", "text/event-stream")
        .body("?");
    assert_eq!(broken.send().await.unwrap().status(), 400);
    server.stop().await;
}

/// The events of a stream, with their data.
fn events(text: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| block.contains("event:")) {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(str::trim).collect::<Vec<_>>().join("\n")
        };
        events.push((
            field("event:"),
            serde_json::from_str(&field("data:")).unwrap(),
        ));
    }
    events
}

#[tokio::test]
async fn a_picture_is_sent_as_such_where_there_is_one() {
    let server = Server::start().await;
    let ask = |query: &str| {
        let path = format!("/attack?model=halves&{query}");
        server
            .post(&path)
            .header("accept", "image/png")
            .body(left(40))
            .send()
    };
    let response = ask("eps=32/255").await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/png");
    assert_eq!(response.headers()["x-buckler-outcome"], "adversarial_found");
    let picture = response.bytes().await.unwrap();
    let path = "/attack?model=halves&eps=32/255&return=image";
    let expected = server.ask(path, left(40)).await;
    assert_eq!(picture, data_uri(&expected["adversarial_png"]));
    for (query, status, code) in [
        ("eps=1/255", 406, "no_adversarial_image"),
        ("eps=1/255,2/255", 422, "one_picture"),
    ] {
        let response = ask(query).await.unwrap();
        assert_eq!(response.status(), status);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], code);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_model_without_gradients_is_attacked_by_its_answers_alone() {
    let server = Server::start().await;
    let request = server.post("/attack?model=rounded&eps=0.3").body(left(40));
    assert_eq!(request.send().await.unwrap().status(), 422);
    let path = "/attack?model=rounded&eps=0.3&attack=square&steps=50";
    let answer = server.ask(path, left(40)).await;
    assert_eq!(answer["gradient_evaluations"], 0);
    assert!(answer["forward_evaluations"].as_u64().unwrap() > 1);
    server.stop().await;
}
