//! A real server on a free port, with tiny models.
#![allow(dead_code)]
#[path = "../../../crates/runtime/tests/models/mod.rs"]
pub mod models;

use std::{fs, io::Cursor, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use buckler_attack::InputSpec;
use buckler_onnx::{Model, Normalization, Preprocessing};
use buckler_server::{Config, run};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use models::{Batch, card, linear, rounded, smooth_network};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub const GREY: InputSpec = InputSpec {
    channels: 1,
    height: 8,
    width: 8,
};
pub const RGB: InputSpec = InputSpec {
    channels: 3,
    height: 8,
    width: 8,
};

pub struct Server {
    pub client: Client,
    pub base: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), buckler_server::ServerError>>,
    pub models: tempfile::TempDir,
}

/// Which half is brighter: logits 12 (left - right), 12 (right - left) and -3 for `neither`.
pub fn halves() -> Model {
    let mut weights = Vec::new();
    for pixel in 0..64 {
        let side = if pixel % 8 < 4 {
            12.0 / 32.0
        } else {
            -12.0 / 32.0
        };
        weights.extend([side, -side, 0.0]);
    }
    let mut model = linear(GREY, &weights, &[0.0, 0.0, -3.0], Batch::Any);
    let mut stated = card("halves", &["left", "right", "neither"]);
    stated.input.preprocessing = Some(Preprocessing::default());
    stated.input.normalization = Some(Normalization {
        mean: vec![0.0],
        std: vec![1.0],
    });
    model.set_card(&stated).unwrap();
    model
}

pub fn store(root: &Path, name: &str, model: &Model) {
    store_version(root, name, 1, model);
}

pub fn store_version(root: &Path, name: &str, version: usize, model: &Model) {
    let directory = root.join(name).join(version.to_string());
    fs::create_dir_all(&directory).unwrap();
    model.write(directory.join("model.onnx")).unwrap();
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Models `colour` (the default, without a card), `halves`, `rounded` (without a gradient) and `unreadable`.
    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::at("127.0.0.1:0", configure).await
    }

    /// At another address of this machine.
    pub async fn at(address: &str, configure: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        store(root.path(), "colour", &smooth_network(RGB, 4, Batch::Any));
        store(root.path(), "halves", &halves());
        store(root.path(), "rounded", &rounded(GREY));
        fs::create_dir_all(root.path().join("unreadable/1")).unwrap();
        fs::write(root.path().join("unreadable/1/model.onnx"), b"?").unwrap();
        Self::of(root, address, configure).await
    }

    /// Models `colour` and `halves`, which are both ready.
    pub async fn sound() -> Self {
        Self::sound_with(|_| {}).await
    }

    pub async fn sound_with(configure: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        store(root.path(), "colour", &smooth_network(RGB, 4, Batch::Any));
        store(root.path(), "halves", &halves());
        Self::of(root, "127.0.0.1:0", configure).await
    }

    async fn of(
        root: tempfile::TempDir,
        address: &str,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::new(root.path());
        configure(&mut config);
        let listener = TcpListener::bind(address).await.unwrap();
        let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run(listener, config, async {
            let _ = stopped.await;
        }));
        Self {
            client: Client::new(),
            base,
            stop: Some(stop),
            task,
            models: root,
        }
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.base))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    /// A raw image to a path, which must succeed.
    pub async fn ask(&self, path: &str, image: Vec<u8>) -> Value {
        ok(self.post(path).body(image).send().await.unwrap()).await
    }

    /// Tells the server to stop.
    pub fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops the server and waits until it has.
    pub async fn stop(mut self) {
        self.ask_to_stop();
        self.task.await.unwrap().unwrap();
    }
}

pub async fn ok(response: Response) -> Value {
    let status = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// An answer without what may differ from run to run.
pub fn timeless(mut answer: Value) -> Value {
    let object = answer.as_object_mut().unwrap();
    object.remove("seconds");
    if let Some(results) = object.get_mut("results") {
        for result in results.as_array_mut().unwrap() {
            result.as_object_mut().unwrap().remove("seconds");
        }
    }
    answer
}

pub fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Grey, with the left half brighter by `difference`.
pub fn left(difference: u8) -> Vec<u8> {
    png(GrayImage::from_fn(8, 8, |x, y| {
        Luma([100 + y as u8 + if x < 4 { difference } else { 0 }])
    }))
}

pub fn coloured() -> Vec<u8> {
    png(RgbImage::from_fn(8, 8, |x, y| {
        Rgb([(x * 30) as u8, (y * 30) as u8, 77])
    }))
}

pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The bytes in a PNG data URI.
pub fn data_uri(value: &Value) -> Vec<u8> {
    let encoded = value
        .as_str()
        .unwrap()
        .strip_prefix("data:image/png;base64,")
        .unwrap();
    BASE64_STANDARD.decode(encoded).unwrap()
}
