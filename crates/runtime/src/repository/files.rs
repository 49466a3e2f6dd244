//! What a directory of models holds.
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::RuntimeError;

/// Folders below a version's in which files are watched: a model may have its weights there.
const MAX_DEPTH: usize = 4;

/// Files of one version that are watched.
const MAX_FILES: usize = 10_000;

/// A version of a model with the state of its files; a change to one of them makes it another candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Digits.
    pub version: String,
    directory: PathBuf,
    /// Name, length and time of the last change of every file, those of folders below among them.
    files: Vec<(PathBuf, u64, Option<SystemTime>)>,
    /// Why it cannot be read.
    pub trouble: Option<String>,
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

    fn read(directory: PathBuf, version: String) -> Self {
        let mut candidate = Self {
            version,
            directory: directory.clone(),
            files: Vec::new(),
            trouble: None,
        };
        if let Err(source) = candidate.watch(&directory, 0) {
            candidate.trouble = Some(unreadable(&directory, source).to_string());
        }
        candidate.files.sort();
        candidate
    }

    fn watch(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if self.files.len() == MAX_FILES {
                break;
            }
            // Through links, with which mounted volumes switch from one state to the next. What leads nowhere is an error for whoever
            // reads it, and for nobody else.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                    self.watch(&path, depth + 1)?;
                }
                Ok(metadata) if metadata.is_file() => {
                    let state = (metadata.len(), metadata.modified().ok());
                    self.files.push((path, state.0, state.1));
                }
                Ok(_) => (),
                Err(_) => self.files.push((path, 0, None)),
            }
        }
        Ok(())
    }
}

/// The versions of every model, highest first. Directories without a version are no models.
pub(super) fn models(root: &Path) -> Result<BTreeMap<String, Vec<Candidate>>, RuntimeError> {
    let mut models = BTreeMap::new();
    for name in directories(root).map_err(|source| unreadable(root, source))? {
        let candidates = versions(root, &name);
        if !candidates.is_empty() {
            models.insert(name, candidates);
        }
    }
    Ok(models)
}

/// The versions of one model, highest first; one without a number where they cannot be read.
fn versions(root: &Path, name: &str) -> Vec<Candidate> {
    let directory = root.join(name);
    let mut versions = match directories(&directory) {
        Ok(versions) => versions,
        Err(source) => {
            return vec![Candidate {
                version: String::new(),
                files: Vec::new(),
                trouble: Some(unreadable(&directory, source).to_string()),
                directory,
            }];
        }
    };
    versions.retain(|version| number(version).is_some());
    versions.sort_by_key(|version| std::cmp::Reverse(number(version)));
    let read = |version: String| Candidate::read(directory.join(&version), version);
    versions.into_iter().map(read).collect()
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
