//! A directory of models, kept in step with what is on disk.
mod files;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use self::files::Candidate;
use crate::{Classifier, LoadOptions, RuntimeError};

/// A directory of models: `<root>/<name>/<version>/model.onnx`, where a version is a number.
///
/// Of each model the highest version that loads is served. A version is loaded and tried out beside the one that serves, and takes
/// its place only then; whoever still uses the old one keeps it until done. A version that does not load changes nothing but
/// [`Repository::index`], which tells the reason.
#[derive(Debug)]
pub struct Repository {
    root: PathBuf,
    options: LoadOptions,
    models: RwLock<BTreeMap<String, Model>>,
    /// Held while models are loaded or dropped, so that two changes never meet.
    changing: Mutex<()>,
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

/// What is known of a name.
#[derive(Debug, Default)]
struct Model {
    serving: Option<Arc<Entry>>,
    /// Versions that did not load, with their reasons.
    failed: Vec<(Candidate, String)>,
    /// The version that was unloaded by request; it stays so until a request loads it again.
    unloaded: Option<String>,
    /// What the last look at the directory found, where it is not what is served.
    pending: Vec<Candidate>,
    /// Whether the last look at the directory found nothing of it.
    missing: bool,
}

/// One version of a model, as [`Repository::index`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The model.
    pub name: String,
    /// Digits.
    pub version: String,
    /// Whether it is served.
    pub ready: bool,
    /// Whether that is because a request unloaded it.
    pub unloaded: bool,
    /// Why it is not, or why what is served is not what its files hold now; else empty.
    pub reason: String,
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

const UNLOADED: &str = "it was unloaded";

impl Repository {
    /// Loads every model. Blocking.
    ///
    /// # Errors
    /// When `root` cannot be read, or when there is no ONNX Runtime. A model that cannot be loaded is no error: see
    /// [`Repository::index`].
    pub fn open(root: &Path, options: &LoadOptions) -> Result<Self, RuntimeError> {
        crate::init()?;
        let repository = Self {
            root: root.to_owned(),
            options: options.clone(),
            models: RwLock::default(),
            changing: Mutex::default(),
        };
        for (name, candidates) in files::models(root)? {
            repository.bring(&name, candidates);
        }
        Ok(repository)
    }

    /// The model of a name; with a version, only if that is the one served.
    ///
    /// # Errors
    /// Why it is not served.
    pub fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Entry>, NotServed> {
        let models = self.models();
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
        self.models()
            .values()
            .filter_map(|model| model.serving.clone())
            .collect()
    }

    /// What is served and what could not be loaded, by name and version.
    pub fn index(&self) -> Vec<Listed> {
        let models = self.models();
        models
            .iter()
            .flat_map(|(name, model)| model.listed(name))
            .collect()
    }

    /// Loads the highest version of a model that works, whether or not it is loaded already. Blocking.
    ///
    /// # Errors
    /// When there is no such model, or when its highest version does not load; what was served before is served on.
    pub fn load(&self, name: &str) -> Result<Arc<Entry>, NotServed> {
        let _changing = self.changing();
        let not_ready = |reason: String| NotServed::NotReady {
            name: name.to_owned(),
            reason,
        };
        let found = files::models(&self.root).map_err(|error| not_ready(error.to_string()))?;
        // Only names that a look at the directory finds: a request's own may lead out of it.
        let Some(candidates) = found.get(name).cloned() else {
            let gone = || not_ready("its directory is gone".to_owned());
            return Err(self.get(name, None).err().unwrap_or_else(gone));
        };
        self.change(name, |model| model.failed.clear());
        let highest = candidates.first().map(|highest| highest.version.clone());
        self.bring(name, candidates);
        let failure = self.models().get(name).and_then(|model| {
            let mut failed = model.failed.iter();
            failed
                .find(|(candidate, _)| Some(&candidate.version) == highest.as_ref())
                .map(|(_, reason)| reason.clone())
        });
        match failure {
            Some(reason) => Err(not_ready(reason)),
            None => self.get(name, None),
        }
    }

    /// Serves a model no more until it is loaded by request. Requests under way end with it.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn unload(&self, name: &str) -> Result<(), NotServed> {
        let _changing = self.changing();
        if let Err(unknown @ NotServed::Unknown { .. }) = self.get(name, None) {
            return Err(unknown);
        }
        let _old = self.change(name, |model| {
            model.pending.clear();
            let old = model.serving.take();
            if let Some(old) = &old {
                model.unloaded = Some(old.version.clone());
            }
            old
        });
        tracing::info!(name, "model unloaded");
        Ok(())
    }

    /// Brings in what has changed on disk since and has been the same in two looks one after the other: a file that is
    /// being written is left alone, and a directory that is away for a moment is not gone. Blocking.
    ///
    /// # Errors
    /// When the directory cannot be read; what is served is served on.
    pub fn refresh(&self) -> Result<(), RuntimeError> {
        let _changing = self.changing();
        let found = files::models(&self.root)?;
        let gone: Vec<String> = {
            let mut models = self.models_mut();
            let missing = |(name, model): (&String, &mut Model)| {
                let before = model.missing;
                model.missing = !found.contains_key(name);
                (before && model.missing).then(|| name.clone())
            };
            models.iter_mut().filter_map(missing).collect()
        };
        for name in gone {
            tracing::info!(name, "model removed");
            let _old = self.models_mut().remove(&name);
        }
        for (name, candidates) in found {
            let settled = self.change(&name, |model| {
                if model.unloaded.is_some() || model.is_up_to_date(&candidates) {
                    let there = |(failed, _): &(Candidate, String)| candidates.contains(failed);
                    model.failed.retain(there);
                    model.pending.clear();
                    return false;
                }
                let settled = model.pending == candidates;
                model.pending.clone_from(&candidates);
                settled
            });
            if settled {
                self.bring(&name, candidates);
            }
        }
        Ok(())
    }

