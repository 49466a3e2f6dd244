//! Labelled test images as a model takes them, read block by block.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, ensure};
use buckler_attack::{AttackError, InputSpec, SampleError, SampleSource, Samples};
use buckler_data::{
    ClassMap, ClassMapError, DataError, DataSource, Dataset, GivenClasses, ImageNote, LoadOptions,
    MatchedBy, ModelClasses, Split,
};
use buckler_report::{Skipped, images_sha256};
use buckler_runtime::Classifier;
use indicatif::ProgressBar;
use ndarray::Array4;

use crate::class_map;
use crate::evaluation::bar;

/// Images read at once.
const BLOCK: usize = 128;

/// Classes that are listed with their indices.
const LISTED: usize = 12;

/// Files left out that are listed.
const SHOWN: usize = 20;

/// What is measured on.
#[derive(Clone, clap::Args)]
pub struct TestSetArgs {
    /// Data set as NAME[:DIR]
    #[arg(long)]
    pub data: DataSource,
    /// Only the first LIMIT test images
    #[arg(long)]
    pub limit: Option<usize>,
    /// Leave out image files that cannot be read, and list them
    #[arg(long)]
    pub skip_broken: bool,
    /// File with the model's class for classes of the data set, by name or index: JSON, TOML (`tabby = "cat"`), or lines (`tabby
    /// cat`); the other classes are matched by name
    #[arg(long, value_name = "FILE")]
    pub class_map: Option<PathBuf>,
}

/// Test images with the model's class for each.
pub struct TestSet {
    data: Dataset,
    /// Rows of the data set that are used, which are the images' ids.
    rows: Vec<u64>,
    labels: Vec<usize>,
    reading: Option<ProgressBar>,
    /// The images to which something was done that their owner may not expect, found when they are read for the checksum.
    noted: Mutex<BTreeMap<ImageNote, BTreeSet<usize>>>,
    /// The data set and split, such as `mnist/test`.
    pub name: String,
    /// Class of the model for each class of the data set.
    pub classes: ClassMap,
    /// File of each image, relative to the data set's folder; empty where images are not files.
    pub files: Vec<String>,
    /// Files that cannot be read.
    pub skipped: Vec<Skipped>,
    /// SHA-256 over pixels and labels.
    pub images_sha256: String,
}

impl TestSetArgs {
    /// The data set and split as reports name them, such as `mnist/test`.
    pub fn name(&self) -> String {
        format!("{}/{}", name(&self.data), Split::Test)
    }

    /// The test images, each read once: to know that it can be, and for the checksum.
    pub fn load(&self, classifier: &Classifier) -> Result<TestSet> {
        let given = match &self.class_map {
            Some(path) => class_map::read(path)?,
            None => GivenClasses::new(),
        };
        self.matched(classifier, |data, model| {
            ClassMap::new(data, model, &given).map_err(|error| match &self.class_map {
                Some(path) => wrong_map(error, path),
                None => anyhow!(
                    "{error}; or say which class is which in a file, with `--class-map FILE`"
                ),
            })
        })
    }

    /// As [`TestSetArgs::load`], with the classes that a report states.
    pub fn load_as_stated(&self, classifier: &Classifier, stated: &ClassMap) -> Result<TestSet> {
        self.matched(classifier, |data, model| {
            let map = ClassMap::new(data, model, &stated.to_given())
                .context("the classes that the report states")?;
            Ok(ClassMap {
                unused: stated.unused.clone(),
                ..map
            })
        })
    }

