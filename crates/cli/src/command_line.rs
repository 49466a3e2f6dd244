//! The command that measures a figure again, as it stands in reports and on cards.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::commands::evaluate;
use crate::{Cli, Command};

/// Options that change where results go and not what they are; those of the second list take a value.
const FLAGS: [&str; 3] = ["--json", "--resume", "--write-card"];
const VALUES: [&str; 2] = ["--report", "--log-format"];

/// This command as it was typed, without what only decides where results go.
pub fn repeatable() -> String {
    of(std::env::args_os().skip(1))
}

fn of(args: impl Iterator<Item = OsString>) -> String {
    let mut words = vec!["buckler".to_owned()];
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let name = arg.split('=').next().unwrap_or(&arg);
        if FLAGS.contains(&name) {
            continue;
        }
        if VALUES.contains(&name) {
            if name == arg {
                args.next();
            }
            continue;
        }
        words.push(arg);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// As a shell takes it; what needs no quotation marks has none.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // Only a NUL cannot be quoted, and no argument holds one.
    shlex::try_quote(word).map(Into::into).unwrap_or_default()
}

/// Whether a command is as [`repeatable`] writes it: nothing in it writes files, and a shell takes every word as it stands.
pub fn is_repeatable(command: &str) -> bool {
    shlex::split(command)
        .is_some_and(|words| of(words.into_iter().skip(1).map(OsString::from)) == command)
}

/// What was to be measured by the command of a report.
pub fn parse(command: &str) -> Result<evaluate::Args> {
    let words = shlex::split(command).context("a quotation mark is not closed")?;
    // Only the first line: the rest is help for whoever types.
    let cli = Cli::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        anyhow::anyhow!("{}", text.lines().next().unwrap_or_default().to_owned())
    })?;
    match cli.command {
        Command::Evaluate(args) => Ok(args),
        _ => bail!("it does not evaluate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(args: &[&str]) -> String {
        of(args.iter().map(OsString::from))
    }

    #[test]
    fn a_command_keeps_what_decides_the_figures_alone() {
        let typed = [
            "evaluate",
            "my model.onnx",
            "--json",
            "--data",
            "folder:/data/it's",
            "--report=out",
            "--eps",
            "8/255",
            "--report",
            "--odd",
            "--resume",
            "--mean=-0.5",
            "--std",
            "1",
        ];
        let command = made(&typed);
        assert_eq!(
            command,
            r#"buckler evaluate 'my model.onnx' --data "folder:/data/it's" --eps 8/255 --mean=-0.5 --std 1"#
        );
        let words = shlex::split(&command).unwrap();
        assert_eq!(words[4], "folder:/data/it's");
        assert!(parse(&command).is_ok());
    }

    #[test]
    fn commands_that_do_more_than_to_measure_are_told_from_those_of_reports() {
        let typed = [
            "evaluate",
            "it's a #1 model.onnx",
            "--data",
            "folder:/$HOME",
        ];
        assert!(is_repeatable(&made(&typed)));
        for command in [
            "buckler evaluate m.onnx --data mnist --report out",
            "buckler evaluate m.onnx --data mnist --write-card",
            "buckler evaluate m.onnx --data folder:/$(reboot)",
            "buckler evaluate m.onnx --data mnist  --eps 0.1",
            "buckler evaluate m.onnx --data mnist ; reboot",
            "sudo evaluate m.onnx --data mnist",
            "buckler evaluate 'm.onnx",
        ] {
            assert!(!is_repeatable(command), "{command}");
        }
    }

    #[test]
    fn a_command_that_does_not_evaluate_is_refused() {
        for command in [
            "buckler predict m.onnx a.png",
            "buckler evaluate 'm.onnx",
            "rm -rf /",
            "",
        ] {
            assert!(parse(command).is_err(), "{command}");
        }
    }
}
