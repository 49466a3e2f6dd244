use serde::{Deserialize, Serialize};

use crate::logits::{finite, largest_other, predicted, softmax};

/// The number of classes listed in a prediction.
const TOP: usize = 5;

/// What a classifier says about one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Prediction {
    /// The class with the largest logit, the first of equals.
    pub class: usize,
    /// Its name, or its number where classes have no names.
    pub name: String,
    /// Its softmax probability.
    pub probability: f32,
    /// Its logit minus the next one: 0 or more, in the model's own logit scale.
    pub margin: f32,
    /// The most probable classes, falling; five where nothing else was asked.
    pub top: Vec<Candidate>,
}

/// A class and its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Candidate {
    /// The class.
    pub class: usize,
    /// Its name, or its number where classes have no names.
    pub name: String,
    /// Its softmax probability.
    pub probability: f32,
}

impl Prediction {
    /// The prediction in `logits`, one per class; `None` when one of them is NaN or plus infinity, or all are minus
    /// infinity. Classes beyond `names` go by their number.
    pub fn new(logits: &[f32], names: &[String]) -> Option<Self> {
        Self::with_top(logits, names, TOP)
    }

    /// Like [`Prediction::new`], with another number of classes listed.
    pub fn with_top(logits: &[f32], names: &[String], count: usize) -> Option<Self> {
        let class = predicted(logits)?;
        let probabilities = softmax(logits);
        let mut ranking: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
        // The sort is stable: equal logits stay in the order of their classes, as in `predicted`.
        ranking.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let top: Vec<Candidate> = ranking
            .into_iter()
            .take(count)
            .filter_map(|(class, _)| {
                Some(Candidate {
                    class,
                    name: name(names, class),
                    probability: *probabilities.get(class)?,
                })
            })
            .collect();
        Some(Self {
            class,
            name: name(names, class),
            probability: *probabilities.get(class)?,
            margin: finite(f64::from(*logits.get(class)?) - largest_other(logits, class)),
            top,
        })
    }
}

fn name(names: &[String], class: usize) -> String {
    names
        .get(class)
        .cloned()
        .unwrap_or_else(|| class.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_most_probable_classes_come_in_order() {
        let names = vec!["ant".to_owned(), "bee".to_owned()];
        let prediction = Prediction::new(&[0.0, 2.0, 2.0, -1.0, 1.0, 0.5, -3.0], &names).unwrap();
        assert_eq!((prediction.class, prediction.name.as_str()), (1, "bee"));
        assert_eq!(prediction.margin, 0.0);
        let classes: Vec<usize> = prediction.top.iter().map(|c| c.class).collect();
        assert_eq!(classes, [1, 2, 4, 5, 0]);
        assert_eq!(prediction.top[1].name, "2");
        assert_eq!(prediction.top[0].probability, prediction.probability);
        let two = Prediction::with_top(&[0.0, 2.0, 1.0], &names, 2).unwrap();
        assert_eq!(two.top.iter().map(|c| c.class).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn logits_that_are_not_finite_are_no_prediction() {
        assert_eq!(Prediction::new(&[0.0, f32::NAN], &[]), None);
    }

    #[test]
    fn a_class_that_is_never_chosen_has_no_probability_and_the_margin_stays_a_number() {
        const NEVER: f32 = f32::NEG_INFINITY;
        let prediction = Prediction::new(&[NEVER, 2.0, NEVER], &[]).unwrap();
        assert_eq!((prediction.class, prediction.probability), (1, 1.0));
        assert_eq!(prediction.margin, f32::MAX);
        assert_eq!(prediction.top[1].probability, 0.0);
        let prediction = Prediction::new(&[NEVER, 2.0, 1.0], &[]).unwrap();
        assert_eq!(prediction.margin, 1.0);
    }
}
