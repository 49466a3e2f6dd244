//! What a client may have under way.
use std::{
    num::NonZero,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use buckler_server::{Key, Scope};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    ALL, connect, key, refused,
    support::{Server, left, ok},
};

/// An attack that does not end by itself.
const ENDLESS: &str = "/attack?model=halves&eps=0.001&steps=1000000000";

/// A connection that has sent a head and so many bytes of its body of `length`.
async fn begun(server: &Server, length: usize, sent: usize) -> TcpStream {
    let mut stream = connect(server).await;
    let head = format!(
        "POST /predict?model=halves HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; sent]).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    let _ = read.await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn predicts(server: &Server) -> StatusCode {
    let request = server.post("/predict?model=halves").body(left(90));
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn heads_without_bodies_take_no_place_and_are_given_up_in_time() {
    let server = Server::sound_with(|config| {
        config.max_requests = 20;
        config.stall_timeout = Duration::from_millis(1500);
    })
    .await;
    let mut heads = Vec::new();
    for _ in 0..60 {
        heads.push(begun(&server, 1000, 0).await);
    }
    for _ in 0..5 {
        assert_eq!(predicts(&server).await, 200);
    }
    for head in heads {
        let answer = answer(head).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("body_timeout") && answer.contains("1024 bytes per second"));
    }
    server.stop().await;
}

#[tokio::test]
async fn streams_without_bodies_take_no_place() {
    let server = Server::sound_with(|config| {
        config.max_requests = 80;
        config.stall_timeout = Duration::from_millis(1500);
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let stream = connect(&server).await;
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client: h2::client::SendRequest<Bytes> = client.ready().await.unwrap();
        for _ in 0..90 {
            let request = axum::http::Request::post(format!("{}/predict", server.base));
            held.push(
                client
                    .send_request(request.body(()).unwrap(), false)
                    .unwrap(),
            );
        }
    }
    for _ in 0..5 {
        assert_eq!(predicts(&server).await, 200);
    }
    for (answer, _body) in held {
        assert_eq!(answer.await.unwrap().status(), 408);
    }
    server.stop().await;
}

#[tokio::test]
async fn who_dribbles_in_every_place_keeps_out_neither_health_checks_nor_whole_requests() {
    let server = Server::sound_with(|config| config.max_requests = 4).await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let dribble = |address: String| async move {
        loop {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sent = stream.write_all(b"x").await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut dribbling = tokio::task::JoinSet::new();
    for _ in 0..20 {
        dribbling.spawn(dribble(address.clone()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..10 {
        let fresh = reqwest::Client::new();
        let health = fresh.get(format!("{}/v2/health/live", server.base));
        assert_eq!(health.send().await.unwrap().status(), 200);
        let fresh = reqwest::Client::new();
        let predict = fresh.post(format!("{}/predict?model=halves", server.base));
        let answer = predict.body(left(90)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    dribbling.shutdown().await;
    server.stop().await;
}

#[tokio::test]
async fn who_sends_too_slowly_is_given_up_and_who_is_just_in_time_is_not() {
    let server = Server::sound_with(|config| {
        config.stall_timeout = Duration::from_millis(600);
        config.min_rate = NonZero::new(1000).unwrap();
    })
    .await;
    // A burst earns no long pause.
    let start = Instant::now();
    let burst = answer(begun(&server, 1_000_000, 900_000).await).await;
    assert!(burst.starts_with("HTTP/1.1 408"), "{burst}");
    assert!(start.elapsed() < Duration::from_secs(10));
    let image = left(90);
    let send = async |pause: Duration, piece: usize| {
        let mut stream = begun(&server, image.len(), 0).await;
        for piece in image.chunks(piece) {
            tokio::time::sleep(pause).await;
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        answer(stream).await
    };
    // 10 bytes per second.
    let slow = send(Duration::from_millis(100), 1).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    server.stop().await;
}

#[tokio::test]
async fn requests_that_are_worked_on_have_places_and_health_is_answered_all_the_same() {
    let server = Server::sound_with(|config| {
        config.max_cost = u64::MAX;
        config.max_steps = usize::MAX;
        config.max_requests = 1;
        config.request_timeout = Duration::from_secs(3);
    })
    .await;
    // The answer begins once the attack has its place, and keeps it.
    let attack = server.post(ENDLESS).header("accept", "text/event-stream");
    let attack = attack.body(left(90)).send().await.unwrap();
    assert_eq!(attack.status(), 200);
    let request = server.post("/predict?model=halves").body(left(90));
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "busy");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`max_requests`")
    );
    for path in [
        "/health",
        "/v2/health/live",
        "/v2/health/ready",
        "/models",
        "/",
    ] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    assert!(attack.text().await.unwrap().contains("event: result"));
    assert_eq!(predicts(&server).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn one_key_leaves_places_for_others() {
    let server = Server::sound_with(|config| {
        config.max_cost = u64::MAX;
        config.max_steps = usize::MAX;
        config.request_timeout = Duration::from_secs(3);
        let narrow = Key {
            max_requests: NonZero::new(1),
            ..key("narrow", ALL)
        };
        config.keys = vec![narrow, key("other", &[Scope::Predict])];
    })
    .await;
    let attack = server.post(ENDLESS).header("accept", "text/event-stream");
    let attack = attack.body(left(90)).bearer_auth("narrow").send();
    let attack = attack.await.unwrap();
    let predict = |plain: &str| {
        let request = server.post("/predict?model=halves").body(left(90));
        request.bearer_auth(plain)
    };
    let (_, code, message) = refused(predict("narrow"), 429).await;
    assert_eq!(code, "too_many_at_once");
    assert!(message.contains("`narrow` has 1 request"), "{message}");
    ok(predict("other").send().await.unwrap()).await;
    assert!(attack.text().await.unwrap().contains("event: result"));
    ok(predict("narrow").send().await.unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn bodies_take_so_much_memory_in_all_and_who_stands_still_makes_room() {
    const MIB: usize = 1 << 20;
    let server = Server::sound_with(|config| {
        config.max_body_bytes = MIB;
        config.max_bytes_in_flight = 4 * MIB;
        config.stall_timeout = Duration::from_secs(3);
    })
    .await;
    let mut still = Vec::new();
    for _ in 0..4 {
        still.push(begun(&server, MIB, MIB - 1000).await);
    }
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let large = || {
        server
            .post("/predict?model=halves")
            .body(vec![b'x'; MIB / 2])
    };
    refused(large(), 400).await;
    let answers = join_all(still.into_iter().map(answer)).await;
    let gave_way = |answer: &&String| {
        answer.starts_with("HTTP/1.1 503") && answer.contains("others needed the place")
    };
    let gave_way = answers.iter().filter(gave_way).count();
    assert_eq!(gave_way, 1, "{answers:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_bodies_of_one_connection_take_a_quarter_of_the_memory() {
    let server = Server::sound_with(|config| {
        config.max_body_bytes = 1000;
        config.max_bytes_in_flight = 8000;
    })
    .await;
    let (client, connection) = h2::client::handshake(connect(&server).await).await.unwrap();
    tokio::spawn(connection);
    let mut client: h2::client::SendRequest<Bytes> = client.ready().await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let request = axum::http::Request::post(format!("{}/predict", server.base));
        let (answer, mut body) = client
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        body.send_data(Bytes::from_static(&[0; 900]), false)
            .unwrap();
        held.push((answer, body));
    }
    let (third, body) = held.pop().unwrap();
    assert_eq!(third.await.unwrap().status(), 429);
    drop((held, body, client));
    server.stop().await;
}
