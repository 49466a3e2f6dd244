//! ONNX Runtime behind one door: finds the library, owns the sessions, and turns a `model.onnx` into a [`Classifier`]
//! that can be asked for predictions and, when it is differentiable, attacked.
//!
//! ```no_run
//! use buckler_runtime::{Classifier, LoadOptions};
//!
//! # fn main() -> Result<(), buckler_runtime::RuntimeError> {
//! let classifier = Classifier::load("models/digits-he/1/model.onnx".as_ref(), &LoadOptions::default())?;
//! println!("{} classes, {:?}", classifier.classes(), classifier.can_attack());
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod background;
mod batch;
mod classifier;
mod deadline;
mod engine;
mod error;
mod library;
mod panics;
mod repository;
mod session;

pub use background::in_background;
pub use buckler_data::{ImageError, ImageLimits, Prepared, Preprocessing, encode_png};
pub use classifier::{
    Attacker, Certifier, Classifier, Differentiated, LoadOptions, OutputPort, OutputTensor,
    Tensors, Verification, differentiate, differentiate_file, differentiate_unverified,
    differentiate_with,
};
pub use engine::{Batch, Lane, Timing, Watch};
pub use error::RuntimeError;
pub use library::{LibraryError, LibraryInfo, Source, Version, cache_folder, init};
pub use repository::{Entry, LeftOut, Listed, NotServed, Repository};
pub use session::{ParseProviderError, Provider};
