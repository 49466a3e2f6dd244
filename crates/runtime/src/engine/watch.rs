use std::{fmt, sync::Arc, time::Duration};

/// Which of a model's lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Predictions.
    Predict,
    /// Whatever attacks ask.
    Attack,
    /// Bounds.
    Certify,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Predict => "predict",
            Self::Attack => "attack",
            Self::Certify => "certify",
        })
    }
}

/// A batch that a lane has run.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The name that the model was loaded under.
    pub model: &'a str,
    /// The lane.
    pub lane: Lane,
    /// Rows that somebody had asked for.
    pub rows: usize,
    /// How long each query waited whose first rows are in it.
    pub waited: &'a [Duration],
    /// How long the run took.
    pub computed: Duration,
}

/// Is told of every batch, on the lane's thread: what it does there delays the next batch.
#[derive(Clone)]
pub struct Watch(Arc<dyn Fn(&Batch<'_>) + Send + Sync>);

impl Watch {
    /// Calls `tell` with every batch.
    pub fn new(tell: impl Fn(&Batch<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, batch: &Batch<'_>) {
        self.0(batch);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