    fn matched(
        &self,
        classifier: &Classifier,
        classes: impl FnOnce(&[String], ModelClasses<'_>) -> Result<ClassMap>,
    ) -> Result<TestSet> {
        let data = self.dataset(classifier)?;
        ensure!(
            !data.is_empty(),
            "no images: an accuracy needs at least one"
        );
        let InputSpec {
            channels,
            height,
            width,
        } = classifier.input();
        let [c, h, w] = data.shape();
        if (c, h, w) != (channels, height, width) {
            return Err(SampleError::Shape {
                got: [c, h, w],
                expected: [channels, height, width],
            }
            .into());
        }
        let model = ModelClasses {
            count: classifier.classes(),
            names: &classifier.card().classes,
        };
        let classes = classes(data.classes(), model)?;
        let mut set = TestSet {
            name: self.name(),
            rows: (0..data.len() as u64).collect(),
            labels: Vec::new(),
            reading: None,
            noted: Mutex::default(),
            classes,
            files: Vec::new(),
            skipped: Vec::new(),
            images_sha256: String::new(),
            data,
        };
        set.describe_rows(&self.data);
        set.read_all(&self.data, self.skip_broken)?;
        let assumption = set.classes.assumption.clone();
        for line in assumption.into_iter().chain(set.classes.unused()) {
            tracing::warn!("{line}");
        }
        Ok(set)
    }

    /// The images alone, of the size that the model takes.
    pub fn dataset(&self, classifier: &Classifier) -> Result<Dataset> {
        let options = LoadOptions {
            size: self.limit,
            // Other data sets have the pixels that they have.
            preprocessing: matches!(self.data, DataSource::Folder { .. })
                .then(|| classifier.preprocessing()),
            ..LoadOptions::default()
        };
        load(&self.data, Split::Test, &options)
    }
}

impl TestSet {
    /// What was assumed about the model and its classes.
    pub fn assumptions(&self, classifier: &Classifier) -> Vec<String> {
        [classifier.assumptions(), &self.own_assumptions()].concat()
    }

    /// What was assumed about the images and their classes.
    pub fn own_assumptions(&self) -> Vec<String> {
        let of = self.rows.len();
        let noted = self.noted.lock().map(|noted| noted.clone());
        let noted = noted.unwrap_or_default().into_iter();
        let noted = noted.map(|(note, rows)| format!("{} of {of} images: {note}", rows.len()));
        let classes = self.classes.assumption.clone().into_iter();
        classes
            .chain(self.classes.unused())
            .chain(self.data.assumptions())
            .chain(noted)
            .collect()
    }

    /// What was not taken as it comes, one line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let data = self.classes.classes.len();
        let plain = matches!(self.classes.by, MatchedBy::Name | MatchedBy::Number);
        if data != self.classes.of || !plain {
            let mut note = format!("classes: {}", self.classes.summary());
            if data <= LISTED {
                let pairs = self.classes.classes.iter();
                let pairs: Vec<String> = pairs
                    .map(|(class, index)| format!("{} -> {index}", class.escape_debug()))
                    .collect();
                note.push_str(&format!(": {}", pairs.join(", ")));
            }
            notes.push(note);
        }
        notes.extend(left_out(&self.skipped));
        notes
    }

    /// Labels and files of the rows that are used.
    fn describe_rows(&mut self, source: &DataSource) {
        let of_class = self.classes.labels(self.data.classes());
        let rows = self.rows.iter().map(|&row| row as usize);
        let label = |row| of_class.get(usize::from(self.data.label(row)?)).copied();
        self.labels = rows.clone().filter_map(label).collect();
        let file = |row| self.data.path(row).map(|path| relative(path, source));
        self.files = rows.filter_map(file).collect();
    }

