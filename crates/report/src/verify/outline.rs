//! The report as a document: what its fields are, and its checksum.

use std::{fs, path::Path};

use serde_json::Value;

use super::Verification;
use crate::{Folder, Report, ReportError, markdown, report::curve_file};

/// Differences that are listed.
const SHOWN: usize = 5;

pub(super) fn check(
    report: &Report,
    path: &Path,
    checked: &mut Verification,
) -> Result<(), ReportError> {
    let broken = |error: serde_json::Error| ReportError::broken(path, error);
    let bytes = fs::read(path).map_err(ReportError::file(path))?;
    let stated: Value = serde_json::from_slice(&bytes).map_err(broken)?;
    let understood = serde_json::to_vec(report).map_err(broken)?;
    let understood: Value = serde_json::from_slice(&understood).map_err(broken)?;
    let mut foreign = Vec::new();
    compare(&stated, &understood, "", &mut foreign);
    for place in foreign.iter().take(SHOWN) {
        checked.problem(format!("`{place}` is not a value that a report has there"));
    }
    if let Some(more) = foreign.len().checked_sub(SHOWN + 1) {
        checked.problem(format!("and {} more such values", more + 1));
    }
    match &report.content_sha256 {
        None => checked.problem(
            "the report has no checksum of its content: it was taken out, or an earlier version wrote the report, which has to be measured again",
        ),
        Some(stated) => {
            let made = report.clone().sealed()?.content_sha256;
            if made.as_ref() != Some(stated) {
                checked.problem(format!(
                    "the checksum of the content is {}, the report says {stated}: something in it was changed",
                    made.unwrap_or_default()
                ));
            }
        }
    }
    let folder = Folder::of(path.parent().unwrap_or(Path::new("")));
    let curves: Vec<String> = report
        .worst_cases
        .iter()
        .map(|worst| curve_file(worst.norm))
        .collect();
    let curves: Vec<&str> = curves.iter().map(String::as_str).collect();
    let page = fs::read_to_string(folder.file("report.md"));
    checked.not_verified.push(match page {
        Ok(page) if page == markdown::page(report, &curves) => {
            "report.html and the drawings: only report.json and report.md were read".to_owned()
        }
        Ok(_) => "report.md: it is not what this version makes of report.json, so another one wrote it or it was changed; report.html and the drawings were not read either".to_owned(),
        Err(_) => "report.md, report.html and the drawings: only report.json was read".to_owned(),
    });
    Ok(())
}

/// Notes where `stated` has something that `understood` does not have, or not in that form.
fn compare(stated: &Value, understood: &Value, place: &str, foreign: &mut Vec<String>) {
    match (stated, understood) {
        (Value::Object(stated), Value::Object(understood)) => {
            for (key, value) in stated {
                let place = format!("{place}/{key}");
                match understood.get(key) {
                    Some(other) => compare(value, other, &place, foreign),
                    // What has a default may be written out.
                    None if value.is_null() || is_empty(value) => (),
                    None => foreign.push(place),
                }
            }
        }
        (Value::Array(stated), Value::Array(understood)) if stated.len() == understood.len() => {
            for (index, (value, other)) in stated.iter().zip(understood).enumerate() {
                compare(value, other, &format!("{place}/{index}"), foreign);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => (),
        (a, b) if a == b => (),
        _ => foreign.push(place.to_owned()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    }
}
