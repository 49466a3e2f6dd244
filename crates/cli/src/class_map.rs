//! Files that say which class of a model a class of a data set is.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use buckler_data::{GivenClass, GivenClasses};

/// Reads JSON (`{"tabby": "cat", "lorry": 9}`), TOML (`tabby = "cat"`), or lines of a class of the data set and, after a space or a tab,
/// the model's class (`tabby cat`).
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
    if text.trim_start().starts_with('{') {
        return Ok(serde_json::from_str(text)?);
    }
    match toml::from_str(text) {
        Ok(classes) => Ok(classes),
        // One word and an equals sign in it: this was meant to be TOML.
        Err(error) if text.lines().any(|line| line.contains('=')) => Err(error.into()),
        Err(_) => lines(text),
    }
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
        let given = GivenClass::Name(given.trim().to_owned());
        if classes.insert(class.trim().to_owned(), given).is_some() {
            bail!(
                "line {}: class `{}` comes twice",
                number + 1,
                class.escape_debug()
            );
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
            ("lorry".to_owned(), GivenClass::Index(9)),
        ]);
        assert_eq!(parse(r#" {"tabby": "cat", "lorry": 9}"#).unwrap(), expected);
        assert_eq!(parse("tabby = \"cat\"\nlorry = 9\n").unwrap(), expected);
        let synsets =
            parse("# ImageNet\nn01440764 tench, Tinca tinca\n\ncoffee mug\tcup\n").unwrap();
        assert_eq!(synsets["n01440764"], name("tench, Tinca tinca"));
        assert_eq!(synsets["coffee mug"], name("cup"));
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
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
