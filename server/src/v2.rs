//! The Open Inference Protocol V2 over REST, with the extensions for binary data, classification, statistics and the model
//! repository (`docs/protocol.md`).
mod binding;
mod classification;
mod datatype;
mod elements;
mod error;
mod error_body;
mod json;
mod request;
mod response;
mod round_trip;
pub(crate) mod routes;
mod statistics;
mod tensor;

pub(crate) use self::{
    error::ProtocolError, error_body::error_body, round_trip::round_trip, routes::routes,
    statistics::AllStatistics,
};
