//! Classes of a model that somebody wrote down for classes of a data set.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::{Names, number};
use super::{ClassMapError, ModelClasses};
use crate::nearest_name;

/// Class of a model as somebody wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum GivenClass {
    /// By its index, whatever the classes are called.
    #[serde(skip)]
    Index(usize),
    /// By a number: its index, unless another class has that number for its name.
    Number(usize),
    /// By its name, or by its index as text.
    Name(String),
}

/// The class of the model for classes of a data set, as somebody wrote it down.
pub type GivenClasses = BTreeMap<String, GivenClass>;

/// What was given, by the classes of the data set.
pub(super) struct Resolved {
    /// Index of the model's class.
    pub classes: BTreeMap<String, usize>,
    /// Given classes that the data set does not have.
    pub unused: Vec<String>,
}

/// Finds both sides of what was given, `names` being those of the model's classes.
pub(super) fn resolve(
    given: &GivenClasses,
    data: &[String],
    names: &Names<'_>,
    model: ModelClasses<'_>,
) -> Result<Resolved, ClassMapError> {
    let known = Names::new(data);
    let mut resolved = Resolved {
        classes: BTreeMap::new(),
        unused: Vec::new(),
    };
    for (class, wanted) in given {
        let index = index_of(class, wanted, names, model)?;
        let found = known.exact(class).first();
        let Some(found) = found.and_then(|&index| data.get(index)) else {
            resolved.unused.push(class.clone());
            continue;
        };
        if resolved.classes.insert(found.clone(), index).is_some() {
            return Err(ClassMapError::GivenTwice {
                data: found.clone(),
            });
        }
    }
    let refuse = |given: Vec<String>, suggestion: Option<String>| ClassMapError::NotInData {
        given,
        data: data.to_vec(),
        suggestion,
    };
    // A slip in the case is one in a name: nothing else would be said of the class that was meant.
    for class in &resolved.unused {
        let meant = known.find(class)?.and_then(|index| data.get(index));
        if let Some(meant) = meant.filter(|meant| !resolved.classes.contains_key(*meant)) {
            return Err(refuse(vec![class.clone()], Some(meant.clone())));
        }
    }
    match resolved.unused.first() {
        Some(first) if resolved.classes.is_empty() => {
            let near = nearest_name(first, data.iter().map(String::as_str)).map(str::to_owned);
            Err(refuse(resolved.unused, near))
        }
        _ => Ok(resolved),
    }
}

/// The model's class that was given for the class `data`.
fn index_of(
    data: &str,
    given: &GivenClass,
    names: &Names<'_>,
    model: ModelClasses<'_>,
) -> Result<usize, ClassMapError> {
    let index = match given {
        GivenClass::Index(index) => Some(*index),
        GivenClass::Number(number) => match names.find(&number.to_string())? {
            Some(named) if named != *number && *number < model.count => {
                return Err(ClassMapError::IndexOrName {
                    data: data.to_owned(),
                    number: *number,
                    indexed: model.names.get(*number).cloned().unwrap_or_default(),
                    named,
                });
            }
            named => Some(named.unwrap_or(*number)),
        },
        GivenClass::Name(name) => match names.find(name)? {
            Some(index) => Some(index),
            None => number(name.trim()).and_then(|digits| digits.parse().ok()),
        },
    };
    index
        .filter(|&index| index < model.count)
        .ok_or_else(|| ClassMapError::NoSuchClass {
            data: data.to_owned(),
            given: match given {
                GivenClass::Index(number) | GivenClass::Number(number) => number.to_string(),
                GivenClass::Name(name) => name.clone(),
            },
            names: model.names.to_vec(),
            count: model.count,
            suggestion: match given {
                GivenClass::Name(name) => {
                    nearest_name(name, model.names.iter().map(String::as_str)).map(str::to_owned)
                }
                _ => None,
            },
        })
}
