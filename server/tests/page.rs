//! The page and its assets; what it does in a browser is in `tests/page/test_page.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{env, path::Path, process::Command};

use reqwest::{Response, StatusCode};
use serde_json::Value;
use support::{Server, left};

async fn get(server: &Server, path: &str) -> Response {
    server.get(path).send().await.unwrap()
}

/// What an HTML or JavaScript text loads, as paths from `/`.
fn loaded(text: &str, folder: &str) -> Vec<String> {
    let quoted = text.split('"');
    let paths = quoted.filter_map(|part| match part.strip_prefix("./") {
        Some(module) => Some(format!("/{folder}{module}")),
        None => part.starts_with("assets/").then(|| format!("/{part}")),
    });
    paths.collect()
}

#[tokio::test]
async fn all_that_the_page_loads_is_served_with_its_type_and_from_here_alone() {
    let server = Server::start().await;
    let page = get(&server, "/").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let mut open = loaded(&page.text().await.unwrap(), "");
    let mut types = Vec::new();
    let mut seen = Vec::new();
    while let Some(path) = open.pop() {
        if seen.contains(&path) {
            continue;
        }
        let asset = get(&server, &path).await;
        assert_eq!(asset.status(), StatusCode::OK, "{path}");
        let policy = asset.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(asset.headers()["x-content-type-options"], "nosniff");
        types.push(asset.headers()["content-type"].to_str().unwrap().to_owned());
        let text = asset.text().await.unwrap();
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
        open.extend(loaded(&text, "assets/"));
        seen.push(path);
    }
    for media_type in [
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
        "image/svg+xml",
    ] {
        assert!(types.iter().any(|found| found == media_type), "{types:?}");
    }
    let missing = get(&server, "/assets/../Cargo.toml").await;
    assert_eq!(missing.status(), 404);
    let missing: Value = get(&server, "/assets/main.jsx").await.json().await.unwrap();
    assert_eq!(missing["error"]["code"], "unknown_route");
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let server = Server::start().await;
    for path in ["/", "/assets/main.js", "/assets/samples/3.png"] {
        let first = get(&server, path).await;
        let tag = first.headers()["etag"].clone();
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let again = server.get(path).header("if-none-match", &tag).send();
        let again = again.await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()["etag"], tag);
        assert!(again.bytes().await.unwrap().is_empty());
        let other = server.get(path).header("if-none-match", "\"other\"").send();
        assert_eq!(other.await.unwrap().status(), StatusCode::OK);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_has_a_field_for_every_parameter_that_an_attack_takes() {
    let server = Server::start().await;
    let page = get(&server, "/").await.text().await.unwrap();
    let form = get(&server, "/assets/form.js").await.text().await.unwrap();
    let listed: Value = get(&server, "/attacks").await.json().await.unwrap();
    let attacks = listed["attacks"].as_array().unwrap();
    let settings = attacks
        .iter()
        .flat_map(|attack| attack["settings"].as_array().unwrap());
    let settings = settings.map(|name| name.as_str().unwrap());
    for name in settings.chain(["attack", "norm", "eps", "label", "target", "seed", "model"]) {
        let fixed = page.contains(&format!("name=\"{name}\""));
        assert!(
            fixed || form.contains(&format!("name: \"{name}\"")),
            "{name}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn every_setting_that_an_attack_is_said_to_take_is_taken_and_no_other() {
    let server = Server::start().await;
    let listed: Value = get(&server, "/attacks").await.json().await.unwrap();
    let values = [
        ("steps", "2"),
        ("step_size", "1/255"),
        ("restarts", "1"),
        ("objective", "margin"),
        ("variants", "ni"),
    ];
    for attack in listed["attacks"].as_array().unwrap() {
        let name = attack["name"].as_str().unwrap();
        let takes = attack["settings"].as_array().unwrap();
        for (setting, value) in values {
            // The most that any may cost, so that a request that is taken is not run.
            let query = format!("model=halves&attack={name}&{setting}={value}&target=nobody");
            let request = server.post(&format!("/attack?{query}")).body(left(1));
            let body: Value = request.send().await.unwrap().json().await.unwrap();
            let taken = takes.contains(&setting.into());
            let field = if taken { "target" } else { setting };
            assert_eq!(body["error"]["field"], field, "{query}: {body}");
        }
    }
    server.stop().await;
}

/// Runs by `BUCKLER_BROWSER=/path/to/chromium cargo test`, with Playwright in the `python3` on the path.
#[tokio::test]
async fn the_page_works_in_a_browser() {
    if env::var_os("BUCKLER_BROWSER").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let server = Server::with(|config| config.models = root.join("models")).await;
    let address = server.get("/").build().unwrap().url().to_string();
    let ready = async {
        while server.get("/health").send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    ready.await;
    let run = move || {
        let script = root.join("tests/page/test_page.py");
        let mut python = Command::new("python3");
        python.arg(script).env("BUCKLER_SERVER", address).status()
    };
    let status = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    assert!(status.success());
    server.stop().await;
}
