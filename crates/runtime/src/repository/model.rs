//! What is known of one name in the directory of models.
use std::sync::Arc;

use super::{
    Entry,
    files::{self, Candidate},
};

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub serving: Option<Arc<Entry>>,
    /// Versions that did not load, with their reasons.
    pub failed: Vec<Failed>,
    /// The version that was unloaded by request; it stays so until a request loads it again.
    pub unloaded: Option<String>,
    /// What the last look at the directory found, where it is not what is served.
    pub pending: Vec<Candidate>,
    /// Whether the last look at the directory found nothing of it.
    pub missing: bool,
    /// The load that is running.
    pub loading: Option<Loading>,
}

/// A version that did not load.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub candidate: Candidate,
    pub reason: String,
    /// Whether the same files are tried again.
    pub passing: bool,
}

/// A load that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loading {
    /// Another one for every load.
    pub number: u64,
    /// The highest version that is tried.
    pub version: String,
}

/// One version of a model, as [`Repository::index`](super::Repository::index) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The model.
    pub name: String,
    /// Digits.
    pub version: String,
    /// Whether it is served.
    pub ready: bool,
    /// Whether it is not served because a request unloaded it.
    pub unloaded: bool,
    /// Whether it is not served because it is still being loaded.
    pub loading: bool,
    /// Why it is not served, or why what is served is not what its files hold now; else empty.
    pub reason: String,
}

pub(super) const UNLOADED: &str = "it was unloaded";
const LOADING: &str = "it is being loaded";

impl Model {
    /// Why these files did not load, where they did not and need not be tried again.
    pub fn failure(&self, candidate: &Candidate) -> Option<&Failed> {
        let mut failed = self.failed.iter();
        failed.find(|failed| failed.candidate == *candidate && !failed.passing)
    }

    /// Whether looking at the candidates, highest version first, leads to what is served already.
    pub fn is_up_to_date(&self, candidates: &[Candidate]) -> bool {
        let mut next = candidates.iter();
        let next = next.find(|candidate| self.failure(candidate).is_none());
        match (next, &self.serving) {
            (Some(next), Some(serving)) => *next == serving.candidate,
            // Nothing on disk works: what is served is served on.
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// Why it is not served.
    pub fn reason(&self) -> String {
        match (&self.unloaded, self.failed.first()) {
            (Some(_), _) => UNLOADED.to_owned(),
            (None, Some(failed)) if self.loading.is_none() => failed.reason.clone(),
            _ => LOADING.to_owned(),
        }
    }

    pub fn listed(&self, name: &str) -> Vec<Listed> {
        let listed = |version: &str, reason: &str| Listed {
            name: name.to_owned(),
            version: version.to_owned(),
            ready: false,
            unloaded: false,
            loading: false,
            reason: reason.to_owned(),
        };
        let stale = |serving: &Entry| {
            let mut failed = self.failed.iter();
            let same = failed.find(|failed| failed.candidate.version == serving.version);
            same.map_or_else(String::new, |failed| {
                let reason = &failed.reason;
                format!("its files have changed and cannot be loaded ({reason}): what was loaded before is served")
            })
        };
        let serves = |version: &str| {
            let serving = self.serving.as_ref();
            serving.is_some_and(|serving| serving.version == version)
        };
        let loading = self.loading.as_ref();
        let loads = |version: &str| loading.is_some_and(|loading| loading.version == version);
        let mut all: Vec<Listed> = self
            .failed
            .iter()
            .map(|failed| listed(&failed.candidate.version, &failed.reason))
            .filter(|failed| !serves(&failed.version) && !loads(&failed.version))
            .collect();
        all.extend(self.serving.iter().map(|serving| Listed {
            ready: true,
            ..listed(&serving.version, &stale(serving))
        }));
        all.extend(
            loading
                .filter(|loading| !serves(&loading.version))
                .map(|loading| Listed {
                    loading: true,
                    ..listed(&loading.version, LOADING)
                }),
        );
        let unloaded = self.unloaded.iter();
        all.extend(
            unloaded
                .filter(|version| !loads(version))
                .map(|version| Listed {
                    unloaded: true,
                    ..listed(version, UNLOADED)
                }),
        );
        all.sort_by_key(|listed| files::number(&listed.version));
        all
    }
}
