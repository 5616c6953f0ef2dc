//! What stands in the place of something that was taken out, and what it stood for.
//!
//! A value gets the same placeholder wherever it occurs in a conversation: they are numbered in the order in which values
//! first occur, and a conversation that grows keeps its beginning. Held in memory for one request, and nowhere else.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::synthetic;

/// The longest placeholder.
const LONGEST: usize = 64;
/// Values that are made up until one is found that occurs nowhere.
const TRIES: usize = 32;
/// Most different values of a request that get placeholders of their own; further ones share one.
const MOST: usize = 10_000;

/// The placeholders of one request. Cheap to clone; clones are the same book.
#[derive(Debug, Clone, Default)]
pub struct Placeholders(Option<Arc<Mutex<Book>>>);

#[derive(Default)]
struct Book {
    /// By entity and value.
    given: HashMap<(String, String), String>,
    /// What placeholders stood for, of those that may be given back.
    back: HashMap<String, String>,
    counts: HashMap<String, usize>,
    /// What somebody wrote who did not mean a placeholder: it stands for nothing else.
    written: HashSet<String>,
    /// Texts in which a made-up value must not occur by itself; none where nothing is made up.
    texts: Option<Vec<Box<str>>>,
    /// What was given out, whether or not it may be given back.
    used: HashSet<String>,
    /// Of what may be given back, how much is made up and not in brackets.
    made_up: usize,
}

/// What a value is replaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replacing {
    /// [`Restorer`] puts the value back.
    pub(crate) restorable: bool,
    /// By a made-up value of the same form, rather than by a name in brackets.
    pub(crate) synthetic: bool,
}

impl std::fmt::Debug for Book {
    /// Tells no value.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} placeholders", self.given.len())
    }
}

impl Placeholders {
    /// An empty book that can be written in. The default one can't, costs nothing, and serves where nothing is replaced.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// The same where values are replaced by made-up ones.
    #[must_use]
    pub fn making_up() -> Self {
        let book = Book {
            texts: Some(Vec::new()),
            ..Book::default()
        };
        Self(Some(Arc::new(Mutex::new(book))))
    }

    /// Takes down what looks like a placeholder in a text that is to be looked at, so that nothing else gets it.
    pub fn spare(&self, text: &str) {
        let Some(book) = &self.0 else { return };
        if let Some(texts) = &mut book.lock().texts {
            texts.push(text.into());
        }
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            rest = &rest[open..];
            let length = placeholder(rest).unwrap_or(1);
            if length > 1 {
                let mut book = book.lock();
                if book.written.len() < MOST {
                    book.written.insert(rest[..length].to_owned());
                }
            }
            rest = &rest[length..];
        }
    }

    /// What stands for a value.
    pub(crate) fn of(&self, entity: &str, value: &str, replacing: Replacing) -> String {
        let Some(book) = &self.0 else {
            return format!("[{entity}]");
        };
        let mut book = book.lock();
        // A conversation may be looked at again: what stands for something would be taken for the value, and lose it.
        if book.used.contains(value) {
            return value.to_owned();
        }
        let key = (entity.to_owned(), value.to_owned());
        if let Some(placeholder) = book.given.get(&key) {
            return placeholder.clone();
        }
        if book.given.len() >= MOST {
            return format!("[{entity}]");
        }
        let mut count = book.counts.get(entity).copied().unwrap_or_default();
        let made_up = if replacing.synthetic {
            book.made_up_for(entity, value, &mut count)
        } else {
            None
        };
        let is_made_up = made_up.is_some();
        let placeholder = made_up.unwrap_or_else(|| {
            loop {
                count += 1;
                let placeholder = format!("[{entity}_{count}]");
                if !book.written.contains(&placeholder) {
                    break placeholder;
                }
            }
        });
        book.counts.insert(entity.to_owned(), count);
        book.used.insert(placeholder.clone());
        if replacing.restorable && placeholder.len() <= LONGEST {
            book.made_up += usize::from(is_made_up);
            book.back.insert(placeholder.clone(), value.to_owned());
        }
        book.given.insert(key, placeholder.clone());
        placeholder
    }

    /// Whether it can be written in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Whether anything was replaced.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.0.as_ref().is_some_and(|book| !book.lock().given.is_empty())
    }

    /// Whether there is anything to be given back.
    #[must_use]
    pub fn is_restorable(&self) -> bool {
        self.0.as_ref().is_some_and(|book| !book.lock().back.is_empty())
    }

    /// What is made up and may be given back, with what it stands for, the longest first; none where it is no more than
    /// `known`.
    fn made_up(&self, known: usize) -> Option<Vec<(String, String)>> {
        let book = self.0.as_ref()?.lock();
        if book.made_up <= known {
            return None;
        }
        let made_up = book.back.iter().filter(|(stands, _)| !stands.starts_with('['));
        let mut made_up: Vec<_> = made_up
            .map(|(stands, value)| (stands.clone(), value.clone()))
            .collect();
        made_up.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        Some(made_up)
    }

    fn original(&self, placeholder: &str) -> Option<String> {
        self.0.as_ref()?.lock().back.get(placeholder).cloned()
    }
}

