//! The command that a report states: whether it is about that report.

use buckler_data::MatchedBy;
use buckler_report::Subject;

use super::Args;
use crate::command_line;
use crate::model_args::ModelArgs;

/// What in the command contradicts the report. Its attacks are compared elsewhere, and its limit shows in the images.
pub fn contradictions(command: &Args, stated: &Subject) -> Vec<String> {
    let mut found = Vec::new();
    let model = command.model.model.display().to_string();
    if model != stated.model {
        found.push(format!(
            "the command names the model `{model}`, the report is about `{}`",
            stated.model
        ));
    }
    let data = command.test_set.name();
    if data != stated.data {
        found.push(format!(
            "the command names the data `{data}`, the report is about `{}`",
            stated.data
        ));
    }
    if command.model.normalization() != stated.normalization {
        found
            .push("the normalisation that the report states is not that of its command".to_owned());
    }
    let given = stated.classes.as_ref();
    let given = given.map(|classes| classes.by == MatchedBy::Given);
    match (&command.test_set.class_map, given) {
        (Some(file), Some(false)) => found.push(format!(
            "the command has `--class-map {}`, and the report matched the classes without one",
            file.display()
        )),
        (None, Some(true)) => found.push(
            "the report was given its classes, and the command has no `--class-map`".to_owned(),
        ),
        _ => (),
    }
    if !command.test_set.skip_broken && !stated.skipped.is_empty() {
        found.push(format!(
            "the report leaves out {} files that cannot be read, and the command has no `--skip-broken`",
            stated.skipped.len()
        ));
    }
    if command.verify.is_some() || !command_line::is_repeatable(&stated.command) {
        found.push(
            "the command is not as evaluations write theirs: it does more than to measure, such as writing files, or a shell takes it for something else"
                .to_owned(),
        );
    }
    found
}

/// Options for the model that the verification was given and the command states otherwise.
pub fn other_options(command: &ModelArgs, given: &ModelArgs) -> Vec<String> {
    let (stated, given) = (command.given(), given.given());
    let pairs = given.iter().filter_map(|(name, given)| {
        let (_, stated) = stated.iter().find(|(other, _)| other == name)?;
        (stated != given).then(|| {
            format!(
                "the command has `{name} {stated}`, this verification was given `{name} {given}`"
            )
        })
    });
    pairs.collect()
}
