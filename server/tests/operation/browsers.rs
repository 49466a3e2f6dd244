//! Pages in browsers: what they may ask for.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    ALL, key, refused,
    support::{Server, left, ok},
};

/// What changes, costs or reveals something.
fn guarded(server: &Server) -> Vec<RequestBuilder> {
    vec![
        server.post("/predict?model=halves").body(left(90)),
        server.post("/attack?model=halves&steps=1").body(left(90)),
        server
            .post("/certify?model=halves&n=100&n0=10")
            .body(left(90)),
        server.get("/models"),
        server.get("/metrics"),
    ]
}

/// The same of the inference protocol, whose errors are texts.
fn protocol(server: &Server) -> Vec<RequestBuilder> {
    vec![
        server.post("/v2/models/halves/infer").body("{}"),
        server.post("/v2/repository/index"),
        server.post("/v2/repository/models/halves/load"),
        server.post("/v2/repository/models/halves/unload"),
        server.get("/v2/models/halves"),
    ]
}

async fn forbidden(request: RequestBuilder, part: &str) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 403);
    let body: Value = response.json().await.unwrap();
    let message = body["error"].as_str().unwrap();
    assert!(message.contains(part), "{message}");
}

#[tokio::test]
async fn a_page_of_another_origin_changes_costs_and_learns_nothing() {
    let server = Server::sound().await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "http://localhost.evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        for request in guarded(&server) {
            let (_, code, message) = refused(request.header(name, value), 403).await;
            assert_eq!(code, "foreign_origin");
            assert!(message.contains("`cors_origins`"), "{message}");
        }
        for request in protocol(&server) {
            forbidden(request.header(name, value), "`cors_origins`").await;
        }
    }
    ok(server.get("/v2/models/halves").send().await.unwrap()).await;
    let health = server
        .get("/health")
        .header("origin", "https://evil.example");
    ok(health.send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn the_servers_own_page_listed_origins_and_clients_without_an_origin_are_answered() {
    let listed = "https://tools.example";
    let server = Server::with(|config| config.cors_origins = vec![listed.to_owned()]).await;
    let address = server.get("/").build().unwrap().url().clone();
    let own = address.origin().ascii_serialization();
    let predict = || server.post("/predict?model=halves").body(left(90));
    for origin in [listed, &own] {
        ok(predict().header("origin", origin).send().await.unwrap()).await;
    }
    let listed_page = predict()
        .header("origin", listed)
        .header("sec-fetch-site", "cross-site");
    ok(listed_page.send().await.unwrap()).await;
    ok(predict().send().await.unwrap()).await;
    // Somebody follows a link to the list of models.
    let visit = server
        .get("/models")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate");
    ok(visit.send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_was_led_to_this_machine_is_refused_unless_there_are_keys() {
    let server = Server::sound().await;
    for request in guarded(&server) {
        let (_, code, message) = refused(request.header("host", "evil.example:8080"), 403).await;
        assert_eq!(code, "foreign_host");
        assert!(message.contains("`evil.example:8080`"), "{message}");
    }
    for request in protocol(&server) {
        forbidden(request.header("host", "evil.example"), "`evil.example`").await;
    }
    for host in ["localhost", "localhost:99", "127.0.0.1", "[::1]:8080"] {
        let models = server.get("/models").header("host", host);
        ok(models.send().await.unwrap()).await;
    }
    server.stop().await;
    let with_keys = Server::with(|config| config.keys = vec![key("secret", ALL)]).await;
    let models = with_keys.get("/models").header("host", "models.example");
    let (_, code, _) = refused(models.try_clone().unwrap(), 401).await;
    assert_eq!(code, "no_key");
    ok(models.bearer_auth("secret").send().await.unwrap()).await;
    with_keys.stop().await;
}

#[tokio::test]
async fn a_request_of_http_1_1_names_one_host() {
    let server = Server::sound().await;
    let address = server.base.strip_prefix("http://").unwrap();
    for (head, status) in [
        ("GET /health HTTP/1.1\r\nhost: localhost\r\n", "200"),
        ("GET /health HTTP/1.0\r\n", "200"),
        ("GET /health HTTP/1.1\r\n", "400"),
        (
            "GET /health HTTP/1.1\r\nhost: localhost\r\nhost: other\r\n",
            "400",
        ),
        ("GET /v2 HTTP/1.0\r\nhost: a\r\nhost: a\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{head}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head}{answer}");
        assert_eq!(answer.contains("`Host` headers"), status == "400");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_send_and_read_what_the_server_knows() {
    let origin = "https://a.example";
    let server = Server::sound_with(|config| config.cors_origins = vec![origin.to_owned()]).await;
    let preflight = server
        .client
        .request(Method::OPTIONS, format!("{}/attack", server.base))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-request-timeout-ms")
        .header("access-control-request-private-network", "true");
    let answer = preflight.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), origin);
    assert_eq!(header("access-control-allow-private-network"), "true");
    let allowed = header("access-control-allow-headers");
    for name in [
        "authorization",
        "x-request-timeout-ms",
        "x-request-id",
        "content-encoding",
        "inference-header-content-length",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    let request = server
        .post("/predict?model=nobody")
        .header("origin", origin);
    let answer = request.body(left(90)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["access-control-allow-origin"], origin);
    let exposed = &answer.headers()["access-control-expose-headers"];
    for name in ["retry-after", "x-request-id", "x-buckler-outcome"] {
        assert!(exposed.to_str().unwrap().contains(name), "{exposed:?}");
    }
    server.stop().await;
}
