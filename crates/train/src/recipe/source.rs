//! From a name or a file to a recipe.

use std::path::Path;

use buckler_data::nearest_name;
use toml::Table;

use super::Recipe;
use super::built_in::BUILT_IN;
use crate::error::TrainError;

/// The key with which a recipe names the built-in one that it changes.
const BASE: &str = "base";

impl Recipe {
    /// The names of the built-in recipes.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in recipe by its name, or a file when the text is the path of one.
    ///
    /// # Errors
    /// When there is neither, or the text is no valid recipe; names the key and the line.
    pub fn find(name_or_path: &str) -> Result<Self, TrainError> {
        if let Some(text) = text_of(name_or_path) {
            return Self::parse(text, name_or_path);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            return Err(unknown(name_or_path));
        }
        let text = std::fs::read_to_string(path).map_err(TrainError::file(path))?;
        Self::parse(&text, name_or_path)
    }

    /// From TOML; `source` names it in errors. With `base = "NAME"` it holds what differs from that built-in recipe;
    /// a table that chooses a `kind` replaces the one of the base as a whole.
    ///
    /// # Errors
    /// When the text is no valid recipe; names the key and the line.
    pub fn parse(text: &str, source: &str) -> Result<Self, TrainError> {
        let wrong = |reason: String| TrainError::Recipe(format!("recipe {source}: {reason}"));
        let table: Table = text.parse().map_err(|error| wrong(format!("{error}")))?;
        let recipe: Self = if table.contains_key(BASE) {
            let merged = with_base(table, &mut Vec::new()).map_err(&wrong)?;
            merged
                .try_into()
                .map_err(|error: toml::de::Error| wrong(with_nearest(error.to_string())))?
        } else {
            // From the text and not from the table: errors then show the line.
            toml::from_str(text).map_err(|error| wrong(with_nearest(error.to_string())))?
        };
        recipe.check().map_err(&wrong)?;
        Ok(recipe)
    }

    /// The whole recipe as TOML, which [`Recipe::parse`] reads.
    ///
    /// # Errors
    /// Never for a checked recipe.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self)
            .map_err(|error| TrainError::Recipe(format!("recipe {}: {error}", self.name)))
    }
}

fn text_of(name: &str) -> Option<&'static str> {
    BUILT_IN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

fn unknown(name: &str) -> TrainError {
    let known: Vec<_> = Recipe::built_in().collect();
    let nearest = nearest_name(name, known.iter().copied())
        .map_or(String::new(), |name| format!(" (did you mean `{name}`?)"));
    TrainError::Recipe(format!(
        "recipe `{name}`: no such file and no such built-in recipe{nearest}; built in are {}",
        known.join(", ")
    ))
}

fn with_base(mut table: Table, seen: &mut Vec<String>) -> Result<Table, String> {
    let Some(base) = table.remove(BASE) else {
        return Ok(table);
    };
    let name = base
        .as_str()
        .ok_or_else(|| format!("base is {base}, it must be the name of a recipe"))?
        .to_owned();
    if seen.contains(&name) {
        return Err(format!("base `{name}` leads back to itself"));
    }
    let text = text_of(&name).ok_or_else(|| unknown(&name).to_string())?;
    seen.push(name);
    let below: Table = text.parse().map_err(|error| format!("{error}"))?;
    let mut below = with_base(below, seen)?;
    merge(&mut below, table);
    Ok(below)
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if !new.contains_key("kind") =>
            {
                merge(old, new);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Adds the nearest valid key to serde's "unknown field `x`, expected one of `a`, `b`".
pub(super) fn with_nearest(message: String) -> String {
    let Some((_, rest)) = message.split_once("unknown field `") else {
        return message;
    };
    let mut quoted = rest.split('`').step_by(2);
    let Some(found) = quoted.next() else {
        return message;
    };
    match nearest_name(found, quoted) {
        Some(meant) => format!("{}; did you mean `{meant}`?", message.trim_end()),
        None => message,
    }
}
