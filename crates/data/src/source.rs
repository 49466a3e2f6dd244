//! A data set as a user names it.
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    DEFAULT_IMAGE_SIZE, DataError, Dataset, Preprocessing, Split,
    cifar::names::{CIFAR10, CIFAR100},
    cifar10, cifar100, digits,
    fetch::{self, Published},
    folder, mnist, nearest_name,
};

const KNOWN: [&str; 5] = ["digits", "mnist", "cifar10", "cifar100", "folder"];

/// A data set as a user names it: `NAME[:DIR]`.
///
/// A published one (all but `digits` and `folder`) for which no directory is given lies in `$BUCKLER_DATA/NAME`, or else
/// in `data/NAME` in the cache directory (`$BUCKLER_CACHE`, or the user's), to which it is downloaded when it is not
/// there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// Drawn by the program itself; needs no files.
    Digits,
    /// MNIST, or a data set in its format, from IDX files.
    Mnist {
        /// Where the files are.
        dir: Option<PathBuf>,
    },
    /// CIFAR-10 from its binary files.
    Cifar10 {
        /// Where the files are, or the directory `cifar-10-batches-bin` with them.
        dir: Option<PathBuf>,
    },
    /// CIFAR-100 from its binary files.
    Cifar100 {
        /// Where the files are, or the directory `cifar-100-binary` with them.
        dir: Option<PathBuf>,
    },
    /// Image files in one directory per class, see [`folder()`].
    Folder {
        /// The directory that holds `train` and `val` or `test`.
        dir: PathBuf,
    },
}

/// What to load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// The number of images: `digits` draws that many (6000 for training and 1000 for testing when not given); of a
    /// data set in files the first that many are taken (all when not given).
    pub size: Option<usize>,
    /// What `digits` are drawn from. Data sets in files do not depend on it.
    pub seed: u64,
    /// Rows and columns of the images of a `folder`, [`DEFAULT_IMAGE_SIZE`] when not given: RGB, prepared as
    /// [`Preprocessing::center_crop`] says. The other data sets have the size that they have, and no other may be asked
    /// for.
    pub image_size: Option<usize>,
    /// What turns the files of a `folder` into pixels, such as that of the model that is to see them; `image_size` is
    /// not looked at then. The other data sets have the pixels that they have.
    pub preprocessing: Option<Preprocessing>,
}

impl DataSource {
    /// The name without the directory.
    pub fn name(&self) -> &'static str {
        match self {
            DataSource::Digits => "digits",
            DataSource::Mnist { .. } => "mnist",
            DataSource::Cifar10 { .. } => "cifar10",
            DataSource::Cifar100 { .. } => "cifar100",
            DataSource::Folder { .. } => "folder",
        }
    }

    /// Loads one split: the images of a `folder` stay in their files, those of all others are in memory.
    ///
    /// # Errors
    /// When the files are neither there nor to be had, when one is missing or is not what it should be, when more digits
    /// are asked for than [`crate::MAX_DIGITS`], or another image size than the data set has.
    pub fn load(&self, split: Split, options: &LoadOptions) -> Result<Dataset, DataError> {
        let dataset = match self {
            DataSource::Digits => {
                has_size("image size of digits", 28, options)?;
                let usual = match split {
                    Split::Train => 6000,
                    Split::Test => 1000,
                };
                return digits(split, options.size.unwrap_or(usual), options.seed);
            }
            DataSource::Mnist { dir } => {
                has_size("image size of MNIST", 28, options)?;
                mnist(&locate(Published::mnist(), dir)?, split)?
            }
            DataSource::Cifar10 { dir } => {
                has_size("image size of CIFAR-10", 32, options)?;
                cifar10(&locate(Published::cifar10(), dir)?, split)?
            }
            DataSource::Cifar100 { dir } => {
                has_size("image size of CIFAR-100", 32, options)?;
                cifar100(&locate(Published::cifar100(), dir)?, split)?
            }
            DataSource::Folder { dir } => {
                let side = options.image_size.unwrap_or(DEFAULT_IMAGE_SIZE);
                let usual = Preprocessing::center_crop(side);
                folder(dir, split, options.preprocessing.unwrap_or(usual))?
            }
        };
        Ok(match options.size {
            Some(size) => dataset.take(size),
            None => dataset,
        })
    }

    /// Shape `[channels, height, width]` and classes of data sets that are the same everywhere; `None` for a `folder`.
    pub fn known(&self) -> Option<([usize; 3], Vec<String>)> {
        let digits = || (0..10).map(|digit| digit.to_string()).collect();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match self {
            DataSource::Digits | DataSource::Mnist { .. } => Some(([1, 28, 28], digits())),
            DataSource::Cifar10 { .. } => Some(([3, 32, 32], names(&CIFAR10))),
            DataSource::Cifar100 { .. } => Some(([3, 32, 32], names(&CIFAR100))),
            DataSource::Folder { .. } => None,
        }
    }

    fn dir(&self) -> Option<&Path> {
        match self {
            DataSource::Digits => None,
            DataSource::Mnist { dir }
            | DataSource::Cifar10 { dir }
            | DataSource::Cifar100 { dir } => dir.as_deref(),
            DataSource::Folder { dir } => Some(dir),
        }
    }
}

fn locate(published: Published, given: &Option<PathBuf>) -> Result<PathBuf, DataError> {
    match given {
        Some(dir) => Ok(dir.clone()),
        None => fetch::locate(&published),
    }
}

