use std::{
    io,
    sync::{Arc, Mutex},
};

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
async fn neither_keys_nor_their_hashes_are_logged() {
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
        config.keys = vec![buckler_server::Key {
            name: "ali".to_owned(),
            ..known
        }];
        shown = format!("{config:?}");
    })
    .await;
    let ask = |plain: &str| {
        let request = server.post("/attack?model=halves&eps=1/255").body(left(90));
        request.bearer_auth(plain).send()
    };
    ok(ask("open-sesame").await.unwrap()).await;
    assert_eq!(ask("open-barley").await.unwrap().status(), 401);
    server.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/attack"), "{log}");
    assert!(shown.contains("ali"), "{shown}");
    for secret in ["open-sesame", "open-barley", &hash[..16]] {
        assert!(!log.contains(secret), "the log has {secret}");
        assert!(!shown.contains(secret), "the configuration has {secret}");
    }
}
