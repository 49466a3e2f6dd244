//! Labelled images that are read block by block, so that a data set need not fit in memory.

use std::ops::Range;

use crate::{
    AttackError, SampleError, Samples, Victim,
    samples::{Goal, class},
};

/// Images that are read at once.
pub(crate) const BLOCK: usize = 128;

/// Images that are asked for in blocks, with what is known about all of them: a data set on disk, or [`Samples`] in memory.
///
/// Rows are counted from 0, and every list has one entry for each.
pub trait SampleSource: Send + Sync {
    /// True class of each image.
    fn labels(&self) -> &[usize];

    /// Identifier of each image, such as its position in the data set. The random starts of an image depend on it.
    fn ids(&self) -> &[u64];

    /// Class to reach for each image; `None` where any class but the label will do.
    fn targets(&self) -> Option<&[usize]> {
        None
    }

    /// Samples of a range of rows, in their order; rows past the end are left out.
    ///
    /// # Errors
    /// When an image cannot be read.
    fn block(&self, rows: Range<usize>) -> Result<Samples, AttackError>;

    /// Number of images.
    fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl SampleSource for Samples {
    fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn ids(&self) -> &[u64] {
        &self.ids
    }

    fn targets(&self) -> Option<&[usize]> {
        self.targets.as_deref()
    }

    fn block(&self, rows: Range<usize>) -> Result<Samples, AttackError> {
        Ok(self.range(rows))
    }

    fn len(&self) -> usize {
        Samples::len(self)
    }
}

/// Checks what is known of all images before the first is read: counts, classes and targets. The images are checked block by
/// block.
///
/// # Errors
/// When there are no images, a list is too short or too long, a class does not exist, or a target is the image's own label.
pub(crate) fn check<V: Victim, S: SampleSource>(victim: &V, source: &S) -> Result<(), SampleError> {
    let images = source.len();
    if images == 0 {
        return Err(SampleError::Empty);
    }
    let classes = victim.classes();
    if classes < 2 {
        return Err(SampleError::Classes(classes));
    }
    let counts = [
        ("labels", source.labels().len()),
        ("ids", source.ids().len()),
    ];
    let targets = source.targets().map(|targets| ("targets", targets.len()));
    for (what, got) in counts.into_iter().chain(targets) {
        if got != images {
            return Err(SampleError::Count { what, got, images });
        }
    }
    for (row, &label) in source.labels().iter().enumerate() {
        class(row, "label", label, classes)?;
    }
    let targets = source.targets().unwrap_or_default();
    for (row, (&target, &label)) in targets.iter().zip(source.labels()).enumerate() {
        class(row, "target", target, classes)?;
        if target == label {
            return Err(SampleError::TargetIsLabel { row, target });
        }
    }
    Ok(())
}

/// What an attack wants of each image, in order.
pub(crate) fn goals<S: SampleSource>(source: &S) -> Vec<Goal> {
    match source.targets() {
        Some(targets) => targets.iter().copied().map(Goal::Reach).collect(),
        None => source.labels().iter().copied().map(Goal::Leave).collect(),
    }
}
