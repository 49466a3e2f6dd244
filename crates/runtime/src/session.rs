//! One model in ONNX Runtime: the graph, what goes in, what comes out, and the batch sizes at which it is asked.
mod calibrate;
mod cancellation;
mod provider;
mod time_limit;

use std::{
    borrow::Cow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::ArrayD;
use ort::{
    ep::CUDA,
    logging::LogLevel,
    session::{
        NoSelectedOutputs, RunOptions, Session, SessionInputValue,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

pub(crate) use self::cancellation::Cancellation;
pub use self::provider::{ParseProviderError, Provider};
use crate::{
    RuntimeError,
    background::Background,
    batch::{self, Column},
    library,
};

/// Where a session runs, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    pub provider: Provider,
    /// Bounds what one run may use; it is explicit because the runtime's own choice counts the machine's cores rather than this
    /// process's share of them.
    pub threads: usize,
    /// Leaves the processors to whatever else wants them.
    pub background: bool,
}

impl Placement {
    /// On the processor.
    pub fn on_cpu(threads: usize) -> Self {
        Self {
            provider: Provider::Cpu,
            threads,
            background: false,
        }
    }
}

/// Opens a session on a model's bytes.
pub(crate) fn open(model: &[u8], placement: Placement) -> Result<Session, RuntimeError> {
    let Placement {
        provider,
        threads,
        background,
    } = placement;
    let setup = "set up a session";
    let mut builder = builder(GraphOptimizationLevel::All)?;
    if let Provider::Cuda(number) = provider {
        // TF32 keeps ten bits of each factor: too few for gradients. One seed is to give one answer.
        let cuda = CUDA::default()
            .with_device_id(number.into())
            .with_tf32(false);
        builder = builder
            .with_deterministic_compute(true)
            .map_err(RuntimeError::runtime(setup))?
            .with_execution_providers([cuda.build().error_on_failure()])
            .map_err(|source| RuntimeError::Provider {
                provider,
                source: source.into(),
            })?;
    }
    if background {
        builder = builder
            .with_thread_manager(Background)
            .map_err(RuntimeError::runtime(setup))?;
    }
    if background || threads != library::shared_threads()? {
        builder = builder
            .with_independent_thread_pool()
            .map_err(RuntimeError::runtime(setup))?;
    }
    let mut builder = builder
        .with_intra_threads(threads)
        .map_err(RuntimeError::runtime(setup))?
        // Idle threads that spin halve the work done per CPU second in a server.
        .with_intra_op_spinning(false)
        .map_err(RuntimeError::runtime(setup))?
        // A memory pattern is planned for one batch size; here the size changes from run to run.
        .with_memory_pattern(false)
        .map_err(RuntimeError::runtime(setup))?
        // Weights in the arena would keep it from giving memory back.
        .with_device_allocated_initializers()
        .map_err(RuntimeError::runtime(setup))?;
    commit(&mut builder, model, "load the model")
}

/// Opens the session, if that does not take too long.
fn commit(
    builder: &mut SessionBuilder,
    model: &[u8],
    what: &'static str,
) -> Result<Session, RuntimeError> {
    cancellation::opening(builder)?;
    let canceler = builder.canceler();
    let stop = move || {
        if let Err(error) = canceler.cancel() {
            tracing::debug!(%error, "a session cannot be given up; it is waited for");
        }
    };
    let opened = time_limit::within(time_limit::OPENING, stop, || {
        builder.commit_from_memory(model)
    });
    match opened {
        (Err(_), true) => Err(slow(what, time_limit::OPENING)),
        (session, _) => session.map_err(RuntimeError::runtime(what)),
    }
}

fn slow(what: &'static str, limit: Duration) -> RuntimeError {
    RuntimeError::Slow {
        what,
        seconds: limit.as_secs(),
    }
}

/// Writes the model as the runtime's basic optimisation leaves it.
pub(crate) fn simplify(model: &[u8], to: &Path) -> Result<(), RuntimeError> {
    let mut builder = builder(GraphOptimizationLevel::Level1)?
        .with_optimized_model_path(to)
        .map_err(RuntimeError::runtime("set up a session"))?;
    commit(&mut builder, model, "simplify the model").map(|_| ())
}

fn builder(level: GraphOptimizationLevel) -> Result<SessionBuilder, RuntimeError> {
    let setup = "set up a session";
    Session::builder(library::environment()?)
        .map_err(RuntimeError::runtime(setup))?
        .with_optimization_level(level)
        .map_err(RuntimeError::runtime(setup))
}

/// The shape that a session states for one of its float inputs or outputs; `-1` stands for a size left open.
pub(crate) fn float_shape(outlet: &Outlet) -> Option<Vec<i64>> {
    match outlet.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } => Some(shape.to_vec()),
        _ => None,
    }
}

