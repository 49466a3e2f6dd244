//! Small servers on free ports.
#![allow(dead_code)]
use std::{
    future::{Ready, ready},
    io::Cursor,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, response::IntoResponse};
use image::{ImageFormat, RgbImage};
use tokio::{net::TcpListener, task::JoinHandle};

pub struct Server {
    pub url: String,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            task: tokio::spawn(async { axum::serve(listener, routes).await }),
        }
    }

    /// Stops it at once; nobody listens any more.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Counts requests.
#[derive(Clone, Default)]
pub struct Counter(pub Arc<AtomicU64>);

impl Counter {
    /// A handler that answers the `n`th request, from 0, with `answer(n)`.
    pub fn answer<A: IntoResponse + 'static>(
        &self,
        answer: impl Fn(u64) -> A + Clone + Send + Sync + 'static,
    ) -> impl Fn() -> Ready<A> + Clone + Send + Sync + 'static {
        let count = Arc::clone(&self.0);
        move || ready(answer(count.fetch_add(1, Ordering::SeqCst)))
    }
}

pub fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let image = RgbImage::from_raw(width, height, pixels.to_vec()).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
