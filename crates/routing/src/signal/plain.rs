//! Keywords that stand for nothing but themselves, looked for in texts of ASCII: one pass, whatever their number.

use aho_corasick::{AhoCorasick, Input, MatchKind};

/// Keywords of letters, digits, spaces, `_` and `-`.
pub(super) struct Plain {
    finder: AhoCorasick,
    exact: bool,
    /// In the order of their first letters.
    keywords: Vec<Word>,
}

struct Word {
    /// Its place among the keywords.
    place: usize,
    text: Box<[u8]>,
    /// Whether a word begins with it, and whether one ends with it, in the text, too.
    begins: bool,
    ends: bool,
}

impl Word {
    /// Its first letter, small.
    fn first(&self) -> Option<u8> {
        self.text.first().map(u8::to_ascii_lowercase)
    }

    fn stands_at(&self, start: usize, text: &[u8], exact: bool) -> bool {
        let end = start + self.text.len();
        let Some(found) = text.get(start..end) else {
            return false;
        };
        let is_same = if exact {
            *found == *self.text
        } else {
            found.eq_ignore_ascii_case(&self.text)
        };
        let before = start.checked_sub(1).and_then(|at| text.get(at));
        is_same
            && !(self.begins && before.is_some_and(|letter| is_word(*letter)))
            && !(self.ends && text.get(end).is_some_and(|letter| is_word(*letter)))
    }
}

impl Plain {
    /// None if a keyword could mean a pattern. `whole`: parts of words do not count.
    pub(super) fn compile(keywords: &[String], exact: bool, whole: bool) -> Option<Self> {
        let stands_for_itself = |letter: u8| is_word(letter) || matches!(letter, b' ' | b'-');
        let is_plain = |keyword: &String| !keyword.is_empty() && keyword.bytes().all(stands_for_itself);
        if !keywords.iter().all(is_plain) {
            return None;
        }
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(!exact)
            .match_kind(MatchKind::LeftmostFirst)
            .build(keywords)
            .ok()?;
        let bound = |letter: Option<u8>| whole && letter.is_some_and(is_word);
        let word = |(place, keyword): (usize, &String)| Word {
            place,
            text: keyword.as_bytes().into(),
            begins: bound(keyword.bytes().next()),
            ends: bound(keyword.bytes().next_back()),
        };
        let mut keywords: Vec<Word> = keywords.iter().enumerate().map(word).collect();
        keywords.sort_by_key(Word::first);
        Some(Self {
            finder,
            exact,
            keywords,
        })
    }

    /// The places of the keywords that are in a text of ASCII, in no order.
    pub(super) fn found(&self, text: &str) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut from = 0;
        // Wherever any keyword begins, all that could begin there are held next to the text.
        while let Some(hit) = self.finder.find(Input::new(text).range(from..)) {
            let first = text.as_bytes().get(hit.start()).map(u8::to_ascii_lowercase);
            let begin = self.keywords.partition_point(|keyword| keyword.first() < first);
            let alike = self.keywords[begin..]
                .iter()
                .take_while(|keyword| keyword.first() == first);
            for keyword in alike {
                let is_new = !found.contains(&keyword.place);
                if is_new && keyword.stands_at(hit.start(), text.as_bytes(), self.exact) {
                    found.push(keyword.place);
                }
            }
            if found.len() == self.keywords.len() {
                break;
            }
            from = hit.start() + 1;
        }
        found
    }
}

/// As `\w` has it, of ASCII.
fn is_word(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || letter == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::RegexSet;

    use super::super::words::word_pattern;
    use super::Plain;

    proptest! {
        /// Finds what the patterns find that it stands in for.
        #[test]
        fn finds_what_patterns_find(
            keywords in proptest::collection::vec("[abAB _-]{1,4}", 1..5),
            text in "[abAB _.-]{0,24}",
            exact: bool,
            whole: bool,
        ) {
            let case = if exact { "" } else { "(?i)" };
            let pattern = |keyword: &String| if whole { word_pattern(keyword, exact) } else { format!("{case}{keyword}") };
            let set = RegexSet::new(keywords.iter().map(pattern)).unwrap();
            let plain = Plain::compile(&keywords, exact, whole).unwrap();
            let mut found = plain.found(&text);
            found.sort_unstable();
            prop_assert_eq!(found, set.matches(&text).iter().collect::<Vec<_>>());
        }
    }
}
