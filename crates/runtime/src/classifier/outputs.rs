//! A model's own outputs, all of them, for clients who send tensors instead of images.
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Instant;

use buckler_attack::VictimError;
use buckler_onnx::{Dim, Interface, Reading};
use ndarray::{Array2, ArrayD};
use ort::{
    session::Session,
    value::{DynValue, TensorElementType, ValueType},
};

use super::{LoadOptions, opened::Opened};
use crate::{
    RuntimeError,
    batch::{self, Column},
    engine::{Lane, Timing},
    session::{self, Placement},
};

/// One of a model's outputs, by its name in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPort {
    /// Its name.
    pub name: String,
    /// Element type, such as `float32`.
    pub dtype: &'static str,
    /// Sizes of all axes, `None` for the batch and whatever else is open; `None` where not even their number is known.
    pub shape: Option<Vec<Option<usize>>>,
}

/// What an output holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTensor {
    /// The output's name.
    pub name: String,
    /// Element type, as [`OutputPort::dtype`].
    pub dtype: &'static str,
    /// Sizes of all axes.
    pub shape: Vec<usize>,
    /// The elements, row-major and little-endian; truth values are one byte.
    pub data: Vec<u8>,
}

/// Element types that are given to clients.
const TYPES: [&str; 11] = [
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "bool",
];

/// Outputs that a sentence lists.
const MAX_LISTED: usize = 10;

/// The session of a model as its file has it, made when an output is asked for that the lane of predictions does not have.
pub(super) struct Outputs {
    pub ports: Vec<OutputPort>,
    gives_all: bool,
    whole: Option<Vec<u8>>,
    session: Mutex<Option<Session>>,
    placement: Placement,
    image: String,
    fixed: Option<usize>,
    alone: bool,
    max_batch: usize,
    /// Bytes of the rows that wait.
    waiting: AtomicUsize,
    queue_bytes: usize,
}

impl Outputs {
    pub fn new(opened: &Opened, options: &LoadOptions) -> Arc<Self> {
        let batch = opened.interface.shape.first();
        let port = |output: &buckler_onnx::OutputInfo| OutputPort {
            name: output.name.clone(),
            dtype: output.dtype,
            shape: output.shape.as_ref().map(|shape| {
                let dims = shape.iter().enumerate();
                dims.map(|(axis, dim)| match dim {
                    dim if axis == 0 && Some(dim) == batch => None,
                    Dim::Known(size) => usize::try_from(*size).ok(),
                    Dim::Symbol(_) => None,
                })
                .collect()
            }),
        };
        let outputs = opened.interface.outputs.iter();
        let ports: Vec<_> = outputs
            .filter(|output| TYPES.contains(&output.dtype))
            .map(port)
            .collect();
        let known = |port: &OutputPort| is_predicted(&opened.interface, &ports, &port.name);
        let keeps = options.all_outputs && !ports.iter().all(known);
        Arc::new(Self {
            whole: keeps.then(|| opened.whole.to_bytes()),
            session: Mutex::new(None),
            placement: options.placement(Lane::Predict),
            image: opened.interface.image.clone(),
            fixed: opened.fixed,
            alone: opened.alone,
            max_batch: opened.max_batch.max(1),
            waiting: AtomicUsize::new(0),
            queue_bytes: options.queue_bytes,
            gives_all: options.all_outputs,
            ports,
        })
    }

    /// Says which of the model's outputs are not among the ports.
    pub fn left_out(&self, interface: &Interface) -> Option<String> {
        let ports = |name: &str| self.ports.iter().any(|port| port.name == name);
        let left: Vec<String> = interface
            .outputs
            .iter()
            .filter(|output| self.gives_all && !ports(&output.name))
            .map(|output| format!("`{}` ({})", output.name.escape_debug(), output.dtype))
            .collect();
        let listed = left
            .iter()
            .take(MAX_LISTED)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        (!left.is_empty()).then(|| {
            let (outputs, hold) = match left.len() {
                1 => ("1 of the model's outputs is".to_owned(), "it holds"),
                count => (format!("{count} of the model's outputs are"), "they hold"),
            };
            let types = TYPES.join(", ");
            format!("{outputs} not given out, since {hold} other elements than {types}: {listed}")
        })
    }

