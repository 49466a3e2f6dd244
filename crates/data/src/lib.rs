//! Labelled images.
//!
//! A [`DataSource`] is what a user types (`digits`, `mnist`, `cifar10:DIR`, `folder:DIR`); loading it gives a
//! [`Dataset`], whose images lie in memory as bytes or in files that are decoded when they are asked for. Data sets that
//! are published are downloaded once when nobody says where they are.
//!
//! There is one way from a file to pixels: [`decode`] reads it, and [`Picture::prepare`] brings it to the shape that a
//! [`Preprocessing`] says. Data sets of files go it as predictions do.
//!
//! To learn, a [`Loader`] walks through the shuffled images in threads of its own and hands out augmented batches of
//! numbers in `[0, 1]`; to measure, [`gather`] reads images as they are, and [`corrupted`] makes a test set of what
//! weather, cameras and files do to them. All randomness comes from a seed: the same
//! batches come out on every machine, however many threads there are.
//!
//! ```
//! use std::sync::Arc;
//!
//! use buckler_data::{Augmentation, DataSource, LoadOptions, Loader, LoaderConfig, Split, gather};
//!
//! let source: DataSource = "digits".parse()?;
//! let options = LoadOptions { size: Some(100), seed: 1, ..Default::default() };
//! let mut train = source.load(Split::Train, &options)?;
//! let validation = train.split_off(20)?;
//!
//! let loader = Loader::new(Arc::new(train), LoaderConfig {
//!     batch_size: 32,
//!     augmentation: Augmentation { pad: 2, ..Default::default() },
//!     seed: 1,
//!     workers: 0,
//!     skip_broken: false,
//! })?;
//! for batch in loader.epoch(0, 0) {
//!     let batch = batch?;
//!     assert_eq!(batch.images.len(), batch.labels.len() * 28 * 28);
//! }
//!
//! let (images, labels) = gather(&validation, &[0, 1])?;
//! assert_eq!(images.len(), labels.len() * 28 * 28);
//! # Ok::<(), buckler_data::DataError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod augment;
mod batch;
mod cifar;
mod class_map;
mod corruption;
mod dataset;
mod digits;
mod error;
mod fetch;
mod folder;
mod image_file;
mod loader;
mod mnist;
mod nearest;
mod picture;
mod preprocessing;
mod preview;
mod source;
mod split;
mod stream;

pub use augment::Augmentation;
pub use batch::{epoch_order, gather};
pub use cifar::{cifar10, cifar100};
pub use class_map::{
    ClassMap, ClassMapError, ClassNameError, GivenClass, GivenClasses, MatchedBy, ModelClasses,
};
pub use corruption::{
    Corruption, CorruptionFamily, LARGEST_SIDE, ParseCorruptionError, SMALLEST_SIDE, Severity,
    corrupt, corrupted,
};
pub use dataset::{Dataset, Skipped};
pub use digits::{MAX_DIGITS, digits};
pub use error::DataError;
pub use folder::{DEFAULT_IMAGE_SIZE, MAX_IMAGE_SIZE, folder};
pub use loader::{Batch, Batches, Loader, LoaderConfig};
pub use mnist::mnist;
pub use nearest::nearest_name;
pub use picture::{ImageError, ImageLimits, ImageNote, Picture, Prepared, decode, encode_png};
pub use preprocessing::{Grey, Preprocessing, Resize};
pub use preview::{corruption_sheet, sample_sheet, write_corruption_preview, write_preview};
pub use source::{DataSource, LoadOptions};
pub use split::Split;
