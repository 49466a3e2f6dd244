//! Matches classes that nobody gave: by name, by ImageNet's synsets, by number, by their order.

use std::collections::{HashMap, HashSet};

use super::names::{Names, number};
use super::wordnet::Synsets;
use super::{ClassMap, ClassMapError, MatchedBy};
use crate::folder::other_order;
use crate::nearest_name;

/// For a model that names its classes; `all` are the data set's, those that were given among them.
pub(super) fn by_name(
    data: &[String],
    names: &[String],
    lookup: &Names<'_>,
    all: &[String],
) -> Result<ClassMap, ClassMapError> {
    let direct = data
        .iter()
        .map(|class| lookup.find(class))
        .collect::<Result<Vec<_>, _>>();
    if let Ok(direct) = &direct
        && let Some(map) = complete(data, direct, (MatchedBy::Name, names.len()))?
    {
        return Ok(map);
    }
    let synsets = Synsets::new();
    if synsets.are_in_order(names)
        && let Some(map) = complete(
            data,
            &synsets.meant_by(data),
            (MatchedBy::Wordnet, names.len()),
        )?
    {
        return Ok(assuming(
            map,
            "the data set's classes are WordNet ids or words: the model's 1000 classes are taken for ImageNet's in the order of their ids, as their names suggest".to_owned(),
        ));
    }
    let mut words = synsets.matched(data, names);
    if let Ok(direct) = &direct {
        for (word, direct) in words.iter_mut().zip(direct) {
            *word = direct.or(*word);
        }
    }
    if let Some(map) = complete(data, &words, (MatchedBy::Wordnet, names.len()))? {
        return Ok(map);
    }
    let direct = direct?;
    if direct.iter().all(Option::is_none)
        && !lookup.have_numbers()
        && let Some(map) = by_number(data, names.len())
    {
        let doubt = doubt(data, names.len());
        return Ok(assuming(
            map,
            format!(
                "the data set's classes are numbers: they are taken for the indices of the model's classes, from 0{doubt}"
            ),
        ));
    }
    let without = data.iter().zip(&words).filter(|(_, index)| index.is_none());
    let unmatched: Vec<String> = without.map(|(class, _)| class.clone()).collect();
    let near = unmatched
        .first()
        .and_then(|class| nearest_name(class, names.iter().map(String::as_str)));
    let suggestion = near.map(str::to_owned);
    Err(ClassMapError::Unmatched {
        unmatched,
        data: all.to_vec(),
        model: names.to_vec(),
        model_count: names.len(),
        suggestion,
    })
}

/// For a model whose classes are named by their indices.
pub(super) fn by_index(data: &[String], count: usize) -> Result<ClassMap, ClassMapError> {
    match by_number(data, count) {
        Some(map) => Ok(map),
        None => by_position(data, count),
    }
}

/// For a model that names no classes.
pub(super) fn by_position(data: &[String], count: usize) -> Result<ClassMap, ClassMapError> {
    if let Some(map) = by_number(data, count) {
        let doubt = doubt(data, count);
        return Ok(assuming(
            map,
            format!(
                "the model names no classes: the data set's are numbers, which are taken for indices from 0{doubt}"
            ),
        ));
    }
    let synsets = Synsets::new();
    if count == synsets.len() {
        let meant = synsets.meant_by(data);
        if let Some(map) = complete(data, &meant, (MatchedBy::Wordnet, count))? {
            return Ok(assuming(
                map,
                "the model names no classes: its 1000 are taken for ImageNet's in the order of their WordNet ids".to_owned(),
            ));
        }
        let known = meant.iter().filter(|synset| synset.is_some()).count();
        let other = data.iter().zip(&meant).find(|(_, synset)| synset.is_none());
        if let Some((class, _)) = other.filter(|_| 2 * known > data.len()) {
            return Err(ClassMapError::Ambiguous {
                what: format!(
                    "class `{}` is none of ImageNet's 1000 or could be several, and the data set's others are among them",
                    class.escape_debug()
                ),
            });
        }
    }
    if data.len() != count {
        return Err(ClassMapError::Unnamed {
            data: data.to_vec(),
            model_count: count,
        });
    }
    if let Some(as_text) = other_order(data) {
        return Err(ClassMapError::Unordered {
            by_number: data.to_vec(),
            as_text,
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
        unused: Vec::new(),
        assumption: Some(format!(
            "the model names no classes: the data set's {count} are taken for them in their order, {} to {}",
            pair(data.first(), 0),
            pair(data.last(), count.saturating_sub(1))
        )),
    })
}

fn assuming(map: ClassMap, assumption: String) -> ClassMap {
    ClassMap {
        assumption: Some(assumption),
        ..map
    }
}

/// Where every class is a number below `count`, and each another one.
fn by_number(data: &[String], count: usize) -> Option<ClassMap> {
    let index = |class: &String| -> Option<usize> {
        let index = number(class)?.parse().ok();
        index.filter(|&index| index < count)
    };
    let numbers: Vec<usize> = data.iter().map(index).collect::<Option<_>>()?;
    let different: HashSet<usize> = numbers.iter().copied().collect();
    (different.len() == numbers.len()).then(|| ClassMap {
        by: MatchedBy::Number,
        of: count,
        classes: data.iter().cloned().zip(numbers).collect(),
        unused: Vec::new(),
        assumption: None,
    })
}

/// What speaks against taking the numbers that are the data set's classes for indices of `count`.
fn doubt(data: &[String], count: usize) -> String {
    let mut doubt = String::new();
    let wrong = "every label is wrong by one";
    if !data.iter().any(|class| number(class) == Some("0")) {
        doubt.push_str(&format!(
            "; no class is 0: if they were counted from 1, {wrong}"
        ));
    } else if count == data.len() + 1 && by_number(data, data.len()).is_some() {
        doubt.push_str(&format!(
            "; the model has one class more: if it is one of background, in front of the others, {wrong}"
        ));
    }
    if let Some(as_text) = other_order(data) {
        let shown: Vec<&str> = as_text.iter().take(4).map(String::as_str).collect();
        doubt.push_str(&format!(
            "; torchvision and Keras number folders in the order of text ({}), and a model that was trained so has other indices",
            shown.join(", ")
        ));
    }
    doubt
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
                    "classes `{}` and `{}` of the data set are both the model's class {index}",
                    other.escape_debug(),
                    class.escape_debug()
                ),
            });
        }
    }
    Ok(Some(ClassMap {
        by,
        of,
        classes: data.iter().cloned().zip(indices).collect(),
        unused: Vec::new(),
        assumption: None,
    }))
}
