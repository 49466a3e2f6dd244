use reqwest::Method;

use crate::check;
use crate::support::{Server, left};

#[tokio::test]
async fn bad_routes_methods_and_models() {
    let server = Server::start().await;
    let model =
        |name: &str, route: &str| server.post(&format!("/{route}?model={name}")).body(left(9));
    let url = server.get("/predict").build().unwrap().url().clone();
    check(
        &server,
        vec![
            (
                server.get("/nothing/here"),
                404,
                "unknown_route",
                None,
                vec!["/nothing/here", "/predict"],
            ),
            (
                server.post("/predict/"),
                404,
                "unknown_route",
                None,
                vec!["/predict/"],
            ),
            (
                server.get("/predict"),
                405,
                "method_not_allowed",
                None,
                vec!["GET", "POST"],
            ),
            (
                server.post("/health").body("x"),
                405,
                "method_not_allowed",
                None,
                vec!["POST /health"],
            ),
            (
                server.client.request(Method::DELETE, url),
                405,
                "method_not_allowed",
                None,
                vec!["DELETE"],
            ),
            (
                model("nobody", "predict"),
                404,
                "unknown_model",
                Some("model"),
                vec!["nobody", "`halves`"],
            ),
            (
                model("../halves", "predict"),
                404,
                "unknown_model",
                Some("model"),
                vec![],
            ),
            (
                model("unreadable", "predict"),
                503,
                "model_not_ready",
                Some("model"),
                vec!["unreadable"],
            ),
            (
                model("rounded", "attack"),
                422,
                "no_gradient",
                None,
                vec!["Round", "/predict"],
            ),
        ],
    )
    .await;
    server.stop().await;
}
