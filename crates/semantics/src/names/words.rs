//! A text as words with what the lists say of each, for languages that have blanks between them.

use super::lexicon::{Lexicon, role};

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// In small letters.
    Small,
    /// With a capital.
    Title,
    /// In capitals, two at least.
    Capitals,
    /// One capital.
    Initial,
}

/// A word of a text.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub start: usize,
    pub end: usize,
    pub shape: Shape,
    pub roles: u32,
    /// A digit, `_` or `@` stands right beside it.
    pub glued: bool,
}

/// Something of the lists in a text, a word or several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phrase {
    /// Its first word.
    pub first: usize,
    /// The word behind it.
    pub behind: usize,
    pub roles: u32,
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Words<'t> {
    pub text: &'t str,
    pub words: Vec<Word>,
    pub phrases: Vec<Phrase>,
    /// Capitals say nothing: no word is written with one in front and small letters behind.
    pub flat: bool,
}

/// Small words within names.
const PARTICLES: &[&str] = &[
    "de", "da", "do", "das", "dos", "di", "del", "della", "dello", "degli", "dei", "delle", "du", "des",
    "von", "van", "der", "den", "zu", "zum", "zur", "la", "las", "los", "le", "les", "al", "bin", "ter",
    "ten",
];
/// Words of a name at most.
const LONGEST: usize = 6;

impl<'t> Words<'t> {
    /// Reads a text.
    pub(super) fn read(text: &'t str, lexicon: &Lexicon) -> Self {
        let mut words = Vec::new();
        let mut folded = Folded::default();
        for (start, end) in split(text) {
            let word = folded.push(&text[start..end]);
            words.push(Word {
                start,
                end,
                shape: shape(&text[start..end]),
                roles: lexicon.roles(word),
                glued: glued(text, start, end),
            });
        }
        let mut phrases = Vec::new();
        for (first, word) in words.iter().enumerate() {
            if word.roles != 0 {
                phrases.push(Phrase {
                    first,
                    behind: first + 1,
                    roles: word.roles,
                });
            }
            for (rest, roles) in lexicon.longer(folded.at(first)) {
                let behind = first + 1 + rest.len();
                let same = behind <= words.len()
                    && rest.iter().zip(first + 1..).all(|(part, at)| {
                        **part == *folded.at(at) && tight(&text[words[at - 1].end..words[at].start])
                    });
                if same {
                    phrases.push(Phrase {
                        first,
                        behind,
                        roles: *roles,
                    });
                }
            }
        }
        let flat = words.iter().all(|word| word.shape != Shape::Title);
        Self {
            text,
            words,
            phrases,
            flat,
        }
    }