/// Of the latest run in the mean of all.
const PACE_WEIGHT: f64 = 0.1;

/// A session with the names of what is fed and what is wanted, run in batches of known sizes only.
pub(crate) struct Graph {
    session: Session,
    inputs: Vec<String>,
    outputs: Vec<String>,
    options: Arc<RunOptions<NoSelectedOutputs>>,
    sizes: Vec<usize>,
    /// A row's answer depends on the others of its batch, which are therefore copies of it.
    alone: bool,
    pace: Option<f64>,
    /// What a run may take as long as the graph is tried out.
    limit: Option<Duration>,
}

/// Makes a graph's current run, and every later one, fail at once.
#[derive(Clone)]
pub(crate) struct Terminator(Arc<RunOptions<NoSelectedOutputs>>);

impl Terminator {
    pub fn terminate(&self) {
        if let Err(error) = self.0.terminate() {
            tracing::debug!(%error, "a run could not be terminated; it ends by itself");
        }
    }
}

impl Graph {
    /// `inputs` and `outputs` are names; the columns of a run come in the same order. `sample` makes `n` rows of
    /// input, with which the batch sizes up to `max_batch` are tried out; a graph whose batch is `fixed` has that one. No batch holds
    /// two different rows where they are to be `alone`.
    pub fn new(
        session: Session,
        inputs: Vec<String>,
        outputs: Vec<String>,
        sample: impl Fn(usize) -> Vec<Column>,
        fixed: Option<usize>,
        alone: bool,
        max_batch: usize,
    ) -> Result<Self, RuntimeError> {
        let options = RunOptions::new().map_err(RuntimeError::runtime("set up a run"))?;
        let mut graph = Self {
            session,
            inputs,
            outputs,
            options: Arc::new(options),
            sizes: Vec::new(),
            alone,
            pace: None,
            limit: Some(time_limit::TRIAL),
        };
        cancellation::running(&graph.terminator());
        graph.sizes = match fixed {
            Some(size) => {
                graph.run_batch(&sample(size))?;
                vec![size]
            }
            None if alone => {
                graph.run_batch(&sample(1))?;
                vec![1]
            }
            None => calibrate::sizes(|batch| graph.run_batch(batch), &sample, max_batch)?,
        };
        let smallest = sample(graph.sizes.first().copied().unwrap_or(1));
        // Where there is no such arena, there is nothing to give back.
        if let Err(error) = graph.shrink(&smallest) {
            tracing::debug!(%error, "the memory of the batches tried out is kept");
        }
        graph.limit = None;
        Ok(graph)
    }

    /// With the first input and one output, to be tried with [`Graph::run_batch`], whose failures the runtime does not log.
    pub fn bare(session: Session, output: &str) -> Result<Self, RuntimeError> {
        let inputs = session.inputs().iter().take(1);
        let setup = "set up a run";
        let mut options = RunOptions::new().map_err(RuntimeError::runtime(setup))?;
        options
            .set_log_level(LogLevel::Fatal)
            .map_err(RuntimeError::runtime(setup))?;
        let graph = Self {
            inputs: inputs.map(|input| input.name().to_owned()).collect(),
            outputs: vec![output.to_owned()],
            session,
            options: Arc::new(options),
            sizes: Vec::new(),
            alone: false,
            pace: None,
            limit: Some(time_limit::TRIAL),
        };
        cancellation::running(&graph.terminator());
        Ok(graph)
    }

    /// The session alone.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// The shape that the session states for its first input.
    pub fn input_shape(&self) -> Option<Vec<i64>> {
        float_shape(self.session.inputs().first()?)
    }

    pub fn terminator(&self) -> Terminator {
        Terminator(Arc::clone(&self.options))
    }

    /// The most rows that one batch holds.
    pub fn max_batch(&self) -> usize {
        match self.alone {
            true => 1,
            false => self.sizes.last().copied().unwrap_or(1),
        }
    }

    /// What a row takes: the mean of the runs so far, the latest weighing most. 0 before the first.
    pub fn seconds_per_row(&self) -> f64 {
        self.pace.unwrap_or(0.0)
    }

