//! Natural order of names: numbers in them count as numbers.
use std::cmp::Ordering;

/// `class2` before `class10`; names that differ in leading zeros only, and all others, by their bytes.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        match (digits(left), digits(right)) {
            (([], _), _) | (_, ([], _)) => {
                let (Some((x, after_x)), Some((y, after_y))) =
                    (left.split_first(), right.split_first())
                else {
                    // One is the beginning of the other, as far as numbers are told apart.
                    return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
                };
                if x != y {
                    return x.cmp(y);
                }
                (left, right) = (after_x, after_y);
            }
            ((number, after_number), (other, after_other)) => {
                let (number, other) = (significant(number), significant(other));
                let order = number
                    .len()
                    .cmp(&other.len())
                    .then_with(|| number.cmp(other));
                if order != Ordering::Equal {
                    return order;
                }
                (left, right) = (after_number, after_other);
            }
        }
    }
}

/// The names in the order of text, where they are in natural order and the two differ.
pub(crate) fn other_order(names: &[String]) -> Option<Vec<String>> {
    if !names.is_sorted_by(|a, b| natural(a, b).is_le()) || names.is_sorted() {
        return None;
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    Some(sorted)
}

/// The digits that a name begins with, and the rest.
fn digits(name: &[u8]) -> (&[u8], &[u8]) {
    let length = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    name.split_at_checked(length).unwrap_or((name, &[]))
}

/// Without leading zeros.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&digit| digit == b'0').count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = [
            "10", "9", "class10", "1", "class2", "Class1", "11", "01", "2", "0", "class2b", "",
            "class",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "", "0", "01", "1", "2", "9", "10", "11", "Class1", "class", "class2", "class2b",
                "class10"
            ]
        );
        // More digits than any integer has.
        assert_eq!(
            natural("99999999999999999999998", "99999999999999999999999"),
            Ordering::Less
        );
        // Those of ImageNet are as they were.
        assert_eq!(natural("n01440764", "n01443537"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a0-9]{0,6}", b in "[a0-9]{0,6}", c in "[a0-9]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
