//! The lane of attacks: its graphs, made when the model is loaded or when an attack first asks for them.
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use buckler_attack::VictimError;
use buckler_onnx::Model;
use tokio::sync::{Semaphore, watch};

use super::{
    LoadOptions,
    decisions::Decisions,
    find_gradient::{self, NoGradient, Stored},
    forward, gradient,
    opened::Opened,
    terms::Terms,
};
use crate::{
    RuntimeError,
    deadline::{Runner, Task},
    engine::{Engine, Lane, Settings},
    library,
    session::Graph,
};

/// Time of a gradient in that of a forward pass, until the first are measured.
pub(super) const GRADIENT_PER_FORWARD: f64 = 3.0;

/// Places for the lanes of this process that are made at the same time.
static MAKING: OnceLock<Semaphore> = OnceLock::new();

/// What attacks ask of a model.
pub(super) struct AttackLane {
    expected: Result<Expected, NoGradient>,
    made: OnceLock<Made>,
    /// Taken by whoever makes the graphs.
    recipe: Mutex<Option<Recipe<'static>>>,
    /// Whether they are made.
    done: watch::Sender<bool>,
}

/// What the graph of a model tells of its gradients before they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Number of features; 0 where there are none.
    pub features: usize,
}

/// The graphs of the lane, at work.
pub(super) struct Made {
    /// `None` where the model has no gradients and its forward passes are all asked of the lane of predictions.
    pub engine: Option<Engine>,
    pub forward: Option<usize>,
    pub gradient: Option<usize>,
    /// What gradients can be asked for; without them, the reason.
    pub terms: Result<Terms, NoGradient>,
    /// Those of the model, and those of its gradients.
    pub assumptions: Vec<String>,
}

/// All that it takes to make the graphs.
pub(super) struct Recipe<'a> {
    pub decisions: Decisions,
    /// The graph that is run.
    pub bytes: Cow<'a, [u8]>,
    /// The same, where it is there decoded.
    pub model: Option<&'a Model>,
    pub stored: Option<Stored<'a>>,
    pub assumptions: Vec<String>,
    pub options: LoadOptions,
    /// What the model is called in logs.
    pub name: String,
}

impl AttackLane {
    /// A lane whose graphs are made.
    pub fn made(made: Made) -> Arc<Self> {
        let expected = match &made.terms {
            Ok(terms) => Ok(Expected {
                features: terms.features,
            }),
            Err(error) => Err(error.clone()),
        };
        Self::new(expected, made.into(), None)
    }

    /// A lane whose graphs are made when they are first asked for.
    pub fn on_demand(expected: Result<Expected, NoGradient>, recipe: Recipe<'static>) -> Arc<Self> {
        Self::new(expected, OnceLock::new(), Some(recipe))
    }

    fn new(
        expected: Result<Expected, NoGradient>,
        made: OnceLock<Made>,
        recipe: Option<Recipe<'static>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            expected,
            made,
            recipe: Mutex::new(recipe),
            done: watch::Sender::new(false),
        })
    }

    /// The graphs, where they are made.
    pub fn get(&self) -> Option<&Made> {
        self.made.get()
    }

    /// The number of features that gradients can be asked for, as far as it is known; without gradients, the reason.
    pub fn features(&self) -> Result<usize, &NoGradient> {
        match self.get() {
            Some(made) => made.terms.as_ref().map(|terms| terms.features),
            None => self.expected.as_ref().map(|expected| expected.features),
        }
    }

    /// The graphs, made if they are not: once for all who wait, on a thread that may block, and to the end where they have gone.
    pub async fn ready(self: &Arc<Self>) -> Result<&Made, VictimError> {
        if self.get().is_none() {
            let mut done = self.done.subscribe();
            let recipe = self
                .recipe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(recipe) = recipe {
                let own = Arc::clone(self);
                tokio::spawn(async move {
                    // As many at a time as there are processors: each takes them, and memory.
                    let place = MAKING
                        .get_or_init(|| Semaphore::new(library::processors()))
                        .acquire()
                        .await;
                    let made = tokio::task::spawn_blocking(move || own.make(recipe)).await;
                    if let Err(error) = made {
                        tracing::error!(%error, "making the gradients failed");
                    }
                    drop(place);
                });
            }
            let made = done.wait_for(|done| *done).await;
            made.map_err(|_| VictimError::Closed)?;
        }
        self.get().ok_or(VictimError::Closed)
    }

    fn make(&self, recipe: Recipe<'static>) {
        let (name, assumptions) = (recipe.name.clone(), recipe.assumptions.clone());
        let task = Task {
            name: &format!("load {name}"),
            what: "making its gradients",
            deadline: recipe.options.load_timeout,
        };
        let made = Runner::of_process().run(task, Vec::new(), || recipe.make(None));
        let made = made.unwrap_or_else(|failure| Made::without(failure.reason, assumptions));
        if let Err(error) = &made.terms {
            warn(&name, error);
        }
        let _ = self.made.set(made);
        self.done.send_replace(true);
    }
}

