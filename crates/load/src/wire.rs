//! Requests as they go over the wire, for clients that send only a part of them.
use bytes::Bytes;
use reqwest::{Body, Request, header::CONTENT_LENGTH};

use crate::LoadError;

/// `HOST:PORT` of the server, and the request's head in HTTP/1.1.
pub(crate) fn head(
    request: &Request,
    content_length: usize,
) -> Result<(String, Vec<u8>), LoadError> {
    let url = request.url();
    let broken = || LoadError::Url {
        given: url.to_string(),
        reason: "it has no host".to_owned(),
    };
    let host = url.host_str().ok_or_else(broken)?;
    let port = url.port_or_known_default().ok_or_else(broken)?;
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let target = format!("{}{query}", url.path());
    let mut bytes = format!(
        "{} {target} HTTP/1.1\r\nhost: {host}:{port}\r\n",
        request.method()
    )
    .into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {content_length}\r\n\r\n").as_bytes());
    Ok((format!("{host}:{port}"), bytes))
}

/// `HOST:PORT` of the server, and the request in HTTP/1.1.
pub(crate) fn whole(request: &Request) -> Result<(String, Vec<u8>), LoadError> {
    let body = body(request);
    let (address, mut bytes) = head(request, body.len())?;
    bytes.extend_from_slice(body);
    Ok((address, bytes))
}

/// The body, or none where it is a stream.
pub(crate) fn body(request: &Request) -> &[u8] {
    request.body().and_then(Body::as_bytes).unwrap_or_default()
}

/// The request for HTTP/2.
pub(crate) fn request(
    request: &Request,
    content_length: usize,
) -> Result<http::Request<()>, LoadError> {
    let broken = |error: http::Error| LoadError::Url {
        given: request.url().to_string(),
        reason: error.to_string(),
    };
    let mut made = http::Request::builder()
        .method(request.method())
        .uri(request.url().as_str())
        .body(())
        .map_err(broken)?;
    made.headers_mut().extend(request.headers().clone());
    if content_length > 0 {
        made.headers_mut()
            .insert(CONTENT_LENGTH, content_length.into());
    }
    Ok(made)
}

/// The body's bytes, to be shared among many requests.
pub(crate) fn shared_body(request: &Request) -> Bytes {
    Bytes::copy_from_slice(body(request))
}
