//! A directory of models, kept in step with what is on disk.
mod files;
mod left_out;
mod model;
mod places;

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use self::{
    files::{Candidate, Found},
    model::{Failed, Loading, Model},
    places::{Place, Places},
};
pub use self::{left_out::LeftOut, model::Listed};
use crate::{
    Classifier, LoadOptions, RuntimeError,
    deadline::{Runner, Step, Task},
    library,
};

/// How long [`Repository::open`] waits for one model; a load that takes longer goes on by itself.
const PATIENCE_AT_START: Duration = Duration::from_secs(60);

/// How long [`Repository::refresh`] waits for one model, and any load keeps others from loading.
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory of models: `<root>/<name>/<version>/model.onnx`, where a version is a number.
///
/// Of each model the highest version that loads is served. A version is loaded and tried out beside the one that serves, and takes
/// its place only then; whoever still uses the old one keeps it until done. A version that does not load changes nothing but
/// [`Repository::index`], which tells the reason. What is not a model because of its name or place is told by
/// [`Repository::left_out`].
///
/// As many models are loaded at a time as this process has processors. What takes longer than [`LoadOptions::load_timeout`] is given
/// up. The lane of attacks of a model is made when it is first asked for ([`LoadOptions::attacks_on_demand`]).
#[derive(Debug)]
pub struct Repository {
    shared: Arc<Shared>,
}

/// What loads share with the repository.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    options: LoadOptions,
    models: RwLock<BTreeMap<String, Model>>,
    left_out: Mutex<Vec<LeftOut>>,
    /// Held while it is decided what is loaded or dropped, so that two changes never meet.
    changing: Mutex<()>,
    /// Told when a load has ended.
    ended: Condvar,
    places: Arc<Places>,
    numbers: AtomicU64,
}

/// A model that is served.
#[derive(Debug)]
pub struct Entry {
    /// The directory's name.
    pub name: String,
    /// Digits.
    pub version: String,
    /// The loaded model.
    pub classifier: Classifier,
    candidate: Candidate,
}