    /// Gives back the memory of the batches that were tried out: a model may never be asked for so many rows.
    fn shrink(&mut self, sample: &[Column]) -> Result<(), RuntimeError> {
        let setup = "set up a run";
        let mut options = RunOptions::new().map_err(RuntimeError::runtime(setup))?;
        options
            .set("memory.enable_memory_arena_shrinkage", "cpu:0")
            .map_err(RuntimeError::runtime(setup))?;
        let usual = std::mem::replace(&mut self.options, Arc::new(options));
        let pace = self.pace;
        let shrunk = self.run_batch(sample);
        (self.options, self.pace) = (usual, pace);
        shrunk.map(|_| ())
    }

    /// Runs any number of rows, in as many batches as that takes.
    pub fn run(&mut self, inputs: &[Column]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let rows = inputs.first().map_or(0, Column::rows);
        let mut parts: Vec<Vec<ArrayD<f32>>> = self.outputs.iter().map(|_| Vec::new()).collect();
        let mut start = 0;
        let plan = match self.alone {
            true => vec![(1, self.sizes.last().copied().unwrap_or(1)); rows],
            false => batch::plan(rows, &self.sizes),
        };
        for (rows, size) in plan {
            let padded: Option<Vec<Column>> = inputs
                .iter()
                .map(|column| column.padded(start..start + rows, size))
                .collect();
            let outputs = self.run_batch(&padded.ok_or_else(|| uneven("inputs"))?)?;
            for (parts, output) in parts.iter_mut().zip(outputs) {
                parts.push(batch::slice(&output, 0..rows).to_owned());
            }
            start += rows;
        }
        parts
            .iter()
            .map(|parts| batch::stack(parts).ok_or_else(|| uneven("outputs")))
            .collect()
    }

    /// Runs the rows as one batch.
    pub fn run_batch(&mut self, inputs: &[Column]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let what = "run the model";
        let rows = inputs.first().map_or(0, Column::rows);
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
        let laid_out: Vec<_> = inputs.iter().map(LaidOut::new).collect();
        for (name, column) in self.inputs.iter().zip(&laid_out) {
            let value = match column {
                LaidOut::Float(array) => TensorRef::from_array_view(array).map(Into::into),
                LaidOut::Int(array) => TensorRef::from_array_view(array).map(Into::into),
            };
            values.push((
                name.as_str().into(),
                value.map_err(RuntimeError::runtime(what))?,
            ));
        }
        let start = Instant::now();
        let (session, options) = (&mut self.session, &*self.options);
        let run = move || session.run_with_options(values, options);
        let results = match self.limit {
            None => run(),
            Some(limit) => {
                let stop = || {
                    if let Err(error) = options.terminate() {
                        tracing::debug!(%error, "a run cannot be stopped; it is waited for");
                    }
                };
                let (results, late) = time_limit::within(limit, stop, run);
                if late {
                    // The next run is not stopped with it.
                    let again = options.unterminate();
                    again.map_err(RuntimeError::runtime("set up a run"))?;
                    if results.is_err() {
                        return Err(slow(what, limit));
                    }
                }
                results
            }
        };
        let results = results.map_err(RuntimeError::runtime(what))?;
        let seconds = start.elapsed().as_secs_f64() / rows.max(1) as f64;
        let pace = self.pace.unwrap_or(seconds);
        self.pace = Some(pace + PACE_WEIGHT * (seconds - pace));
        self.outputs
            .iter()
            .map(|name| {
                let value = results.get(name).ok_or_else(|| RuntimeError::Unsupported {
                    what: "outputs",
                    expected: format!("complete, with `{name}`"),
                    got: "without it".to_owned(),
                })?;
                let array = value
                    .try_extract_array::<f32>()
                    .map_err(RuntimeError::runtime(what))?;
                if array.shape().first() != Some(&rows) {
                    return Err(RuntimeError::Unsupported {
                        what: "output",
                        expected: format!("one row per image, {rows} here"),
                        got: format!("of shape {:?}", array.shape()),
                    });
                }
                Ok(array.to_owned())
            })
            .collect()
    }
}

/// A column in row-major order, which is how the runtime reads it.
enum LaidOut<'a> {
    Float(ndarray::CowArray<'a, f32, ndarray::IxDyn>),
    Int(ndarray::CowArray<'a, i64, ndarray::IxDyn>),
}

impl<'a> LaidOut<'a> {
    fn new(column: &'a Column) -> Self {
        match column {
            Column::Float(array) => Self::Float(array.as_standard_layout()),
            Column::Int(array) => Self::Int(array.as_standard_layout()),
        }
    }
}

fn uneven(what: &'static str) -> RuntimeError {
    RuntimeError::Unsupported {
        what,
        expected: "of one shape for every row".to_owned(),
        got: "uneven".to_owned(),
    }
}
