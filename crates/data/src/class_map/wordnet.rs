//! ImageNet's synsets: ids such as `n01440764`, and the words of each.

use super::key;

/// One synset a line, in the order of ImageNet's classes: the id, a space, its words with commas between.
const TABLE: &str = include_str!("imagenet.txt");

/// The 1000 synsets of ImageNet (ILSVRC 2012), in the order of its classes.
pub(super) struct Synsets(Vec<Synset>);

struct Synset {
    id: &'static str,
    /// All its words as one name, and each alone, compared as names are.
    words: Vec<String>,
}

impl Synsets {
    pub(super) fn new() -> Self {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let synsets = lines.filter_map(|line| {
            let (id, words) = line.split_once(' ')?;
            let all = std::iter::once(words).chain(words.split(", "));
            Some(Synset {
                id,
                words: all.map(key).collect(),
            })
        });
        Self(synsets.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Index of the class whose id this is.
    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.0.binary_search_by(|synset| synset.id.cmp(id)).ok()
    }

    /// The share of names that are the id or a word of the synset at their place.
    pub(super) fn agreement(&self, names: &[String]) -> f64 {
        let pairs = names.iter().zip(&self.0);
        let agreeing = pairs.filter(|(name, synset)| synset.is(name)).count();
        agreeing as f64 / names.len().max(1) as f64
    }

    /// The only one of `names` that means the same synset as `class`, where one of the two is its id.
    pub(super) fn class_of(&self, class: &str, names: &[String]) -> Option<usize> {
        let only = |mut found: Box<dyn Iterator<Item = usize> + '_>| {
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        match self.position(class) {
            Some(index) => {
                let synset = self.0.get(index)?;
                let names = names.iter().enumerate();
                only(Box::new(names.filter_map(|(index, name)| {
                    synset.is(name).then_some(index)
                })))
            }
            None => {
                let synsets = self.0.iter().filter(|synset| synset.is(class));
                only(Box::new(synsets.filter_map(|synset| {
                    names.iter().position(|name| name == synset.id)
                })))
            }
        }
    }
}

impl Synset {
    fn is(&self, name: &str) -> bool {
        self.id == name || self.words.contains(&key(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_imagenets_classes_in_the_order_of_their_ids() {
        let synsets = Synsets::new();
        assert_eq!(synsets.len(), 1000);
        assert!(synsets.0.is_sorted_by_key(|synset| synset.id));
        assert_eq!(synsets.position("n01440764"), Some(0));
        assert_eq!(synsets.position("n15075141"), Some(999));
        assert_eq!(synsets.position("n00000001"), None);
        assert!(synsets.0[2].is("Great_White-Shark"));
    }
}
