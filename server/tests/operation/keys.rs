use std::num::NonZero;

use buckler_server::{Config, Key, KeysError, Scope, ServerError, run};
use reqwest::{Method, RequestBuilder};
use tokio::net::TcpListener;

use crate::{
    ALL, key, refused,
    support::{Server, left, ok},
};

const OPEN: &[(Method, &str)] = &[
    (Method::GET, "/"),
    (Method::GET, "/health"),
    (Method::GET, "/metrics"),
];

const CLOSED: &[(Method, &str, Scope)] = &[
    (Method::GET, "/models", Scope::Predict),
    (Method::POST, "/predict?model=halves", Scope::Predict),
    (Method::POST, "/attack?model=halves", Scope::Attack),
    (
        Method::POST,
        "/certify?model=halves&n=100&n0=10",
        Scope::Attack,
    ),
];

fn request(server: &Server, method: &Method, path: &str) -> RequestBuilder {
    match *method {
        Method::POST => server.post(path).body(left(90)),
        _ => server.get(path),
    }
}

#[tokio::test]
async fn a_route_answers_whoever_has_a_key_for_its_scope_and_nobody_else() {
    let server = Server::with(|config| {
        config.keys = vec![key("all", ALL)];
        for scope in ALL {
            config.keys.push(key(&format!("only {scope}"), &[*scope]));
        }
    })
    .await;
    for (method, path, needed) in CLOSED {
        let ask = || request(&server, method, path);
        let (headers, code, _) = refused(ask(), 401).await;
        assert_eq!(code, "no_key");
        assert_eq!(headers["www-authenticate"], "Bearer");
        for wrong in ["guess", "ALL", "al", "all all"] {
            let (headers, code, message) = refused(ask().bearer_auth(wrong), 401).await;
            assert_eq!(code, "wrong_key");
            assert_eq!(headers["www-authenticate"], "Bearer");
            assert!(!message.contains(wrong), "{message}");
        }
        ok(ask().bearer_auth("all").send().await.unwrap()).await;
        for scope in ALL {
            let ask = ask().bearer_auth(format!("only {scope}"));
            if scope == needed {
                ok(ask.send().await.unwrap()).await;
            } else {
                let (_, code, message) = refused(ask, 403).await;
                assert_eq!(code, "missing_scope");
                assert!(message.contains(&format!("`{needed}`")), "{message}");
            }
        }
    }
    for (method, path) in OPEN {
        for header in [None, Some("Bearer guess")] {
            let mut ask = request(&server, method, path);
            if let Some(header) = header {
                ask = ask.header("authorization", header);
            }
            assert_eq!(ask.send().await.unwrap().status(), 200, "{path}");
        }
    }
    let (_, code, _) = refused(server.get("/nothing"), 404).await;
    assert_eq!(code, "unknown_route");
    server.stop().await;
}

#[tokio::test]
async fn only_one_well_formed_header_is_a_key() {
    let server = Server::with(|config| *config = config.clone().with_key("sesame")).await;
    let ask = |header: &str| server.get("/models").header("authorization", header);
    for header in ["Bearer sesame", "bearer sesame", "BEARER   sesame"] {
        ok(ask(header).send().await.unwrap()).await;
    }
    for header in [
        "sesame",
        "Bearer",
        "Bearer ",
        "Bearersesame",
        "Basic sesame",
        "Ü",
    ] {
        let (_, code, _) = refused(ask(header), 401).await;
        assert_eq!(code, "no_key", "{header}");
    }
    let twice = ask("Bearer sesame").header("authorization", "Bearer sesame");
    refused(twice, 401).await;
    refused(server.get("/models?key=sesame"), 401).await;
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_replaced_while_both_are_configured() {
    let status = async |server: &Server, plain: &str| {
        let ask = server.get("/models").bearer_auth(plain);
        ask.send().await.unwrap().status().as_u16()
    };
    let both = Server::with(|config| config.keys = vec![key("old", ALL), key("new", ALL)]).await;
    assert_eq!(
        (status(&both, "old").await, status(&both, "new").await),
        (200, 200)
    );
    both.stop().await;
    let one = Server::with(|config| config.keys = vec![key("new", ALL)]).await;
    assert_eq!(
        (status(&one, "old").await, status(&one, "new").await),
        (401, 200)
    );
    one.stop().await;
}

#[tokio::test]
async fn a_server_that_others_can_reach_attacks_for_nobody_without_a_key() {
    let attack = |server: &Server| server.post("/attack?model=halves").body(left(40));
    let exposed = Server::at("0.0.0.0:0", |_| {}).await;
    for (method, path, scope) in CLOSED {
        let ask = request(&exposed, method, path);
        if *scope == Scope::Predict {
            ok(ask.send().await.unwrap()).await;
            continue;
        }
        let (_, code, message) = refused(ask, 403).await;
        assert_eq!(code, "exposed_without_keys");
        for part in [
            "other machines",
            "configure keys",
            "insecure_attacks = true",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
    exposed.stop().await;
    let forced = Server::at("0.0.0.0:0", |config| config.insecure_attacks = true).await;
    ok(attack(&forced).send().await.unwrap()).await;
    forced.stop().await;
    let keyed = Server::at("0.0.0.0:0", |config| config.keys = vec![key("a", ALL)]).await;
    refused(attack(&keyed), 401).await;
    ok(attack(&keyed).bearer_auth("a").send().await.unwrap()).await;
    keyed.stop().await;
    let proxied = Server::with(|config| config.exposed = true).await;
    refused(attack(&proxied), 403).await;
    proxied.stop().await;
}

#[tokio::test]
async fn a_server_with_keys_that_cannot_work_does_not_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new("nowhere").with_key("a").with_key("b");
    let stopped = run(listener, config, std::future::pending()).await;
    assert!(matches!(
        stopped,
        Err(ServerError::Keys(KeysError::SameName(_)))
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new("nowhere");
    config.keys = vec![Key {
        sha256: "sesame".to_owned(),
        requests_per_second: NonZero::new(1),
        ..key("a", ALL)
    }];
    let stopped = run(listener, config, std::future::pending()).await;
    let message = stopped.unwrap_err().to_string();
    assert!(
        message.contains("`a`") && message.contains("64"),
        "{message}"
    );
    assert!(!message.contains("sesame"), "{message}");
}
