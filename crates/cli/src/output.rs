use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use buckler_onnx::Port;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// How results are printed; they go to stdout, all else to stderr.
#[derive(Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// The value as JSON, or what `text` makes of it for people.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        let printed = if self.json {
            serde_json::to_string_pretty(value)?
        } else {
            text(value)
        };
        let mut stdout = std::io::stdout().lock();
        match writeln!(stdout, "{}", printed.trim_end()).and_then(|()| stdout.flush()) {
            // `buckler ... | head` is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }
}

/// Checks that a file can be written later, before what may take hours: makes another one beside it and removes it, for permissions
/// alone do not tell.
pub fn check_writable(path: &Path) -> io::Result<()> {
    let probe = path.with_file_name(format!(".buckler-{}", std::process::id()));
    fs::File::create_new(&probe)?;
    fs::remove_file(&probe)
}

/// A plain table; columns after the first are aligned to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A line of a file that somebody else made, without what a terminal would act on.
pub fn printable(line: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => c.to_string(),
    };
    line.chars().map(shown).collect()
}

/// `0.9812` as `98.12 %`.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// `image float32 [batch, 1, 28, 28]`.
pub fn port(port: &Port) -> String {
    let shape = port
        .shape
        .as_ref()
        .map_or("[?]".to_owned(), |dims| format!("[{}]", dims.join(", ")));
    format!("{} {} {shape}", port.name, port.dtype)
}