/// Why a model is not there for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// There is no such directory.
    #[error("model `{name}` does not exist: use one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Another version is served.
    #[error(
        "version `{version}` of model `{name}` is not served, version {served} is: ask for that, or for none"
    )]
    Version {
        /// The model.
        name: String,
        /// What was asked for.
        version: String,
        /// What there is.
        served: String,
    },
    /// It could not be loaded, or was unloaded.
    #[error("model `{name}` is not ready ({reason}): repair it and load it, or use another one")]
    NotReady {
        /// The model.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A model that is to be loaded: the first of the candidates, highest version first, that loads.
struct Job {
    name: String,
    candidates: Vec<Candidate>,
    number: u64,
}

impl Repository {
    /// Loads every model. Blocking; a model that takes long goes on loading when this returns.
    ///
    /// # Errors
    /// When `root` cannot be read, or when there is no ONNX Runtime. A model that cannot be loaded is no error: see
    /// [`Repository::index`].
    pub fn open(root: &Path, options: &LoadOptions) -> Result<Self, RuntimeError> {
        library::init_for(options.threads)?;
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let options = LoadOptions {
            attacks_on_demand: true,
            ..options.clone()
        };
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            options,
            models: RwLock::default(),
            left_out: Mutex::default(),
            changing: Mutex::default(),
            ended: Condvar::new(),
            places: Places::new(processors),
            numbers: AtomicU64::new(1),
        });
        let jobs = shared.look()?.models.into_iter();
        let jobs = jobs.map(|(name, candidates)| shared.begin(name, candidates));
        shared.load_all(jobs.collect(), PATIENCE_AT_START);
        Ok(Self { shared })
    }

    /// The model of a name; with a version, only if that is the one served.
    ///
    /// # Errors
    /// Why it is not served.
    pub fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Entry>, NotServed> {
        let models = self.shared.models();
        let Some(model) = models.get(name) else {
            let known: Vec<_> = models.keys().map(|name| format!("`{name}`")).collect();
            return Err(NotServed::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            });
        };
        let Some(entry) = &model.serving else {
            return Err(NotServed::NotReady {
                name: name.to_owned(),
                reason: model.reason(),
            });
        };
        match version {
            Some(version) if version != entry.version => Err(NotServed::Version {
                name: name.to_owned(),
                version: version.to_owned(),
                served: entry.version.clone(),
            }),
            _ => Ok(Arc::clone(entry)),
        }
    }

    /// The models that are served, by name.
    pub fn serving(&self) -> Vec<Arc<Entry>> {
        let models = self.shared.models();
        let serving = models.values().filter_map(|model| model.serving.clone());
        serving.collect()
    }

    /// What is served, what is being loaded and what could not be loaded, by name and version.
    pub fn index(&self) -> Vec<Listed> {
        let models = self.shared.models();
        let listed = models.iter().flat_map(|(name, model)| model.listed(name));
        listed.collect()
    }

    /// What the last look at the directory found that is not a model because of its name or its place, by path; up to 1000 entries.
    /// Names that begin with a dot and `lost+found` are passed over, and so are files other than `*.onnx`. None of this makes a model
    /// of the others less ready.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.shared.left_out().clone()
    }

    /// Loads the highest version of a model that works, whether or not it is loaded already. Blocking, up to
    /// [`LoadOptions::load_timeout`] for each version that is tried, and before that until the load that is running has ended.
    ///
    /// # Errors
    /// When there is no such model, or when its highest version does not load; what was served before is served on.
    pub fn load(&self, name: &str) -> Result<Arc<Entry>, NotServed> {
        let shared = &self.shared;
        let not_ready = |reason: String| NotServed::NotReady {
            name: name.to_owned(),
            reason,
        };
        let mut changing = shared.changing();
        while shared.is_loading(name) {
            let waiting = shared.ended.wait(changing);
            changing = waiting.unwrap_or_else(PoisonError::into_inner);
        }
        let found = shared
            .look()
            .map_err(|error| not_ready(error.to_string()))?;
        // Only names that a look at the directory finds: a request's own may lead out of it.
        let Some(candidates) = found.models.get(name).cloned() else {
            let gone = || not_ready("its directory is gone".to_owned());
            return Err(self.get(name, None).err().unwrap_or_else(gone));
        };
        shared.change(name, |model| model.failed.clear());
        let highest = candidates.first().map(|highest| highest.version.clone());
        let job = shared.begin(name.to_owned(), candidates);
        drop(changing);
        let place = shared.places.wait();
        shared.bring(job, place, PATIENCE, || ());
        let failure = shared.models().get(name).and_then(|model| {
            let mut failed = model.failed.iter();
            failed
                .find(|failed| Some(&failed.candidate.version) == highest.as_ref())
                .map(|failed| failed.reason.clone())
        });
        match failure {
            Some(reason) => Err(not_ready(reason)),
            None => self.get(name, None),
        }
    }

    /// Serves a model no more until it is loaded by request, and gives up a load that is running. Requests under way end with it.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn unload(&self, name: &str) -> Result<(), NotServed> {
        let shared = &self.shared;
        let _changing = shared.changing();
        if let Err(unknown @ NotServed::Unknown { .. }) = self.get(name, None) {
            return Err(unknown);
        }
        let _old = shared.change(name, |model| {
            model.pending.clear();
            let loading = model.loading.take().map(|loading| loading.version);
            let old = model.serving.take();
            let version = old.as_ref().map(|old| old.version.clone()).or(loading);
            model.unloaded = version.or(model.unloaded.take());
            old
        });
        shared.ended.notify_all();
        tracing::info!(name, "model unloaded");
        Ok(())
    }

    /// Brings in what has changed on disk since and has been the same in two looks one after the other: a file that is
    /// being written is left alone, and a directory that is away for a moment is not gone. Blocking; a model that takes longer than ten
    /// seconds to load goes on loading when this returns.
    ///
    /// # Errors
    /// When the directory cannot be read; what is served is served on.
    pub fn refresh(&self) -> Result<(), RuntimeError> {
        let shared = &self.shared;
        let changing = shared.changing();
        let found = shared.look()?.models;
        let gone: Vec<String> = {
            let mut models = shared.models_mut();
            let missing = |(name, model): (&String, &mut Model)| {
                let before = model.missing;
                model.missing = !found.contains_key(name);
                (before && model.missing).then(|| name.clone())
            };
            models.iter_mut().filter_map(missing).collect()
        };
        for name in gone {
            tracing::info!(name, "model removed");
            let _old = shared.models_mut().remove(&name);
        }
        let mut jobs = Vec::new();
        for (name, candidates) in found {
            let settled = shared.change(&name, |model| {
                if model.loading.is_some() {
                    return false;
                }
                if model.unloaded.is_some() || model.is_up_to_date(&candidates) {
                    let there = |failed: &Failed| candidates.contains(&failed.candidate);
                    model.failed.retain(there);
                    model.pending.clear();
                    return false;
                }
                let settled = model.pending == candidates;
                model.pending.clone_from(&candidates);
                settled
            });
            if settled {
                jobs.push(shared.begin(name, candidates));
            }
        }
        drop(changing);
        shared.load_all(jobs, PATIENCE);
        Ok(())
    }
}

impl Shared {
    /// Looks at the directory, and logs what is left out for the first time.
    fn look(&self) -> Result<Found, RuntimeError> {
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
    fn begin(&self, name: String, candidates: Vec<Candidate>) -> Job {
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
    fn load_all(self: &Arc<Self>, jobs: Vec<Job>, patience: Duration) {
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
    fn bring(&self, job: Job, mut place: Place, patience: Duration, done: impl FnOnce()) {
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

    fn is_loading(&self, name: &str) -> bool {
        let models = self.models();
        models
            .get(name)
            .is_some_and(|model| model.loading.is_some())
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Model) -> T) -> T {
        change(self.models_mut().entry(name.to_owned()).or_default())
    }

    fn models(&self) -> RwLockReadGuard<'_, BTreeMap<String, Model>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn models_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Model>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_out(&self) -> MutexGuard<'_, Vec<LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
