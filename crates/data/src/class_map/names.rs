//! Names of classes, compared as people and file systems write them.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::ClassMapError;

/// A form in which two names may be the same; `None` for names that do not have it.
type Form = fn(&str) -> Option<String>;

/// The forms in which names are looked for, the strictest first: as they are, but for the Unicode form, but for case and
/// punctuation, as numbers.
const FORMS: [Form; 4] = [
    |name| Some(name.to_owned()),
    |name| Some(name.nfc().collect()),
    |name| Some(key(name)),
    |name| number(name).map(str::to_owned),
];

/// A list of names in which one is found by any of its forms.
pub(super) struct Names<'a> {
    names: &'a [String],
    /// Indices of the names by each form.
    by: [HashMap<String, Vec<usize>>; 4],
}

impl<'a> Names<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        let by = FORMS.map(|form| {
            let mut indices: HashMap<String, Vec<usize>> = HashMap::new();
            for (index, name) in names.iter().enumerate() {
                if let Some(name) = form(name) {
                    indices.entry(name).or_default().push(index);
                }
            }
            indices
        });
        Self { names, by }
    }

    /// The only class of that name.
    pub(super) fn find(&self, name: &str) -> Result<Option<usize>, ClassMapError> {
        for (form, by) in FORMS.iter().zip(&self.by) {
            match form(name).and_then(|name| by.get(&name)).map(Vec::as_slice) {
                None | Some([]) => (),
                Some([index]) => return Ok(Some(*index)),
                Some([a, b, ..]) => {
                    let shown = |index: usize| self.names.get(index).map_or("", String::as_str);
                    return Err(ClassMapError::Ambiguous {
                        what: format!(
                            "class `{}` could be class {a}, `{}`, or {b}, `{}`",
                            name.escape_debug(),
                            shown(*a).escape_debug(),
                            shown(*b).escape_debug()
                        ),
                    });
                }
            }
        }
        Ok(None)
    }

    /// The classes that have this name, but for the Unicode form.
    pub(super) fn exact(&self, name: &str) -> &[usize] {
        let forms = FORMS.iter().zip(&self.by).take(2);
        let mut found = forms.filter_map(|(form, by)| by.get(&form(name)?));
        found.next().map_or(&[], Vec::as_slice)
    }

    /// Whether one of the names is a number.
    pub(super) fn have_numbers(&self) -> bool {
        let [_, _, _, numbers] = &self.by;
        !numbers.is_empty()
    }
}

/// Without what file systems, hands and habits change in a name: case, Unicode form, spaces and punctuation. What stands
/// between two digits stays, as one sign, and so does a minus in front of a number: `1-2` is not `12`.
pub(super) fn key(name: &str) -> String {
    let mut key = String::new();
    let mut gap = None;
    for c in name.chars() {
        if c.is_whitespace() || matches!(c, '_' | '-' | '/' | '\\' | ':') {
            gap = Some(c);
            continue;
        }
        let numeric = c.is_numeric();
        match (gap.take(), key.chars().next_back()) {
            (Some('-'), None) if numeric => key.push('-'),
            (Some(_), Some(last)) if numeric && last.is_numeric() => key.push('_'),
            _ => (),
        }
        key.extend(c.to_lowercase());
    }
    key.nfc().collect()
}

/// The digits of a number without leading zeros.
pub(super) fn number(name: &str) -> Option<&str> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| match name.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_what_tells_numbers_apart() {
        for (a, b) in [
            ("Fire-Truck", "fire_truck"),
            ("class-1", "Class 1"),
            ("T-shirt/top", "t_shirt_top"),
            ("CAFÉ", "cafe\u{301}"),
            ("İstanbul", "i\u{307}stanbul"),
            ("1_0", "1-0"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        for (a, b) in [
            ("1-2", "12"),
            ("v1_0", "v10"),
            ("-1", "1"),
            ("c++", "c"),
            ("1.5", "15"),
        ] {
            assert_ne!(key(a), key(b), "{a} {b}");
        }
    }

    #[test]
    fn numbers_are_digits_of_any_length() {
        assert_eq!(number("007"), Some("7"));
        assert_eq!(number("000"), Some("0"));
        assert_eq!(
            number("99999999999999999999999"),
            Some("99999999999999999999999")
        );
        for text in ["", "+1", "-1", "1.0", "\u{664}", "1 "] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
