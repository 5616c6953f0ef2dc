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

/// A pattern that finds `keyword` as a whole word.
pub(super) fn word_pattern(keyword: &str, exact: bool) -> String {
    // What is no pattern is meant as it stands ("c++").
    let inner = if regex::Regex::new(keyword).is_ok() {
        keyword.to_owned()
    } else {
        regex::escape(keyword)
    };
    let edge = |letter: Option<char>| {
        // Scripts without spaces between words have no word boundaries either.
        if letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            r"\b"
        } else {
            ""
        }
    };
    let case = if exact { "" } else { "(?i)" };
    format!(
        "{case}{}(?:{inner}){}",
        edge(keyword.chars().next()),
        edge(keyword.chars().last())
    )
}
