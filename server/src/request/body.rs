use axum::body::{Body, Bytes};
use futures::StreamExt;

use crate::error::ApiError;

/// How much of a body beyond the limit is still read, in multiples of the limit, before the connection is given up.
const PATIENCE: usize = 8;

/// The whole body, up to `limit` bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(chunk) = stream.next().await {
        // Chunks that are decompressed on the way are ready as soon as they are asked for.
        tokio::task::consume_budget().await;
        let chunk = chunk.map_err(|error| ApiError::Body(error.to_string()))?;
        length = length.saturating_add(chunk.len());
        if length <= limit {
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
    Ok(bytes.into())
}
