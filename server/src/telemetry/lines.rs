//! The lines of a log, with nothing in them that a terminal would obey or that would look like another line.
use std::{borrow::Cow, io};

use buckler_onnx::{printable, printable_json};

use super::Format;

/// Escapes what an event holds, which is written in one piece, and passes it on.
pub(super) struct Lines<W> {
    pub to: W,
    pub format: Format,
    /// Lines are coloured.
    pub ansi: bool,
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.to.write_all(self.escaped(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> Lines<W> {
    fn escaped<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.format == Format::Json {
            return printable_json(text);
        }
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (text, ""),
        };
        // Of colours the formatter's own are left: it escapes those in values.
        let line = match self.ansi {
            true => line
                .split('\u{1b}')
                .map(printable)
                .collect::<Vec<_>>()
                .join("\u{1b}"),
            false => printable(line).into_owned(),
        };
        Cow::Owned(line + end)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(format: Format, ansi: bool, text: &str) -> String {
        let mut lines = Lines {
            to: Vec::new(),
            format,
            ansi,
        };
        lines.write_all(text.as_bytes()).unwrap();
        String::from_utf8(lines.to).unwrap()
    }

    #[test]
    fn a_value_neither_ends_a_line_nor_moves_the_cursor() {
        let event = "INFO model `a\r\nERROR b\u{9b}2J\u{202e}\0` ready\n";
        let expected = "INFO model `a\\r\\nERROR b\\u{9b}2J\\u{202e}\\0` ready\n";
        assert_eq!(written(Format::Text, false, event), expected);
        assert_eq!(written(Format::Text, true, event), expected);
        let coloured = "\u{1b}[32m INFO\u{1b}[0m ready\n";
        assert_eq!(written(Format::Text, true, coloured), coloured);
        assert_eq!(
            written(Format::Text, false, coloured),
            "\\u{1b}[32m INFO\\u{1b}[0m ready\n"
        );
    }

    #[test]
    fn json_stays_json() {
        let event = "{\"name\":\"a\u{9b}\u{202e}\"}\n";
        assert_eq!(
            written(Format::Json, false, event),
            "{\"name\":\"a\\u009b\\u202e\"}\n"
        );
    }
}
