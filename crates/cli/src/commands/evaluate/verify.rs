//! Verifies a report: opens model and data as it states them, and prints what became of its claims.

use std::path::Path;

use anyhow::{Result, bail};
use buckler_data::MatchedBy;
use buckler_onnx::printable;
use buckler_report::{Expected, ModelSettings, Report, Subject, Verification};
use buckler_runtime::Classifier;
use tokio::runtime::Runtime;

use super::{Args, plan, settings, stated_command, subject};
use crate::command_line;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};
use crate::test_set::TestSetArgs;

/// Exits with a failure when a claim does not hold.
pub fn run(args: &Args, path: &Path, output: Output) -> Result<()> {
    let report = Report::read(path)?;
    let stated = &report.subject;
    let measured = command_line::parse(&stated.command);
    let command = measured.as_ref().ok();
    let mut problems = Vec::new();
    let (classifier, settings) = open(&args.model, command, stated, &mut problems)?;
    let planned = match &measured {
        Ok(measured) => plan(measured, &classifier).map_err(|error| format!("{error:#}")),
        Err(error) => Err(format!("{error:#}")),
    };
    let test_set = TestSetArgs {
        limit: match command {
            Some(command) => command.test_set.limit,
            None => Some(report.images + stated.skipped.len()),
        },
        skip_broken: args.test_set.skip_broken || !stated.skipped.is_empty(),
        ..args.test_set.clone()
    };
    let given = stated.classes.as_ref();
    let given = given.filter(|map| map.by == MatchedBy::Given && args.test_set.class_map.is_none());
    let samples = match given {
        Some(map) => test_set.load_as_stated(&classifier, map)?,
        None => test_set.load(&classifier)?,
    };
    let normalization = args.model.normalization();
    let here = Subject {
        normalization: normalization.clone().or(stated.normalization.clone()),
        settings: Some(settings),
        ..subject(&args.model, &classifier, &samples)
    };
    let expected = Expected {
        subject: &here,
        plan: planned.as_ref().map_err(Clone::clone),
        no_gradient: classifier.can_attack().err(),
    };
    let verification = buckler_report::verify(&classifier, &expected, &samples, path);
    let mut verification = Runtime::new()?.block_on(verification)?;
    if let Some(command) = command {
        problems.extend(stated_command::contradictions(command, stated));
    }
    problems.append(&mut verification.problems);
    verification.problems = problems;
    let not_verified = &mut verification.not_verified;
    if stated.normalization.is_some() && normalization.is_none() {
        not_verified.push(
            "normalisation: the model was given its pixels as the report says; `--mean` and `--std` hold it against others".to_owned(),
        );
    }
    not_verified.extend(command.and_then(|command| taken(&command.model, &args.model)));
    if given.is_some() {
        not_verified.push(
            "classes: matched with the model's as the report gives them; `--class-map FILE` holds them against a file".to_owned(),
        );
    }
    output.print(&verification, describe)?;
    if !verification.holds() {
        bail!("the report does not hold");
    }
    Ok(())
}

/// The model, opened as the report's command opens it, and how that is.
fn open(
    given: &ModelArgs,
    command: Option<&Args>,
    stated: &Subject,
    problems: &mut Vec<String>,
) -> Result<(Classifier, ModelSettings)> {
    let as_given = || {
        let classifier = given.load_normalized(stated.normalization.clone())?;
        let settings = settings::of(&classifier, &given.options(stated.normalization.clone()));
        Ok((classifier, settings))
    };
    let Some(command) = command.map(|command| &command.model) else {
        return as_given();
    };
    problems.extend(stated_command::other_options(command, given));
    let asked = given.or(command);
    let classifier = match asked.load() {
        Ok(classifier) => classifier,
        Err(error) if asked.given() == given.given() => return Err(error),
        Err(error) => {
            problems.push(format!(
                "the model cannot be opened as the report's command says: {error:#}"
            ));
            return as_given();
        }
    };
    let added = given.given().into_iter();
    let settings = settings::of(&classifier, &asked.options(None));
    let mut added = added.filter(|(name, _)| !command.given().iter().any(|(n, _)| n == name));
    if let Some((name, value)) = added.next() {
        let mut as_stated = command.clone();
        as_stated.model.clone_from(&given.model);
        let difference = match as_stated.load() {
            Ok(other) => settings::of(&other, &as_stated.options(None))
                .difference(&settings)
                .map(|difference| format!("it opens the model with {difference} here")),
            Err(error) => Some(format!("without it the model is not opened: {error:#}")),
        };
        problems.extend(difference.map(|difference| {
            format!("the command does not have `{name} {value}` of this verification: {difference}")
        }));
    }
    Ok((classifier, settings))
}

/// The options that were taken from the command because the verification was given none.
fn taken(command: &ModelArgs, given: &ModelArgs) -> Option<String> {
    let given = given.given();
    let taken = command.given().into_iter();
    let taken = taken.filter(|(name, _)| !given.iter().any(|(other, _)| other == name));
    let taken: Vec<String> = taken.map(|(n, value)| format!("`{n} {value}`")).collect();
    (!taken.is_empty()).then(|| {
        format!(
            "options for the model: it was opened with {} of the command; the same options to this verification hold them against others",
            taken.join(", ")
        )
    })
}

fn describe(verification: &Verification) -> String {
    let rows = verification.claims.iter().map(|claim| {
        vec![
            claim.what.clone(),
            percent(claim.stated),
            percent(claim.recomputed),
            if claim.holds() { "holds" } else { "DIFFERS" }.to_owned(),
        ]
    });
    let mut text = table(&["claim", "stated", "recomputed", ""], rows);
    for problem in &verification.problems {
        text.push_str(&format!("\nproblem: {}", printable(problem)));
    }
    for line in &verification.not_verified {
        text.push_str(&format!("\nnot verified: {}", printable(line)));
    }
    text
}
