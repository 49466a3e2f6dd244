//! Text of unknown origin, made safe for a terminal and for a line of a log.

use std::borrow::Cow;

/// `text` with every character that does not print escaped as in Rust: control characters (NUL, ESC, line ends, C1),
/// format characters (those that change the direction of text), unassigned and private ones.
///
/// ```
/// assert_eq!(buckler_onnx::printable("cat\u{1b}[2J\n"), "cat\\u{1b}[2J\\n");
/// assert_eq!(buckler_onnx::printable("naïve 猫"), "naïve 猫");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// As [`printable`], for text of several lines: line feeds and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let prints = |c: char| stays(c) || is_printable(c);
    if text.chars().all(prints) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match prints(c) {
            true => escaped.push(c),
            false => escaped.extend(c.escape_debug()),
        }
    }
    Cow::Owned(escaped)
}

/// As [`printable_lines`], for JSON: what does not print stands in strings alone, where it is written as `\u009b`.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    let prints = |c: char| c == '\n' || is_printable(c);
    if json.chars().all(prints) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        if prints(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(escaped)
}

/// At most 80 characters of a text, with dots where more follow: errors name what stands in a file, whatever its length.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether a character is shown as itself.
pub(crate) fn is_printable(c: char) -> bool {
    if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
        return true;
    }
    // Behind another character, combining marks are shown as they are.
    let mut pair = [0; 5];
    let (base, mark) = pair.split_at_mut(1);
    base.copy_from_slice(b"a");
    let length = c.encode_utf8(mark).len();
    let shown = std::str::from_utf8(pair.get(..=length).unwrap_or_default()).unwrap_or_default();
    shown.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (text, shown) in [
            ("\0", "\\0"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("\u{7f}\u{8}", "\\u{7f}\\u{8}"),
            ("\u{202e}gnp.exe\u{2066}", "\\u{202e}gnp.exe\\u{2066}"),
            (
                "a\u{2028}b\u{feff}\u{e0041}",
                "a\\u{2028}b\\u{feff}\\u{e0041}",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "",
            "tabby, tabby cat",
            r#"C:\models\"a" 'b' `c`"#,
            "naïve e\u{301} 猫 кот ที่ القط 🐈 ✂",
        ] {
            assert!(
                matches!(printable(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn lines_stay_lines_where_there_may_be_several() {
        assert_eq!(printable_lines("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
    }

    #[test]
    fn json_says_the_same_with_its_strings_escaped() {
        let text = "a\u{9b}31m\u{202e}\u{7f}\u{e0041} 猫";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = printable_json(&json);
        assert!(
            escaped.chars().all(|c| c == '\n' || is_printable(c)),
            "{escaped}"
        );
        assert!(
            escaped.contains("\\u009b31m\\u202e\\u007f\\udb40\\udc41 猫"),
            "{escaped}"
        );
        let again: Vec<String> = serde_json::from_str(&escaped).unwrap();
        assert_eq!(again, [text]);
    }
}
