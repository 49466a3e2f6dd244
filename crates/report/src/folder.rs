//! A report's folder, and in it the state of a run that is not finished.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use buckler_attack::{Evaluated, SampleRecord};
use buckler_onnx::{Normalization, write_atomic};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Plan, Report, ReportError, Subject, adversarials};

/// Where an evaluation keeps its state and leaves its report.
///
/// While it runs, `state/plan.json` says what is measured, and one file for each attack and block of images what came of them;
/// every file is written in one step, the adversarials before the records that speak of them. The finished folder holds
/// `report.json`, `report.md`, `report.html`, `curve-NORM.svg` and `adversarials/*.npz`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What a state belongs to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
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
}

/// What came of a block of images.
#[derive(Serialize, Deserialize)]
pub(crate) struct Block {
    pub records: Vec<SampleRecord>,
    pub seconds: f64,
    pub adversarials: Option<String>,
}

impl Folder {
    /// Makes the folder ready for a new run, or for going on with `resume`.
    ///
    /// # Errors
    /// When it holds a report, a state and `resume` is not set, or the state of another run; and when it cannot be written.
    pub fn open(
        path: &Path,
        subject: &Subject,
        plan: &Plan,
        resume: bool,
    ) -> Result<Self, ReportError> {
        let folder = Self {
            path: path.to_owned(),
        };
        let identity = Identity {
            model_sha256: subject.sha256.clone(),
            images_sha256: subject.images_sha256.clone(),
            attacks: plan
                .entries
                .iter()
                .map(|entry| entry.parameters().to_string())
                .collect(),
            buckler: subject.buckler.clone(),
            normalization: subject.normalization.clone(),
            assumptions: subject.assumptions.clone(),
        };
        let state = folder.state().join("plan.json");
        let taken = |reason: String| ReportError::Taken {
            path: path.to_owned(),
            reason,
        };
        if folder.report_file().exists() {
            return Err(taken(
                "a report is here already: choose another folder, or remove this one".to_owned(),
            ));
        }
        match read::<Identity>(&state)? {
            None => {}
            Some(_) if !resume => {
                return Err(ReportError::Unfinished(path.to_owned()));
            }
            Some(other) => {
                if let Some(difference) = identity.difference(&other) {
                    return Err(taken(format!(
                        "the unfinished evaluation is another one: {difference}; give the same command, or choose another folder"
                    )));
                }
            }
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
        }
    }

    /// What came of a block of images, if it is done.
    pub(crate) fn block(&self, entry: usize, start: usize) -> Result<Option<Block>, ReportError> {
        read(&self.block_file(entry, start))
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
            adversarials: any.then(|| format!("adversarials/{name}")),
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
        self.file("report.json")
    }

    fn state(&self) -> PathBuf {
        self.file("state")
    }

    pub(crate) fn adversarials(&self) -> PathBuf {
        self.file("adversarials")
    }

    fn block_file(&self, entry: usize, start: usize) -> PathBuf {
        let name = block_name(entry, start);
        self.state().join(format!("{name}.json"))
    }
}

impl Identity {
    fn difference(&self, other: &Self) -> Option<String> {
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
