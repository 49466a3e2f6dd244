//! Whom a request is for.
use axum::{
    extract::Request,
    http::{Version, header::HOST},
    middleware::Next,
    response::Response,
};

use crate::error::ApiError;

/// A request of HTTP/1.1 has one `Host` header ([RFC 9112, section 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)); with several,
/// a proxy before the server may have looked at another one.
pub(crate) async fn check(request: Request, next: Next) -> Result<Response, ApiError> {
    let count = request.headers().get_all(HOST).iter().count();
    let needed = usize::from(request.version() == Version::HTTP_11);
    if count < needed || count > 1 {
        return Err(ApiError::Host(count));
    }
    Ok(next.run(request).await)
}
