//! How bodies are compressed.
use std::io::{self, Read};

use axum::{
    body::Bytes,
    http::{HeaderMap, header::CONTENT_ENCODING},
};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::error::ApiError;

/// What is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The coding of a body, if it has one ([RFC 9110, section 8.4](https://www.rfc-editor.org/rfc/rfc9110#section-8.4)): names are told
    /// whatever their case, `x-gzip` is `gzip`, and `identity` is nothing.
    ///
    /// # Errors
    /// When it has another one, or several.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let given = headers.get_all(CONTENT_ENCODING);
        let given: Vec<String> = given
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["gzip" | "x-gzip"] => Ok(Some(Self::Gzip)),
            ["deflate"] => Ok(Some(Self::Deflate)),
            _ => Err(ApiError::ContentEncoding(given.join(", "))),
        }
    }

    /// The body without its coding, of at most `limit` bytes. A gzip file may have several members (RFC 1952, section 2.2).
    ///
    /// # Errors
    /// When it is longer, or damaged, or has something else behind it.
    pub fn undo(self, bytes: &[u8], limit: usize) -> Result<Bytes, ApiError> {
        let decoded = match self {
            Self::Gzip => first(&mut MultiGzDecoder::new(bytes), limit),
            Self::Deflate => {
                let mut decoder = ZlibDecoder::new(bytes);
                let decoded = first(&mut decoder, limit);
                match (bytes.len() as u64).saturating_sub(decoder.total_in()) {
                    behind @ 1..
                        if decoded.as_ref().is_ok_and(|decoded| decoded.len() <= limit) =>
                    {
                        return Err(ApiError::Body(format!("{behind} bytes follow its end")));
                    }
                    _ => decoded,
                }
            }
        };
        match decoded.map_err(|error| ApiError::Body(error.to_string()))? {
            decoded if decoded.len() > limit => Err(ApiError::BodyTooLarge { limit }),
            decoded => Ok(decoded.into()),
        }
    }
}

/// As many bytes as there may be, and one more if there are more.
fn first(decoder: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut decoded)?;
    Ok(decoded)
}
