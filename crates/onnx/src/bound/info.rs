use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Model, model::json_error};

/// How bounds are computed. Those by lines are never looser than those by intervals, and each takes longer than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bounding {
    /// Interval bound propagation (Gowal et al. 2018): as much as three predictions, and one small product for each class.
    Ibp,
    /// And one backward pass for each class, in which rectifiers lie between lines of their intervals (CROWN-IBP: Zhang et al. 2020):
    /// as much as a gradient for each class.
    #[default]
    CrownIbp,
    /// And a backward pass for every input of a rectifier behind the first layer, where these are not too many (CROWN: Zhang et al.
    /// 2018): as much as a gradient for each of them, which is thousands.
    Crown,
}

impl Bounding {
    /// All of them, from the loosest.
    pub const ALL: [Bounding; 3] = [Bounding::Ibp, Bounding::CrownIbp, Bounding::Crown];

    /// The name used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Bounding::Ibp => "ibp",
            Bounding::CrownIbp => "crown-ibp",
            Bounding::Crown => "crown",
        }
    }
}

impl fmt::Display for Bounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no way to compute bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown method `{0}`: use `ibp`, `crown-ibp` or `crown`")]
pub struct ParseBoundingError(String);

impl FromStr for Bounding {
    type Err = ParseBoundingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut methods = Self::ALL.into_iter();
        methods
            .find(|method| method.name() == text.trim())
            .ok_or_else(|| ParseBoundingError(text.to_owned()))
    }
}

/// What a graph of bounds says about itself, in its metadata under [`BoundInfo::KEY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundInfo {
    /// Version of the contract between the graph and those that run it; [`BoundInfo::VERSION`].
    pub version: u32,
    /// How bounds are computed.
    pub method: Bounding,
    /// Number of classes.
    pub classes: usize,
    /// Whether a division of features by their length was taken out: margins then have the sign of the model's, and are those of
    /// features that are not normalised.
    pub unnormalised: bool,
    /// [`Model::graph_sha256`] of the model that was bounded.
    pub graph_sha256: String,
}

impl BoundInfo {
    /// The `metadata_props` key.
    pub const KEY: &'static str = "buckler.bound";
    /// The version written here.
    pub const VERSION: u32 = 1;

    /// Reads it from a model; `None` when the model is no graph of bounds.
    ///
    /// # Errors
    /// When the metadata cannot be understood.
    pub fn of(model: &Model) -> Result<Option<Self>, Error> {
        let Some(json) = model.metadata(Self::KEY) else {
            return Ok(None);
        };
        let info = serde_json::from_str(json).map_err(|source| json_error(Self::KEY, source))?;
        Ok(Some(info))
    }

    /// Writes it into a model.
    pub(super) fn store(&self, model: &mut Model) -> Result<(), Error> {
        let json = serde_json::to_string(self).map_err(|source| json_error(Self::KEY, source))?;
        model.set_metadata(Self::KEY, &json);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_goes_by_its_name() {
        for method in Bounding::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
            let json = serde_json::to_string(&method).unwrap();
            assert_eq!(json, format!("\"{method}\""));
        }
        let error = "crwn".parse::<Bounding>().unwrap_err().to_string();
        assert!(error.contains("`crwn`") && error.contains("`crown-ibp`"));
    }
}