    /// Reads every image, leaves out those that cannot be read if asked to, and makes the checksum.
    fn read_all(&mut self, source: &DataSource, skip_broken: bool) -> Result<()> {
        match self.checksum() {
            Ok(sha256) => {
                self.images_sha256 = sha256;
                return Ok(());
            }
            Err(AttackError::Read(error)) if is_broken_image(error.as_ref()) => {
                if !skip_broken {
                    return Err(anyhow!(
                        "{error}; `--skip-broken` leaves out files that cannot be read, and lists them"
                    ));
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.skipped = self.broken(source)?;
        self.describe_rows(source);
        ensure!(
            !self.rows.is_empty(),
            "none of the {} images can be read{}",
            self.skipped.len(),
            left_out(&self.skipped)
                .map(|line| format!(": {line}"))
                .unwrap_or_default()
        );
        if let Some(line) = left_out(&self.skipped) {
            tracing::warn!("{line}");
        }
        self.images_sha256 = self.checksum()?;
        Ok(())
    }

    fn checksum(&mut self) -> Result<String, AttackError> {
        self.noted = Mutex::default();
        let bar = bar(self.rows.len());
        bar.set_prefix("reading");
        self.reading = Some(bar);
        let result = images_sha256(&*self);
        if let Some(bar) = self.reading.take() {
            bar.finish_and_clear();
        }
        result
    }

    /// Takes the rows out whose images cannot be read.
    fn broken(&mut self, source: &DataSource) -> Result<Vec<Skipped>> {
        let mut skipped = Vec::new();
        let mut good = Vec::with_capacity(self.rows.len());
        for block in self.rows.chunks(BLOCK) {
            match self.data.to_f32(block.iter().map(|&row| row as usize)) {
                Ok(_) => {
                    good.extend_from_slice(block);
                    continue;
                }
                Err(DataError::Image { .. }) => (),
                Err(error) => return Err(error.into()),
            }
            for &row in block {
                match self.data.to_f32([row as usize]) {
                    Ok(_) => good.push(row),
                    Err(DataError::Image { path, reason }) => skipped.push(Skipped {
                        file: relative(&path, source),
                        reason,
                    }),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.rows = good;
        Ok(skipped)
    }
}

impl SampleSource for TestSet {
    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn ids(&self) -> &[u64] {
        &self.rows
    }

    fn block(&self, rows: Range<usize>) -> Result<Samples, AttackError> {
        let end = rows.end.min(self.rows.len());
        let start = rows.start.min(end);
        let ids = self.rows.get(start..end).unwrap_or_default();
        let read = |error| AttackError::Read(Box::new(error));
        let note = |row, note| {
            if let (Some(_), Ok(mut noted)) = (&self.reading, self.noted.lock()) {
                noted.entry(note).or_default().insert(row);
            }
        };
        let rows = ids.iter().map(|&row| row as usize);
        let pixels = self.data.to_f32_noting(rows, note);
        let pixels = pixels.map_err(read)?;
        let [channels, height, width] = self.data.shape();
        let images = Array4::from_shape_vec((ids.len(), channels, height, width), pixels);
        let images = images.map_err(|error| AttackError::Read(Box::new(error)))?;
        if let Some(bar) = &self.reading {
            bar.inc(ids.len() as u64);
        }
        let labels = self.labels.get(start..end).unwrap_or_default().to_vec();
        Ok(Samples::new(images, labels).with_ids(ids.to_vec()))
    }
}

/// A split of a data set; what was assumed of a folder's files is warned of.
pub fn load(source: &DataSource, split: Split, options: &LoadOptions) -> Result<Dataset> {
    let data = source.load(split, options)?;
    for line in data.assumptions() {
        tracing::warn!("{source}: {line}");
    }
    Ok(data)
}

/// Why the classes in the file `path` do not do.
fn wrong_map(error: ClassMapError, path: &Path) -> anyhow::Error {
    let path = path.display();
    match error {
        ClassMapError::NoSuchClass { .. }
        | ClassMapError::NotInData { .. }
        | ClassMapError::GivenTwice { .. }
        | ClassMapError::IndexOrName { .. } => anyhow!("class map {path}: {error}"),
        ClassMapError::Unmatched { .. }
        | ClassMapError::Unnamed { .. }
        | ClassMapError::Unordered { .. } => {
            anyhow!("{error}; or add the classes that are missing to the class map {path}")
        }
        ClassMapError::Ambiguous { .. } => anyhow!("{error}; or correct the class map {path}"),
    }
}

/// The name of a data set with that of its folder, for those that are nothing but a folder.
fn name(source: &DataSource) -> String {
    let folder = match source {
        DataSource::Folder { dir } => dir.file_name(),
        _ => None,
    };
    match folder {
        Some(folder) => format!("{}:{}", source.name(), folder.to_string_lossy()),
        None => source.name().to_owned(),
    }
}

/// A file without the folder of its data set.
fn relative(path: &Path, source: &DataSource) -> String {
    let dir = match source {
        DataSource::Folder { dir } => dir.as_path(),
        _ => Path::new(""),
    };
    let path = path.strip_prefix(dir).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

fn is_broken_image(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref::<DataError>(),
        Some(DataError::Image { .. })
    )
}

fn left_out(skipped: &[Skipped]) -> Option<String> {
    let shown: Vec<String> = skipped
        .iter()
        .take(SHOWN)
        .map(|Skipped { file, reason }| format!("{} ({reason})", file.escape_debug()))
        .collect();
    match skipped.len() {
        0 => None,
        count if count > SHOWN => Some(format!(
            "left out: {count} files that cannot be read: {} and {} more",
            shown.join(", "),
            count - SHOWN
        )),
        count => Some(format!(
            "left out: {count} files that cannot be read: {}",
            shown.join(", ")
        )),
    }
}
