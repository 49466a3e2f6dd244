//! The report as Markdown.

use std::fmt::Write;

use crate::{Report, table};

/// `curves` are the files of the drawings, one for each worst case.
pub(crate) fn page(report: &Report, curves: &[&str]) -> String {
    let mut text = String::new();
    write(report, curves, &mut text).unwrap_or_default();
    text
}

fn write(report: &Report, curves: &[&str], text: &mut String) -> std::fmt::Result {
    writeln!(text, "# {}\n", report.subject.model)?;
    for (name, value) in table::facts(report) {
        writeln!(text, "* {name}: {value}")?;
    }
    writeln!(text, "\n```sh\n{}\n```", report.subject.command)?;
    if !report.flags.is_empty() {
        writeln!(text, "\n## Do not trust these figures yet\n")?;
        for flag in &report.flags {
            writeln!(text, "* {flag}")?;
        }
    }
    for (worst, curve) in report.worst_cases.iter().zip(curves) {
        writeln!(text, "\n## Worst case over all attacks, {}\n", worst.norm)?;
        writeln!(text, "| eps | accuracy |\n|--:|--:|")?;
        for (eps, accuracy) in table::worst_case(worst) {
            writeln!(text, "| {eps} | {accuracy} |")?;
        }
        if report.seeks_smallest(worst.norm) {
            writeln!(text, "\n{}", table::median(worst))?;
        }
        writeln!(text, "\n![accuracy over eps]({curve})")?;
    }
    writeln!(text, "\n## Attacks\n")?;
    rows(&table::HEADER, table::rows(report), text)?;
    for line in table::found_by(report) {
        writeln!(text, "\n{line}")?;
    }
    writeln!(text, "\n{}", table::NOTE)?;
    if !report.linearity.is_empty() {
        writeln!(text, "\n## How linear the loss is\n")?;
        rows(&table::LINEARITY_HEADER, table::linearity(report), text)?;
        writeln!(text, "\n{}", table::LINEARITY_NOTE)?;
    }
    Ok(())
}

fn rows(header: &[&str], rows: Vec<Vec<String>>, text: &mut String) -> std::fmt::Result {
    writeln!(text, "| {} |", header.join(" | "))?;
    writeln!(
        text,
        "|---|{}",
        "--:|".repeat(header.len().saturating_sub(1))
    )?;
    for row in rows {
        writeln!(text, "| {} |", row.join(" | "))?;
    }
    Ok(())
}
