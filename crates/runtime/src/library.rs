//! Finding ONNX Runtime and loading it, once per process.
mod fetch;
mod find;
mod version;

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use ort::environment::{Environment, GlobalThreadPoolOptions};

use self::{
    find::{Candidate, Surroundings},
    version::MINIMUM,
};
pub use self::{
    find::{Source, cache_folder},
    version::Version,
};
use crate::RuntimeError;

/// The ONNX Runtime this process uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryInfo {
    /// The shared library.
    pub path: PathBuf,
    /// Its version, where the file's name, its package or the library itself tells it.
    pub version: Option<Version>,
    /// How it was found.
    pub source: Source,
}

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// `ORT_DYLIB_PATH` names something unusable. Nothing else is tried, because the choice was explicit.
    #[error(
        "ORT_DYLIB_PATH is `{path}`, which {why}: point it at an ONNX Runtime library of version {MINIMUM} or later, \
         or unset it"
    )]
    Configured {
        /// The variable's value.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing fitting was found, and fetching failed.
    #[error(
        "no ONNX Runtime of version {MINIMUM} or later was found{rejected}, and it could not be fetched: {fetch}. \
         Provide it in one of these ways: set ORT_DYLIB_PATH to the library; put the library beside the executable; \
         or run `python3 -m pip install onnxruntime` for the Python on PATH"
    )]
    NotFound {
        /// What was found and did not fit, as a phrase; empty when nothing was.
        rejected: String,
        /// Why fetching failed.
        fetch: String,
    },
}

struct Loaded {
    info: LibraryInfo,
    environment: Environment,
    shared_threads: usize,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Finds and loads ONNX Runtime. The first call does the work, which may include a download of about 24 MB; the later
/// ones return what the first one found. A failed call may be repeated.
///
/// Looked for in this order: `ORT_DYLIB_PATH`; beside the executable; the cache directory (`BUCKLER_CACHE`, else
/// `buckler` in the platform's cache directory); the `onnxruntime` package of the Python on PATH. If none fits, the
/// pinned wheel is fetched with pip into the cache.
///
/// # Errors
/// When no library fits and none can be fetched; the message names the ways to provide one.
pub fn init() -> Result<&'static LibraryInfo, RuntimeError> {
    init_for(processors())
}

/// As [`init`], with the number of threads that all sessions share that want as many ([`shared_threads`]); the first caller's counts.
pub(crate) fn init_for(threads: usize) -> Result<&'static LibraryInfo, RuntimeError> {
    Ok(&loaded(threads)?.info)
}

pub(crate) fn environment() -> Result<&'static Environment, RuntimeError> {
    Ok(&loaded(processors())?.environment)
}

/// The size of the pool of threads that sessions share. Sessions that want another have a pool of their own.
pub(crate) fn shared_threads() -> Result<usize, RuntimeError> {
    Ok(loaded(processors())?.shared_threads)
}

/// The processors that this process may use.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn loaded(threads: usize) -> Result<&'static Loaded, RuntimeError> {
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let fresh = load_any(&Surroundings::of_this_process(), threads)?;
    tracing::info!(
        path = %fresh.info.path.display(),
        source = %fresh.info.source,
        version = %fresh.info.version.map_or_else(|| "unknown".to_owned(), |version| version.to_string()),
        "ONNX Runtime loaded"
    );
    Ok(LOADED.get_or_init(|| fresh))
}

fn load_any(surroundings: &Surroundings, threads: usize) -> Result<Loaded, RuntimeError> {
    let mut rejected = Vec::new();
    for source in Source::SEARCHED {
        let Some(candidate) = surroundings.look(source) else {
            continue;
        };
        match load(&candidate, threads) {
            Ok(loaded) => return Ok(loaded),
            Err(why) if source == Source::Configured => {
                let path = candidate.path;
                return Err(LibraryError::Configured { path, why }.into());
            }
            Err(why) => {
                tracing::warn!(path = %candidate.path.display(), %why, "skipping an ONNX Runtime that does not fit");
                rejected.push(format!("{} {why}", candidate.path.display()));
            }
        }
    }
    let not_found = |fetch: String| LibraryError::NotFound {
        rejected: if rejected.is_empty() {
            String::new()
        } else {
            format!(" ({})", rejected.join("; "))
        },
        fetch,
    };
    let path = fetch::fetch(surroundings.cache.as_deref())
        .map_err(|error| not_found(error.to_string()))?;
    let candidate = Candidate::new(path, Source::Fetched);
    Ok(load(&candidate, threads).map_err(not_found)?)
}

/// The error is a predicate: it follows the candidate's path in a sentence.
fn load(candidate: &Candidate, threads: usize) -> Result<Loaded, String> {
    if !candidate.path.is_file() {
        return Err("is not a file".to_owned());
    }
    if let Some(version) = candidate.version
        && !version.fits()
    {
        return Err(format!("is version {version}"));
    }
    // `ort` refuses what is older than the API that it was built for.
    let builder =
        ort::init_from(&candidate.path).map_err(|error| format!("does not load: {error}"))?;
    // Official Linux builds since 1.29 report usage by default. This turns the events off before any session exists.
    // Creating the environment has set up the reporter by then, with a small database in the user's cache directory;
    // only ORT_DISABLE_TELEMETRY=1 in the process's environment prevents that, and a process with threads cannot safely
    // change its own, so that is up to whoever starts it.
    let starts_not = |error: ort::Error| format!("does not start: {error}");
    let pool = GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)
        // Nothing runs operators beside each other.
        .and_then(|pool| pool.with_inter_threads(1))
        // Idle threads that spin halve the work done per CPU second in a server.
        .and_then(|pool| pool.with_spin_control(false))
        .map_err(starts_not)?;
    let environment = builder
        .with_name("buckler")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .build()
        .map_err(starts_not)?;
    let version = candidate.version.or_else(|| Version::in_text(ort::info()));
    Ok(Loaded {
        info: LibraryInfo {
            path: candidate.path.clone(),
            version,
            source: candidate.source,
        },
        environment,
        shared_threads: threads,
    })
}
