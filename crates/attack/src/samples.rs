use std::{fmt, ops::Range};

use ndarray::{Array4, Axis, Slice};

use crate::{Objective, ObjectiveKind, Victim};

/// Images to attack, with what is known about them.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[batch, channels, height, width]` in `[0, 1]`.
    pub images: Array4<f32>,
    /// The true class of each image.
    pub labels: Vec<usize>,
    /// The class to reach for each image; without it any class but the label will do.
    pub targets: Option<Vec<usize>>,
    /// What each image is called, such as its index in the data set. The random starts of an image depend on it.
    pub ids: Vec<u64>,
}

impl Samples {
    /// Images to be misclassified in any way, with ids counted from 0.
    pub fn new(images: Array4<f32>, labels: Vec<usize>) -> Self {
        let ids = (0u64..).take(labels.len()).collect();
        Self {
            images,
            labels,
            targets: None,
            ids,
        }
    }

    /// The same images, each to be taken for its target.
    pub fn with_targets(self, targets: Vec<usize>) -> Self {
        Self {
            targets: Some(targets),
            ..self
        }
    }

    /// The same images under other ids.
    pub fn with_ids(self, ids: Vec<u64>) -> Self {
        Self { ids, ..self }
    }

    /// The same samples, each with an id that depends on its pixels alone: what is drawn for an image is then the same wherever it
    /// comes.
    pub fn with_content_ids(self) -> Self {
        let ids = self.images.outer_iter().map(content_id).collect();
        self.with_ids(ids)
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.images.len_of(Axis(0))
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples of a range of rows; what lies beyond the end is left out.
    pub fn range(&self, rows: Range<usize>) -> Self {
        let end = rows.end.min(self.len());
        let start = rows.start.min(end);
        let part = |values: &[usize]| values.get(start..end).unwrap_or_default().to_vec();
        Self {
            images: self
                .images
                .slice_axis(Axis(0), Slice::from(start..end))
                .to_owned(),
            labels: part(&self.labels),
            targets: self.targets.as_deref().map(part),
            ids: self.ids.get(start..end).unwrap_or_default().to_vec(),
        }
    }

    /// The pixels of every image, one after another.
    pub(crate) fn flat(&self) -> Vec<Vec<f32>> {
        let images = self.images.outer_iter();
        images
            .map(|image| image.iter().copied().collect())
            .collect()
    }

    /// The samples of some rows, in the order given; rows that do not exist are left out.
    pub(crate) fn rows(&self, rows: &[usize]) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|&r| r < self.len()).collect();
        let part = |values: &[usize]| {
            rows.iter()
                .filter_map(|&r| values.get(r).copied())
                .collect()
        };
        Self {
            images: self.images.select(Axis(0), &rows),
            labels: part(&self.labels),
            targets: self.targets.as_deref().map(part),
            ids: rows
                .iter()
                .filter_map(|&r| self.ids.get(r).copied())
                .collect(),
        }
    }

    /// Checks that the samples fit each other and `victim`.
    ///
    /// # Errors
    /// When shapes or counts differ, a class does not exist, a target is its own label, or a value is outside `[0, 1]`.
    pub fn check<V: Victim>(&self, victim: &V) -> Result<(), SampleError> {
        self.check_images(victim)?;
        let classes = victim.classes();
        self.count("labels", self.labels.len())?;
        self.count("ids", self.ids.len())?;
        for (row, &label) in self.labels.iter().enumerate() {
            class(row, "label", label, classes)?;
        }
        if let Some(targets) = &self.targets {
            self.count("targets", targets.len())?;
            for (row, (&target, &label)) in targets.iter().zip(&self.labels).enumerate() {
                class(row, "target", target, classes)?;
                if target == label {
                    return Err(SampleError::TargetIsLabel { row, target });
                }
            }
        }
        Ok(())
    }

    /// The part of [`Samples::check`] that needs no labels.
    pub(crate) fn check_images<V: Victim>(&self, victim: &V) -> Result<(), SampleError> {
        let classes = victim.classes();
        if classes < 2 {
            return Err(SampleError::Classes(classes));
        }
        let input = victim.input();
        let (_, channels, height, width) = self.images.dim();
        if (channels, height, width) != (input.channels, input.height, input.width) {
            return Err(SampleError::Shape {
                got: [channels, height, width],
                expected: [input.channels, input.height, input.width],
            });
        }
        for ((row, ..), &value) in self.images.indexed_iter() {
            if !(0.0..=1.0).contains(&value) {
                return Err(SampleError::Value { row, value });
            }
        }
        Ok(())
    }

    pub(crate) fn count(&self, what: &'static str, got: usize) -> Result<(), SampleError> {
        let images = self.len();
        if got == images {
            Ok(())
        } else {
            Err(SampleError::Count { what, got, images })
        }
    }

    /// What the attack wants of each image, in order.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        match &self.targets {
            Some(targets) => targets.iter().copied().map(Goal::Reach).collect(),
            None => self.labels.iter().copied().map(Goal::Leave).collect(),
        }
    }
}

