//! What the libraries read from the environment alone.

/// Every variable with the value it has to have before the libraries are loaded.
fn settings(training: bool) -> Vec<(&'static str, &'static str)> {
    // ONNX Runtime's official builds send usage data unless this is set.
    let mut settings = vec![("ORT_DISABLE_TELEMETRY", "1")];
    if cfg!(feature = "cuda") {
        // Burn restores an optimiser on its default device, which would be CUDA even where there is no driver; the
        // state moves to the device of the training with the next step.
        settings.push(("BURN_DEVICE", "flex"));
    }
    if training {
        // The allocator keeps the tensors of one step for the next instead of giving them back to the system.
        settings.push(("MIMALLOC_PURGE_DELAY", "-1"));
    }
    settings
}

/// Starts the process anew, in place, with the [`settings`] that are missing: a process cannot safely change its own
/// environment.
#[cfg(unix)]
pub fn settle(training: bool) {
    use std::os::unix::process::CommandExt;

    let missing: Vec<_> = settings(training)
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let error = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(missing.iter().copied())
            .exec();
        eprintln!("warning: {missing:?} could not be set ({error}); set them yourself");
    }
}

/// Elsewhere a program cannot replace itself: the user sets the variables.
#[cfg(not(unix))]
pub fn settle(training: bool) {
    let _ = settings(training);
}