    /// The outputs of these names to any number of rows. Blocking.
    pub fn run(
        &self,
        rows: ArrayD<f32>,
        names: &[String],
    ) -> Result<(Vec<OutputTensor>, Timing), VictimError> {
        let bytes = Column::Float(rows.clone()).bytes();
        let queued = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting, bytes);
        if queued > 0 && queued.saturating_add(bytes) > self.queue_bytes {
            return Err(VictimError::Overloaded {
                queued,
                limit: self.queue_bytes,
            });
        }
        let asked = Instant::now();
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = Instant::now();
        let tensors = self.answer(&mut session, &rows, names);
        let timing = Timing {
            queued: taken - asked,
            computed: taken.elapsed(),
        };
        Ok((tensors?, timing))
    }

    fn answer(
        &self,
        session: &mut Option<Session>,
        rows: &ArrayD<f32>,
        names: &[String],
    ) -> Result<Vec<OutputTensor>, VictimError> {
        let failed = |error: RuntimeError| VictimError::Runtime(Box::new(error));
        let session = match session {
            Some(session) => session,
            None => {
                let whole = self.whole.as_deref().ok_or_else(|| VictimError::Query {
                    what: "output",
                    expected: "of a model that was loaded with all its outputs".to_owned(),
                    got: names.join(", "),
                })?;
                session.insert(session::open(whole, self.placement).map_err(failed)?)
            }
        };
        let count = batch::rows(rows);
        let most = match (self.alone, self.fixed) {
            (true, _) => 1,
            (false, Some(size)) => size,
            (false, None) if names.iter().all(|name| self.is_batched(name)) => self.max_batch,
            (false, None) => count,
        };
        let column = Column::Float(rows.clone());
        let mut tensors: Vec<OutputTensor> = Vec::new();
        let mut start = 0;
        while start < count {
            let part = most.max(1).min(count - start);
            let size = self.fixed.unwrap_or(part);
            let padded = column.padded(start..start + part, size);
            let Some(Column::Float(batch)) = padded else {
                return Err(failed(uneven("rows")));
            };
            let found = run(session, &self.image, &batch, names).map_err(failed)?;
            let whole = start == 0 && part == count && part == size;
            for (index, mut tensor) in found.into_iter().enumerate() {
                if !whole {
                    tensor = first_rows(tensor, size, part).ok_or_else(|| VictimError::Query {
                        what: "number of rows",
                        expected: format!(
                            "{size} for output `{}`, which does not hold one row for each image",
                            names.get(index).map_or("", String::as_str)
                        ),
                        got: count.to_string(),
                    })?;
                }
                match tensors.get_mut(index) {
                    None => tensors.push(tensor),
                    Some(known) if known.shape.get(1..) == tensor.shape.get(1..) => {
                        known.data.extend(tensor.data);
                        if let Some(rows) = known.shape.first_mut() {
                            *rows += part;
                        }
                    }
                    Some(_) => return Err(failed(uneven("outputs"))),
                }
            }
            start += part;
        }
        Ok(tensors)
    }

    /// Whether an output is known to hold one row for each image.
    fn is_batched(&self, name: &str) -> bool {
        let port = self.ports.iter().find(|port| port.name == name);
        let shape = port.and_then(|port| port.shape.as_ref());
        shape.is_some_and(|shape| shape.first() == Some(&None))
    }
}

/// Rows that wait, until dropped.
struct Waiting<'a>(&'a AtomicUsize, usize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Whether the lane of predictions has an output: that with the logits or their softmax, and features.
pub(super) fn is_predicted(interface: &Interface, ports: &[OutputPort], name: &str) -> bool {
    Some(name) == interface.features_output()
        || name == interface.output && row_of_logits(interface, ports).is_some()
}

/// The shape of a row of the output that is told from the logits alone.
fn row_of_logits(interface: &Interface, ports: &[OutputPort]) -> Option<Vec<usize>> {
    if interface.reading == Reading::LogOfProbabilities {
        return None;
    }
    let port = ports.iter().find(|port| port.name == interface.output)?;
    let shape = port.shape.as_ref()?;
    shape.get(1..)?.iter().copied().collect()
}

