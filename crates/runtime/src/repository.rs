//! A directory of models, kept in step with what is on disk.
mod files;
mod left_out;
mod model;
mod not_served;
mod places;
mod shared;

use std::{
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use self::{
    files::Candidate,
    model::{Failed, Model},
    shared::{PATIENCE, Shared},
};
pub use self::{left_out::LeftOut, model::Listed, not_served::NotServed};
use crate::{Classifier, LoadOptions, RuntimeError, library};

/// How long [`Repository::open`] waits for one model; a load that takes longer goes on by itself.
const PATIENCE_AT_START: Duration = Duration::from_secs(60);

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

impl Repository {
    /// Loads every model. Blocking; a model that takes long goes on loading when this returns.
    ///
    /// # Errors
    /// When `root` cannot be read, or when there is no ONNX Runtime. A model that cannot be loaded is no error: see
    /// [`Repository::index`].
    pub fn open(root: &Path, options: &LoadOptions) -> Result<Self, RuntimeError> {
        library::init_for(options.threads)?;
        let processors = crate::library::processors();
        let options = LoadOptions {
            attacks_on_demand: true,
            ..options.clone()
        };
        let shared = Shared::new(root.to_owned(), options, processors);
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
