//! What a directory of models holds.
use std::{
    collections::{BTreeMap, btree_map},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use buckler_onnx::printable;

use super::left_out::{self, LeftOut, List};
use crate::RuntimeError;

/// What is read of a version by name.
const FILES: [&str; 3] = ["model.onnx", "gradient.onnx", "card.json"];

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
    /// What could not be read, and why.
    trouble: Option<Trouble>,
}

/// What could not be read; comparable, so that a change is one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    path: PathBuf,
    kind: io::ErrorKind,
    text: String,
}

impl Trouble {
    fn new(path: &Path, error: &io::Error) -> Self {
        Self {
            path: path.to_owned(),
            kind: error.kind(),
            text: error.to_string(),
        }
    }
}

impl Candidate {
    /// Refuses a version whose folder cannot be read, or with a pipe, a socket or a device for a file: reading that may not end.
    pub fn check_readable(&self) -> Result<(), RuntimeError> {
        if let Some(Trouble { path, kind, text }) = &self.trouble {
            return Err(unreadable(path, io::Error::new(*kind, text.clone())));
        }
        for file in FILES {
            let path = self.directory.join(file);
            let special = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
            if fs::metadata(&path).is_ok_and(special) {
                let reason = "it is a pipe, a socket or a device: put a file there";
                return Err(unreadable(&path, io::Error::other(reason)));
            }
        }
        Ok(())
    }

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
        for file in FILES {
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
            candidate.trouble = Some(Trouble::new(&directory, &source));
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

/// What a look at the directory found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The versions of every model, highest first.
    pub models: BTreeMap<String, Vec<Candidate>>,
    pub left_out: Vec<LeftOut>,
}

/// Looks at the directory.
pub(super) fn look(root: &Path) -> Result<Found, RuntimeError> {
    let mut models = BTreeMap::new();
    let mut left_out = List::default();
    for entry in entries(root).map_err(|source| unreadable(root, source))? {
        let name = entry.as_os_str();
        if !is_there(root, &entry, &mut left_out) {
            continue;
        }
        if !root.join(&entry).is_dir() {
            let stem = entry.with_extension("");
            let place = format!("{}/1", printable(&stem.to_string_lossy()));
            if let Some(reason) = left_out::refuses_file(name, &place) {
                left_out.push(&entry, reason);
            }
            continue;
        }
        if let Some(reason) = left_out::refuses_model(name) {
            left_out.push(&entry, reason);
            continue;
        }
        let candidates = versions(root, &entry, &mut left_out);
        if !candidates.is_empty() {
            models.insert(name.to_string_lossy().into_owned(), candidates);
        } else if !left_out.has_below(&entry) {
            let reason = "it holds no version: put the model into a folder named by a number, such as `1/model.onnx`";
            left_out.push(&entry, reason);
        }
    }
    Ok(Found {
        models,
        left_out: left_out.sorted(),
    })
}

/// The versions of one model, highest first; one without a number where they cannot be read.
fn versions(root: &Path, model: &Path, left_out: &mut List) -> Vec<Candidate> {
    let directory = root.join(model);
    let mut entries = match entries(&directory) {
        Ok(entries) => entries,
        Err(source) => {
            return vec![Candidate {
                version: String::new(),
                files: Vec::new(),
                trouble: Some(Trouble::new(&directory, &source)),
                directory,
            }];
        }
    };
    // `1` goes before `01`.
    entries.sort_by_key(|entry| entry.as_os_str().len());
    let mut versions = BTreeMap::<u64, String>::new();
    for entry in entries {
        let path = model.join(&entry);
        if !is_there(root, &path, left_out) {
            continue;
        }
        if !root.join(&path).is_dir() {
            let place = format!("{}/1", printable(&model.to_string_lossy()));
            if let Some(reason) = left_out::refuses_file(entry.as_os_str(), &place) {
                left_out.push(&path, reason);
            }
            continue;
        }
        match left_out::version(entry.as_os_str()) {
            Err(reason) => left_out.push(&path, reason),
            Ok(number) => match versions.entry(number) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(entry.to_string_lossy().into_owned());
                }
                btree_map::Entry::Occupied(other) => left_out.push(
                    &path,
                    format!("`{}` is version {number} too: keep one", other.get()),
                ),
            },
        }
    }
    let read = |version: String| Candidate::read(directory.join(&version), version);
    versions.into_values().rev().map(read).collect()
}

/// Whether there is something under a path below the directory of models; a link that leads nowhere is left out.
fn is_there(root: &Path, path: &Path, left_out: &mut List) -> bool {
    match fs::metadata(root.join(path)) {
        Ok(_) => true,
        // Gone since it was listed.
        Err(_) if fs::symlink_metadata(root.join(path)).is_err() => false,
        Err(error) => {
            left_out.push(path, format!("it cannot be read: {error}"));
            false
        }
    }
}

/// A version as a number.
pub(super) fn number(version: &str) -> Option<u64> {
    let digits = version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| version.parse().ok())?
}

/// The names in a directory, in order, without those that are passed over.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<OsString>>>()?;
    names.retain(|name| !left_out::is_ignored(name));
    names.sort();
    Ok(names.into_iter().map(PathBuf::from).collect())
}

fn unreadable(path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::Read {
        path: path.to_owned(),
        source,
    }
}
