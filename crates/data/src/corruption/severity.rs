use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DataError;

/// How strong a corruption is: 1 (mild) to 5 (severe).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Severity(u8);

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Severity; 5] = [
        Severity(1),
        Severity(2),
        Severity(3),
        Severity(4),
        Severity(5),
    ];

    /// The severity of this number.
    ///
    /// # Errors
    /// When it is not in 1 to 5.
    pub fn new(severity: u8) -> Result<Self, DataError> {
        match severity {
            1..=5 => Ok(Self(severity)),
            _ => Err(DataError::OutOfRange {
                what: "corruption severity",
                value: severity.into(),
                min: 1,
                max: 5,
            }),
        }
    }

    /// The number, 1 to 5.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The entry of a table with one for every severity.
    pub(super) fn of<T: Copy>(self, table: &[T; 5]) -> T {
        let [first, second, third, fourth, fifth] = *table;
        match self.0 {
            1 => first,
            2 => second,
            3 => third,
            4 => fourth,
            _ => fifth,
        }
    }
}

impl TryFrom<u8> for Severity {
    type Error = DataError;

    fn try_from(severity: u8) -> Result<Self, Self::Error> {
        Self::new(severity)
    }
}

impl From<Severity> for u8 {
    fn from(severity: Severity) -> Self {
        severity.0
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whose constants apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constants {
    /// Those of `make_cifar_c.py`, which are milder.
    Cifar,
    /// Those of `make_imagenet_c.py`.
    Imagenet,
}

/// The longest side of an image that gets the constants of CIFAR-10-C, whose images have 32 x 32 pixels; those of
/// ImageNet-C have 224 x 224.
const LONGEST_SMALL_SIDE: usize = 64;

/// A severity for images of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) severity: Severity,
    pub(super) constants: Constants,
}

impl Level {
    pub(super) fn new(severity: Severity, [_, height, width]: [usize; 3]) -> Self {
        let constants = match height.max(width) <= LONGEST_SMALL_SIDE {
            true => Constants::Cifar,
            false => Constants::Imagenet,
        };
        Self {
            severity,
            constants,
        }
    }

    /// The parameters out of the two scripts' tables.
    pub(super) fn of<T: Copy>(self, cifar: &[T; 5], imagenet: &[T; 5]) -> T {
        match self.constants {
            Constants::Cifar => self.severity.of(cifar),
            Constants::Imagenet => self.severity.of(imagenet),
        }
    }
}
