//! What lies in a directory of models and is not a model, with the reason.
use std::{ffi::OsStr, path::Path};

use buckler_onnx::printable;

/// Entries that are listed at most; there may be any number of them.
const MAX_LISTED: usize = 1000;

/// Names that are routes of the server: `GET /v2/models/stats` are the statistics of all models.
const RESERVED: [&str; 1] = ["stats"];

/// A file or folder in the directory of models that is not served, because of its name or its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Where it is, from the directory of models on; what does not print is escaped.
    pub path: String,
    /// Why it is left out and what to do, one sentence.
    pub reason: String,
}

/// What one look has left out.
#[derive(Debug, Default)]
pub(super) struct List(Vec<LeftOut>);

impl List {
    pub fn push(&mut self, path: &Path, reason: impl Into<String>) {
        if self.0.len() < MAX_LISTED {
            self.0.push(LeftOut {
                path: printable(&path.to_string_lossy()).into_owned(),
                reason: reason.into(),
            });
        }
    }

    /// Whether something below this folder is left out.
    pub fn has_below(&self, folder: &Path) -> bool {
        let folder = printable(&folder.to_string_lossy()).into_owned();
        let below = |left: &LeftOut| left.path.strip_prefix(&folder)?.chars().next();
        let mut below = self.0.iter().filter_map(below);
        below.any(std::path::is_separator)
    }

    pub fn sorted(mut self) -> Vec<LeftOut> {
        self.0.sort();
        self.0
    }
}

/// Whether a name is passed over without a word: hidden files, and what a file system keeps for itself.
pub(super) fn is_ignored(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "lost+found"
}

/// Why a folder of this name is not a model; `None` where it may be one.
pub(super) fn refuses_model(name: &OsStr) -> Option<String> {
    let Some(name) = name.to_str() else {
        return Some("its name is not UTF-8, so that no request can ask for it: rename it".into());
    };
    if RESERVED.contains(&name) {
        return Some(format!(
            "`{name}` is reserved: `/v2/models/{name}` is a route of its own: rename it"
        ));
    }
    if printable(name) != name {
        return Some("its name has characters that do not print: rename it".into());
    }
    None
}

/// Why a folder of this name is not a version; the number where it is one.
pub(super) fn version(name: &OsStr) -> Result<u64, String> {
    let usual = "a version is a whole number, such as `1`: rename it";
    let digits = name
        .to_str()
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.ok_or_else(|| usual.to_owned())?;
    digits.parse().map_err(|_| {
        format!(
            "its number is too large: {usual}, with a number up to {}",
            u64::MAX
        )
    })
}

/// Why a file is left out that should be in the folder of a version; `None` for files of other kinds, which may lie anywhere.
pub(super) fn refuses_file(name: &OsStr, version: &str) -> Option<String> {
    let extension = Path::new(name).extension();
    extension
        .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
        .then(|| format!("it is not in the folder of a version: move it to `{version}/model.onnx`"))
}
