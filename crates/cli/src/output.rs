//! How results and errors are printed, with nothing in them that a terminal would obey.

use std::io::Write;

use anyhow::Result;
use buckler_onnx::{Port, printable, printable_json, printable_lines};
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
            printable_json(&serde_json::to_string_pretty(value)?).into_owned()
        } else {
            printable_lines(&text(value)).into_owned()
        };
        let mut stdout = std::io::stdout().lock();
        match writeln!(stdout, "{}", printed.trim_end()).and_then(|()| stdout.flush()) {
            // `buckler ... | head` is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }
}

/// A plain table of cells of one line each; columns after the first are aligned to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    let shown = |cells: Vec<String>| -> Vec<String> {
        let cells = cells.iter().map(|cell| printable(cell).into_owned());
        cells.collect()
    };
    table.add_rows(rows.into_iter().map(shown));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
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
    printable(&format!("{} {} {shape}", port.name, port.dtype)).into_owned()
}

/// An error with its causes, none of which is said twice.
pub fn error_text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Many errors end with their cause, which then follows in the chain as well.
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    printable_lines(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cause_that_ends_an_error_is_not_said_again() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let cause = source.to_string();
        let read = buckler_onnx::Error::Io {
            path: "card.json".into(),
            source,
        };
        let error = Err::<(), _>(read).context("cannot load m").unwrap_err();
        assert_eq!(
            error_text(&error),
            format!("cannot load m: card.json: {cause}")
        );
        let plain = anyhow!("b").context("a");
        assert_eq!(error_text(&plain), "a: b");
    }

    #[test]
    fn nothing_that_is_printed_is_obeyed_by_a_terminal() {
        assert_eq!(
            error_text(&anyhow!("file `\u{1b}[2J\u{9b}`\nnext")),
            "file `\\u{1b}[2J\\u{9b}`\nnext"
        );
        let rows = [vec!["a\nb".to_owned(), "\u{202e}c\0".to_owned()]];
        let text = table(&["x", "y"], rows);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains("a\\nb") && text.contains("\\u{202e}c\\0"),
            "{text}"
        );
        let named = Port {
            name: "a\r\u{1b}c".into(),
            dtype: "float32".into(),
            shape: Some(vec!["n\0".into()]),
        };
        assert_eq!(port(&named), "a\\r\\u{1b}c float32 [n\\0]");
    }
}
