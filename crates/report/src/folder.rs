//! A report's folder, and in it the state of a run that is not finished.

mod identity;
mod lock;

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use buckler_attack::{Evaluated, SampleRecord, Status};
use buckler_onnx::write_atomic;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::identity::Identity;
pub use self::lock::FolderLock;
use crate::{Plan, Report, ReportError, Subject, adversarials};

/// What a finished folder holds.
const REPORT: &str = "report.json";
/// The same for people.
pub(crate) const MARKDOWN: &str = "report.md";
/// The same with pictures.
pub(crate) const HTML: &str = "report.html";
/// The folder of what an unfinished one holds.
const STATE: &str = "state";
/// The folder of the adversarials.
const ADVERSARIALS: &str = "adversarials";
/// What is measured, in the folder of the state.
const PLAN: &str = "plan.json";

/// Where an evaluation keeps its state and leaves its report.
///
/// While it runs, `state/plan.json` says what is measured, and one file for each attack and block of images what came of them;
/// every file is written in one step, the adversarials before the records that speak of them. The finished folder holds
/// `report.json`, `report.md`, `report.html`, `curve-NORM.svg` and `adversarials/*.npz`.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `None` of a folder that is only read.
    _lock: Option<FolderLock>,
}

/// What came of a block of images.
#[derive(Serialize, Deserialize)]
pub(crate) struct Block {
    pub records: Vec<SampleRecord>,
    pub seconds: f64,
    pub adversarials: Option<String>,
}

impl Folder {
    /// Makes a locked folder ready for a run, or for going on with one that was interrupted.
    ///
    /// # Errors
    /// When it holds the state of another run, and when it cannot be written.
    pub fn open(lock: FolderLock, subject: &Subject, plan: &Plan) -> Result<Self, ReportError> {
        let folder = Self {
            path: lock.path().to_owned(),
            _lock: Some(lock),
        };
        let identity = Identity::new(subject, plan);
        let state = folder.state().join(PLAN);
        if let Some(other) = read::<Identity>(&state)?
            && let Some(difference) = identity.difference(&other)
        {
            return Err(ReportError::Taken {
                path: folder.path,
                reason: format!(
                    "the unfinished evaluation is another one: {difference}; give the same command, or choose another folder"
                ),
            });
        }
        for dir in [folder.state(), folder.adversarials()] {
            fs::create_dir_all(&dir).map_err(ReportError::file(&dir))?;
        }
        store(&state, &identity)?;
        Ok(folder)
    }

    /// The folder of a finished report.
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _lock: None,
        }
    }

    /// What came of a block of images of so many values, if it is done and the adversarials that it speaks of are there.
    pub(crate) fn block(
        &self,
        (entry, start): (usize, usize),
        values: usize,
    ) -> Result<Option<Block>, ReportError> {
        let path = self.block_file(entry, start);
        let block = match read::<Block>(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(block)) => block,
            Err(error) => {
                tracing::warn!("{error}: its images are measured again");
                return Ok(None);
            }
        };
        let found = |record: &&SampleRecord| record.outcome == Status::AdversarialFound;
        let found = block.records.iter().filter(found).map(|record| record.id);
        let found: HashSet<u64> = found.collect();
        let saved = match &block.adversarials {
            Some(name) => adversarials::load(&self.file(name), values)
                .map(|images| images.into_keys().collect())
                .map_err(|error| error.to_string()),
            None => Ok(HashSet::new()),
        };
        let reason = match saved {
            Ok(saved) if saved == found => return Ok(Some(block)),
            Ok(saved) => format!("{} are saved of {} found", saved.len(), found.len()),
            Err(reason) => reason,
        };
        tracing::warn!(
            "{}: its images are measured again, since their adversarials are not there: {reason}",
            path.display()
        );
        Ok(None)
    }

    /// Keeps what came of a block of images.
    pub(crate) fn keep(
        &self,
        (entry, start): (usize, usize),
        evaluated: Vec<Evaluated>,
        seconds: f64,
    ) -> Result<Block, ReportError> {
        let name = format!("{}.npz", block_name(entry, start));
        let any = adversarials::store(&self.adversarials().join(&name), &evaluated)?;
        let block = Block {
            records: evaluated.into_iter().map(|e| e.record).collect(),
            seconds,
            adversarials: any.then(|| format!("{ADVERSARIALS}/{name}")),
        };
        store(&self.block_file(entry, start), &block)?;
        Ok(block)
    }

    /// A file of the report.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the report itself, last of all, and takes the state away.
    pub(crate) fn finish(&self, report: &Report) -> Result<(), ReportError> {
        store(&self.report_file(), report)?;
        let state = self.state();
        fs::remove_dir_all(&state).map_err(ReportError::file(state))
    }

    fn report_file(&self) -> PathBuf {
        self.file(REPORT)
    }

    fn state(&self) -> PathBuf {
        self.file(STATE)
    }

    pub(crate) fn adversarials(&self) -> PathBuf {
        self.file(ADVERSARIALS)
    }

    fn block_file(&self, entry: usize, start: usize) -> PathBuf {
        let name = block_name(entry, start);
        self.state().join(format!("{name}.json"))
    }
}

fn block_name(entry: usize, start: usize) -> String {
    format!("{entry:02}-{start:06}")
}

/// The content of a JSON file, if it is there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReportError::file(path)(error)),
    };
    let content = serde_json::from_slice(&bytes);
    content
        .map(Some)
        .map_err(|error| ReportError::broken(path, error))
}

fn store<T: Serialize>(path: &Path, content: &T) -> Result<(), ReportError> {
    let json = serde_json::to_vec_pretty(content).map_err(|e| ReportError::broken(path, e))?;
    write_atomic(path, &json).map_err(ReportError::file(path))
}
