use super::{datatype::Datatype, json::MAX_DEPTH};

/// Why a request is none of this protocol, or none that the model can answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error(
        "header `Inference-Header-Content-Length` is `{0}`: send the length of the JSON in bytes, 0 for one raw tensor, or no \
         such header for JSON alone"
    )]
    HeaderLength(String),
    #[error(
        "`Inference-Header-Content-Length` is {header}, but the body has only {body} bytes: send the length of the JSON before \
         compression"
    )]
    ShortBody { header: usize, body: usize },
    #[error("the JSON is nested deeper than {MAX_DEPTH} levels: send tensors flat")]
    TooDeep,
    #[error(
        "the JSON is no inference request ({0}): send \
         {{\"inputs\": [{{\"name\", \"shape\", \"datatype\", \"data\"}}]}}, and binary tensors behind it with \
         `Inference-Header-Content-Length`"
    )]
    Json(String),
    #[error("the JSON is no request ({0}): send {{}}, or {{\"parameters\": {{...}}}}")]
    RepositoryJson(String),
    #[error("tensor `{name}`: {error}")]
    Tensor { name: String, error: TensorError },
    #[error("{0} bytes follow the last tensor: let `binary_data_size` be the size of each tensor")]
    TrailingBytes(usize),
    #[error("the request has no input `{0}`: the model takes that one")]
    MissingInput(String),
    #[error("the model has no input `{name}`: it takes `{expected}` alone")]
    UnknownInput { name: String, expected: String },
    #[error("input `{0}` is there twice: send all rows in one tensor")]
    RepeatedInput(String),
    #[error("input `{name}` is {got}, but the model takes FP32: convert it first")]
    WrongDatatype { name: String, got: Datatype },
    #[error("input `{name}` has the shape {got:?}, but the model takes {expected}: reshape it")]
    WrongShape {
        name: String,
        got: Vec<usize>,
        expected: String,
    },
    #[error("input `{0}` has no rows: send at least one")]
    NoRows(String),
    #[error(
        "the raw tensor has {got} bytes, but one row of `{name}` (FP32, {row:?}) has {expected}: send one row, or several with \
         their shape in JSON"
    )]
    RawLength {
        name: String,
        row: Vec<usize>,
        got: usize,
        expected: usize,
    },
    #[error("the model has no output `{name}`: ask for {expected}")]
    UnknownOutput { name: String, expected: String },
    #[error("output `{name}` does not hold classes: ask for those of `{expected}`")]
    NotClasses { name: String, expected: String },
    #[error("output `{0}` is asked for twice: ask once")]
    RepeatedOutput(String),
    #[error("`{0}` is to be in shared memory, which is not supported: send and take binary data")]
    SharedMemory(String),
    #[error("the answer has no form in JSON ({0}): ask for binary data (`binary_data`: true)")]
    NotJson(String),
    #[error(
        "parameter `{0}` is not supported: change the models' directory, then load the model without it"
    )]
    LoadParameter(String),
}

/// What is wrong with a tensor alone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TensorError {
    #[error(
        "datatype `{0}` is not known: use BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES"
    )]
    Datatype(String),
    #[error("shape {0:?} has a negative size: send the true one")]
    NegativeSize(Vec<i64>),
    #[error(
        "shape {shape:?} of {datatype} is more than the {limit} bytes allowed: send fewer rows"
    )]
    TooLarge {
        shape: Vec<i64>,
        datatype: Datatype,
        limit: usize,
    },
    #[error("it has no data: send `data`, or binary data and `binary_data_size`")]
    NoData,
    #[error("it has both `data` and `binary_data_size`: send one of them")]
    TwoData,
    #[error("{0} has no form in JSON: send binary data")]
    BinaryOnly(Datatype),
    #[error("`data` is no list: send [...]")]
    NotAList,
    #[error("element {index} is {text}, which is no {datatype}")]
    Element {
        index: usize,
        text: String,
        datatype: Datatype,
    },
    #[error("`data` has {got} elements, but the shape {shape:?} has {expected}")]
    TooFew {
        got: usize,
        shape: Vec<usize>,
        expected: usize,
    },
    #[error("`data` has more than the {expected} elements of the shape {shape:?}")]
    TooMany { shape: Vec<usize>, expected: usize },
    #[error(
        "`data` is nested otherwise than the shape {0:?}: send it flat, or nested as the shape says"
    )]
    Nesting(Vec<usize>),
    #[error("`binary_data_size` is {got}, but {datatype} of shape {shape:?} has {expected} bytes")]
    Size {
        got: usize,
        datatype: Datatype,
        shape: Vec<usize>,
        expected: usize,
    },
    #[error(
        "`binary_data_size` is {size}, but only {left} bytes are left in the body: send the tensor behind the JSON, and the JSON's \
         length as `Inference-Header-Content-Length`"
    )]
    TooFewBytes { size: usize, left: usize },
    #[error(
        "its bytes are no {expected} elements, each a 32-bit little-endian length and the bytes: element {index} is not"
    )]
    ByteStrings { expected: usize, index: usize },
    #[error("element {index} of BOOL is the byte {byte}: send 0 or 1")]
    Bool { index: usize, byte: u8 },
}
