//! The page for people, at `/`, with its assets.
use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// The page may load and ask nothing but this server, and nothing may frame it. Images are shown from memory.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    /// Changes with the content, so that browsers keep a file for as long as it is the same.
    tag: String,
}

macro_rules! assets {
    ($($path:literal $media_type:literal)*) => {
        [$(Asset::new($path, $media_type, include_bytes!(concat!("page/", $path)))),*]
    };
}

static PAGE: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_bytes!("page/index.html");
    Asset::new("index.html", "text/html; charset=utf-8", content)
});

static ASSETS: LazyLock<[Asset; 20]> = LazyLock::new(|| {
    assets! {
        "style.css" "text/css; charset=utf-8"
        "main.js" "text/javascript; charset=utf-8"
        "api.js" "text/javascript; charset=utf-8"
        "attack.js" "text/javascript; charset=utf-8"
        "chart.js" "text/javascript; charset=utf-8"
        "compare.js" "text/javascript; charset=utf-8"
        "form.js" "text/javascript; charset=utf-8"
        "image.js" "text/javascript; charset=utf-8"
        "report.js" "text/javascript; charset=utf-8"
        "icon.svg" "image/svg+xml"
        "samples/0.png" "image/png"
        "samples/1.png" "image/png"
        "samples/2.png" "image/png"
        "samples/3.png" "image/png"
        "samples/4.png" "image/png"
        "samples/5.png" "image/png"
        "samples/6.png" "image/png"
        "samples/7.png" "image/png"
        "samples/8.png" "image/png"
        "samples/9.png" "image/png"
    }
});

/// `GET /`
pub(crate) async fn page(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

/// `GET /assets/...`
pub(crate) async fn asset(
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asset = ASSETS.iter().find(|asset| asset.path == path);
    let asset = asset.ok_or_else(|| ApiError::UnknownRoute(format!("/assets/{path}")))?;
    Ok(asset.answer(&headers))
}

impl Asset {
    fn new(path: &'static str, media_type: &'static str, content: &'static [u8]) -> Self {
        let digest = Sha256::digest(content);
        let start = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        Self {
            path,
            media_type,
            content,
            tag: format!("\"{}\"", start.collect::<String>()),
        }
    }

    /// The file, or that the browser has it (RFC 9110, section 13.1.2).
    fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::ETAG, self.tag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        let known = headers.get_all(header::IF_NONE_MATCH).iter();
        let mut known = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"));
        if known.any(|tag| tag == self.tag || tag == "*") {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let media_type = [(header::CONTENT_TYPE, self.media_type)];
        (common, media_type, self.content).into_response()
    }
}
