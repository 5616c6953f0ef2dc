//! Words near a match that make it surer.

use std::ops::Range;

/// How far before a match its words may stand, in bytes.
pub(super) const BEFORE: usize = 72;
/// How far behind it.
pub(super) const BEHIND: usize = 32;
/// How far away a word may be that must stand right beside it: a space, a colon, a bracket.
const BESIDE: usize = 3;

/// The words of one recogniser, in small letters.
#[derive(Debug)]
pub(super) struct Context {
    near: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
}

impl Context {
    pub(super) fn new(near: &[String], before: &[String], after: &[String]) -> Self {
        let small = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect();
        Self {
            near: small(near),
            before: small(before),
            after: small(after),
        }
    }

    /// Whether there are no words.
    pub(super) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.before.is_empty() && self.after.is_empty()
    }

    /// Whether a word stands where it makes this match surer.
    pub(super) fn speaks_for(&self, text: &str, at: &Range<usize>) -> bool {
        let before = text[floor(text, at.start.saturating_sub(BEFORE))..at.start].to_lowercase();
        let behind = text[at.end..floor(text, (at.end + BEHIND).min(text.len()))].to_lowercase();
        let near = |word: &String| occurs(&before, word) || occurs(&behind, word);
        self.near.iter().any(near)
            || self.before.iter().any(|word| ends_with(&before, word))
            || self.after.iter().any(|word| starts_with(&behind, word))
    }
}

/// The nearest place at or before `at` where a letter begins.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Whether letters of one word meet here. Writing without spaces has no such borders.
fn joined(left: Option<char>, right: Option<char>) -> bool {
    let spaced = |letter: char| {
        letter.is_alphanumeric() && !matches!(letter, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
    };
    left.is_some_and(spaced) && right.is_some_and(spaced)
}

fn occurs(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !joined(text[..at].chars().next_back(), word.chars().next())
            && !joined(word.chars().next_back(), text[at + word.len()..].chars().next())
    })
}

fn ends_with(text: &str, word: &str) -> bool {
    let Some(at) = text.rfind(word) else {
        return false;
    };
    let between = &text[at + word.len()..];
    between.len() <= BESIDE
        && !between.chars().any(char::is_alphanumeric)
        && !joined(text[..at].chars().next_back(), word.chars().next())
}

fn starts_with(text: &str, word: &str) -> bool {
    let Some(at) = text.find(word) else {
        return false;
    };
    let behind = text[at + word.len()..].chars().next();
    at <= BESIDE
        && !text[..at].chars().any(char::is_alphanumeric)
        && !joined(word.chars().next_back(), behind)
}
