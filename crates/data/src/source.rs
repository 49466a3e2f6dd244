use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{DataError, Dataset, Split, digits, mnist};

/// The environment variable with the directory in which every data set has a directory of its name.
const ROOT: &str = "BUCKLER_DATA";
const KNOWN: [&str; 2] = ["digits", "mnist"];

/// A data set as a user names it: `NAME[:DIR]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// Drawn by the program itself; needs no files.
    Digits,
    /// MNIST, or a data set in its format, from IDX files.
    Mnist {
        /// Where the files are; when not given, `$BUCKLER_DATA/mnist`.
        dir: Option<PathBuf>,
    },
}

/// What to load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The number of images: `digits` draws that many (6000 for training and 1000 for testing when not given); of a
    /// data set in files the first that many are taken (all when not given).
    pub size: Option<usize>,
    /// What `digits` are drawn from. Data sets in files do not depend on it.
    pub seed: u64,
}

impl DataSource {
    /// The name without the directory.
    pub fn name(&self) -> &'static str {
        match self {
            DataSource::Digits => "digits",
            DataSource::Mnist { .. } => "mnist",
        }
    }

    /// Loads one split into memory.
    ///
    /// # Errors
    /// When it is not known where the files are, when one is missing or is not what it should be, or when more digits
    /// are asked for than [`crate::MAX_DIGITS`].
    pub fn load(&self, split: Split, options: &LoadOptions) -> Result<Dataset, DataError> {
        match self {
            DataSource::Digits => {
                let usual = match split {
                    Split::Train => 6000,
                    Split::Test => 1000,
                };
                digits(split, options.size.unwrap_or(usual), options.seed)
            }
            DataSource::Mnist { dir } => {
                let root = env::var_os(ROOT).filter(|root| !root.is_empty());
                let dir = directory(dir.as_deref(), root.map(PathBuf::from), self.name())?;
                let dataset = mnist(&dir, split)?;
                Ok(match options.size {
                    Some(size) => dataset.take(size),
                    None => dataset,
                })
            }
        }
    }
}

fn directory(
    given: Option<&Path>,
    root: Option<PathBuf>,
    name: &'static str,
) -> Result<PathBuf, DataError> {
    given
        .map(Path::to_owned)
        .or_else(|| root.map(|root| root.join(name)))
        .ok_or(DataError::NoDirectory {
            name,
            files: mnist::FILES,
        })
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
            _ => Err(DataError::UnknownName {
                name: name.to_owned(),
                known: KNOWN.map(|known| format!("`{known}`")).join(", "),
                suggestion: nearest(name),
            }),
        }
    }
}

/// The known name that differs from `name` in at most two keystrokes.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    KNOWN
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, &name), known))
        .filter(|&(distance, _)| distance <= 2)
        .min()
        .map(|(_, known)| known)
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSource::Mnist { dir: Some(dir) } => write!(f, "mnist:{}", dir.display()),
            _ => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_what_they_print() {
        for text in ["digits", "mnist", "mnist:some/where", "mnist:C:\\data"] {
            assert_eq!(text.parse::<DataSource>().unwrap().to_string(), text);
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
            "unknown data set `minst` (did you mean `mnist`?): known are `digits`, `mnist`"
        );
        assert!(message("Digit:/x").contains("did you mean `digits`?"));
        for far in ["imagenet", "", "x"] {
            assert!(message(far).contains("known are"));
            assert!(!message(far).contains("did you mean"), "{far}");
        }
    }

    #[test]
    fn directories_are_refused_where_they_mean_nothing() {
        assert!("digits:dir".parse::<DataSource>().is_err());
        assert!("mnist:".parse::<DataSource>().is_err());
    }

    #[test]
    fn a_given_directory_wins_over_the_environment() {
        let root = || Some(PathBuf::from("root"));
        assert_eq!(
            directory(Some(Path::new("here")), root(), "mnist").unwrap(),
            Path::new("here")
        );
        assert_eq!(
            directory(None, root(), "mnist").unwrap(),
            Path::new("root").join("mnist")
        );
    }

    #[test]
    fn without_any_directory_the_remedies_are_named() {
        let message = directory(None, None, "mnist").unwrap_err().to_string();
        for part in [
            "mnist:DIR",
            "BUCKLER_DATA",
            "train-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
            "digits",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
