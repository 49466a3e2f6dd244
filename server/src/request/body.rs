use std::sync::Arc;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Extensions, HeaderMap},
};
use futures::{FutureExt, Stream, StreamExt};

use crate::{app::App, auth::Tenant, content_encoding::Coding, error::ApiError, in_flight::Held};

/// How much of a body beyond the limit is still read, in multiples of the limit, before the connection is given up.
const PATIENCE: usize = 8;

/// How often the connection has its turn to hand over what it has read.
const TURNS: usize = 4;

/// Bytes that have come before a body is given the memory for all that it announces.
const FIRST: usize = 64 << 10;

/// The whole body of a request with these headers and extensions, without its compression. The request then takes its place among those
/// that are worked on.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    body: Body,
) -> Result<Bytes, ApiError> {
    let limit = app.config.max_body_bytes;
    let unknown = || ApiError::Internal("nobody takes note of the request".to_owned());
    let held = extensions.get::<Arc<Held>>().ok_or_else(unknown)?;
    let share = extensions.get::<Tenant>().ok_or_else(unknown)?.share();
    held.arrive();
    let expected = body.size_hint().exact().unwrap_or(0);
    let expected = usize::try_from(expected).unwrap_or(usize::MAX).min(limit);
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0usize;
    loop {
        let chunk = match held.refused() {
            None => tokio::select! {
                biased;
                why = held.given_up() => return Err(why.into()),
                chunk = stream.next() => chunk,
            },
            Some(full) => match at_once(&mut stream).await {
                Some(chunk) => chunk,
                None => return Err(full.clone().into()),
            },
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| ApiError::Body(error.to_string()))?;
        length = length.saturating_add(chunk.len());
        let kept = if length <= limit { chunk.len() } else { 0 };
        held.arrived(chunk.len(), kept, share)?;
        if length <= limit {
            if bytes.capacity() < length && (FIRST..=expected).contains(&length) {
                bytes.reserve_exact(expected - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            // A client that is still sending when the connection closes sees a reset and never the answer.
            if length > limit.saturating_mul(PATIENCE) {
                break;
            }
        }
    }
    if length > limit {
        return Err(ApiError::BodyTooLarge { limit });
    }
    held.work(share)?;
    // Last: a client that is still sending when it is refused may see a reset and never the answer.
    let Some(coding) = Coding::of(headers)? else {
        return Ok(bytes.into());
    };
    let plain = app.decoding(move || coding.undo(&bytes, limit)).await?;
    held.arrived(0, plain.len().saturating_sub(length), share)?;
    Ok(plain)
}

/// The next piece of a body if it is there already, as that of a small body which came with its head.
async fn at_once<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    for _ in 0..TURNS {
        if let Some(piece) = stream.next().now_or_never() {
            return Some(piece);
        }
        // The connection hands it over when it is its turn.
        tokio::task::yield_now().await;
    }
    None
}
