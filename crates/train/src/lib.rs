//! Adversarial training of image classifiers on Burn, with or without hypersphere embedding.
//!
//! A [`Recipe`] names the network, the head, the framework and the adversary; [`train`] runs it and keeps the checkpoint
//! with the best accuracy under attack on held-out images; [`export`] turns a checkpoint into an ONNX model whose input
//! is `image` `[batch, channels, height, width]` in `[0, 1]`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adversary;
mod agreement;
mod ball;
mod checkpoint;
mod collapse;
mod device;
mod error;
mod export;
mod fingerprint;
mod framework;
mod head;
mod loss;
mod metrics;
mod network;
mod pictures;
mod progress;
mod pytorch;
mod recipe;
mod report;
mod run;
mod schedule;
mod shards;
mod start;
mod step;
#[cfg(test)]
mod testing;
mod trainer;
mod validation;
mod weights;

pub use adversary::{Adversary, Start};
pub use agreement::Agreement;
pub use checkpoint::{Checkpoint, CheckpointState};
pub use device::{ComputeDevice, ParseDeviceError};
pub use error::TrainError;
pub use export::{card, export, gradient, logits};
pub use fingerprint::{Fingerprint, PartFingerprint};
pub use framework::{Framework, Maximised};
pub use head::{Head, HeadConfig};
pub use loss::{cross_entropy, kl_divergence};
pub use metrics::StepRecord;
pub use network::{
    Body, Network, NetworkConfig, Normalization, NormalizationConfig, Output, PreActResNet,
    Precision, ResNet, ShortcutInput, SmallCnn, WideResNet,
};
pub use pytorch::{Imported, PytorchFile};
pub use recipe::{
    AdversaryConfig, AwpConfig, ImageSize, OptimizerConfig, Recipe, TrainingConfig,
    ValidationConfig,
};
pub use run::{Change, EpochRecord, Run};
pub use schedule::Schedule;
pub use start::preprocessing;
pub use trainer::{TrainOptions, train};
