//! What a client may hold without asking for anything.
use std::{future::poll_fn, time::Duration};

use axum::body::Bytes;
use reqwest::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{connect, support::Server};

/// More than any test needs.
const LONG: Duration = Duration::from_secs(20);

/// What comes until the server closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match timeout(LONG, stream.read(&mut buffer))
            .await
            .expect("the connection is closed")
        {
            Ok(0) | Err(_) => return bytes,
            Ok(read) => bytes.extend(&buffer[..read]),
        }
    }
}

async fn health(server: &Server) -> StatusCode {
    let fresh = reqwest::Client::new();
    let url = format!("{}/v2/health/live", server.base);
    fresh.get(url).send().await.unwrap().status()
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_time() {
    let server = Server::sound_with(|config| {
        config.header_timeout = Duration::from_millis(400);
        config.idle_timeout = Duration::from_millis(1500);
    })
    .await;
    let silent = connect(&server).await;
    let mut preface = connect(&server).await;
    preface
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut headers = connect(&server).await;
    // The head of a HEADERS frame of 100 bytes, and one byte of it.
    headers
        .write_all(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x64\x01\x04\0\0\0\x01\x82",
        )
        .await
        .unwrap();
    for held in [silent, preface, headers] {
        until_closed(held).await;
    }
    let mut used = connect(&server).await;
    used.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = until_closed(used).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another() {
    let server = Server::sound_with(|config| config.max_connections = 4).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect(&server).await);
        assert_eq!(health(&server).await, 200);
    }
    let page = server
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let crowded = "buckler_http_connections_cut_total{reason=\"crowded\"} ";
    let cut: u32 = page
        .split(crowded)
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(cut >= 16, "{cut}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_closes_its_connection() {
    let server = Server::sound_with(|config| {
        config.stall_timeout = Duration::from_millis(300);
        config.min_rate = 1_000_000.try_into().unwrap();
    })
    .await;
    let mut reader = connect(&server).await;
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // Until the server takes no more, because what it has answered is not read.
    let sent = timeout(Duration::from_secs(10), async {
        while reader.write_all(&request.repeat(100)).await.is_ok() {}
    });
    sent.await.expect("the server closes the connection");

    // HTTP/2, with no room for the answer.
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, Bytes>(connect(&server).await)
        .await
        .unwrap();
    let mut client = client.ready().await.unwrap();
    let request = axum::http::Request::get(format!("{}/openapi.json", server.base));
    let (answer, _) = client
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    let ended = tokio::spawn(connection);
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = timeout(Duration::from_secs(10), ended);
    let _ = ended.await.expect("the server closes the connection");
    assert_eq!(health(&server).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_of_http_2_has_so_many_streams_and_no_more() {
    let server = Server::sound_with(|config| config.max_streams = 7).await;
    let (client, mut connection) = h2::client::handshake(connect(&server).await).await.unwrap();
    let mut client: h2::client::SendRequest<Bytes> = client;
    // The server's settings come with its first answer.
    let request = axum::http::Request::get(format!("{}/health", server.base));
    let (answer, _) = client
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    tokio::select! {
        answer = answer => assert_eq!(answer.unwrap().status(), 200),
        _ = poll_fn(|context| std::pin::Pin::new(&mut connection).poll(context)) => panic!("closed"),
    }
    assert_eq!(connection.max_concurrent_send_streams(), 7);
    drop((client, connection));
    server.stop().await;
}
