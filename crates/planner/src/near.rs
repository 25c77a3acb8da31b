//! "Did you mean …?"

/// Long lists are searched only so far: a suggestion is a courtesy.
const LOOKED_AT: usize = 20_000;

/// The candidate that is nearest to a word, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let text = word;
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(64).collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .take(LOOKED_AT)
        .filter_map(|candidate| {
            let near = candidate.chars().count().abs_diff(word.len()) <= allowed;
            let steps = if near { distance(&word, candidate) } else { usize::MAX };
            // `host` may well mean `hostname`, but anything nearer goes before.
            let begun = word.len() >= 3
                && (candidate.starts_with(text)
                    || (candidate.len() >= 3 && text.starts_with(candidate)));
            match steps {
                _ if steps <= allowed => Some((steps, candidate)),
                _ if begun => Some((allowed + 1, candidate)),
                _ => None,
            }
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many characters must be changed, added, left out or swapped with their neighbour.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, b) in to.iter().enumerate() {
            let change = row.get(j).map_or(usize::MAX, |cost| cost + usize::from(a != b));
            let leave_out = row.get(j + 1).map_or(usize::MAX, |cost| cost + 1);
            let add = next.get(j).map_or(usize::MAX, |cost| cost + 1);
            let swapped =
                i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a) && a != b;
            let swap = match before.get(j.saturating_sub(1)) {
                Some(cost) if swapped => cost + 1,
                _ => usize::MAX,
            };
            next.push(change.min(leave_out).min(add).min(swap));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_not() {
        let words = ["ams", "nyc", "unavailable", "transfers", "sites"];
        for (word, meant) in [
            ("amz", Some("ams")),
            ("asm", Some("ams")),
            ("AMS", Some("ams")),
            ("nycc", Some("nyc")),
            ("unavailible", Some("unavailable")),
            ("transfer", Some("transfers")),
            ("site", Some("sites")),
            ("unavail", Some("unavailable")),
            ("fra", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, words), meant, "{word}");
        }
    }

    #[test]
    fn distances_are_counted() {
        let count = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), b);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("abc", "acb"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
    }
}
