use std::collections::BTreeMap;

use buckler_onnx::Color;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Named values from wherever they came.
#[derive(Debug)]
pub(crate) struct Parameters {
    known: &'static [&'static str],
    values: BTreeMap<String, Value>,
}

impl Parameters {
    pub fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            values: BTreeMap::new(),
        }
    }

    /// Adds a value. Null counts as not given; blank text is refused, since it may be a variable that should have had a value.
    pub fn add(&mut self, name: &str, value: Value) -> Result<(), ApiError> {
        if !self.known.contains(&name) {
            let known: Vec<_> = self.known.iter().map(|name| format!("`{name}`")).collect();
            return Err(ApiError::UnknownField {
                name: name.to_owned(),
                known: known.join(", "),
            });
        }
        let Some(text) = text_of(&value) else {
            return Ok(());
        };
        if text.is_empty() {
            return Err(ApiError::value(
                name,
                format!("{name} is empty: give a value, or leave it out"),
            ));
        }
        match self.values.get(name).and_then(text_of) {
            Some(before) if before != text => Err(ApiError::Conflict {
                name: name.to_owned(),
                first: before,
                second: text,
            }),
            _ => {
                self.values.insert(name.to_owned(), value);
                Ok(())
            }
        }
    }

    /// A value as text, if given; numbers as they are written.
    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).and_then(text_of)
    }

    /// The colour under transparent pixels, if given: `#rrggbb`, or `rrggbb`, because `#` ends a URL.
    pub fn background(&self) -> Result<Option<Color>, ApiError> {
        let Some(text) = self.text("background") else {
            return Ok(None);
        };
        let digits = text.strip_prefix('#').unwrap_or(&text);
        let color = match digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => format!("#{digits}").parse().ok(),
            false => None,
        };
        color.map(Some).ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            ApiError::value(
                "background",
                format!(
                    "background `{}` is not a colour: write six hexadecimal digits, such as `#ffffff` for white",
                    shown.escape_debug()
                ),
            )
        })
    }

    /// The values of those `names` that are given.
    pub fn object(&self, names: &[&str]) -> Map<String, Value> {
        self.values
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_from_two_places_agree_and_different_ones_conflict() {
        let mut parameters = Parameters::new(&["steps"]);
        parameters.add("steps", json!("7")).unwrap();
        parameters.add("steps", json!(7)).unwrap();
        parameters.add("steps", json!(null)).unwrap();
        assert_eq!(parameters.text("steps").as_deref(), Some("7"));
        let error = parameters.add("steps", json!(8)).unwrap_err().to_string();
        assert!(error.contains('7') && error.contains('8'), "{error}");
    }

    #[test]
    fn an_empty_value_is_refused_by_its_name() {
        let mut parameters = Parameters::new(&["target"]);
        for empty in ["", " ", "\n"] {
            let error = parameters.add("target", json!(empty)).unwrap_err();
            assert!(error.to_string().contains("target is empty"), "{error}");
        }
        assert_eq!(parameters.text("target"), None);
    }

    #[test]
    fn a_background_is_six_digits_with_or_without_a_sign() {
        let color = |text: &str| {
            let mut parameters = Parameters::new(&["background"]);
            parameters.add("background", json!(text)).unwrap();
            parameters.background()
        };
        assert_eq!(color("#ff8000").unwrap(), Some(Color([255, 128, 0])));
        assert_eq!(color("FF8000").unwrap(), Some(Color([255, 128, 0])));
        for wrong in ["white", "#fff", "#+12345", "ff80000", "##ff800", "é23456"] {
            let error = color(wrong).unwrap_err().to_string();
            assert!(error.contains("#ffffff"), "{error}");
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = Parameters::new(&["model", "eps"])
            .add("epsilon", json!(1))
            .unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`epsilon`") && error.contains("`model`, `eps`"),
            "{error}"
        );
    }
}
