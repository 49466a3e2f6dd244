//! Which class of a model each class of a data set is: matched by name, never by position alone.
mod error;
mod given;
mod matching;
mod model_classes;
mod names;
mod wordnet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::error::{ClassMapError, ClassNameError};
pub use self::given::{GivenClass, GivenClasses};
pub use self::model_classes::ModelClasses;
use self::names::Names;
use crate::nearest_name;

/// Class of the model, by index, for each class of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMap {
    /// How the classes were matched.
    pub by: MatchedBy,
    /// Number of classes of the model.
    pub of: usize,
    /// Index of the model's class for each class of the data set.
    pub classes: BTreeMap<String, usize>,
    /// Classes that were given and that the data set does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// What was assumed; `None` where the names leave no doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumption: Option<String>,
}

/// How the classes of a data set and of a model were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The names are the same, or the same but for case, Unicode form, spaces, underscores, hyphens and leading zeros.
    Name,
    /// The data set's classes are numbers: the model's indices.
    Number,
    /// ImageNet's synsets (`n01440764`) on one side, on the other these or their words.
    Wordnet,
    /// Neither names nor numbers say it: first is first.
    Order,
    /// As given.
    Given,
}

impl ClassMap {
    /// Matches the classes of a data set with those of a model: as `given` where it says so, else by name, by ImageNet's synsets, or
    /// by number; where the model names no classes and has as many as the data set, in their order, which is an assumption.
    ///
    /// The data set may have fewer classes than the model.
    ///
    /// ```
    /// use buckler_data::{ClassMap, ModelClasses};
    ///
    /// let names = ["plane", "cat", "dog", "Fire Truck"].map(str::to_owned);
    /// let model = ModelClasses { count: 4, names: &names };
    /// let data = ["dog", "fire_truck"].map(str::to_owned);
    /// let map = ClassMap::new(&data, model, &Default::default())?;
    /// assert_eq!(map.labels(&data), [2, 3]);
    /// # Ok::<(), buckler_data::ClassMapError>(())
    /// ```
    ///
    /// # Errors
    /// When a class of the data set has no match or several, or a class was given that the model or the data set does not have.
    pub fn new(
        data: &[String],
        model: ModelClasses<'_>,
        given: &GivenClasses,
    ) -> Result<Self, ClassMapError> {
        let numbered = !model.names.is_empty() && model_classes::is_numbering(model.names);
        let names = match numbered {
            true => &[],
            false => model.names,
        };
        let lookup = Names::new(names);
        let given = given::resolve(given, data, &lookup, model)?;
        let open: Vec<String> = data
            .iter()
            .filter(|class| !given.classes.contains_key(*class))
            .cloned()
            .collect();
        let mut classes = given.classes;
        let mut assumption = None;
        if classes.is_empty() {
            return match names {
                [] if numbered => matching::by_index(&open, model.count),
                [] => matching::by_position(&open, model.count),
                names => matching::by_name(&open, names, &lookup, data),
            };
        }
        if !open.is_empty() {
            let matched = match names {
                [] => Err(ClassMapError::Unnamed {
                    data: open.clone(),
                    model_count: model.count,
                }),
                names => matching::by_name(&open, names, &lookup, data),
            }?;
            classes.extend(matched.classes);
            assumption = matched.assumption;
        }
        Ok(Self {
            by: MatchedBy::Given,
            of: model.count,
            classes,
            unused: given.unused,
            assumption,
        })
    }

    /// Index of the model's class for each of `data`, the classes of the data set; those that it does not have are left out.
    pub fn labels(&self, data: &[String]) -> Vec<usize> {
        let classes = data.iter();
        classes
            .filter_map(|class| self.classes.get(class).copied())
            .collect()
    }

    /// How many classes were matched with how many, and how.
    pub fn summary(&self) -> String {
        let by = match self.by {
            MatchedBy::Name => "by name",
            MatchedBy::Number => "by number",
            MatchedBy::Wordnet => "by WordNet's ids",
            MatchedBy::Order => "in their order",
            MatchedBy::Given => "as given",
        };
        let count = self.classes.len();
        format!(
            "{count} of the data set, matched with the model's {} {by}",
            self.of
        )
    }

    /// Says which classes were given for nothing, the data set not having them.
    pub fn unused(&self) -> Option<String> {
        let first = self.unused.first()?;
        let near = nearest_name(first, self.classes.keys().map(String::as_str));
        let near = near.map(|near| format!(" (did you mean `{}`?)", near.escape_debug()));
        Some(format!(
            "{} of the given classes are not classes of the data set and were not used: {}{}",
            self.unused.len(),
            error::list(&self.unused),
            near.unwrap_or_default()
        ))
    }

    /// The classes as somebody could have given them.
    pub fn to_given(&self) -> GivenClasses {
        let classes = self.classes.iter();
        classes
            .map(|(class, &index)| (class.clone(), GivenClass::Index(index)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