impl Made {
    /// Where the graphs could not be made.
    fn without(reason: String, assumptions: Vec<String>) -> Self {
        Self {
            engine: None,
            forward: None,
            gradient: None,
            terms: Err(reason.into()),
            assumptions,
        }
    }

    /// The engine and the graph of forward passes, where the lane has its own.
    pub fn forward(&self) -> Option<(&Engine, usize)> {
        self.engine.as_ref().zip(self.forward)
    }

    /// The engine and the graph of gradients.
    pub fn gradient(&self) -> Option<(&Engine, usize)> {
        self.engine.as_ref().zip(self.gradient)
    }
}

impl Recipe<'_> {
    /// With what it takes to make the graphs later: the graph that is run as bytes, which are let go then.
    pub fn kept(self, opened: &Opened) -> Recipe<'static> {
        let stored = self.stored.map(|stored| match stored {
            Stored::Bytes(bytes) => Stored::Bytes(bytes.into_owned().into()),
            Stored::File(path) => Stored::File(path),
        });
        Recipe {
            decisions: self.decisions,
            bytes: opened.runs.to_bytes().into(),
            model: None,
            stored,
            assumptions: self.assumptions,
            options: self.options,
            name: self.name,
        }
    }

    /// Makes the graphs. They are held against `predicts`, the graph of the lane of predictions, where that is not at work yet, and
    /// else against the lane's own forward graph.
    pub fn make(self, predicts: Option<&mut Graph>) -> Result<Made, RuntimeError> {
        let options = &self.options;
        let own = match options.separate_attacks || predicts.is_none() {
            true => Some(forward::open(
                &self.decisions,
                &self.bytes,
                options,
                Lane::Attack,
            )?),
            false => None,
        };
        let mut own = own;
        let mut assumptions = self.assumptions.clone();
        let mut graphs = Vec::new();
        let reference = predicts.or(own.as_mut());
        let (gradient, terms) = match reference {
            Some(reference) => match find_gradient::find(&self, reference, &mut assumptions) {
                Ok(mut found) => {
                    let (bad, all) = gradient::not_finite(&mut found, reference, &self.decisions)?;
                    if bad > 0 {
                        assumptions.push(format!(
                            "the gradient is not finite in {bad} of {all} pixels of the images that the model was tried with"
                        ));
                    }
                    (Some(found.graph), Ok(found.terms))
                }
                Err(reason) => (None, Err(reason)),
            },
            None => (None, Err("there is no forward graph".to_owned().into())),
        };
        let mut put = |graph: Option<Graph>| {
            graphs.extend(graph);
            graphs.len().checked_sub(1)
        };
        let own = own.filter(|_| options.separate_attacks);
        let forward = own.and_then(|own| put(Some(own)));
        let gradient = gradient.and_then(|gradient| put(Some(gradient)));
        let engine = match graphs.is_empty() {
            true => None,
            false => Some(Engine::start(graphs, self.settings(Lane::Attack))?),
        };
        Ok(Made {
            engine,
            forward,
            gradient,
            terms,
            assumptions,
        })
    }

    pub fn settings(&self, lane: Lane) -> Settings {
        let options = &self.options;
        Settings {
            lane,
            model: self.name.clone(),
            queue_bytes: options.queue_bytes,
            watch: options.watch.clone(),
            background: options.placement(lane).background,
        }
    }
}

/// Logs that a model has no gradients.
pub(super) fn warn(name: &str, error: &NoGradient) {
    tracing::warn!(
        model = name,
        reason = error.reason,
        "the model can predict, but not be attacked with gradients"
    );
}