pub(crate) fn class(
    row: usize,
    what: &'static str,
    class: usize,
    classes: usize,
) -> Result<(), SampleError> {
    if class < classes {
        Ok(())
    } else {
        Err(SampleError::Class {
            row,
            what,
            class,
            classes,
        })
    }
}

/// What an attack wants of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Goal {
    /// Any prediction but this class.
    Leave(usize),
    /// This prediction.
    Reach(usize),
}

impl fmt::Display for Goal {
    /// The classes that meet it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Leave(label) => write!(f, "a class other than {label}"),
            Goal::Reach(target) => write!(f, "class {target}"),
        }
    }
}

impl Goal {
    pub(crate) fn met(self, prediction: usize) -> bool {
        match self {
            Goal::Leave(label) => prediction != label,
            Goal::Reach(target) => prediction == target,
        }
    }

    /// The objective of an image of class `label`, in a model with so many classes.
    pub(crate) fn objective(self, kind: ObjectiveKind, label: usize, classes: usize) -> Objective {
        match self {
            Goal::Leave(label) => kind.with_classes(classes, false).untargeted(label),
            Goal::Reach(target) => kind.with_classes(classes, true).targeted(label, target),
        }
    }
}

/// A number that depends on the pixels alone (64-bit FNV-1a over their bits).
fn content_id(image: ndarray::ArrayView3<'_, f32>) -> u64 {
    image
        .iter()
        .flat_map(|value| value.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Why samples cannot be attacked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// There is no other class to be taken for.
    #[error(
        "the model has {0} class(es), and an attack needs at least 2: a single score has no other class to be taken for"
    )]
    Classes(usize),
    /// The images have another shape than the model takes.
    #[error(
        "images of shape {got:?} (channels, height, width) do not fit the model, which takes {expected:?}: resize or convert them"
    )]
    Shape {
        /// Channels, height and width that came.
        got: [usize; 3],
        /// Channels, height and width the model takes.
        expected: [usize; 3],
    },
    /// A list has not one entry per image.
    #[error("{got} {what} for {images} images: give one per image")]
    Count {
        /// Which list.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The number of images.
        images: usize,
    },
    /// A class does not exist.
    #[error(
        "image {row}: {what} {class} does not exist in a model with {classes} classes: use 0 to {}", classes - 1
    )]
    Class {
        /// The image, counted from 0.
        row: usize,
        /// `label` or `target`.
        what: &'static str,
        /// The class asked for.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// The target is the class to leave.
    #[error("image {row}: target {target} is the image's own label: choose another class")]
    TargetIsLabel {
        /// The image, counted from 0.
        row: usize,
        /// The target.
        target: usize,
    },
    /// A value is no pixel value.
    #[error(
        "image {row} holds the value {value}, outside [0, 1]: divide 8-bit values by 255 and leave normalisation to the model"
    )]
    Value {
        /// The image, counted from 0.
        row: usize,
        /// The value.
        value: f32,
    },
    /// A feature attack was not prepared.
    #[error(
        "the feature attack takes features from images of other classes and has been given none: run it on a data set"
    )]
    NoSources,
    /// A feature attack has no image whose features would do.
    #[error(
        "image {id}: the feature attack has no source image of {wanted}: give it a data set that holds some"
    )]
    NoSource {
        /// The image's id.
        id: u64,
        /// The classes that would do.
        wanted: String,
    },
    /// There is nothing to evaluate.
    #[error("no images: an accuracy needs at least one")]
    Empty,
}
