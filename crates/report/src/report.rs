use std::path::Path;

use buckler_attack::{AttackKind, Evaluation, Flag, Linearity, Norm, Samples, WorstCase};
use buckler_onnx::Normalization;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ReportError, folder, plan::HALVINGS};

/// What was measured, on what, and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured.
    #[serde(flatten)]
    pub subject: Subject,
    /// The number of images.
    pub images: usize,
    /// The share of clean images that are classified correctly.
    pub clean_accuracy: f64,
    /// Reasons to distrust the figures; empty where there are none.
    pub flags: Vec<Flag>,
    /// The pointwise worst case over all attacks, in each norm.
    pub worst_cases: Vec<WorstCase>,
    /// The attacks, in the order of the plan.
    pub evaluations: Vec<Measured>,
    /// How far the loss is linear within balls; empty where nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linearity: Vec<Linearity>,
    /// The time of all attacks, in seconds.
    pub seconds: f64,
}

/// What is measured, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The program's version.
    pub buckler: String,
    /// The model, as it was given.
    pub model: String,
    /// SHA-256 of the model.
    pub sha256: String,
    /// What was assumed about the model because it does not say it.
    pub assumptions: Vec<String>,
    /// What the graph expects of pixels in `[0, 1]`, where it does not normalise by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// The data set and split, such as `mnist/test`.
    pub data: String,
    /// SHA-256 over the images' pixels and labels, as [`images_sha256`] has it.
    pub images_sha256: String,
    /// The command that measures it again.
    pub command: String,
}

/// One evaluation, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The figures.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// In seconds.
    pub seconds: f64,
    /// The files with the adversarial images, relative to the report; each holds `ids` and `images`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adversarials: Vec<String>,
}

impl Report {
    /// Reads a `report.json`.
    ///
    /// # Errors
    /// When there is none, or it is no report.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        folder::read(path)?.ok_or_else(|| ReportError::broken(path, "there is no such report"))
    }

    /// Whether an attack in this norm looked for the smallest perturbation of each image, and not only within its radius.
    pub fn seeks_smallest(&self, norm: Norm) -> bool {
        self.evaluations.iter().any(|measured| {
            let parameters = &measured.evaluation.parameters;
            parameters.norm == norm
                && (parameters.options.contains_key(HALVINGS)
                    || parameters.kind().is_some_and(AttackKind::seeks_closest))
        })
    }

    /// The figures of all attacks.
    pub(crate) fn evaluations(&self) -> Vec<&Evaluation> {
        self.evaluations.iter().map(|m| &m.evaluation).collect()
    }
}

/// SHA-256 over the shape, the pixels and the labels of samples, in hexadecimal.
pub fn images_sha256(samples: &Samples) -> String {
    let mut hash = Sha256::new();
    for &side in samples.images.shape() {
        hash.update((side as u64).to_le_bytes());
    }
    for value in &samples.images {
        hash.update(value.to_le_bytes());
    }
    for &label in &samples.labels {
        hash.update((label as u64).to_le_bytes());
    }
    format!("{:x}", hash.finalize())
}
