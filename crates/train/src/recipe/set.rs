//! Single values of a recipe, by their dotted keys.

use toml::{Table, Value};

use super::Recipe;
use super::source::with_nearest;
use crate::error::TrainError;

impl Recipe {
    /// The recipe with one value changed: `key` is dotted (`optimizer.learning_rate`), `value` is TOML; what is not
    /// TOML is taken for a string, so that `8/255` needs no quotes.
    ///
    /// # Errors
    /// When there is no such key (with the nearest one), or the value is out of range.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, TrainError> {
        let wrong = |reason: String| TrainError::Recipe(format!("`{key}`: {reason}"));
        let mut table = self.table()?;
        insert(&mut table, key, parsed(value)).map_err(&wrong)?;
        let recipe: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| wrong(with_nearest(error.to_string())))?;
        recipe.check().map_err(&wrong)?;
        Ok(recipe)
    }

    /// From the text: a table made from the values themselves has single precision widened, 0.1 as 0.10000000149.
    fn table(&self) -> Result<Table, TrainError> {
        self.to_toml()?
            .parse::<Table>()
            .map_err(|error| TrainError::Recipe(format!("recipe {}: {error}", self.name)))
    }

    /// The keys in which two recipes differ, with both values as TOML; `none` where a key is absent.
    pub(crate) fn differences(&self, other: &Self) -> Result<Vec<Difference>, TrainError> {
        let flat = |recipe: &Self| {
            let mut values = Vec::new();
            flatten("", &Value::Table(recipe.table()?), &mut values);
            Ok::<_, TrainError>(values)
        };
        let (ours, theirs) = (flat(self)?, flat(other)?);
        let value = |values: &[(String, String)], key: &str| {
            let found = values.iter().find(|(name, _)| name == key);
            found.map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
        };
        let mut keys: Vec<&String> = ours.iter().chain(&theirs).map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        let pairs = keys.into_iter().map(|key| Difference {
            key: key.clone(),
            ours: value(&ours, key),
            theirs: value(&theirs, key),
        });
        Ok(pairs.filter(|pair| pair.ours != pair.theirs).collect())
    }
}

/// A key in which two recipes differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub key: String,
    pub ours: String,
    pub theirs: String,
}

fn parsed(text: &str) -> Value {
    let table = format!("value = {text}").parse::<Table>().ok();
    let value = table
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn insert(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        _ if key.is_empty() => Err("a key is missing: write `table.key`".to_owned()),
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            let below = table
                .entry(first)
                .or_insert_with(|| Value::Table(Table::new()));
            match below {
                Value::Table(below) => insert(below, rest, value),
                other => Err(format!("`{first}` is {other}, it holds no keys")),
            }
        }
    }
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let key = match prefix {
                    "" => key.clone(),
                    _ => format!("{prefix}.{key}"),
                };
                flatten(&key, value, out);
            }
        }
        value => out.push((prefix.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe::find("digits-he").unwrap()
    }

    #[test]
    fn a_value_is_changed_by_its_dotted_key() {
        let changed = recipe().with("optimizer.learning_rate", "0.01").unwrap();
        assert_eq!(changed.optimizer.learning_rate, 0.01);
        let changed = recipe().with("adversary.eps", "64/255").unwrap();
        assert_eq!(changed.adversary.unwrap().eps.to_string(), "64/255");
        let changed = recipe().with("awp.gamma", "0.005").unwrap();
        assert_eq!(changed.awp.unwrap().gamma, 0.005);
        let normalized = recipe()
            .with("normalization", "{ mean = [0.1], std = [0.3] }")
            .unwrap();
        let plain = normalized.with("normalization", "false").unwrap();
        assert_eq!(plain.normalization, None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        for (key, nearest) in [
            ("optimizer.learning_rat", "learning_rate"),
            ("optimiser.momentum", "optimizer"),
            ("network.widht", "width"),
        ] {
            let error = recipe().with(key, "0.5").unwrap_err().to_string();
            let expected = format!("did you mean `{nearest}`?");
            assert!(error.contains(&expected), "{error}");
        }
        for (key, value) in [
            ("optimizer.learning_rate", "-1.0"),
            ("optimizer.learning_rate", "nan"),
            ("optimizer.learning_rate", "fast"),
            ("name.first", "1"),
            ("", "1"),
            ("training.epochs", "2\nname = \"x\""),
        ] {
            assert!(recipe().with(key, value).is_err(), "{key} = {value}");
        }
    }

    #[test]
    fn differences_are_named_by_key_with_both_values() {
        let other = recipe().with("network.width", "0.5").unwrap();
        let other = other.with("awp.gamma", "0.01").unwrap();
        let differences = recipe().differences(&other).unwrap();
        let found: Vec<_> = differences
            .iter()
            .map(|found| {
                (
                    found.key.as_str(),
                    found.ours.as_str(),
                    found.theirs.as_str(),
                )
            })
            .collect();
        assert!(
            found.contains(&("network.width", "0.25", "0.5")),
            "{found:?}"
        );
        assert!(found.contains(&("awp.gamma", "none", "0.01")), "{found:?}");
    }
}
