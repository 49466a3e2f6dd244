//! What the libraries read from the environment alone, and variables that nothing reads.

use std::collections::BTreeSet;

use buckler_data::nearest_name;
use clap::Command;

/// What Buckler's variables begin with.
const PREFIX: &str = "BUCKLER_";

/// Variables that are read beside those of options.
const READ: [&str; 4] = [
    "BUCKLER_API_KEY",
    "BUCKLER_CACHE",
    "BUCKLER_DATA",
    "BUCKLER_LOG",
];

/// A sentence for each of `present`, the variables that are set, that looks like one of Buckler's and is none.
pub fn unknown(command: &Command, present: impl Iterator<Item = String>) -> Vec<String> {
    let mut known: BTreeSet<String> = READ.map(str::to_owned).into();
    read_by(command, &mut known);
    // Kubernetes sets these for a service that is called buckler.
    let of_service = |name: &str| {
        ["BUCKLER_SERVICE_", "BUCKLER_PORT_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || name == "BUCKLER_PORT"
    };
    let unread = present
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !of_service(name));
    let sentence = |name: String| {
        // What all have in common says nothing.
        let own = |name: &str| name.strip_prefix(PREFIX).map(str::to_owned);
        let others: Vec<String> = known.iter().filter_map(|name| own(name)).collect();
        let near = own(&name).unwrap_or_default();
        let near = nearest_name(&near, others.iter().map(String::as_str));
        let near = near.map(|near| format!(" (did you mean {PREFIX}{near}?)"));
        format!(
            "the variable {} is set, and nothing reads it{}",
            name.escape_debug(),
            near.unwrap_or_default()
        )
    };
    unread.map(sentence).collect()
}

fn read_by(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command
        .get_arguments()
        .filter_map(|option| option.get_env());
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    for below in command.get_subcommands() {
        read_by(below, known);
    }
}

/// Every variable with the value it has to have before the libraries are loaded.
fn settings(training: bool) -> Vec<(&'static str, &'static str)> {
    // ONNX Runtime's official builds send usage data unless this is set.
    let mut settings = vec![("ORT_DISABLE_TELEMETRY", "1")];
    if cfg!(feature = "cuda") {
        // Burn restores an optimiser on its default device, which would be CUDA even where there is no driver; the
        // state moves to the device of the training with the next step.
        settings.push(("BURN_DEVICE", "flex"));
    }
    // The allocator keeps the tensors of one training step for the next; else it gives back what nobody used for some seconds.
    let allocator = match training {
        true => "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0",
        false => "background_thread:true,retain:false",
    };
    settings.push(("MALLOC_CONF", allocator));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_is_told_with_the_one_that_was_meant() {
        let threads = clap::Arg::new("threads")
            .env("BUCKLER_THREADS")
            .long("threads");
        let command = Command::new("buckler").subcommand(Command::new("serve").arg(threads));
        let told = |name: &str| unknown(&command, [name.to_owned()].into_iter());
        for known in [
            "BUCKLER_THREADS",
            "BUCKLER_API_KEY",
            "BUCKLER_PORT",
            "BUCKLER_PORT_8080_TCP_ADDR",
            "BUCKLER_SERVICE_HOST",
            "PATH",
        ] {
            assert_eq!(told(known), Vec::<String>::new(), "{known}");
        }
        let [sentence] = told("BUCKLER_THREAD").try_into().unwrap();
        assert!(
            sentence.contains("did you mean BUCKLER_THREADS?"),
            "{sentence}"
        );
        let [sentence] = told("BUCKLER_WEATHER").try_into().unwrap();
        assert!(sentence.ends_with("nothing reads it"), "{sentence}");
    }
}
