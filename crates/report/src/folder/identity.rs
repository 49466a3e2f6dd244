//! What the state of an evaluation belongs to.

use buckler_onnx::Normalization;
use serde::{Deserialize, Serialize};

use crate::{ModelSettings, Plan, Subject};

/// What a state belongs to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    model_sha256: String,
    images_sha256: String,
    attacks: Vec<String>,
    /// The program's version.
    #[serde(default)]
    buckler: String,
    #[serde(default)]
    normalization: Option<Normalization>,
    #[serde(default)]
    assumptions: Vec<String>,
    /// `None` in states of earlier versions.
    #[serde(default)]
    settings: Option<ModelSettings>,
}

impl Identity {
    pub fn new(subject: &Subject, plan: &Plan) -> Self {
        let attacks = plan.entries.iter();
        Self {
            model_sha256: subject.sha256.clone(),
            images_sha256: subject.images_sha256.clone(),
            attacks: attacks.map(|e| e.parameters().to_string()).collect(),
            buckler: subject.buckler.clone(),
            normalization: subject.normalization.clone(),
            assumptions: subject.assumptions.clone(),
            settings: subject.settings.clone(),
        }
    }

    /// The first thing in which the evaluation that was begun, `other`, is not this one.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.model_sha256 != other.model_sha256 {
            let (here, there) = (&self.model_sha256, &other.model_sha256);
            return Some(format!(
                "its model has the SHA-256 {there}, this one {here}"
            ));
        }
        if self.images_sha256 != other.images_sha256 {
            return Some("its images are others".to_owned());
        }
        if self.buckler != other.buckler {
            return Some(format!(
                "it was begun by version `{}`, this is `{}`",
                other.buckler.escape_debug(),
                self.buckler
            ));
        }
        if self.normalization != other.normalization {
            let text = |stated: &Option<Normalization>| match stated {
                Some(Normalization { mean, std }) => format!("mean {mean:?} and std {std:?}"),
                None => "none".to_owned(),
            };
            return Some(format!(
                "its normalisation is {}, this one {}",
                text(&other.normalization),
                text(&self.normalization)
            ));
        }
        if let Some(difference) = self.settings_difference(other) {
            return Some(difference);
        }
        let lacks = |one: &Self, other: &Self| {
            let mut missing = one.assumptions.iter();
            missing
                .find(|line| !other.assumptions.contains(line))
                .cloned()
        };
        if let Some(line) = lacks(self, other).or_else(|| lacks(other, self)) {
            return Some(format!(
                "only one of the two assumes: {}",
                line.escape_debug()
            ));
        }
        (self.attacks != other.attacks).then(|| {
            let list = |attacks: &[String]| attacks.join("; ");
            format!(
                "its attacks are [{}], these are [{}]",
                list(&other.attacks),
                list(&self.attacks)
            )
        })
    }

    fn settings_difference(&self, other: &Self) -> Option<String> {
        match (&self.settings, &other.settings) {
            (Some(here), Some(there)) => {
                let difference = there.difference(here)?;
                Some(format!(
                    "its model was opened with {difference} now: its card or an option was changed"
                ))
            }
            (None, None) => None,
            _ => Some("it does not say how its model was opened".to_owned()),
        }
    }
}
