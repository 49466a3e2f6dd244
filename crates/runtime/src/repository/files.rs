//! What a directory of models holds.
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::RuntimeError;

/// A version of a model with the state of its files; a change to one of them makes it another candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Digits.
    pub version: String,
    directory: PathBuf,
    /// Name, length and time of the last change of every file.
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
}

impl Candidate {
    pub fn model(&self) -> PathBuf {
        self.directory.join("model.onnx")
    }

    /// Refuses a version whose files lie elsewhere than below the directory of models, where links lead.
    pub fn check_confined(&self, root: &Path) -> Result<(), RuntimeError> {
        let resolved = |path: &Path| {
            path.canonicalize()
                .map_err(|source| unreadable(path, source))
        };
        let root = resolved(root)?;
        for file in ["model.onnx", "gradient.onnx", "card.json"] {
            let path = self.directory.join(file);
            if !self.files.iter().any(|(own, ..)| *own == path) {
                continue;
            }
            let target = resolved(&path)?;
            if !target.starts_with(&root) {
                return Err(RuntimeError::Outside { path, target });
            }
        }
        Ok(())
    }

    fn read(directory: PathBuf, version: String) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            // Through links, with which mounted volumes switch from one state to the next.
            let metadata = fs::metadata(&path)?;
            if metadata.is_file() {
                files.push((path, metadata.len(), metadata.modified().ok()));
            }
        }
        files.sort();
        Ok(Self {
            version,
            directory,
            files,
        })
    }
}

/// The versions of every model, highest first. Directories without a version are no models.
pub(super) fn models(root: &Path) -> Result<BTreeMap<String, Vec<Candidate>>, RuntimeError> {
    let mut models = BTreeMap::new();
    for name in directories(root).map_err(|source| unreadable(root, source))? {
        let candidates = versions(root, &name)?;
        if !candidates.is_empty() {
            models.insert(name, candidates);
        }
    }
    Ok(models)
}

/// The versions of one model, highest first.
pub(super) fn versions(root: &Path, name: &str) -> Result<Vec<Candidate>, RuntimeError> {
    let directory = root.join(name);
    let failed = |source| unreadable(&directory, source);
    let mut versions = directories(&directory).map_err(failed)?;
    versions.retain(|version| number(version).is_some());
    versions.sort_by_key(|version| std::cmp::Reverse(number(version)));
    versions
        .into_iter()
        .map(|version| Candidate::read(directory.join(&version), version).map_err(failed))
        .collect()
}

/// A version as a number.
pub(super) fn number(version: &str) -> Option<u64> {
    let digits = version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| version.parse().ok())?
}

fn directories(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().is_dir()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn unreadable(path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::Read {
        path: path.to_owned(),
        source,
    }
}
