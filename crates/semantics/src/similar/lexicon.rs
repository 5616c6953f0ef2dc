//! What single words and short phrases mean to a question: the lists in `data/`, by language.

use std::collections::{HashMap, HashSet};

use super::text;
use crate::error::LoadError;

/// Languages of the lists. A text is read with the lists of its own.
pub(crate) const LANGUAGES: [&str; 9] = ["en", "es", "fr", "de", "it", "pt", "tr", "ja", "ko"];

/// How members of a class stand to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They mean the same.
    Same,
    /// They exclude one another.
    Apart,
    /// They are about different things, but not surely.
    Near,
}

/// Names of relations, in the order of their bits.
pub(crate) const RELATIONS: [&str; 8] = [
    "from", "to", "by", "than", "before", "after", "between", "against",
];

/// What a phrase is, one bit each.
pub(crate) mod role {
    /// Around a question, no part of it.
    pub const DROP: u8 = 1;
    /// A small word.
    pub const SMALL: u8 = 2;
    /// Denies.
    pub const NOT: u8 = 4;
    /// Takes back what was said before.
    pub const LATER: u8 = 8;
}

/// What the lists say of a phrase in one language.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    /// One bit for each language.
    pub languages: u16,
    /// Bits of [`role`].
    pub roles: u8,
    /// Class and member.
    pub classes: Vec<(u16, u8)>,
    /// Its value, if it is a number.
    pub number: Option<f64>,
    /// Bits of relations.
    pub relation: u16,
}

/// All lists.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    phrases: HashMap<Box<str>, Vec<Entry>, foldhash::fast::RandomState>,
    /// Words of the longest phrase that begins with this word.
    longest: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    kinds: Vec<Kind>,
    known: HashSet<&'static str, foldhash::fast::RandomState>,
}

const LISTS: [(&str, &str); 8] = [
    ("opposites.txt", include_str!("data/opposites.txt")),
    ("classes.txt", include_str!("data/classes.txt")),
    ("synonyms.txt", include_str!("data/synonyms.txt")),
    ("fillers.txt", include_str!("data/fillers.txt")),
    ("functions.txt", include_str!("data/functions.txt")),
    ("negation.txt", include_str!("data/negation.txt")),
    ("numbers.txt", include_str!("data/numbers.txt")),
    ("relations.txt", include_str!("data/relations.txt")),
];

impl Lexicon {
    /// The lists that ship.
    ///
    /// # Errors
    ///
    /// If a line is of no known form.
    pub(crate) fn shipped() -> Result<Self, LoadError> {
        let mut lexicon = Self::default();
        for (file, lines) in LISTS {
            for (number, line) in lines.lines().enumerate() {
                if !line.is_empty() && !line.starts_with('#') {
                    lexicon.line(line).ok_or_else(|| {
                        LoadError::malformed(
                            file,
                            format!("line {}: `KIND LANGUAGE: …` is wanted", number + 1),
                        )
                    })?;
                }
            }
        }
        lexicon.known = include_str!("data/known.txt").lines().collect();
        Ok(lexicon)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (head, body) = line.split_once(':')?;
        let (kind, language) = head.split_once(' ')?;
        let bit = 1_u16 << LANGUAGES.iter().position(|known| *known == language)?;
        let relation = RELATIONS.iter().position(|known| *known == kind);
        match kind {
            "apart" | "near" | "same" => {
                let class = u16::try_from(self.kinds.len()).ok()?;
                self.kinds.push(match kind {
                    "apart" => Kind::Apart,
                    "near" => Kind::Near,
                    _ => Kind::Same,
                });
                for (member, phrases) in (0..).zip(body.split('|')) {
                    for phrase in phrases.split(',') {
                        self.entry(phrase, bit, |entry| entry.classes.push((class, member)))?;
                    }
                }
            }
            "number" => {
                for pair in body.split(',') {
                    let (word, value) = pair.split_once('=')?;
                    let value: f64 = value.trim().parse().ok()?;
                    self.entry(word, bit, |entry| entry.number = Some(value))?;
                }
            }
            _ => {
                let roles = match kind {
                    "drop" => role::DROP,
                    "small" => role::SMALL,
                    "not" => role::NOT,
                    "later" => role::LATER,
                    _ => 0,
                };
                let relation = relation.map_or(0, |place| 1 << place);
                if roles == 0 && relation == 0 {
                    return None;
                }
                for phrase in body.split(',') {
                    self.entry(phrase, bit, |entry| {
                        entry.roles |= roles;
                        entry.relation |= relation;
                    })?;
                }
            }
        }
        Some(())
    }

    fn entry(&mut self, phrase: &str, bit: u16, change: impl FnOnce(&mut Entry)) -> Option<()> {
        let (folded, words, _) = text::cut(phrase, 16);
        let first = words.first()?;
        let first = &folded[first.start..first.end];
        let longest = self.longest.entry(first.into()).or_default();
        *longest = words.len().max(*longest);
        // Folded words stand one behind the other without a space: what joins them is put in here as in `find`.
        let mut key = String::new();
        for word in &words {
            push(&mut key, &folded[word.start..word.end]);
        }
        let entries = self.phrases.entry(key.into()).or_default();
        let place = entries.iter().position(|entry| entry.languages == bit);
        let place = place.unwrap_or_else(|| {
            entries.push(Entry {
                languages: bit,
                ..Entry::default()
            });
            entries.len() - 1
        });
        change(entries.get_mut(place)?);
        Some(())
    }

    /// How members of a class stand to one another.
    pub(crate) fn kind(&self, class: u16) -> Kind {
        self.kinds.get(usize::from(class)).copied().unwrap_or(Kind::Same)
    }

    /// What the lists say of one word, in any language.
    pub(crate) fn word(&self, word: &str) -> &[Entry] {
        self.phrases.get(word).map_or(&[], Vec::as_slice)
    }

    /// Words of the longest phrase that begins with this word.
    pub(crate) fn longest(&self, word: &str) -> usize {
        self.longest.get(word).copied().unwrap_or(0)
    }

    /// Whether it is a word that many texts have.
    pub(crate) fn known(&self, word: &str) -> bool {
        self.known.contains(word)
    }
}

/// Joins the words of a phrase to what it is looked up by.
pub(crate) fn push(key: &mut String, word: &str) {
    if !key.is_empty() {
        key.push(' ');
    }
    key.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_every_language_has_its_own() {
        let lexicon = Lexicon::shipped().unwrap();
        for (language, name) in LANGUAGES.iter().enumerate() {
            for wanted in [role::DROP, role::SMALL, role::NOT] {
                let found = lexicon.phrases.values().flatten();
                let found =
                    found.filter(|entry| entry.languages == 1 << language && entry.roles & wanted != 0);
                assert!(found.count() > 0, "{name} {wanted}");
            }
        }
        assert!(lexicon.word("off").iter().any(|entry| !entry.classes.is_empty()));
        assert_eq!(lexicon.word("seventeen")[0].number, Some(17.0));
        assert!(lexicon.known("question") && !lexicon.known("quesiton"));
    }
}
