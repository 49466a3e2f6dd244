use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// One step of a run, a line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// From 1.
    pub epoch: usize,
    /// Within the epoch, from 1.
    pub step: usize,
    /// Mean over the batch.
    pub loss: f64,
    /// After the schedule.
    pub learning_rate: f64,
}

/// `metrics.jsonl`: appended to by every step, cut back to the checkpoint when a run goes on from one.
pub(crate) struct Metrics {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Metrics {
    /// Keeps the lines up to the checkpoint after `epochs` epochs and `steps` steps of the next one.
    pub fn open(dir: &Path, epochs: usize, steps: usize) -> Result<Self, TrainError> {
        let path = dir.join("metrics.jsonl");
        let kept = kept(&path, epochs, steps)?;
        buckler_onnx::write_atomic(&path, kept.as_bytes()).map_err(TrainError::file(&path))?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(TrainError::file(&path))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
        })
    }

    pub fn write(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        serde_json::to_writer(&mut self.file, record)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(TrainError::file(&self.path))
    }

    /// Before a checkpoint is written: what it stands on is on disk.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(TrainError::file(&self.path))
    }
}

fn kept(path: &Path, epochs: usize, steps: usize) -> Result<String, TrainError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        file => file.map_err(TrainError::file(path))?,
    };
    let mut kept = String::with_capacity(fs::metadata(path).map_or(0, |meta| meta.len() as usize));
    let mut lines = BufReader::new(file).split(b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.map_err(TrainError::file(path))?;
        let record = serde_json::from_slice::<StepRecord>(&line).ok();
        let (Some(record), Ok(line)) = (record, String::from_utf8(line)) else {
            // A kill can leave half a line at the end; it is after the checkpoint.
            if lines.peek().is_some() {
                tracing::warn!(
                    "{}: line {} is not the record of a step; it and the lines after it are left out",
                    path.display(),
                    number + 1
                );
            }
            break;
        };
        if (record.epoch, record.step) > (epochs + 1, steps) {
            break;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    Ok(kept)
}
