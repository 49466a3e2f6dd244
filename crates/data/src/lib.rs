//! Labelled images in memory.
//!
//! A [`DataSource`] is what a user types (`digits`, `mnist:DIR`); loading it gives a [`Dataset`] of bytes. The trainer
//! asks [`epoch_order`] which images come next and [`gather`] turns them into numbers in `[0, 1]`.
//!
//! ```
//! use buckler_data::{DataSource, LoadOptions, Split, epoch_order, gather};
//!
//! let source: DataSource = "digits".parse()?;
//! let train = source.load(Split::Train, &LoadOptions { size: Some(100), seed: 1 })?;
//! let order = epoch_order(train.len(), 1, 0);
//! for batch in order.chunks(32) {
//!     let (images, labels) = gather(&train, batch)?;
//!     assert_eq!(images.len(), labels.len() * 28 * 28);
//! }
//! # Ok::<(), buckler_data::DataError>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod batch;
mod dataset;
mod digits;
mod error;
mod mnist;
mod preview;
mod source;
mod stream;

pub use batch::{epoch_order, gather};
pub use dataset::{Dataset, Split};
pub use digits::{MAX_DIGITS, digits};
pub use error::DataError;
pub use mnist::mnist;
pub use preview::{sample_sheet, write_preview};
pub use source::{DataSource, LoadOptions};
