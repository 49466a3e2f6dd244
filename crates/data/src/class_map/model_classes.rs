//! The classes of a model, and which one somebody means by a name or a number.

use std::collections::BTreeMap;

use super::ClassNameError;
use super::names::{Names, number};

/// The classes of a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelClasses<'a> {
    /// How many there are.
    pub count: usize,
    /// Their names in the order of the logits; empty where the model names none.
    pub names: &'a [String],
}

impl ModelClasses<'_> {
    /// Index of the class that somebody named: by its name, else by its index, if the names leave no doubt about numbers.
    ///
    /// ```
    /// use buckler_data::ModelClasses;
    ///
    /// let names = ["cat", "dog"].map(str::to_owned);
    /// let classes = ModelClasses { count: 2, names: &names };
    /// assert_eq!((classes.find("dog"), classes.find("1")), (Ok(1), Ok(1)));
    /// let error = classes.find("2").unwrap_err().to_string();
    /// assert_eq!(error, "`2` is no class of the model: use a name such as `cat` or a number from 0 to 1");
    /// let from_one = ["1", "2"].map(str::to_owned);
    /// let classes = ModelClasses { count: 2, names: &from_one };
    /// assert_eq!(classes.find("1"), Ok(0));
    /// assert!(classes.find("0").is_err());
    /// ```
    ///
    /// # Errors
    /// Where no class, or more than one, is called so.
    pub fn find(&self, text: &str) -> Result<usize, ClassNameError> {
        let lookup = Names::new(self.names);
        let go_by_index = is_numbering(self.names) || !lookup.have_numbers();
        let last = go_by_index.then(|| self.count.saturating_sub(1));
        match *lookup.exact(text) {
            [index] => Ok(index),
            [] => {
                let index = number(text).and_then(|digits| digits.parse().ok());
                let index = index.filter(|&index| go_by_index && index < self.count);
                index.ok_or_else(|| ClassNameError::Unknown {
                    name: text.to_owned(),
                    example: self.names.first().cloned(),
                    last,
                })
            }
            [first, second, ..] => Err(ClassNameError::Shared {
                name: text.to_owned(),
                first,
                second,
                last,
            }),
        }
    }

    /// Says which classes have one name; `None` where all names are different.
    pub fn shared_names(&self) -> Option<String> {
        let mut indices: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (index, name) in self.names.iter().enumerate() {
            indices.entry(name).or_default().push(index.to_string());
        }
        indices.retain(|_, indices| indices.len() > 1);
        let shown = indices.iter().take(3).map(|(name, indices)| {
            let shown: Vec<&str> = indices.iter().take(4).map(String::as_str).collect();
            let more = match indices.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("`{}` ({}{more})", name.escape_debug(), shown.join(", "))
        });
        let shown: Vec<String> = shown.collect();
        let more = match indices.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!shown.is_empty()).then(|| {
            format!(
                "several classes have one name: {}{more}; such a class is meant by its number",
                shown.join(", ")
            )
        })
    }
}

/// Whether the names are the indices themselves, which is to name nothing.
pub(super) fn is_numbering(names: &[String]) -> bool {
    let mut names = names.iter().enumerate();
    names.all(|(index, name)| *name == index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(names: &[&str], text: &str) -> Result<usize, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let classes = ModelClasses {
            count: names.len(),
            names: &names,
        };
        classes.find(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_of_several_classes_means_none_of_them() {
        let names = ["crane", "maillot", "cafe\u{301}", "crane", "caf\u{e9}"];
        let error = find(&names, "crane").unwrap_err();
        assert_eq!(
            error,
            "`crane` is the name of class 0 and of class 3: give the number"
        );
        assert_eq!(find(&names, "3"), Ok(3));
        assert_eq!(find(&names, "maillot"), Ok(1));
        assert_eq!(find(&names, "caf\u{e9}"), Ok(4), "as it is written");
        let numbers = ["10", "crane", "crane"];
        let error = find(&numbers, "crane").unwrap_err();
        assert!(
            error.contains("different names on the model's card"),
            "{error}"
        );
    }

    #[test]
    fn names_that_several_classes_have_are_told_in_few_words() {
        let shared = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let count = names.len();
            ModelClasses {
                count,
                names: &names,
            }
            .shared_names()
        };
        assert_eq!(shared(&["cat", "Cat", "dog"]), None);
        assert_eq!(shared(&[]), None);
        let told =
            "several classes have one name: `crane` (0, 2); such a class is meant by its number";
        assert_eq!(shared(&["crane", "cat", "crane"]).as_deref(), Some(told));
        let many: Vec<String> = (0..40).map(|index| (index % 8).to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = shared(&many).unwrap_or_default();
        assert!(told.contains("`0` (0, 8, 16, 24 and 1 more)"), "{told}");
        assert!(told.contains("and 5 more;"), "{told}");
    }
}
