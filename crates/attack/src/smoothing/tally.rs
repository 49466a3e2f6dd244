//! How often each class was seen.

/// Counts of classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    /// One count per class.
    pub counts: Vec<u64>,
    /// Answers that were no prediction.
    pub not_finite: u64,
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![0; classes],
            not_finite: 0,
        }
    }

    pub fn add(&mut self, prediction: Option<usize>) {
        match prediction.and_then(|class| self.counts.get_mut(class)) {
            Some(count) => *count += 1,
            None => self.not_finite += 1,
        }
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.not_finite
    }

    pub fn of(&self, class: usize) -> u64 {
        self.counts.get(class).copied().unwrap_or(0)
    }

    /// The class seen most, the first of equals; `None` when no class was seen.
    pub fn first(&self) -> Option<usize> {
        let mut first = None;
        for (class, &count) in self.counts.iter().enumerate() {
            if count > first.map_or(0, |class| self.of(class)) {
                first = Some(class);
            }
        }
        first
    }

    /// How often whatever came second to `first` was seen. Answers that were no prediction stand together as one class.
    pub fn second(&self, first: usize) -> u64 {
        let others = self.counts.iter().enumerate();
        let others = others.filter(|&(class, _)| class != first);
        others.fold(self.not_finite, |most, (_, &count)| most.max(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_leads_and_what_is_no_class_never_does() {
        let mut tally = Tally::new(3);
        assert_eq!(tally.first(), None);
        for prediction in [
            Some(2),
            Some(1),
            None,
            Some(1),
            Some(2),
            None,
            None,
            Some(7),
        ] {
            tally.add(prediction);
        }
        assert_eq!((tally.first(), tally.of(1), tally.of(0)), (Some(1), 2, 0));
        assert_eq!((tally.second(1), tally.total()), (4, 8));
    }
}
