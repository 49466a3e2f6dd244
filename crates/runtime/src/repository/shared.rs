//! What loads share with the repository.
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::{
    Entry,
    files::{self, Candidate, Found},
    left_out::LeftOut,
    model::{Failed, Loading, Model},
    places::{Place, Places},
};
use crate::{
    Classifier, LoadOptions, RuntimeError,
    deadline::{Runner, Step, Task},
};

/// How long [`Repository::refresh`](super::Repository::refresh) waits for one model, and any load keeps others from loading.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What loads share with the repository.
#[derive(Debug)]
pub(super) struct Shared {
    pub root: PathBuf,
    pub options: LoadOptions,
    pub models: RwLock<BTreeMap<String, Model>>,
    pub left_out: Mutex<Vec<LeftOut>>,
    /// Held while it is decided what is loaded or dropped, so that two changes never meet.
    pub changing: Mutex<()>,
    /// Told when a load has ended.
    pub ended: Condvar,
    pub places: Arc<Places>,
    pub numbers: AtomicU64,
}

/// A model that is to be loaded: the first of the candidates, highest version first, that loads.
pub(super) struct Job {
    name: String,
    candidates: Vec<Candidate>,
    number: u64,
}

impl Shared {
    pub fn new(root: PathBuf, options: LoadOptions, processors: usize) -> Arc<Self> {
        Arc::new(Self {
            root,
            options,
            models: RwLock::default(),
            left_out: Mutex::default(),
            changing: Mutex::default(),
            ended: Condvar::new(),
            places: Places::new(processors),
            numbers: AtomicU64::new(1),
        })
    }

    /// Looks at the directory, and logs what is left out for the first time.
    pub fn look(&self) -> Result<Found, RuntimeError> {
        let found = files::look(&self.root)?;
        let mut left_out = self.left_out();
        for LeftOut { path, reason } in &found.left_out {
            if !left_out.iter().any(|known| known.path == *path) {
                tracing::warn!(path, reason, "left out of the models");
            }
        }
        left_out.clone_from(&found.left_out);
        Ok(found)
    }

    /// Makes a job of what was found of a model; until it has ended, the model is listed as being loaded.
    pub fn begin(&self, name: String, candidates: Vec<Candidate>) -> Job {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let version = candidates.first().map(|first| first.version.clone());
        self.change(&name, |model| {
            model.loading = Some(Loading {
                number,
                version: version.unwrap_or_default(),
            });
        });
        Job {
            name,
            candidates,
            number,
        }
    }

    /// Does all jobs, some at a time, and waits for each until it has ended or its patience has.
    pub fn load_all(self: &Arc<Self>, jobs: Vec<Job>, patience: Duration) {
        let (sender, ended) = mpsc::channel();
        for job in jobs {
            let place = self.places.wait();
            let (shared, sender) = (Arc::clone(self), sender.clone());
            let name = buckler_onnx::printable(&format!("loads {}", job.name)).into_owned();
            let (job_name, number) = (job.name.clone(), job.number);
            // The sender is dropped when it has ended, or when the patience has.
            let work = move || shared.bring(job, place, patience, move || drop(sender));
            if let Err(error) = thread::Builder::new().name(name).spawn(work) {
                let error = RuntimeError::Thread(error);
                tracing::error!(name = job_name, %error, "model not loaded");
                self.end(&job_name, number, Vec::new(), None);
            }
        }
        drop(sender);
        // Fails once all senders are gone.
        let _: Result<(), _> = ended.recv();
    }

    /// Serves the first of a job's candidates that loads. `done` is called when it has ended, or when one candidate takes longer than
    /// `patience`.
    pub fn bring(&self, job: Job, mut place: Place, patience: Duration, done: impl FnOnce()) {
        let Job {
            name,
            candidates,
            number,
        } = job;
        let mut done = Some(done);
        let mut failed = Vec::new();
        let mut fresh = None;
        for candidate in candidates {
            let (known, serves) = {
                let models = self.models();
                let model = models.get(&name);
                let known = model.and_then(|model| model.failure(&candidate).cloned());
                let serving = model.and_then(|model| model.serving.as_ref());
                (
                    known,
                    serving.is_some_and(|serving| serving.candidate == candidate),
                )
            };
            if let Some(known) = known {
                failed.push(known);
                continue;
            }
            if serves && !failed.is_empty() {
                break;
            }
            let task = Task {
                name: &format!("load {name}"),
                what: "loading it",
                deadline: self.options.load_timeout,
            };
            let slow = || {
                tracing::warn!(
                    name,
                    version = candidate.version,
                    "the model takes long to load"
                );
                place.give_up();
            };
            let leave = || done.take().map_or((), |done| done());
            let steps: Vec<Step<'_>> =
                vec![(PATIENCE, Box::new(slow)), (patience, Box::new(leave))];
            let load = self.loader(&name, &candidate);
            match Runner::of_process().run(task, steps, load) {
                Ok(classifier) => {
                    tracing::info!(name, version = candidate.version, "model ready");
                    fresh = Some(Arc::new(Entry {
                        name: name.clone(),
                        version: candidate.version.clone(),
                        classifier,
                        candidate,
                    }));
                    break;
                }
                Err(failure) => {
                    let reason = failure.reason;
                    tracing::error!(
                        name,
                        version = candidate.version,
                        error = reason,
                        "model not loaded"
                    );
                    failed.push(Failed {
                        candidate,
                        reason,
                        passing: failure.passing,
                    });
                }
            }
        }
        self.end(&name, number, failed, fresh);
        if let Some(done) = done {
            done();
        }
    }

    /// What loads a candidate.
    fn loader(
        &self,
        name: &str,
        candidate: &Candidate,
    ) -> impl FnOnce() -> Result<Classifier, RuntimeError> + Send + 'static {
        let options = LoadOptions {
            name: Some(name.to_owned()),
            ..self.options.clone()
        };
        let (candidate, root) = (candidate.clone(), self.root.clone());
        move || {
            candidate.check_readable()?;
            if !options.follow_links {
                candidate.check_confined(&root)?;
            }
            Classifier::load(&candidate.model(), &options)
        }
    }

    /// Takes in what a job has led to, unless the model was removed or unloaded in the meantime.
    fn end(&self, name: &str, number: u64, failed: Vec<Failed>, fresh: Option<Arc<Entry>>) {
        let changing = self.changing();
        let mut models = self.models_mut();
        let model = models.get_mut(name).filter(|model| {
            let loading = model.loading.as_ref();
            loading.is_some_and(|loading| loading.number == number)
        });
        let old = match model {
            Some(model) => {
                model.loading = None;
                model.failed = failed;
                model.pending.clear();
                model.unloaded = None;
                match fresh {
                    Some(fresh) => model.serving.replace(fresh),
                    None => None,
                }
            }
            None => fresh,
        };
        drop(models);
        drop(changing);
        self.ended.notify_all();
        // Outside of the locks: this waits for its threads.
        drop(old);
    }

    pub fn is_loading(&self, name: &str) -> bool {
        let models = self.models();
        models
            .get(name)
            .is_some_and(|model| model.loading.is_some())
    }

    pub fn change<T>(&self, name: &str, change: impl FnOnce(&mut Model) -> T) -> T {
        change(self.models_mut().entry(name.to_owned()).or_default())
    }

    pub fn models(&self) -> RwLockReadGuard<'_, BTreeMap<String, Model>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn models_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Model>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn left_out(&self) -> MutexGuard<'_, Vec<LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
