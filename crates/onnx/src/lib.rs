//! ONNX files as data: read, check, edit, write, and differentiate.
//!
//! [`differentiate`] turns a classifier into a second ONNX graph that returns logits, loss and the gradient of the loss with
//! respect to the image, made of standard operators alone, so that any runtime that runs the first can run the second.
//! Nothing here runs a graph, and nothing here is async.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// The reference evaluator is shared with the integration tests, which know this crate by its name.
#[cfg(test)]
extern crate self as buckler_onnx;

mod activations;
mod atomic;
mod attribute;
mod bound;
mod card;
mod clean;
mod contradiction;
mod differentiate;
mod edit;
mod emitter;
mod error;
mod extent;
mod external;
mod flops;
mod follow;
mod free_batch;
mod functions;
mod gradient_info;
mod interface;
mod limits;
mod lock;
mod model;
mod node;
mod objective;
mod ops;
mod order;
mod other_format;
mod prepare;
mod printable;
pub mod proto;
mod read_file;
mod rename;
mod reshape;
mod shape;
mod summary;
mod tensor;
mod upgrade;
mod validate;
mod wire;

#[cfg(test)]
#[path = "../tests/reference/mod.rs"]
mod reference;

pub use activations::{MAX_ACTIVATION_BYTES, activation_bytes};
pub use atomic::write_atomic;
pub use bound::{BoundInfo, Bounding, ParseBoundingError, bound, bound_for};
pub use card::{
    Card, CardError, ChannelOrder, Color, Grey, Head, Input, MAX_SIDE, Measurement, Normalization,
    NormalizationError, Preprocessing, Resize, Training,
};
pub use clean::{CleanNames, clean};
pub use differentiate::{check, differentiate, differentiate_for};
pub use error::{Error, Obstacle};
pub use free_batch::{fix_batch, free_batch};
pub use gradient_info::GradientInfo;
pub use interface::{
    Features, ImageInput, Interface, Layout, Origin, OutputInfo, Reading, Wanted, fix_image_size,
    inspect,
};
pub use lock::{FileLock, LockError};
pub use model::Model;
pub use ops::operators;
pub use prepare::classifier_graph;
pub use printable::{printable, printable_json, printable_lines};
pub use read_file::read_model_file;
pub use shape::Dim;
pub use summary::{Port, Summary};
