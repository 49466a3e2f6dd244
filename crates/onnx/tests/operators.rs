//! `docs/operators.md` is what the code says of itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path};

const FRONT: &str = "# Operators with a gradient

Made from the doc comments of `crates/onnx/src/ops`; `BUCKLER_WRITE_DOCS=1 cargo test -p buckler-onnx --test operators` writes it
anew. dy is the gradient of the loss with respect to the result, dx that with respect to the operand. Operator sets 7 to 17 are
brought to the form of 18 first. A `Constant` becomes a stored tensor. What stands on the way to the logits and is not here is
refused by name before anything runs; `buckler info model.onnx` says so.

| operator | meaning | gradient |
|---|---|---|
";

/// The lines of a comment, marked thus, joined.
fn comment<'a>(lines: impl Iterator<Item = &'a str>, mark: &str) -> String {
    let lines = lines
        .map(str::trim)
        .map_while(|line| line.strip_prefix(mark));
    lines
        .take_while(|line| !line.is_empty())
        .collect::<String>()
        .trim()
        .to_owned()
}

/// A table row of a source file, with the operators whose rules are in it.
fn row(source: &str, operators: &BTreeSet<&str>) -> Option<(Vec<String>, String)> {
    let header = comment(source.lines(), "//!");
    let (names, meaning) = header.split_once(": ONNX operator specification, section")?;
    let names: Vec<String> = names
        .split('`')
        .filter(|name| operators.contains(name))
        .map(str::to_owned)
        .collect();
    let meaning = meaning.trim_start_matches("s of those names");
    let meaning = match meaning.strip_prefix(" \"") {
        Some(quoted) => quoted.split_once('"').map_or("", |(_, rest)| rest),
        None => meaning,
    };
    let lines: Vec<&str> = source.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with("fn gradient(") || line.starts_with("fn gradient<"));
    let above = at.map_or(&[][..], |at| {
        let docs = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("///"));
        &lines[at - docs.count()..at]
    });
    let gradient = comment(above.iter().copied(), "///");
    let links: Vec<String> = names
        .iter()
        .map(|name| format!("[{name}](https://onnx.ai/onnx/operators/onnx__{name}.html)"))
        .collect();
    let cell = |text: &str| {
        text.trim_start_matches([';', ',', '.', ' '])
            .replace('|', "\\|")
    };
    let row = format!(
        "| {} | {} | {} |\n",
        links.join(", "),
        cell(meaning),
        cell(&gradient)
    );
    Some((names, row))
}

#[test]
fn the_table_of_operators_is_that_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut operators: BTreeSet<&str> = buckler_onnx::operators().collect();
    operators.remove("Constant");
    let mut files: Vec<_> = fs::read_dir(folder.join("src/ops"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut table = FRONT.to_owned();
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let source = fs::read_to_string(file).unwrap();
        if let Some((names, row)) = row(&source, &operators)
            && !names.is_empty()
        {
            table.push_str(&row);
            found.extend(names);
        }
    }
    let missing: Vec<_> = operators
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(
        missing.is_empty(),
        "no source file names {missing:?} in its first line"
    );

    let path = folder.join("../../docs/operators.md");
    if std::env::var_os("BUCKLER_WRITE_DOCS").is_some() {
        fs::write(&path, &table).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == table,
        "docs/operators.md is not what the code says: write it anew with BUCKLER_WRITE_DOCS=1"
    );
}
