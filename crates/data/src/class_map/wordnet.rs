//! ImageNet's synsets: ids such as `n01440764`, and the words of each.

use std::collections::HashMap;

use super::names::key;

/// One synset a line, in the order of ImageNet's classes: the id, a space, its words with commas between.
const TABLE: &str = include_str!("imagenet.txt");

/// The share of a model's class names that must be words of ImageNet's synsets before its classes are taken for ImageNet's.
const AGREEING: f64 = 0.75;

/// The 1000 synsets of ImageNet (ILSVRC 2012), in the order of its classes.
pub(super) struct Synsets {
    ids: Vec<&'static str>,
    /// The synsets that a name stands for, all words of one together or each alone, compared as names are.
    words: HashMap<String, Vec<usize>>,
}

impl Synsets {
    pub(super) fn new() -> Self {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<_> = lines.filter_map(|line| line.split_once(' ')).collect();
        let mut by_word: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, (_, words)) in lines.iter().enumerate() {
            for word in std::iter::once(*words).chain(words.split(", ")) {
                let synsets = by_word.entry(key(word)).or_default();
                if synsets.last() != Some(&index) {
                    synsets.push(index);
                }
            }
        }
        Self {
            ids: lines.into_iter().map(|(id, _)| id).collect(),
            words: by_word,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the names are those of ImageNet's classes in the order of their ids: most are the id or a word of the synset
    /// at their place, and none is that of another one alone.
    pub(super) fn are_in_order(&self, names: &[String]) -> bool {
        if names.len() != self.len() {
            return false;
        }
        let mut agreeing = 0;
        for (index, name) in names.iter().enumerate() {
            let synsets = self.candidates(name);
            match synsets.contains(&index) {
                true => agreeing += 1,
                false if !synsets.is_empty() => return false,
                false => (),
            }
        }
        f64::from(agreeing) >= AGREEING * self.len() as f64
    }

    /// For each name the only synset that it stands for.
    pub(super) fn meant_by(&self, names: &[String]) -> Vec<Option<usize>> {
        names.iter().map(|name| self.meant(name)).collect()
    }

    /// For each class the only one of `names` that stands for the same synset, where one of the two is its id. A word of
    /// several synsets stands for none, as `crane`, which is a bird and a machine.
    pub(super) fn matched(&self, data: &[String], names: &[String]) -> Vec<Option<usize>> {
        let mut named: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(synset) = self.meant(name) {
                named.entry(synset).or_default().push(index);
            }
        }
        let of_class = |class: &String| {
            let [index] = named.get(&self.meant(class)?)?.as_slice() else {
                return None;
            };
            let either = self.position(class).or(self.position(names.get(*index)?));
            either.map(|_| *index)
        };
        data.iter().map(of_class).collect()
    }

    /// Index of the class whose id this is.
    fn position(&self, id: &str) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    fn candidates(&self, name: &str) -> Vec<usize> {
        match self.position(name) {
            Some(index) => vec![index],
            None => self.words.get(&key(name)).cloned().unwrap_or_default(),
        }
    }

    fn meant(&self, name: &str) -> Option<usize> {
        match self.candidates(name).as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
