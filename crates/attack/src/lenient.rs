//! Fields that come as numbers (JSON) or as text (query strings, forms). Empty text counts as not given, because that is
//! what a form sends for a field left blank.

use std::fmt::Display;

use serde::{Deserialize, Deserializer, de::Error};

use crate::{Epsilon, Variants};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl Written {
    fn text(&self) -> String {
        match self {
            Written::Whole(number) => number.to_string(),
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text.trim().to_owned(),
        }
    }
}

/// What was written, as text; `None` for null and for empty text.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Written>::deserialize(deserializer)?
        .map(|written| written.text())
        .filter(|text| !text.is_empty()))
}

fn refused<E: Error>(field: &str, text: &str, remedy: impl Display) -> E {
    E::custom(format!("{field} `{text}` {remedy}"))
}

fn length<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &str,
) -> Result<Option<Epsilon>, D::Error> {
    let remedy = "is not a non-negative number: write a fraction such as `2/255` or a number such as `0.008`";
    written(deserializer)?
        .map(|text| text.parse().map_err(|_| refused(field, &text, remedy)))
        .transpose()
}

fn count<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &str,
    example: u64,
) -> Result<Option<usize>, D::Error> {
    written(deserializer)?
        .map(|text| {
            text.parse().map_err(|_| {
                let remedy =
                    format!("is not a whole number: write one from 1 up, such as {example}");
                refused(field, &text, remedy)
            })
        })
        .transpose()
}

pub(crate) fn eps<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Epsilon>, D::Error> {
    length(d, "eps")
}

pub(crate) fn step_size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Epsilon>, D::Error> {
    length(d, "step_size")
}

pub(crate) fn steps<'de, D: Deserializer<'de>>(d: D) -> Result<Option<usize>, D::Error> {
    count(d, "steps", 20)
}

pub(crate) fn restarts<'de, D: Deserializer<'de>>(d: D) -> Result<Option<usize>, D::Error> {
    count(d, "restarts", 1)
}

pub(crate) fn variants<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Variants>, D::Error> {
    let remedy = "names none: write some of `ni`, `di` and `ti`, such as `ni,ti`";
    written(d)?
        .map(|text| text.parse().map_err(|_| refused("variants", &text, remedy)))
        .transpose()
}

pub(crate) fn seed<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let remedy = "is not a whole number: write one from 0 up to 18446744073709551615";
    written(d)?.map_or(Ok(0), |text| {
        text.parse().map_err(|_| refused("seed", &text, remedy))
    })
}
