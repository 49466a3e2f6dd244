use super::*;

/// The first word of each synset, as Keras and torchvision name ImageNet's classes.
fn first_words(synsets: &Synsets) -> Vec<String> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    let words = lines.filter_map(|line| line.split_once(' ')?.1.split(", ").next());
    let names: Vec<String> = words.map(str::to_owned).collect();
    assert_eq!(names.len(), synsets.len());
    names
}

/// All that is matched is right; how many were.
fn right(matched: &[Option<usize>]) -> usize {
    for (index, found) in matched.iter().enumerate() {
        assert!(
            found.is_none_or(|found| found == index),
            "{index}: {found:?}"
        );
    }
    matched.iter().flatten().count()
}

#[test]
fn the_table_has_imagenets_classes_in_the_order_of_their_ids() {
    let synsets = Synsets::new();
    assert_eq!(synsets.len(), 1000);
    assert!(synsets.ids.is_sorted());
    assert_eq!(synsets.position("n01440764"), Some(0));
    assert_eq!(synsets.position("n15075141"), Some(999));
    assert_eq!(synsets.position("n00000001"), None);
    assert_eq!(synsets.meant("Great_White-Shark"), Some(2));
}

#[test]
fn ids_are_matched_with_words_in_any_order_and_never_with_a_word_of_two_synsets() {
    let synsets = Synsets::new();
    let ids: Vec<String> = synsets.ids.iter().map(|id| (*id).to_owned()).collect();
    let words = first_words(&synsets);
    let matched = synsets.matched(&ids, &words);
    assert!(right(&matched) > 980);
    assert!(right(&synsets.matched(&words, &ids)) > 980);
    // The dog and the garment, the bird and the machine, two swimsuits, a bell and a missile.
    for index in [264, 474, 134, 517, 638, 639, 577, 657] {
        assert_eq!(matched.get(index), Some(&None), "{index}");
    }
    // One of them alone, as the only class of that word.
    for (id, word) in [
        (134, "crane"),
        (264, "cardigan"),
        (744, "missile"),
        (82, "partridge"),
    ] {
        let id = ids.get(id).unwrap().clone();
        let word = word.to_owned();
        let (id, word) = (std::slice::from_ref(&id), std::slice::from_ref(&word));
        assert_eq!(synsets.matched(id, word), [None]);
        assert_eq!(synsets.matched(word, id), [None]);
    }
    let reversed: Vec<String> = words.iter().rev().cloned().collect();
    let mut matched = synsets.matched(&ids, &reversed);
    for found in matched.iter_mut().flatten() {
        *found = 999 - *found;
    }
    assert!(right(&matched) > 980);
}

#[test]
fn names_are_in_imagenets_order_if_none_of_them_speaks_against_it() {
    let synsets = Synsets::new();
    let mut names = first_words(&synsets);
    assert!(synsets.are_in_order(&names));
    // Names of other lists.
    for (index, name) in [
        (134, "crane (bird)"),
        (639, "maillot tank suit"),
        (27, "newt"),
    ] {
        *names.get_mut(index).unwrap() = name.to_owned();
    }
    assert!(synsets.are_in_order(&names));
    let mut swapped = names.clone();
    swapped.swap(0, 1);
    assert!(!synsets.are_in_order(&swapped));
    swapped = names.clone();
    swapped.rotate_left(1);
    assert!(!synsets.are_in_order(&swapped));
    for name in names.iter_mut().take(300) {
        name.push_str(" of another list");
    }
    assert!(!synsets.are_in_order(&names));
}
