use std::path::Path;

use buckler_attack::{
    AttackError, AttackKind, Evaluation, Flag, Linearity, Norm, SampleSource, WorstCase,
};
use buckler_data::ClassMap;
use buckler_onnx::Normalization;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ModelSettings, ReportError, folder, plan::HALVINGS, run::BLOCK};

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
    /// SHA-256 over all of the above, see [`Report::sealed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
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
    /// The normalisation of pixels in `[0, 1]` that was asked for, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// How the model was opened, by its graph, its card and the options; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ModelSettings>,
    /// The data set and split, such as `mnist/test`.
    pub data: String,
    /// SHA-256 over the images' pixels and labels, as [`images_sha256`] has it.
    pub images_sha256: String,
    /// Class of the model for each class of the data set; absent in reports of earlier versions, which took them in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassMap>,
    /// File of each image, in their order and relative to the data set's folder; empty where images are not files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Files that were left out because they cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// The command that measures it again.
    pub command: String,
}

/// An image file that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file, relative to the data set's folder.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
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

    /// The report with the checksum of its content: SHA-256 over its compact JSON without the checksum. It shows that a figure
    /// was changed by accident or by hand; whoever makes the checksum again leaves no trace in it.
    ///
    /// # Errors
    /// When the report cannot be written as JSON.
    pub fn sealed(mut self) -> Result<Self, ReportError> {
        self.content_sha256 = None;
        let json = serde_json::to_vec(&self).map_err(|e| ReportError::broken("report.json", e))?;
        self.content_sha256 = Some(format!("{:x}", Sha256::digest(&json)));
        Ok(self)
    }

    /// The figures of all attacks.
    pub(crate) fn evaluations(&self) -> Vec<&Evaluation> {
        self.evaluations.iter().map(|m| &m.evaluation).collect()
    }
}

/// Name of the drawing of the accuracy over the radius.
pub(crate) fn curve_file(norm: Norm) -> String {
    format!("curve-{norm}.svg")
}

/// SHA-256 over the shape, the pixels and the labels of all samples, in hexadecimal.
///
/// # Errors
/// When an image cannot be read.
pub fn images_sha256<S: SampleSource>(samples: &S) -> Result<String, AttackError> {
    let mut hash = Sha256::new();
    for start in (0..samples.len()).step_by(BLOCK) {
        let part = samples.block(start..start + BLOCK)?;
        if start == 0 {
            let image = part.images.shape().iter().skip(1).copied();
            for side in std::iter::once(samples.len()).chain(image) {
                hash.update((side as u64).to_le_bytes());
            }
        }
        for value in &part.images {
            hash.update(value.to_le_bytes());
        }
    }
    for &label in samples.labels() {
        hash.update((label as u64).to_le_bytes());
    }
    Ok(format!("{:x}", hash.finalize()))
}
