//! Networks that answer one class whatever they see.

/// From this share of the predictions on, one class is the only answer.
const ONE_CLASS: f64 = 0.95;

/// What predictions on validation images say of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Whether nearly all predictions are one class.
    pub collapsed: bool,
    /// For people.
    pub warning: String,
}

/// Looks for a network that answers one class, or is no better than that.
pub(crate) fn examine(
    predicted: &[usize],
    labels: &[usize],
    correct: usize,
    classes: &[String],
) -> Option<Finding> {
    let total: usize = labels.iter().sum();
    if total == 0 || classes.len() < 2 {
        return None;
    }
    let share = |count: usize| count as f64 / total as f64;
    let percent = |count: usize| format!("{:.1} %", 100.0 * share(count));
    let name = |class: usize| {
        let name = classes.get(class).map_or("", String::as_str);
        name.chars()
            .take(64)
            .flat_map(char::escape_debug)
            .collect::<String>()
    };
    let (class, most) = largest(predicted)?;
    let (common, majority) = largest(labels)?;
    let own = labels.get(class).copied().unwrap_or(0);
    // Of a set that is nearly all one class most predictions are rightly so: it must be no better than that.
    if share(most) >= ONE_CLASS && correct <= own + total / 50 {
        return Some(Finding {
            collapsed: true,
            warning: format!(
                "the network answers `{}` for {} of the validation images, of which {} are: its accuracy of {} is that of one class, clean and under attack",
                name(class),
                percent(most),
                percent(own),
                percent(correct)
            ),
        });
    }
    (correct <= majority).then(|| Finding {
        collapsed: false,
        warning: format!(
            "accuracy on the validation images is {}, no better than always answering `{}` ({})",
            percent(correct),
            name(common),
            percent(majority)
        ),
    })
}

fn largest(counts: &[usize]) -> Option<(usize, usize)> {
    counts
        .iter()
        .copied()
        .enumerate()
        .max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(predicted: &[usize], labels: &[usize], correct: usize) -> Option<Finding> {
        let classes: Vec<String> = (0..labels.len()).map(|i| format!("class {i}")).collect();
        examine(predicted, labels, correct, &classes)
    }

    #[test]
    fn one_answer_for_all_images_is_a_collapse() {
        let found = look(&[0, 98, 2], &[30, 34, 36], 35).unwrap();
        assert!(
            found.collapsed && found.warning.contains("`class 1`"),
            "{found:?}"
        );
        assert!(look(&[0, 100, 0], &[30, 34, 36], 34).unwrap().collapsed);
        // Nearly all images are of one class: answering it always has learned nothing, telling the others apart has.
        assert!(look(&[100, 0], &[95, 5], 95).unwrap().collapsed);
        assert_eq!(look(&[95, 5], &[95, 5], 100), None);
        assert_eq!(look(&[96, 4], &[95, 5], 99), None);
    }

    #[test]
    fn accuracy_of_the_commonest_class_is_told_too() {
        let found = look(&[40, 30, 30], &[30, 34, 36], 33).unwrap();
        assert!(
            !found.collapsed && found.warning.contains("`class 2`"),
            "{found:?}"
        );
        assert_eq!(look(&[40, 30, 30], &[30, 34, 36], 60), None);
        assert_eq!(look(&[], &[], 0), None);
    }
}
