//! The server's life: names of requests, deadlines, other origins, encryption, changes on disk, and the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use buckler_server::{Config, ServerError, Tls, run};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::Value;
use support::{Server, coloured, halves, left, ok, store_version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// An attack that does not end by itself.
const ENDLESS: &str = "/attack?model=halves&eps=0.001&steps=1000000000";

fn endless(config: &mut Config) {
    config.max_cost = u64::MAX;
    config.max_steps = usize::MAX;
}

#[tokio::test]
async fn every_answer_has_a_name_the_clients_own_if_it_is_sane() {
    let server = Server::start().await;
    let name = async |given: Option<&str>, path: &str| {
        let mut request = server.get(path);
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        let response = request.send().await.unwrap();
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(name(Some("mine-7"), "/health").await, "mine-7");
    assert_eq!(name(Some("mine-7"), "/nowhere").await, "mine-7");
    let long = "x".repeat(200);
    for odd in [None, Some("two words"), Some(long.as_str())] {
        let made = name(odd, "/health").await;
        assert_eq!(made.len(), 36, "{made}");
        assert_ne!(made, name(odd, "/health").await);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_may_allow_less_time_than_the_server_and_never_more() {
    let server = Server::with(|config| {
        endless(config);
        config.request_timeout = Duration::from_secs(2);
    })
    .await;
    let ask = async |limit: &str| {
        let start = Instant::now();
        let request = server.post(ENDLESS).header("x-request-timeout-ms", limit);
        (
            request.body(left(90)).send().await.unwrap(),
            start.elapsed(),
        )
    };
    let (response, took) = ask("200").await;
    assert_eq!(ok(response).await["outcome"], "incomplete");
    assert!(took < Duration::from_millis(1000), "{took:?}");
    let (response, took) = ask("100000").await;
    assert_eq!(ok(response).await["outcome"], "incomplete");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for bad in ["0", "-1", "soon"] {
        let (response, _) = ask(bad).await;
        assert_eq!(response.status(), 400);
        let body: Value = response.json().await.unwrap();
        assert!(
            body["error"]["message"].as_str().unwrap().contains(bad),
            "{body}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_out_unless_they_are_listed() {
    let listed = "https://a.example";
    let preflight = async |server: &Server, origin: &str| {
        let url = format!("{}/attack", server.base);
        let request = server
            .client
            .request(reqwest::Method::OPTIONS, url)
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let response = request.send().await.unwrap();
        response
            .headers()
            .get("access-control-allow-origin")
            .cloned()
    };
    let closed = Server::start().await;
    assert_eq!(preflight(&closed, listed).await, None);
    closed.stop().await;
    let open = Server::with(|config| config.cors_origins = vec![listed.to_owned()]).await;
    assert_eq!(preflight(&open, listed).await.unwrap(), listed);
    assert_eq!(preflight(&open, "https://b.example").await, None);
    open.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_does_not_hold_its_connection() {
    let server = Server::with(|config| config.header_timeout = Duration::from_millis(200)).await;
    let address = server.base.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nHos")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut answer));
    closed.await.expect("the connection is closed").unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    server.stop().await;
}

/// A certificate for `localhost`, in files.
fn certificate(folder: &std::path::Path) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&tls.certificate, made.cert.pem()).unwrap();
    fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

/// What the server says to `GET /health` over a connection that trusts this certificate alone.
async fn encrypted(address: &str, trusted: CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await?;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn connections_are_encrypted_with_the_certificate_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, first) = certificate(folder.path());
    let server = Server::with(|config| {
        config.tls = Some(tls.clone());
        config.reload_interval = Duration::from_millis(50);
    })
    .await;
    let address = server.base.strip_prefix("http://").unwrap();
    let answer = encrypted(address, first.clone()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, second) = certificate(folder.path());
    while encrypted(address, second.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(encrypted(address, first).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certificate(folder.path());
    fs::write(&tls.key, "no key").unwrap();
    let config = Config {
        tls: Some(tls),
        ..Config::new(folder.path())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = run(listener, config, async {}).await.unwrap_err();
    assert!(matches!(error, ServerError::Tls(_)), "{error}");
    assert!(error.to_string().contains("key.pem"), "{error}");
}

#[tokio::test]
async fn a_stopping_server_says_so_first_and_answers_what_is_under_way() {
    let mut server = Server::sound_with(|config| {
        endless(config);
        config.drain = Duration::from_millis(400);
        config.grace = Duration::from_millis(1500);
    })
    .await;
    let events = server.post(ENDLESS).header("accept", "text/event-stream");
    // The answer begins once the attack has its place.
    let events = events.body(left(90)).send().await.unwrap();
    // On another model: behind the first one it would come too late.
    let other = "/attack?model=colour&eps=0.0001&steps=1000000000";
    let attack = tokio::spawn(server.post(other).body(coloured()).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    server.ask_to_stop();
    while server
        .get("/v2/health/ready")
        .send()
        .await
        .unwrap()
        .status()
        == 200
    {}
    assert_eq!(
        server.get("/v2/health/live").send().await.unwrap().status(),
        200
    );
    server.ask("/predict?model=halves", left(90)).await;
    let attacked = ok(attack.await.unwrap().unwrap()).await;
    assert_eq!(attacked["outcome"], "incomplete");
    let events = events.text().await.unwrap();
    let last = events.rsplit("event:").next().unwrap();
    assert!(
        last.contains("result") && last.contains("incomplete"),
        "{last}"
    );
    assert!(server.get("/health").send().await.is_err());
    server.stop().await;
    assert!(start.elapsed() < Duration::from_millis(400 + 1500 + 500));
}

#[tokio::test]
async fn attacks_are_answered_while_the_server_drains() {
    let mut server = Server::sound_with(|config| {
        config.drain = Duration::from_secs(2);
        config.grace = Duration::from_millis(500);
    })
    .await;
    server.ask("/predict?model=halves", left(90)).await;
    server.ask_to_stop();
    let ready = async || {
        let answer = server.get("/v2/health/ready").send().await;
        answer.unwrap().status() == 200
    };
    while ready().await {}
    let short = "/attack?model=halves&steps=2&eps=0.001";
    server.ask(short, left(90)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_change_under_load_without_a_failed_request() {
    let server = Server::with(|config| config.reload_interval = Duration::from_millis(5)).await;
    let server = Arc::new(server);
    let mut clients = tokio::task::JoinSet::new();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for client in 0..4 {
        let (server, done) = (Arc::clone(&server), Arc::clone(&done));
        clients.spawn(async move {
            let mut versions = std::collections::BTreeSet::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let (path, image) = match client {
                    0 => ("/attack?model=halves&eps=4/255&steps=5", left(90)),
                    1 => ("/predict?model=colour", coloured()),
                    _ => ("/predict?model=halves", left(90)),
                };
                let answer = server.ask(path, image).await;
                versions.insert(answer["version"].as_str().unwrap().to_owned());
            }
            versions.len()
        });
    }
    for version in 2..12 {
        store_version(server.models.path(), "halves", version, &halves());
        let name = version.to_string();
        loop {
            let models = ok(server.get("/models").send().await.unwrap()).await;
            let models = models["models"].as_array().unwrap();
            if models.iter().any(|model| model["version"] == name) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let versions = clients.join_all().await;
    assert!(versions.iter().any(|&seen| seen > 5), "{versions:?}");
    Arc::into_inner(server).unwrap().stop().await;
}
