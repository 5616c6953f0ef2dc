//! Words of a text, for signals that compare words.

/// The words of a text, in small letters unless `exact`.
pub(super) fn words(text: &str, exact: bool) -> Vec<String> {
    let letters = |letter: char| !letter.is_alphanumeric() && letter != '\'';
    let fold = |word: &str| {
        if exact {
            word.to_owned()
        } else {
            word.to_lowercase()
        }
    };
    text.split(letters)
        .filter(|word| !word.is_empty())
        .map(fold)
        .collect()
}

/// A pattern that finds `keyword`, as it stands, as a whole word.
pub(super) fn word_pattern(keyword: &str, exact: bool) -> String {
    // Scripts without spaces between words have no word boundaries either, nor has a word among them.
    let spaced = !keyword
        .chars()
        .any(|letter| !letter.is_ascii() && is_unspaced(letter));
    let edge = |letter: Option<char>| {
        let bounded = spaced && letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        // A letter of such a script beside it bounds a word, too.
        if bounded { r"(?:\b|(?-u:\b))" } else { "" }
    };
    let case = if exact { "" } else { "(?i)" };
    format!(
        "{case}{}(?:{}){}",
        edge(keyword.chars().next()),
        regex::escape(keyword),
        edge(keyword.chars().last())
    )
}

fn is_unspaced(letter: char) -> bool {
    matches!(letter as u32, 0x0e00..=0x0eff | 0x2e80..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff)
}
