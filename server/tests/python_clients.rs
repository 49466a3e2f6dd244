//! Clients as people use them, unchanged: `tests/clients`, with the packages that `requirements.txt` there pins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{env, path::Path, process::Command};

use support::Server;

#[tokio::test]
async fn tritonclient_and_kserve_work_unchanged() {
    let Some(python) = env::var_os("BUCKLER_CLIENTS_PYTHON") else {
        eprintln!(
            "skipped: set BUCKLER_CLIENTS_PYTHON to a Python with the packages of tests/clients/requirements.txt"
        );
        return;
    };
    let server = Server::sound().await;
    let address = server.base.trim_start_matches("http://").to_owned();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients");
    let pytest = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .arg(tests)
            .env("BUCKLER_ADDRESS", address)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
    });
    let output = pytest.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.stop().await;
}
