//! Images as numbers in `[0, 1]`.
use std::{
    io,
    thread::{self, Builder},
};

use super::{Dataset, Images};
use crate::{DataError, ImageNote, error::panic_message, image_file, loader::usual_workers};

/// A byte as a number in `[0, 1]`.
pub(crate) fn unit(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// The nearest byte of a number in `[0, 1]`; what lies outside is clipped.
pub(crate) fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

impl Dataset {
    /// The images at `indices` (a range, or any sequence) one after another as numbers in `[0, 1]` (byte / 255). Files
    /// are decoded by as many threads as there are cores, at most 8, to `n / 65535` where they have 16 bits.
    ///
    /// # Errors
    /// When there is no image at an index, or one cannot be decoded.
    pub fn to_f32(&self, indices: impl IntoIterator<Item = usize>) -> Result<Vec<f32>, DataError> {
        self.to_f32_noting(indices, |_, _| ())
    }

    /// As [`Dataset::to_f32`]; `note` is called with the index of each file to which something was done that its owner may
    /// not expect, in no order.
    ///
    /// # Errors
    /// As [`Dataset::to_f32`].
    pub fn to_f32_noting(
        &self,
        indices: impl IntoIterator<Item = usize>,
        note: impl Fn(usize, ImageNote) + Sync,
    ) -> Result<Vec<f32>, DataError> {
        // Checked one by one, because `0..usize::MAX` is an error to report and not a reason to run out of memory.
        let indices = indices
            .into_iter()
            .map(|index| match index < self.len() {
                true => Ok(index),
                false => Err(self.no_such(index)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        match self.images {
            Images::Memory(_) => self.values(&indices, &note),
            Images::Files(..) => in_threads(&indices, |mine| self.values(mine, &note)),
        }
    }

    fn values(
        &self,
        indices: &[usize],
        note: &impl Fn(usize, ImageNote),
    ) -> Result<Vec<f32>, DataError> {
        let mut values = Vec::with_capacity(indices.len() * self.image_len());
        for &index in indices {
            match &self.images {
                Images::Memory(_) => values.extend(self.image(index)?.iter().copied().map(unit)),
                Images::Files(files, preprocessing) => {
                    let path = files.get(index).ok_or_else(|| self.no_such(index))?;
                    let prepared = image_file::plain(path, preprocessing)?;
                    prepared.notes.iter().for_each(|&found| note(index, found));
                    values.extend(prepared.pixels);
                }
            }
        }
        Ok(values)
    }
}

/// What `work` makes of the parts that `indices` are divided into, one for each of as many threads as there are cores,
/// at most 8: one after another, in the order of `indices`.
pub(crate) fn in_threads<T: Send>(
    indices: &[usize],
    work: impl Fn(&[usize]) -> Result<Vec<T>, DataError> + Sync,
) -> Result<Vec<T>, DataError> {
    let failed = |reason| DataError::Worker { reason };
    let share = indices.len().div_ceil(usual_workers()).max(1);
    let work = &work;
    thread::scope(|scope| {
        let threads: io::Result<Vec<_>> = indices
            .chunks(share)
            .map(|mine| Builder::new().spawn_scoped(scope, move || work(mine)))
            .collect();
        let threads =
            threads.map_err(|error| failed(format!("it could not be started: {error}")))?;
        // All of them, before an error of one is looked at: the scope panics with what is not waited for here.
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let mut values = Vec::new();
        for result in results {
            let part = result.map_err(|panic| failed(panic_message(panic.as_ref())))??;
            values.extend(part);
        }
        Ok(values)
    })
}
