//! What is known of a data set's files before they are used: which are broken, which are small.
use std::path::PathBuf;

use super::{Dataset, Images, in_threads};
use crate::{DataError, image_file};

/// A file that was left out of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub reason: String,
}

impl Dataset {
    /// The data set without the files that cannot be decoded and brought to its shape, and these files. Every file is
    /// read once, by as many threads as there are cores, at most 8; no pixels are kept. Data sets in memory are returned
    /// as they are.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn without_broken(mut self) -> Result<(Self, Vec<Skipped>), DataError> {
        let Images::Files(files, preprocessing) = &mut self.images else {
            return Ok((self, Vec::new()));
        };
        let indices: Vec<usize> = (0..files.len()).collect();
        let reasons = in_threads(&indices, |mine| {
            let files = mine.iter().filter_map(|&index| files.get(index));
            files
                .map(|path| match image_file::plain(path, preprocessing) {
                    Ok(_) => Ok(None),
                    Err(DataError::Image { reason, .. }) => Ok(Some(reason)),
                    Err(error) => Err(error),
                })
                .collect()
        })?;
        let mut skipped = Vec::new();
        let mut kept = reasons.iter().map(Option::is_none);
        self.labels.retain(|_| kept.next().unwrap_or(true));
        let mut reasons = reasons.into_iter();
        files.retain(|path| match reasons.next().flatten() {
            Some(reason) => {
                let path = path.clone();
                skipped.push(Skipped { path, reason });
                false
            }
            None => true,
        });
        Ok((self, skipped))
    }

    /// How many of the first `sample` files hold images with a side shorter than the data set's: they are enlarged, which
    /// adds no detail. With their number how many were looked at, 0 for data sets in memory. Files that cannot be read are
    /// passed over.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn enlarged(&self, sample: usize) -> Result<(usize, usize), DataError> {
        let Images::Files(files, preprocessing) = &self.images else {
            return Ok((0, 0));
        };
        let indices: Vec<usize> = (0..files.len().min(sample)).collect();
        let shorter = in_threads(&indices, |mine| {
            let files = mine.iter().filter_map(|&index| files.get(index));
            let sizes = files.filter_map(|path| image_file::announced(path).ok());
            Ok(sizes
                .map(|(width, height)| {
                    (width as usize) < preprocessing.width
                        || (height as usize) < preprocessing.height
                })
                .collect())
        })?;
        Ok((
            shorter.iter().filter(|&&shorter| shorter).count(),
            shorter.len(),
        ))
    }
}