fn has_size(what: &'static str, side: usize, options: &LoadOptions) -> Result<(), DataError> {
    match options.image_size {
        Some(value) if value != side => Err(DataError::OutOfRange {
            what,
            value,
            min: side,
            max: side,
        }),
        _ => Ok(()),
    }
}

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| DataError::Source {
            text: text.to_owned(),
            reason,
        };
        let (name, dir) = match text.split_once(':') {
            Some((_, "")) => {
                return Err(wrong(
                    "nothing follows the colon: write `NAME:DIR` or `NAME`",
                ));
            }
            Some((name, dir)) => (name, Some(PathBuf::from(dir))),
            None => (text, None),
        };
        match (name, dir) {
            ("digits", None) => Ok(DataSource::Digits),
            ("digits", Some(_)) => Err(wrong(
                "`digits` is drawn and not read: write it without a directory",
            )),
            ("mnist", dir) => Ok(DataSource::Mnist { dir }),
            ("cifar10", dir) => Ok(DataSource::Cifar10 { dir }),
            ("cifar100", dir) => Ok(DataSource::Cifar100 { dir }),
            ("folder", Some(dir)) => Ok(DataSource::Folder { dir }),
            ("folder", None) => Err(wrong(
                "which one? Write `folder:DIR`, where DIR holds `train/CLASS/*` and `val/CLASS/*`",
            )),
            _ => Err(DataError::UnknownName {
                name: name.to_owned(),
                known: KNOWN.map(|known| format!("`{known}`")).join(", "),
                suggestion: nearest_name(name, KNOWN),
            }),
        }
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.dir() {
            Some(dir) => write!(f, ":{}", dir.display()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_what_they_print() {
        for text in [
            "digits",
            "mnist",
            "mnist:some/where",
            "mnist:C:\\data",
            "cifar10",
            "cifar10:some/where",
            "cifar100",
            "cifar100:/data",
            "folder:C:\\data",
        ] {
            let source: DataSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(Some(source.name()), text.split(':').next());
        }
        let source: DataSource = "mnist:C:\\data".parse().unwrap();
        assert_eq!(
            source,
            DataSource::Mnist {
                dir: Some("C:\\data".into())
            }
        );
    }

    #[test]
    fn unknown_names_list_the_known_and_suggest_the_nearest() {
        let message = |text: &str| text.parse::<DataSource>().unwrap_err().to_string();
        assert_eq!(
            message("minst"),
            "unknown data set `minst` (did you mean `mnist`?): known are `digits`, `mnist`, `cifar10`, `cifar100`, \
             `folder`"
        );
        assert!(message("Digit:/x").contains("did you mean `digits`?"));
        assert!(message("CIFAR-100").contains("did you mean `cifar100`?"));
        for far in ["imagenet", "", "x"] {
            assert!(message(far).contains("known are"));
            assert!(!message(far).contains("did you mean"), "{far}");
        }
    }

    #[test]
    fn directories_are_refused_where_they_mean_nothing_and_asked_for_where_needed() {
        assert!("digits:dir".parse::<DataSource>().is_err());
        assert!("mnist:".parse::<DataSource>().is_err());
        let message = "folder".parse::<DataSource>().unwrap_err().to_string();
        assert!(message.contains("`folder:DIR`"), "{message}");
    }

    #[test]
    fn what_is_known_of_a_data_set_is_what_it_has() {
        let data = DataSource::Digits
            .load(Split::Test, &LoadOptions::default())
            .unwrap();
        let known = DataSource::Digits.known().unwrap();
        assert_eq!(known, (data.shape(), data.classes().to_vec()));
        let (shape, classes) = DataSource::Cifar10 { dir: None }.known().unwrap();
        assert_eq!((shape, classes.len()), ([3, 32, 32], 10));
        assert_eq!(classes.first().map(String::as_str), Some("airplane"));
        let hundred = DataSource::Cifar100 { dir: None }.known().unwrap();
        assert_eq!(hundred.1.len(), 100);
        let folder = DataSource::Folder { dir: "x".into() };
        assert_eq!(folder.known(), None);
    }

    #[test]
    fn only_folders_come_in_other_sizes() {
        let options = |image_size| LoadOptions {
            size: Some(10),
            image_size: Some(image_size),
            ..Default::default()
        };
        assert!(DataSource::Digits.load(Split::Test, &options(28)).is_ok());
        for (text, side) in [
            ("digits", 28),
            ("mnist:x", 28),
            ("cifar10:x", 32),
            ("cifar100:x", 32),
        ] {
            let source: DataSource = text.parse().unwrap();
            let message = source
                .load(Split::Test, &options(224))
                .unwrap_err()
                .to_string();
            let expected = format!("of 224: it must be in {side}..={side}");
            assert!(message.contains(&expected), "{message}");
        }
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path().join("val/a");
        std::fs::create_dir_all(&class).unwrap();
        for name in ["1.png", "2.png"] {
            image::RgbImage::new(9, 9).save(class.join(name)).unwrap();
        }
        let source = DataSource::Folder {
            dir: dir.path().to_owned(),
        };
        let load = |options: &LoadOptions| source.load(Split::Test, options).unwrap();
        assert_eq!(load(&options(16)).shape(), [3, 16, 16]);
        assert_eq!(load(&LoadOptions::default()).shape(), [3, 224, 224]);
        let one = LoadOptions {
            size: Some(1),
            ..Default::default()
        };
        assert_eq!(load(&one).len(), 1);
    }
}
