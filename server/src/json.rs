//! Answers in JSON, with nothing in them that a terminal would obey: names come from files.
use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use buckler_onnx::printable_json;
use serde::Serialize;

/// Is sent as JSON whose strings have what does not print escaped, which reads back as the same.
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => {
                let body = printable_json(&text).into_owned();
                ([(CONTENT_TYPE, "application/json")], body).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn what_does_not_print_is_escaped() {
        let name = "a\u{9b}31m\u{202e}\u{1b}[2J 猫";
        let response = Json([name]).into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text, r#"["a\u009b31m\u202e\u001b[2J 猫"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(text).unwrap(), [name]);
    }
}
