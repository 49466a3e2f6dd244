//! PyTorch checkpoints as they were released; pytorch/write.py writes the one here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use buckler_train::{Checkpoint, ComputeDevice, Recipe, TrainError, export, logits};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pytorch")
        .join(name)
}

fn load(path: &Path, depth: usize) -> Result<Checkpoint, TrainError> {
    let text = format!(
        "base = \"cifar10-trades-he\"\nnetwork = {{ kind = \"wide-resnet\", depth = {depth}, width = 1 }}"
    );
    let recipe = Recipe::parse(&text, "test").unwrap();
    let classes = (0..10).map(|class| class.to_string()).collect();
    let device = ComputeDevice::Cpu.open().unwrap();
    Checkpoint::from_pytorch(path, &recipe, [3, 32, 32], classes, &device)
}

#[test]
fn a_released_hypersphere_checkpoint_gives_the_logits_that_it_gives_in_pytorch() {
    let checkpoint = load(&file("wrn-10-1-he.pt"), 10).unwrap();
    let pixels: Vec<f32> = (0..2 * 3 * 32 * 32)
        .map(|i| (i * 37 % 256) as f32 / 255.0)
        .collect();
    let expected = std::fs::read_to_string(file("logits.json")).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_str(&expected).unwrap();
    let got = logits(&checkpoint, &pixels).unwrap();
    for (got, expected) in got.iter().zip(expected.concat()) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
    let card = export(&checkpoint, "released")
        .unwrap()
        .card()
        .unwrap()
        .unwrap();
    assert_eq!(card.training, None, "nobody knows how it was trained");
    // Unit rows again, which the file does not have.
    let weight = checkpoint.network.head.weight.val();
    let lengths: Vec<f32> = (weight.clone() * weight)
        .sum_dim(0)
        .into_data()
        .try_to_vec()
        .unwrap();
    for length in lengths {
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn a_checkpoint_of_another_network_is_refused_with_what_is_missing() {
    let error = load(&file("wrn-10-1-he.pt"), 16).unwrap_err().to_string();
    assert!(
        error.contains("another network") && error.contains("block1.layer.1"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_checkpoint_is_refused_by_name() {
    for name in ["write.py", "missing.pt"] {
        let error = load(&file(name), 10).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_truncated_checkpoint_is_an_error_and_no_panic() {
    let bytes = std::fs::read(file("wrn-10-1-he.pt")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for share in [0, 1, 5, 9] {
        let path = dir.path().join("cut.pt");
        std::fs::write(&path, &bytes[..bytes.len() * share / 10]).unwrap();
        assert!(load(&path, 10).is_err(), "{share}");
    }
}
