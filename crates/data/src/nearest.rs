//! The name that was probably meant.

/// The candidate spelled most like `name`, but for case and punctuation, if at most a third of its letters differ (one of
/// two letters): what to ask after, never what to take instead.
///
/// ```
/// assert_eq!(buckler_data::nearest_name("Minst", ["digits", "mnist"]), Some("mnist"));
/// assert_eq!(buckler_data::nearest_name("imagenet", ["digits", "mnist"]), None);
/// ```
pub fn nearest_name<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).take(256).collect()
    };
    let wanted = plain(name);
    let near = candidates.into_iter().filter_map(|candidate| {
        let known = plain(candidate);
        let distance = strsim::damerau_levenshtein(&known, &wanted);
        (3 * distance <= known.chars().count()).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
