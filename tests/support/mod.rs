//! Runs the real binary.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The binary under test, deaf to the environment of whoever runs the tests.
pub fn buckler() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buckler"));
    for variable in [
        "BUCKLER_LOG",
        "BUCKLER_MODELS",
        "BUCKLER_BIND",
        "BUCKLER_DEVICE",
    ] {
        command.env_remove(variable);
    }
    command
}

pub fn run(args: &[&str]) -> Output {
    buckler().args(args).output().unwrap()
}

/// Standard output of a run that must succeed, as JSON.
pub fn json(args: &[&str]) -> serde_json::Value {
    let output = buckler().args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Standard error of a run that must fail with `code`.
pub fn failure(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {}",
        stderr(&output)
    );
    stderr(&output)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of models with the project's MNIST model alone.
pub fn mnist() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/mnist-he/1");
    let to = folder.path().join("mnist-he/1");
    std::fs::create_dir_all(&to).unwrap();
    for file in ["model.onnx", "gradient.onnx", "card.json"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    folder
}

/// A recipe that trains in seconds.
pub fn small_recipe(dir: &Path, epochs: usize) -> PathBuf {
    let path = dir.join("small.toml");
    let recipe = format!(
        r#"
        name = "small"
        data = "digits"
        seed = 3
        network = {{ kind = "small-cnn", width = 0.1, dropout = 0.2 }}
        head = {{ kind = "hypersphere", scale = 10.0, margin = 0.1 }}
        framework = {{ kind = "pgd-at" }}
        training = {{ epochs = {epochs}, batch_size = 32, images = 200 }}
        adversary = {{ eps = 0.05, steps = 2, step_size = 0.03 }}
        optimizer = {{ learning_rate = 0.05, momentum = 0.9 }}
        schedule = {{ kind = "cosine" }}
        validation = {{ images = 50, steps = 2 }}
        "#
    );
    std::fs::write(&path, recipe).unwrap();
    path
}

/// A server on a port of its own, stopped when dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(models: &Path) -> Self {
        Self::start_with(models, &[])
    }

    pub fn start_with(models: &Path, more: &[&str]) -> Self {
        let mut child = buckler()
            .args(["serve", "--bind", "127.0.0.1:0", "--models", text(models)])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let start = line.find("http://127.0.0.1:")?;
                let url = line[start..].split_whitespace().next()?;
                Some(url.trim_end_matches('/').to_owned())
            })
            .expect("the server says where it listens");
        // Keeps the pipe empty, so that the server never blocks on its log.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