    /// Serves the first of the candidates, highest version first, that loads.
    fn bring(&self, name: &str, candidates: Vec<Candidate>) {
        let mut failed = Vec::new();
        let mut fresh = None;
        for candidate in candidates {
            let known = self.models().get(name).and_then(|model| {
                let mut known = model.failed.iter();
                known.find(|(failed, _)| *failed == candidate).cloned()
            });
            if let Some(known) = known {
                failed.push(known);
                continue;
            }
            let serves = self.models().get(name).is_some_and(|model| {
                let serving = model.serving.as_ref();
                serving.is_some_and(|serving| serving.candidate == candidate)
            });
            if serves && !failed.is_empty() {
                break;
            }
            let options = LoadOptions {
                name: Some(name.to_owned()),
                ..self.options.clone()
            };
            let confined = match self.options.follow_links {
                true => Ok(()),
                false => candidate.check_confined(&self.root),
            };
            let loaded = match &candidate.trouble {
                Some(trouble) => Err(trouble.clone()),
                None => confined
                    .map_err(|error| error.to_string())
                    .and_then(|()| caught(|| Classifier::load(&candidate.model(), &options))),
            };
            match loaded {
                Ok(classifier) => {
                    tracing::info!(name, version = candidate.version, "model ready");
                    fresh = Some(Arc::new(Entry {
                        name: name.to_owned(),
                        version: candidate.version.clone(),
                        classifier,
                        candidate,
                    }));
                    break;
                }
                Err(error) => {
                    tracing::error!(name, version = candidate.version, error, "model not loaded");
                    failed.push((candidate, error));
                }
            }
        }
        // The old one is dropped outside of the lock: that waits for its threads.
        let _old = self.change(name, |model| {
            model.failed = failed;
            model.pending.clear();
            model.unloaded = None;
            match fresh {
                Some(fresh) => model.serving.replace(fresh),
                None => None,
            }
        });
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Model) -> T) -> T {
        change(self.models_mut().entry(name.to_owned()).or_default())
    }

    fn models(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Model>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn models_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Model>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What panics while a model is loaded is an error of that model.
fn caught(load: impl FnOnce() -> Result<Classifier, RuntimeError>) -> Result<Classifier, String> {
    match catch_unwind(AssertUnwindSafe(load)) {
        Ok(loaded) => loaded.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("without a message");
            Err(format!(
                "loading it failed in a way that it should not ({text}): please report this model"
            ))
        }
    }
}

impl Model {
    /// Whether looking at the candidates, highest version first, leads to what is served already.
    fn is_up_to_date(&self, candidates: &[Candidate]) -> bool {
        let next = candidates
            .iter()
            .find(|candidate| !self.failed.iter().any(|(failed, _)| failed == *candidate));
        match (next, &self.serving) {
            (Some(next), Some(serving)) => *next == serving.candidate,
            // Nothing on disk works: what is served is served on.
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    fn reason(&self) -> String {
        if self.unloaded.is_some() {
            return UNLOADED.to_owned();
        }
        let first = self.failed.first();
        first.map_or_else(
            || "it is being loaded".to_owned(),
            |(_, reason)| reason.clone(),
        )
    }

    fn listed(&self, name: &str) -> Vec<Listed> {
        let listed = |version: &str, reason: &str| Listed {
            name: name.to_owned(),
            version: version.to_owned(),
            ready: false,
            unloaded: reason == UNLOADED,
            reason: reason.to_owned(),
        };
        let stale = |serving: &Entry| {
            let mut failed = self.failed.iter();
            let same = failed.find(|(candidate, _)| candidate.version == serving.version);
            same.map_or_else(String::new, |(_, reason)| {
                format!("its files have changed and cannot be loaded ({reason}): what was loaded before is served")
            })
        };
        let mut all: Vec<Listed> = self
            .failed
            .iter()
            .filter(|(candidate, _)| {
                self.serving
                    .as_ref()
                    .is_none_or(|serving| serving.version != candidate.version)
            })
            .map(|(candidate, reason)| listed(&candidate.version, reason))
            .collect();
        all.extend(self.serving.iter().map(|serving| Listed {
            ready: true,
            ..listed(&serving.version, &stale(serving))
        }));
        all.extend(
            self.unloaded
                .iter()
                .map(|version| listed(version, UNLOADED)),
        );
        all.sort_by_key(|listed| files::number(&listed.version));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_a_model_is_loaded_is_an_error_of_that_model() {
        let reason = caught(|| std::panic::resume_unwind(Box::new("out of bounds")));
        let reason = reason.unwrap_err();
        assert!(reason.contains("(out of bounds)"), "{reason}");
        let text = "out of memory".to_owned();
        let reason = caught(|| std::panic::resume_unwind(Box::new(text))).unwrap_err();
        assert!(reason.contains("(out of memory)"), "{reason}");
    }
}
