use std::{
    io,
    num::NonZero,
    sync::{Arc, Mutex},
};

use buckler_server::{Key, Scope};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    ALL, key,
    support::{Server, left, ok},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn refusals_are_logged_with_who_and_why_and_neither_keys_nor_their_hashes_are() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "trace,hyper=info,hyper_util=info,reqwest=info",
        ))
        .with_ansi(false)
        .with_writer(log.clone())
        .init();
    let known = key("open-sesame", ALL);
    let hash = known.sha256.clone();
    let mut shown = String::new();
    let server = Server::with(|config| {
        let ali = Key {
            name: "ali".to_owned(),
            ..known
        };
        let hasty = Key {
            requests_per_second: NonZero::new(1),
            ..key("hasty", ALL)
        };
        config.keys = vec![ali, key("reader", &[Scope::Predict]), hasty];
        shown = format!("{config:?}");
    })
    .await;
    let ask = |plain: &str| {
        let request = server.post("/attack?model=halves&eps=1/255").body(left(90));
        request.bearer_auth(plain).send()
    };
    ok(ask("open-sesame").await.unwrap()).await;
    assert_eq!(ask("open-barley").await.unwrap().status(), 401);
    assert_eq!(ask("reader").await.unwrap().status(), 403);
    while ask("hasty").await.unwrap().status() != 429 {}
    server.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for parts in [
        ["tenant=\"ali\"", "status=200"],
        ["status=401", "code=\"wrong_key\""],
        ["tenant=\"reader\"", "code=\"missing_scope\""],
        ["tenant=\"hasty\"", "code=\"rate_limited\""],
    ] {
        let answered = |line: &&str| line.contains("answered") && line.contains("/attack");
        let mut lines = log.lines().filter(answered);
        let told = lines.any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(told, "{parts:?} in\n{log}");
    }
    assert!(shown.contains("ali"), "{shown}");
    for secret in ["open-sesame", "open-barley", &hash[..16]] {
        assert!(!log.contains(secret), "the log has {secret}");
        assert!(!shown.contains(secret), "the configuration has {secret}");
    }
}
