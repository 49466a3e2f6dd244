use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Classifier, LoadOptions, RuntimeError};

/// A directory of models: `<root>/<name>/<version>/model.onnx`, where a version is a number and the highest one counts.
#[derive(Debug)]
pub struct Repository {
    entries: Vec<Entry>,
}

/// One model of a repository.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The directory's name.
    pub name: String,
    /// Digits.
    pub version: String,
    /// The model file.
    pub path: PathBuf,
    /// Whether it can be used.
    pub state: State,
}

/// Whether a model can be used.
#[derive(Clone, Debug)]
pub enum State {
    /// It is loaded.
    Ready(Classifier),
    /// It could not be loaded, for this reason.
    Failed(String),
}

impl Entry {
    /// The model, if it is loaded.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn classifier(&self) -> Result<&Classifier, &str> {
        match &self.state {
            State::Ready(classifier) => Ok(classifier),
            State::Failed(reason) => Err(reason),
        }
    }
}

impl Repository {
    /// Loads the highest version of every model, by name. One that cannot be loaded is reported and kept as
    /// [`State::Failed`]; the others work without it. Blocking.
    ///
    /// # Errors
    /// When `root` cannot be read, or when there is no ONNX Runtime.
    pub fn open(root: &Path, options: &LoadOptions) -> Result<Self, RuntimeError> {
        crate::init()?;
        let mut entries = Vec::new();
        for directory in directories(root)? {
            let Some(name) = name(&directory) else {
                continue;
            };
            let versions = directories(&directory)?;
            let highest = versions
                .iter()
                .filter_map(|path| Some((version_number(self::name(path)?)?, path)))
                .max_by_key(|(number, _)| *number);
            if let Some((_, path)) = highest {
                entries.push(Entry::load(name, path, options));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { entries })
    }

    /// The models, by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The model of a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    fn load(name: &str, directory: &Path, options: &LoadOptions) -> Self {
        let path = directory.join("model.onnx");
        let state = match Classifier::load(&path, options) {
            Ok(classifier) => {
                tracing::info!(name, path = %path.display(), "model ready");
                State::Ready(classifier)
            }
            Err(error) => {
                tracing::error!(name, path = %path.display(), %error, "model not loaded");
                State::Failed(error.to_string())
            }
        };
        Self {
            name: name.to_owned(),
            version: self::name(directory).unwrap_or_default().to_owned(),
            path,
            state,
        }
    }
}

fn version_number(name: &str) -> Option<u64> {
    name.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| name.parse().ok())?
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            }
        }
        Ok(directories)
    };
    read().map_err(|source| RuntimeError::Read {
        path: path.to_owned(),
        source,
    })
}
