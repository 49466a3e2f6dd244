//! What is wrong with a card.

use std::fmt;

use crate::printable;

/// Problems that are spelled out: a file may have any number.
const SHOWN: usize = 12;

/// A card that cannot be used, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardError {
    origin: String,
    problems: Vec<Problem>,
    /// Further ones, which are not kept.
    more: usize,
}

/// One thing that is wrong with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// From 1, where the card has several lines.
    pub line: Option<usize>,
    pub message: String,
}

impl CardError {
    /// Of a card that comes from `origin`, such as a file.
    pub(super) fn new(origin: &str) -> Self {
        Self {
            origin: printable(origin).into_owned(),
            problems: Vec::new(),
            more: 0,
        }
    }

    pub(super) fn with(mut self, line: Option<usize>, message: impl Into<String>) -> Self {
        self.add(line, message);
        self
    }

    pub(super) fn add(&mut self, line: Option<usize>, message: impl Into<String>) {
        match !self.is_full() {
            true => self.problems.push(Problem {
                line,
                message: message.into(),
            }),
            false => self.more += 1,
        }
    }

    /// Whether further problems are counted alone.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= SHOWN
    }

    /// `card`, where nothing was found to be wrong.
    pub(super) fn or<T>(self, card: T) -> Result<T, Self> {
        match self.problems.is_empty() {
            true => Ok(card),
            false => Err(self),
        }
    }
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        for (index, problem) in self.problems.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            if let Some(line) = problem.line {
                write!(f, "line {line}: ")?;
            }
            f.write_str(&problem.message)?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for CardError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_named_once_and_of_many_problems_some_are_counted() {
        let mut error = CardError::new("a\u{1b}/card.json").with(Some(3), "first");
        assert_eq!(error.to_string(), "a\\u{1b}/card.json: line 3: first");
        for _ in 0..100 {
            error.add(None, "again");
        }
        let text = error.to_string();
        assert!(text.ends_with("; again; and 89 more"), "{text}");
        assert_eq!(text.matches("card.json").count(), 1);
    }
}
