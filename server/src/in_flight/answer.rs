use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};

use super::Held;

/// Bytes that are handed over at a time, so that it is seen whether the client takes them.
const SLICE: usize = 16 << 10;

/// An answer that holds its request until the last byte is sent.
struct Answer {
    held: Arc<Held>,
    body: Body,
    /// What of the body's last piece is not handed over yet.
    rest: Bytes,
}

/// Bytes of an answer, which hold its request until they are sent.
struct Sending {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The response, whose body holds the request.
pub(super) fn held(held: Arc<Held>, response: Response) -> Response {
    response.map(|body| {
        let bytes = body.size_hint().exact();
        held.send(bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)));
        let rest = Bytes::new();
        Body::new(Answer { held, body, rest })
    })
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = Pin::new(&mut self.body).poll_frame(context);
            if frame.is_pending() {
                self.held.wait();
            }
            match ready!(frame).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                Some(Ok(data)) => self.rest = data,
            }
        }
        let length = self.rest.len().min(SLICE);
        let bytes = self.rest.split_to(length);
        self.held.sent(length);
        let _held = Arc::clone(&self.held);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Sending {
            bytes,
            _held,
        })))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        match body.exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => {
                let mut hint = SizeHint::new();
                hint.set_lower(body.lower() + rest);
                hint
            }
        }
    }
}