/// One of these outputs, from what the lane of predictions answered: logits, and features where there are some.
pub(super) fn predicted(
    interface: &Interface,
    ports: &[OutputPort],
    name: &str,
    answered: &[ArrayD<f32>],
) -> Option<OutputTensor> {
    if Some(name) == interface.features_output() {
        return answered.get(1).map(|features| floats(name, features));
    }
    let logits = answered.first()?;
    let shape = [vec![batch::rows(logits)], row_of_logits(interface, ports)?].concat();
    let values = match interface.reading {
        Reading::BeforeSoftmax => softmax(batch::with_axes(logits.clone())?).into_dyn(),
        _ => logits.clone(),
    };
    Some(OutputTensor {
        shape,
        ..floats(name, &values)
    })
}

fn floats(name: &str, values: &ArrayD<f32>) -> OutputTensor {
    OutputTensor {
        name: name.to_owned(),
        dtype: "float32",
        shape: values.shape().to_vec(),
        data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

fn softmax(mut logits: Array2<f32>) -> Array2<f32> {
    for mut row in logits.rows_mut() {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row
            .iter()
            .map(|&logit| (f64::from(logit) - f64::from(largest)).exp())
            .collect();
        let sum: f64 = powers.iter().sum();
        row.iter_mut()
            .zip(powers)
            .for_each(|(to, power)| *to = (power / sum) as f32);
    }
    logits
}

fn run(
    session: &mut Session,
    image: &str,
    rows: &ArrayD<f32>,
    names: &[String],
) -> Result<Vec<OutputTensor>, RuntimeError> {
    let what = "run the model";
    let rows = rows.as_standard_layout();
    let input =
        ort::value::TensorRef::from_array_view(&rows).map_err(RuntimeError::runtime(what))?;
    let results = session
        .run(ort::inputs![image => input])
        .map_err(RuntimeError::runtime(what))?;
    let mut tensors = Vec::new();
    for name in names {
        let value = results.get(name).ok_or_else(|| RuntimeError::Unsupported {
            what: "outputs",
            expected: format!("complete, with `{name}`"),
            got: "without it".to_owned(),
        })?;
        tensors.push(tensor(name, value)?);
    }
    Ok(tensors)
}

fn tensor(name: &str, value: &DynValue) -> Result<OutputTensor, RuntimeError> {
    let what = "read an output";
    macro_rules! elements {
        ($type:ty, $dtype:literal, $bytes:expr) => {{
            let array = value
                .try_extract_array::<$type>()
                .map_err(RuntimeError::runtime(what))?;
            let bytes: fn(&$type) -> Vec<u8> = $bytes;
            OutputTensor {
                name: name.to_owned(),
                dtype: $dtype,
                shape: array.shape().to_vec(),
                data: array.iter().flat_map(bytes).collect(),
            }
        }};
        ($type:ty, $dtype:literal) => {
            elements!($type, $dtype, |value| value.to_le_bytes().to_vec())
        };
    }
    use TensorElementType as T;
    let kind = match value.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    };
    Ok(match kind {
        Some(T::Float32) => elements!(f32, "float32"),
        Some(T::Float64) => elements!(f64, "float64"),
        Some(T::Int8) => elements!(i8, "int8"),
        Some(T::Int16) => elements!(i16, "int16"),
        Some(T::Int32) => elements!(i32, "int32"),
        Some(T::Int64) => elements!(i64, "int64"),
        Some(T::Uint8) => elements!(u8, "uint8"),
        Some(T::Uint16) => elements!(u16, "uint16"),
        Some(T::Uint32) => elements!(u32, "uint32"),
        Some(T::Uint64) => elements!(u64, "uint64"),
        Some(T::Bool) => elements!(bool, "bool", |value| vec![u8::from(*value)]),
        _ => {
            return Err(RuntimeError::Unsupported {
                what: "output",
                expected: "a tensor of numbers or truth values".to_owned(),
                got: format!("`{name}` of {}", value.dtype()),
            });
        }
    })
}

/// The first `part` of `size` rows; `None` where there are not so many.
fn first_rows(mut tensor: OutputTensor, size: usize, part: usize) -> Option<OutputTensor> {
    let rows = tensor.shape.first_mut().filter(|rows| **rows == size)?;
    *rows = part;
    let bytes = tensor.data.len() / size.max(1) * part;
    tensor.data.truncate(bytes);
    Some(tensor)
}

fn uneven(what: &'static str) -> RuntimeError {
    RuntimeError::Unsupported {
        what,
        expected: "of one shape for every row".to_owned(),
        got: "uneven".to_owned(),
    }
}
