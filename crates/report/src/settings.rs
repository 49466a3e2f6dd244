//! How a model was opened: what its card, its graph and the options of the command come to.

use buckler_onnx::Input;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a model was opened. The same file gives other answers where one of these is another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// Name of the output that logits are taken from.
    pub output: String,
    /// The images that it takes, and what is done to them.
    pub input: Input,
    /// Names of its classes.
    pub classes: Vec<String>,
}

impl ModelSettings {
    /// The first setting in which another one differs, with both values: `` `input.channel_order` "rgb", and with "bgr" ``.
    ///
    /// ```
    /// use buckler_report::ModelSettings;
    ///
    /// let one = ModelSettings { output: "logits".to_owned(), ..ModelSettings::default() };
    /// let other = ModelSettings { output: "features".to_owned(), ..one.clone() };
    /// let difference = one.difference(&other).unwrap_or_default();
    /// assert_eq!(difference, r#"`output` "logits", and with "features""#);
    /// assert_eq!(one.difference(&one), None);
    /// ```
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let [one, other] = [self, other].map(|settings| serde_json::to_value(settings).ok());
        let (place, one, other) = difference("", &one?, &other?)?;
        Some(format!(
            "`{}` {}, and with {}",
            place.escape_debug(),
            shown(&one),
            shown(&other)
        ))
    }
}

/// The first leaf in which two values differ; what one of them does not have is null.
fn difference(place: &str, one: &Value, other: &Value) -> Option<(String, Value, Value)> {
    let below = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    match (one, other) {
        (one, other) if one == other => None,
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys());
            let value = |of: &serde_json::Map<String, Value>, key| of.get(key).cloned();
            let mut found = keys.filter_map(|key| {
                let [one, other] = [one, other].map(|of| value(of, key).unwrap_or_default());
                difference(&below(key), &one, &other)
            });
            found.next()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| difference(&below(&at.to_string()), one, other))
        }
        (Value::Array(one), Value::Array(other)) => Some((
            place.to_owned(),
            Value::from(format!("{} values", one.len())),
            Value::from(format!("{} values", other.len())),
        )),
        (one, other) => Some((place.to_owned(), one.clone(), other.clone())),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}