impl Book {
    /// A made-up value that occurs nowhere else; none where none is found soon.
    fn made_up_for(&self, entity: &str, value: &str, count: &mut usize) -> Option<String> {
        let texts = self.texts.as_ref()?;
        for _ in 0..TRIES {
            let made_up = synthetic::value(entity, value, *count);
            *count += 1;
            let is_free = made_up.len() <= LONGEST
                && !made_up.is_empty()
                && !made_up.starts_with('[')
                && made_up != value
                && !self.back.contains_key(&made_up)
                && !self.used.contains(&made_up)
                && !texts.iter().any(|text| text.contains(&made_up));
            if is_free {
                return Some(made_up);
            }
        }
        None
    }
}

/// How long what looks like a placeholder is, at the beginning of a text; none where there is none, or not yet.
fn placeholder(text: &str) -> Option<usize> {
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let end = 1 + text.get(1..)?.find(|letter: char| !is_name(letter))?;
    (text.as_bytes()[end] == b']' && end < LONGEST).then_some(end + 1)
}

/// What a text begins with.
enum Stands {
    /// So many bytes that stand for a value.
    For(usize, String),
    /// It is not known before more has come.
    Unknown,
    /// Nothing of the kind.
    ForItself,
}

/// Puts values back into a text that comes in pieces.
#[derive(Debug)]
pub struct Restorer {
    placeholders: Placeholders,
    /// The text is JSON as it is written: values are escaped for a string.
    json: bool,
    /// From where on there may be something that stands for a value.
    held: String,
    /// What is made up, the longest first.
    made_up: Vec<(String, String)>,
    /// What came before `held` ended in a word.
    in_word: bool,
}

impl Restorer {
    /// For a text, or for JSON as it is written (arguments of a tool).
    #[must_use]
    pub fn new(placeholders: &Placeholders, json: bool) -> Self {
        Self {
            placeholders: placeholders.clone(),
            json,
            held: String::new(),
            made_up: Vec::new(),
            in_word: false,
        }
    }

