//! Clients that begin a request, or only a connection, and send nothing more.
use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::field::Field;

/// The preface of HTTP/2, an empty SETTINGS frame with it (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The head of a HEADERS frame of 100 bytes that ends the stream 1, and the first of these bytes.
const HALF_HEADERS: &[u8] = b"\0\0\x64\x01\x05\0\0\0\x01\x82";

/// What the `index`th client of `idle-http2` sends: every other stops within a HEADERS frame.
pub(super) fn http2(index: usize) -> Bytes {
    match index % 2 {
        0 => Bytes::from_static(PREFACE),
        _ => [PREFACE, HALF_HEADERS].concat().into(),
    }
}

/// Sends `beginning` and waits until the server closes the connection, again and again.
pub(super) async fn stay_silent(field: Arc<Field>, beginning: Bytes) {
    while !field.is_over() {
        if let Some(stream) = field.connect(None).await {
            let closed = until_closed(&field, stream, &beginning);
            field.connections.hold(field.limit, closed).await;
        }
        field.pause().await;
    }
}

async fn until_closed(field: &Field, mut stream: TcpStream, beginning: &[u8]) {
    if stream.write_all(beginning).await.is_err() {
        return;
    }
    let mut buffer = [0; 1024];
    let mut first = true;
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if let Some(status) = buffer.get(..read).and_then(status)
            && first
        {
            field.connections.answered(status);
        }
        first = false;
    }
}

/// The status of an answer in HTTP/1.1.
fn status(answer: &[u8]) -> Option<u16> {
    let digits = answer.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_is_found_and_frames_have_none() {
        assert_eq!(status(b"HTTP/1.1 408 Request Timeout\r\n"), Some(408));
        assert_eq!(status(b"HTTP/1.1 "), None);
        assert_eq!(status(b"\0\0\0\x04\0\0\0\0\0"), None);
    }
}