    /// What stands between a word and the next.
    pub(super) fn gap(&self, word: usize) -> &'t str {
        let from = self.words.get(word).map_or(self.text.len(), |one| one.end);
        let to = self.words.get(word + 1).map_or(self.text.len(), |one| one.start);
        self.text.get(from..to).unwrap_or_default()
    }

    /// Whether a word may belong to a name, or a place's.
    pub(super) fn named(&self, word: usize) -> bool {
        let Some(one) = self.words.get(word) else {
            return false;
        };
        let listed = one.roles & (role::GIVEN | role::SURNAME | role::PLACE) != 0;
        if one.shape == Shape::Initial && !one.glued && self.gap(word).starts_with('.') {
            return true;
        }
        // "Frau Dr. Weber": a second title is no name, and "Suite 5" no part of a street's.
        let other = one.roles & (role::TITLE | role::AFTER | role::INSIDE) != 0 && !listed;
        if one.glued || other || one.roles & role::STOP != 0 {
            return false;
        }
        if self.flat {
            return listed;
        }
        match one.shape {
            Shape::Title => true,
            Shape::Capitals => listed || self.is_title(word.wrapping_sub(1)),
            Shape::Initial => self.is_title(word + 1),
            Shape::Small => false,
        }
    }

    fn is_title(&self, word: usize) -> bool {
        self.words.get(word).is_some_and(|one| one.shape == Shape::Title)
    }

    /// The last word of a name that begins with this one.
    pub(super) fn run(&self, first: usize) -> Option<usize> {
        if !self.named(first) {
            return None;
        }
        let mut last = first;
        while last - first < LONGEST {
            let initial = self.words[last].shape == Shape::Initial;
            let gap = self.gap(last);
            let goes_on = matches!(gap, " " | "'" | "’") || (initial && matches!(gap, ". " | "."));
            if !goes_on {
                break;
            }
            let mut next = last + 1;
            while next <= last + 2
                && matches!(gap, " " | ". ")
                && self.particle(next)
                && self.gap(next) == " "
            {
                next += 1;
            }
            if !self.named(next) {
                break;
            }
            last = next;
        }
        (self.words[last].end - self.words[first].start >= 2).then_some(last)
    }

    /// The last word of a place that begins with this one.
    pub(super) fn place(&self, first: usize) -> Option<usize> {
        let run = self.run(first);
        let phrases = self.phrases.partition_point(|phrase| phrase.first < first);
        let listed = self.phrases[phrases..]
            .iter()
            .take_while(|phrase| phrase.first == first)
            .filter(|phrase| phrase.roles & role::PLACE != 0 && (self.flat || run.is_some()))
            .map(|phrase| phrase.behind - 1);
        listed.chain(run).max()
    }

    /// Whether a phrase of this role begins with a word.
    pub(super) fn begins(&self, word: usize, role: u32) -> bool {
        let from = self.phrases.partition_point(|phrase| phrase.first < word);
        let here = self.phrases[from..]
            .iter()
            .take_while(|phrase| phrase.first == word);
        here.into_iter().any(|phrase| phrase.roles & role != 0)
    }

    /// The first word of a name that ends with this one.
    pub(super) fn run_before(&self, last: usize, most: usize) -> Option<usize> {
        if !self.named(last) {
            return None;
        }
        let mut first = last;
        while last - first + 1 < most && first > 0 {
            let gap = self.gap(first - 1);
            let initial = self.words[first - 1].shape == Shape::Initial;
            if !(gap == " " || (initial && gap == ". ")) || !self.named(first - 1) {
                break;
            }
            first -= 1;
        }
        Some(first)
    }

    fn particle(&self, word: usize) -> bool {
        self.words.get(word).is_some_and(|one| {
            one.shape == Shape::Small && PARTICLES.contains(&&self.text[one.start..one.end])
        })
    }

    /// Roles of all words from one to another, those together.
    pub(super) fn roles(&self, first: usize, last: usize) -> u32 {
        let words = self.words.get(first..=last).unwrap_or_default();
        words.iter().fold(0, |all, word| all | word.roles)
    }

    /// Whether the lists know what stands here as a name: a given one in front, or a family's.
    pub(super) fn known(&self, first: usize, last: usize) -> bool {
        self.roles(first, first) & role::GIVEN != 0
            || self.roles(first, last) & role::SURNAME != 0
            || (first..=last).any(|word| self.words[word].shape == Shape::Initial)
    }
}

/// Folded words, one behind the other.
#[derive(Default)]
struct Folded {
    all: String,
    ends: Vec<usize>,
}

impl Folded {
    fn push(&mut self, word: &str) -> &str {
        let start = self.all.len();
        fold(word, &mut self.all);
        self.ends.push(self.all.len());
        &self.all[start..]
    }

    fn at(&self, word: usize) -> &str {
        let start = word.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[word]]
    }
}

/// Where words begin and end: letters, and hyphens between them.
pub(super) fn split(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_letter)?;
        let mut end = start;
        let mut letters = text[start..].char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let hyphen = letter == '-' && letters.peek().is_some_and(|(_, next)| is_letter(*next));
            if !(is_letter(letter) || letter == '\u{307}' || hyphen) {
                break;
            }
            end = start + at + letter.len_utf8();
        }
        from = end;
        Some((start, end))
    })
}

/// A letter of a script that has capitals.
fn is_letter(letter: char) -> bool {
    letter.is_alphabetic() && letter < '\u{e00}'
}

/// A word in small letters, with one sort of `i`.
pub(super) fn fold(word: &str, into: &mut String) {
    for letter in word.chars().flat_map(char::to_lowercase) {
        match letter {
            '\u{307}' => {}
            'ı' => into.push('i'),
            other => into.push(other),
        }
    }
}

fn shape(word: &str) -> Shape {
    let mut letters = word.chars();
    if !letters.next().is_some_and(char::is_uppercase) {
        return Shape::Small;
    }
    let (mut small, mut large) = (false, false);
    for letter in letters {
        small |= letter.is_lowercase();
        large |= letter.is_uppercase();
    }
    match (small, large) {
        (true, _) => Shape::Title,
        (false, true) => Shape::Capitals,
        (false, false) => Shape::Initial,
    }
}

fn glued(text: &str, start: usize, end: usize) -> bool {
    let beside = |letter: Option<char>| {
        letter.is_some_and(|one| one.is_ascii_digit() || matches!(one, '_' | '@' | '\\' | '$' | '%'))
    };
    beside(text[..start].chars().next_back()) || beside(text[end..].chars().next())
}

/// Whether words with this between them may be one phrase.
fn tight(gap: &str) -> bool {
    matches!(gap, " " | "'" | "’" | "." | ". ")
}