    /// Takes a piece in and gives what can be given.
    pub fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.give(false)
    }

    /// The text has ended: gives the rest.
    pub fn finish(&mut self) -> String {
        self.give(true)
    }

    /// A whole text.
    #[must_use]
    pub fn whole(placeholders: &Placeholders, text: &str, json: bool) -> String {
        let mut restorer = Self::new(placeholders, json);
        let mut out = restorer.push(text);
        out.push_str(&restorer.finish());
        out
    }

    fn give(&mut self, ended: bool) -> String {
        if let Some(more) = self.placeholders.made_up(self.made_up.len()) {
            self.made_up = more;
        }
        if !self.made_up.is_empty() {
            return self.give_made_up(ended);
        }
        let mut out = String::with_capacity(self.held.len());
        let mut rest = self.held.as_str();
        while let Some(open) = rest.find('[') {
            out.push_str(&rest[..open]);
            rest = &rest[open..];
            let name = rest[1..].find(|letter: char| {
                !(letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
            });
            match name.map(|length| length + 1) {
                Some(end) if rest.as_bytes()[end] == b']' => {
                    let placeholder = &rest[..=end];
                    match self.placeholders.original(placeholder) {
                        Some(value) => self.put(&mut out, &value),
                        None => out.push_str(placeholder),
                    }
                    rest = &rest[end + 1..];
                }
                // It may go on.
                None if !ended && rest.len() < LONGEST => {
                    self.held = rest.to_owned();
                    return out;
                }
                _ => {
                    out.push('[');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        self.held.clear();
        out
    }

    /// The same where values are made up, which may begin anywhere but within a word.
    fn give_made_up(&mut self, ended: bool) -> String {
        let text = std::mem::take(&mut self.held);
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(letter) = text[at..].chars().next() {
            let rest = &text[at..];
            match self.stands(rest, ended) {
                Stands::For(length, value) => {
                    self.put(&mut out, &value);
                    self.in_word = rest[..length]
                        .chars()
                        .next_back()
                        .is_some_and(char::is_alphanumeric);
                    at += length;
                }
                Stands::Unknown => {
                    self.held = rest.to_owned();
                    return out;
                }
                Stands::ForItself => {
                    self.in_word = letter.is_alphanumeric();
                    out.push(letter);
                    at += letter.len_utf8();
                }
            }
        }
        out
    }

    /// What a text begins with.
    fn stands(&self, rest: &str, ended: bool) -> Stands {
        if let Some(name) = rest.strip_prefix('[') {
            if let Some(length) = placeholder(rest) {
                let value = self.placeholders.original(&rest[..length]);
                return value.map_or(Stands::ForItself, |value| Stands::For(length, value));
            }
            let is_name =
                |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
            let may_go_on = !ended && rest.len() < LONGEST && name.chars().all(is_name);
            return if may_go_on {
                Stands::Unknown
            } else {
                Stands::ForItself
            };
        }
        for (made_up, value) in &self.made_up {
            let begins_word = made_up.chars().next().is_some_and(char::is_alphanumeric);
            if self.in_word && begins_word {
                continue;
            }
            let Some(behind) = rest.strip_prefix(made_up.as_str()) else {
                if !ended && made_up.starts_with(rest) {
                    return Stands::Unknown;
                }
                continue;
            };
            let ends_word = made_up.chars().next_back().is_some_and(char::is_alphanumeric);
            match behind.chars().next() {
                None if !ended && ends_word => return Stands::Unknown,
                Some(next) if ends_word && next.is_alphanumeric() => {}
                _ => return Stands::For(made_up.len(), value.clone()),
            }
        }
        Stands::ForItself
    }

    fn put(&self, out: &mut String, value: &str) {
        if !self.json {
            out.push_str(value);
            return;
        }
        for letter in value.chars() {
            match letter {
                '"' | '\\' => out.extend(['\\', letter]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                control if control < ' ' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(control));
                }
                other => out.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_value_stands_for_itself_when_it_is_found() {
        for synthetic in [true, false] {
            let placeholders = Placeholders::making_up();
            let replacing = Replacing {
                restorable: true,
                synthetic,
            };
            placeholders.spare("Ask Maria Keller.");
            let stands = placeholders.of("PERSON", "Maria Keller", replacing);
            assert_eq!(stands == "[PERSON_1]", !synthetic);
            placeholders.spare(&format!("Ask {stands}."));
            // Whatever it is taken for.
            for entity in ["PERSON", "PLACE"] {
                assert_eq!(placeholders.of(entity, &stands, replacing), stands);
            }
            assert_eq!(placeholders.of("PERSON", "Maria Keller", replacing), stands);
            let restored = Restorer::whole(&placeholders, &format!("I asked {stands}."), false);
            assert_eq!(restored, "I asked Maria Keller.");
        }
    }

    #[test]
    fn what_is_not_given_back_stands_for_itself_too() {
        let placeholders = Placeholders::new();
        let replacing = Replacing {
            restorable: false,
            synthetic: false,
        };
        let stands = placeholders.of("PERSON", "Maria Keller", replacing);
        assert_eq!(placeholders.of("PERSON", &stands, replacing), stands);
    }
}
