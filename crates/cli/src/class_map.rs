//! Files that say which class of a model a class of a data set is.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use buckler_data::{GivenClass, GivenClasses};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Reads JSON (`{"tabby": "cat", "lorry": 9}`), TOML (`tabby = "cat"`), or lines of a class of the data set and, after a space or a tab,
/// the model's class (`tabby cat`). No class comes twice.
pub fn read(path: &Path) -> Result<GivenClasses> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the class map {}", path.display()))?;
    let classes = parse(&text).with_context(|| format!("class map {}", path.display()))?;
    ensure!(
        !classes.is_empty(),
        "class map {}: it has no classes; write one a line, such as `tabby = \"cat\"`",
        path.display()
    );
    Ok(classes)
}

fn parse(text: &str) -> Result<GivenClasses> {
    // Editors of Windows put a mark in front.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        let Classes(classes) = serde_json::from_str(text)?;
        return Ok(classes);
    }
    match toml::from_str(text) {
        Ok(Classes(classes)) => Ok(classes),
        // One word and an equals sign in it: this was meant to be TOML.
        Err(error) if text.lines().any(|line| line.contains('=')) => Err(error.into()),
        Err(_) => lines(text),
    }
}

/// Classes of which none comes twice: of two entries of one name in JSON a map would keep the last.
struct Classes(GivenClasses);

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClassesVisitor)
    }
}

struct ClassesVisitor;

impl<'de> Visitor<'de> for ClassesVisitor {
    type Value = Classes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("classes of the data set with a class of the model each, its name or index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classes, A::Error> {
        let mut classes = GivenClasses::new();
        while let Some(class) = map.next_key::<String>()? {
            if classes.contains_key(&class) {
                return Err(A::Error::custom(twice(&class)));
            }
            let given = map.next_value().map_err(|error| {
                let class = class.escape_debug();
                A::Error::custom(format!(
                    "class `{class}`: write the name or the index of one class of the model after it ({error})"
                ))
            })?;
            classes.insert(class, given);
        }
        Ok(Classes(classes))
    }
}

fn twice(class: &str) -> String {
    format!(
        "class `{}` comes twice: write it once",
        class.escape_debug()
    )
}

fn lines(text: &str) -> Result<GivenClasses> {
    let mut classes = GivenClasses::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.split_once('\t');
        let Some((class, given)) = pair.or_else(|| line.split_once(char::is_whitespace)) else {
            bail!(
                "line {}: `{}` is one word: write a class of the data set, a space, and the model's class",
                number + 1,
                line.escape_debug()
            );
        };
        let given = given.trim();
        let is_number = given.bytes().all(|byte| byte.is_ascii_digit());
        let given = match given.parse() {
            Ok(number) if is_number => GivenClass::Number(number),
            _ => GivenClass::Name(given.to_owned()),
        };
        let class = class.trim();
        if classes.insert(class.to_owned(), given).is_some() {
            bail!("line {}: {}", number + 1, twice(class));
        }
    }
    Ok(classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> GivenClass {
        GivenClass::Name(name.to_owned())
    }

    #[test]
    fn json_toml_and_lines_say_the_same() {
        let expected = GivenClasses::from([
            ("tabby".to_owned(), name("cat")),
            ("lorry".to_owned(), GivenClass::Number(9)),
        ]);
        assert_eq!(parse(r#" {"tabby": "cat", "lorry": 9}"#).unwrap(), expected);
        assert_eq!(parse("tabby = \"cat\"\nlorry = 9\n").unwrap(), expected);
        assert_eq!(parse("tabby\tcat\nlorry 9\n").unwrap(), expected);
        let marked = "\u{feff}{\"tabby\": \"cat\", \"lorry\": 9}";
        assert_eq!(parse(marked).unwrap(), expected);
        assert_eq!(parse("\u{feff}tabby cat\nlorry 9").unwrap(), expected);
        let synsets =
            parse("# ImageNet\nn01440764 tench, Tinca tinca\n\ncoffee mug\tcup\n").unwrap();
        assert_eq!(synsets["n01440764"], name("tench, Tinca tinca"));
        assert_eq!(synsets["coffee mug"], name("cup"));
    }

    #[test]
    fn a_class_that_comes_twice_is_refused_in_every_form() {
        for text in [
            r#"{"kat": "cat", "kat": "dog"}"#,
            r#"{"kat": "cat", "kat": "cat"}"#,
            r#"{"kat": "cat", "\u006bat": "dog"}"#,
            r#"{"kat": 3, "dog": "dog", "k\u0061t": 5}"#,
            "kat = \"cat\"\n\"kat\" = \"dog\"\n",
            "kat = \"cat\"\n\"\\u006bat\" = \"dog\"\n",
            "kat cat\nkat dog\n",
            "kat cat\n\nkat\tcat\n",
        ] {
            let error = parse(text).unwrap_err();
            let error = format!("{error:#}");
            // TOML's own words for it are others.
            let told = error.contains("`kat` comes twice") || error.contains("duplicate key");
            assert!(told, "{text}: {error}");
        }
        let twice = r#"{"a\u001b[31m": 1, "a\u001b[31m": 2}"#;
        let error = format!("{:#}", parse(twice).unwrap_err());
        assert!(!error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn what_is_not_a_map_is_refused() {
        for text in [
            "[\"cat\"]",
            "cat",
            "a b\na c",
            "{\"cat\": [1]}",
            "cat = 1.5",
            "{\"cat\": -1}",
            "{\"cat\": {\"a\": 1}}",
            "[cat]\na = 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
