//! Which class of a model each class of a data set is: matched by name, never by position alone.
mod wordnet;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use self::wordnet::Synsets;

/// Names shown of a list at most.
const SHOWN: usize = 12;

/// The share of a model's class names that must be words of ImageNet's synsets before its classes are taken for ImageNet's.
const AGREEING: f64 = 0.9;

/// Class of the model, by index, for each class of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMap {
    /// How the classes were matched.
    pub by: MatchedBy,
    /// Number of classes of the model.
    pub of: usize,
    /// Index of the model's class for each class of the data set.
    pub classes: BTreeMap<String, usize>,
    /// What was assumed; `None` where the names leave no doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumption: Option<String>,
}

/// How the classes of a data set and of a model were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The names are the same, or the same but for case, spaces, underscores and hyphens.
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

/// The classes of a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelClasses<'a> {
    /// How many there are.
    pub count: usize,
    /// Their names in the order of the logits; empty where the model names none.
    pub names: &'a [String],
}

/// Class of a model as somebody wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum GivenClass {
    /// By its index.
    Index(usize),
    /// By its name, or by its index as text.
    Name(String),
}

/// The class of the model for classes of a data set, as somebody wrote it down.
pub type GivenClasses = BTreeMap<String, GivenClass>;

/// Why the classes of a data set cannot be matched with those of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassMapError {
    /// Some classes of the data set are not classes of the model.
    #[error(
        "{count} of the data set's {data_count} classes are not among the model's {model_count}: {unmatched}{suggestion}; the data set has {data}, the model {model}: rename the data set's classes, or name the model's classes on its card",
        count = .unmatched.len(), data_count = .data.len(), unmatched = list(.unmatched), suggestion = suggested(.suggestion),
        data = list(.data), model = list(.model)
    )]
    Unmatched {
        /// Classes of the data set without a match.
        unmatched: Vec<String>,
        /// Classes of the data set.
        data: Vec<String>,
        /// Classes of the model.
        model: Vec<String>,
        /// How many these are.
        model_count: usize,
        /// The model's class that the first one without a match was probably meant to be.
        suggestion: Option<String>,
    },
    /// The model names no classes, and has another number of them.
    #[error(
        "the data set has {count} classes ({data}) and the model {model_count}, which it does not name: name the model's classes on its card",
        count = .data.len(), data = list(.data)
    )]
    Unnamed {
        /// Classes of the data set.
        data: Vec<String>,
        /// How many classes the model has.
        model_count: usize,
    },
    /// A class of the data set could be several of the model's, or several of the data set's one of the model's.
    #[error("{what}: rename one of them")]
    Ambiguous {
        /// Which.
        what: String,
    },
    /// A class of the model that does not exist was given.
    #[error(
        "class `{data}` is given as `{given}`, which is not a class of the model: use {names}",
        names = usable(.names, *.count)
    )]
    NoSuchClass {
        /// The class of the data set.
        data: String,
        /// What was given.
        given: String,
        /// Names of the model's classes.
        names: Vec<String>,
        /// Their number.
        count: usize,
    },
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
    /// When a class of the data set has no match or several, or a class that does not exist was given.
    pub fn new(
        data: &[String],
        model: ModelClasses<'_>,
        given: &GivenClasses,
    ) -> Result<Self, ClassMapError> {
        let names = match is_numbering(model.names) {
            true => &[],
            false => model.names,
        };
        let mut fixed = BTreeMap::new();
        for class in data {
            if let Some(wanted) = given.get(class) {
                fixed.insert(class.clone(), index_of(class, wanted, names, model)?);
            }
        }
        let open: Vec<String> = data
            .iter()
            .filter(|class| !fixed.contains_key(*class))
            .cloned()
            .collect();
        if fixed.is_empty() || !open.is_empty() {
            let matched = match names {
                [] if fixed.is_empty() => by_position(&open, model.count),
                [] => Err(ClassMapError::Unnamed {
                    data: open.clone(),
                    model_count: model.count,
                }),
                names => by_name(&open, names, data),
            }?;
            if fixed.is_empty() {
                return Ok(matched);
            }
            fixed.extend(matched.classes);
        }
        Ok(Self {
            by: MatchedBy::Given,
            of: model.count,
            classes: fixed,
            assumption: None,
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

    /// The classes as somebody could have given them.
    pub fn to_given(&self) -> GivenClasses {
        let classes = self.classes.iter();
        classes
            .map(|(class, &index)| (class.clone(), GivenClass::Index(index)))
            .collect()
    }
}

/// The model's class that was given for the class `data`.
fn index_of(
    data: &str,
    given: &GivenClass,
    names: &[String],
    model: ModelClasses<'_>,
) -> Result<usize, ClassMapError> {
    let index = match given {
        GivenClass::Index(index) => Some(*index),
        GivenClass::Name(name) => match named(name, names)? {
            Some(index) => Some(index),
            None => name.trim().parse().ok(),
        },
    };
    index
        .filter(|&index| index < model.count)
        .ok_or_else(|| ClassMapError::NoSuchClass {
            data: data.to_owned(),
            given: match given {
                GivenClass::Index(index) => index.to_string(),
                GivenClass::Name(name) => name.clone(),
            },
            names: names.to_vec(),
            count: model.count,
        })
}

/// Without what file systems, hands and habits change in a name.
fn key(name: &str) -> String {
    let ignored = |c: &char| c.is_whitespace() || matches!(c, '_' | '-' | '/' | '\\' | ':');
    let kept = name.chars().filter(|c| !ignored(c));
    kept.flat_map(char::to_lowercase).collect()
}

/// The only class of that name, exact or but for case and punctuation.
fn named(name: &str, names: &[String]) -> Result<Option<usize>, ClassMapError> {
    let only = |of: &dyn Fn(&String) -> bool| -> Result<Option<usize>, ClassMapError> {
        let mut found = names.iter().enumerate().filter(|(_, other)| of(other));
        match (found.next(), found.next()) {
            (Some((a, first)), Some((b, second))) => Err(ClassMapError::Ambiguous {
                what: format!(
                    "class `{name}` of the data set could be the model's class {a}, `{first}`, or {b}, `{second}`"
                ),
            }),
            (first, _) => Ok(first.map(|(index, _)| index)),
        }
    };
    match only(&|other| other == name)? {
        Some(index) => Ok(Some(index)),
        None => {
            let wanted = key(name);
            only(&|other| key(other) == wanted)
        }
    }
}

fn by_name(data: &[String], names: &[String], all: &[String]) -> Result<ClassMap, ClassMapError> {
    let direct = data
        .iter()
        .map(|class| named(class, names))
        .collect::<Result<Vec<_>, _>>();
    if let Ok(direct) = &direct
        && let Some(map) = complete(data, direct, (MatchedBy::Name, names.len()))?
    {
        return Ok(map);
    }
    let synsets = Synsets::new();
    let ids: Vec<Option<usize>> = data.iter().map(|class| synsets.position(class)).collect();
    if ids.iter().all(Option::is_some)
        && names.len() == synsets.len()
        && synsets.agreement(names) >= AGREEING
        && let Some(map) = complete(data, &ids, (MatchedBy::Wordnet, synsets.len()))?
    {
        let assumption = "the data set's classes are WordNet ids: the model's 1000 classes are taken for ImageNet's in the order of their ids, as their names suggest";
        return Ok(ClassMap {
            assumption: Some(assumption.to_owned()),
            ..map
        });
    }
    let words: Vec<Option<usize>> = data
        .iter()
        .map(|class| synsets.class_of(class, names))
        .collect();
    if let Some(map) = complete(data, &words, (MatchedBy::Wordnet, names.len()))? {
        return Ok(map);
    }
    let direct = direct?;
    if direct.iter().all(Option::is_none)
        && let Some(map) = by_number(data, names.len())
    {
        let assumption = "the data set's classes are numbers: they are taken for the indices of the model's classes, from 0";
        return Ok(ClassMap {
            assumption: Some(assumption.to_owned()),
            ..map
        });
    }
    let without = data
        .iter()
        .zip(&direct)
        .filter(|(_, index)| index.is_none());
    let unmatched: Vec<String> = without.map(|(class, _)| class.clone()).collect();
    let suggestion = unmatched.first().and_then(|class| nearest(class, names));
    Err(ClassMapError::Unmatched {
        unmatched,
        data: all.to_vec(),
        model: names.to_vec(),
        model_count: names.len(),
        suggestion,
    })
}

/// For a model that names no classes.
fn by_position(data: &[String], count: usize) -> Result<ClassMap, ClassMapError> {
    if let Some(map) = by_number(data, count) {
        return Ok(map);
    }
    let synsets = Synsets::new();
    let ids: Vec<Option<usize>> = data.iter().map(|class| synsets.position(class)).collect();
    if count == synsets.len()
        && let Some(map) = complete(data, &ids, (MatchedBy::Wordnet, synsets.len()))?
    {
        let assumption = "the model names no classes: its 1000 are taken for ImageNet's in the order of their WordNet ids";
        return Ok(ClassMap {
            assumption: Some(assumption.to_owned()),
            ..map
        });
    }
    if data.len() != count {
        return Err(ClassMapError::Unnamed {
            data: data.to_vec(),
            model_count: count,
        });
    }
    let classes = data.iter().cloned().zip(0..).collect();
    let pair = |class: Option<&String>, index| {
        let class = class.map(String::as_str).unwrap_or_default();
        format!("`{class}` for {index}")
    };
    Ok(ClassMap {
        by: MatchedBy::Order,
        of: count,
        classes,
        assumption: Some(format!(
            "the model names no classes: the data set's {count} are taken for them in their order, {} to {}",
            pair(data.first(), 0),
            pair(data.last(), count.saturating_sub(1))
        )),
    })
}

/// Where every class is a number below `count`, and each another one.
fn by_number(data: &[String], count: usize) -> Option<ClassMap> {
    let number = |class: &String| -> Option<usize> {
        let digits = !class.is_empty() && class.bytes().all(|byte| byte.is_ascii_digit());
        class
            .parse()
            .ok()
            .filter(|&number| digits && number < count)
    };
    let numbers: Vec<usize> = data.iter().map(number).collect::<Option<_>>()?;
    let different: HashSet<usize> = numbers.iter().copied().collect();
    (different.len() == numbers.len()).then(|| ClassMap {
        by: MatchedBy::Number,
        of: count,
        classes: data.iter().cloned().zip(numbers).collect(),
        assumption: None,
    })
}

/// The map, where every class has a match.
fn complete(
    data: &[String],
    indices: &[Option<usize>],
    (by, of): (MatchedBy, usize),
) -> Result<Option<ClassMap>, ClassMapError> {
    let Some(indices) = indices.iter().copied().collect::<Option<Vec<usize>>>() else {
        return Ok(None);
    };
    let mut taken: HashMap<usize, &String> = HashMap::new();
    for (class, &index) in data.iter().zip(&indices) {
        if let Some(other) = taken.insert(index, class) {
            return Err(ClassMapError::Ambiguous {
                what: format!(
                    "classes `{other}` and `{class}` of the data set are both the model's class {index}"
                ),
            });
        }
    }
    Ok(Some(ClassMap {
        by,
        of,
        classes: data.iter().cloned().zip(indices).collect(),
        assumption: None,
    }))
}

/// Whether the names are the indices themselves, which is to name nothing.
fn is_numbering(names: &[String]) -> bool {
    let mut names = names.iter().enumerate();
    names.all(|(index, name)| *name == index.to_string())
}

/// The name that differs least, in at most a third of its letters.
fn nearest(class: &str, names: &[String]) -> Option<String> {
    let wanted = key(class);
    let near = names.iter().filter_map(|name| {
        let distance = strsim::damerau_levenshtein(&key(name), &wanted);
        (3 * distance <= name.chars().count()).then_some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.clone())
}

fn suggested(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|name| format!(" (did you mean `{}`?)", name.escape_debug()))
        .unwrap_or_default()
}

fn usable(names: &[String], count: usize) -> String {
    let last = count.saturating_sub(1);
    match names {
        [] => format!("0 to {last}"),
        names => format!("0 to {last}, or one of {}", list(names)),
    }
}

/// The first names of a list, and how many there are.
fn list(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let more = names.len().saturating_sub(SHOWN);
    match (shown.as_slice(), more) {
        ([], _) => "none".to_owned(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
