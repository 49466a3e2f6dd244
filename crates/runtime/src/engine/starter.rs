//! Starts the threads of lanes.
use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

/// What a thread is to do, its name, and what to do where the system gives none.
pub(super) struct Job {
    pub name: String,
    pub work: Box<dyn FnOnce() + Send>,
    pub refused: Box<dyn FnOnce(io::Error) + Send>,
}

static JOBS: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
static OPENING: Mutex<()> = Mutex::new(());

/// Starts the thread that starts the others. Threads take over the priority of the one that starts them, and a query may come from
/// one in the background ([`in_background`](crate::in_background)): so all are started by this one, which the first caller, whoever
/// loads a model, starts.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn open() -> io::Result<&'static mpsc::Sender<Job>> {
    if let Some(jobs) = JOBS.get() {
        return Ok(jobs);
    }
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(jobs) = JOBS.get() {
        return Ok(jobs);
    }
    let (sender, jobs) = mpsc::channel::<Job>();
    let builder = thread::Builder::new().name("lanes".to_owned());
    builder.spawn(move || jobs.into_iter().for_each(start))?;
    Ok(JOBS.get_or_init(|| sender))
}

fn start(job: Job) {
    let Job {
        name,
        work,
        refused,
    } = job;
    if let Err(error) = thread::Builder::new().name(name).spawn(work) {
        refused(error);
    }
}
