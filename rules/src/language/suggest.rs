//! "Did you mean …?": the nearest known word to one that is not known. The only file that names strsim.

/// The candidate at the smallest edit distance, if it is near enough to be a slip of the hand.
pub(super) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A help line: the closest candidate, or else all of them.
pub(super) fn help(word: &str, candidates: &[&str]) -> String {
    closest(word, candidates.iter().copied()).map_or_else(
        || format!("known here: {}", candidates.join(", ")),
        |candidate| format!("did you mean `{candidate}`?"),
    )
}

/// Whether one letter more, less, other or swapped makes `known` of `word`.
#[must_use]
pub fn is_one_letter_off(word: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(word, known) == 1
}
