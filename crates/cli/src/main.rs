//! The `buckler` command line.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod as_text;
mod attack_args;
mod class_map;
mod command_line;
mod commands;
mod environment;
mod evaluation;
mod failure;
mod images;
mod measured_card;
mod model_args;
mod output;
mod publish;
mod saved;
mod test_set;
mod training_args;

use std::{borrow::Cow, io::Write, process::ExitCode};

use buckler_onnx::printable_lines;
use buckler_server::telemetry;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::output::Output;

/// The system's allocator gives large tensors back after every use and takes them anew, a page fault at a time: a quarter of the training's
/// time. And it keeps what many threads leave: a server would not come back to the memory that it had before a busy hour. ONNX Runtime's
/// memory is this one's too.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Train image classifiers that withstand adversarial inputs, export them to ONNX, attack them, serve them.
///
/// Results go to stdout, progress and logs to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
#[derive(Parser)]
#[command(
    name = "buckler",
    version,
    propagate_version = true,
    max_term_width = 110
)]
struct Cli {
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,

    /// How logs are written to stderr: as lines, or as JSON, one object a line
    #[arg(
        long,
        global = true,
        env = "BUCKLER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl From<LogFormat> for telemetry::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Args),
    Train(commands::train::Args),
    Recipes(commands::recipes::Args),
    Compare(commands::compare::Args),
    Export(commands::export::Args),
    Differentiate(commands::differentiate::Args),
    Info(commands::info::Args),
    Card(commands::card::Args),
    Predict(commands::predict::Args),
    Attack(commands::attack::Args),
    Evaluate(commands::evaluate::Args),
    Corruptions(commands::corruptions::Args),
    Certify(commands::certify::Args),
    Serve(commands::serve::Args),
    BenchServe(commands::bench_serve::Args),
    Data(commands::data::Args),
    Devices(commands::devices::Args),
}

impl Command {
    fn trains(&self) -> bool {
        matches!(self, Self::Demo(_) | Self::Train(_) | Self::Compare(_))
    }
}

/// Prints help to stdout, and to stderr what is wrong with the command line, in colour where nothing in it could be obeyed by a
/// terminal.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let printed = match printable_lines(&text) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(escaped) => write!(std::io::stderr(), "{escaped}"),
    };
    match (printed, error.use_stderr()) {
        (Ok(()), false) => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// What is logged, unless the environment says otherwise.
const LOGGED: &str = "info,ort=warn";

fn filter() -> EnvFilter {
    let asked = std::env::var("BUCKLER_LOG").unwrap_or_default();
    if asked.is_empty() {
        return EnvFilter::new(LOGGED);
    }
    EnvFilter::try_new(&asked).unwrap_or_else(|error| {
        let asked = asked.escape_debug();
        eprintln!(
            "warning: BUCKLER_LOG `{asked}` is not understood ({error}): it is taken for `{LOGGED}`"
        );
        EnvFilter::new(LOGGED)
    })
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    environment::settle(cli.command.trains());
    let telemetry = telemetry::init(cli.log_format.into(), filter());
    if let Err(error) = &telemetry {
        eprintln!("warning: nothing is logged: {error}");
    }
    if let Command::Serve(_) = cli.command {
        let present = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for sentence in environment::unknown(&Cli::command(), present) {
            tracing::warn!("{sentence}");
        }
    }
    let output = Output { json: cli.json };
    let result = match cli.command {
        Command::Demo(args) => commands::demo::run(&args, output),
        Command::Train(args) => commands::train::run(&args, output),
        Command::Recipes(args) => commands::recipes::run(&args, output),
        Command::Compare(args) => commands::compare::run(&args, output),
        Command::Export(args) => commands::export::run(&args, output),
        Command::Differentiate(args) => commands::differentiate::run(&args, output),
        Command::Info(args) => commands::info::run(&args, output),
        Command::Card(args) => commands::card::run(&args, output),
        Command::Predict(args) => commands::predict::run(&args, output),
        Command::Attack(args) => commands::attack::run(&args, output),
        Command::Evaluate(args) => commands::evaluate::run(&args, output),
        Command::Corruptions(args) => commands::corruptions::run(&args, output),
        Command::Certify(args) => commands::certify::run(&args, output),
        Command::Serve(args) => commands::serve::run(args, output),
        Command::BenchServe(args) => commands::bench_serve::run(&args, output),
        Command::Data(args) => commands::data::run(&args, output),
        Command::Devices(args) => commands::devices::run(&args, output),
    };
    drop(telemetry);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", failure::describe(&error));
            ExitCode::FAILURE
        }
    }
}
