//! What stands in the place of something that was taken out, and what it stood for.
//!
//! A value gets the same placeholder wherever it occurs in a conversation: they are numbered in the order in which values
//! first occur, and a conversation that grows keeps its beginning. Held in memory for one request, and nowhere else.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;

/// The longest placeholder.
const LONGEST: usize = 64;
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

    /// Takes down what looks like a placeholder in a text that is to be looked at, so that nothing else gets it.
    pub fn spare(&self, text: &str) {
        let Some(book) = &self.0 else { return };
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

    /// What stands for a value. With `restorable`, [`Restorer`] puts the value back.
    pub(crate) fn of(&self, entity: &str, value: &str, restorable: bool) -> String {
        let Some(book) = &self.0 else {
            return format!("[{entity}]");
        };
        let mut book = book.lock();
        let key = (entity.to_owned(), value.to_owned());
        if let Some(placeholder) = book.given.get(&key) {
            return placeholder.clone();
        }
        if book.given.len() >= MOST {
            return format!("[{entity}]");
        }
        let mut count = book.counts.get(entity).copied().unwrap_or_default();
        let placeholder = loop {
            count += 1;
            let placeholder = format!("[{entity}_{count}]");
            if !book.written.contains(&placeholder) {
                break placeholder;
            }
        };
        book.counts.insert(entity.to_owned(), count);
        if restorable && placeholder.len() <= LONGEST {
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

    fn original(&self, placeholder: &str) -> Option<String> {
        self.0.as_ref()?.lock().back.get(placeholder).cloned()
    }
}

/// How long what looks like a placeholder is, at the beginning of a text; none where there is none, or not yet.
fn placeholder(text: &str) -> Option<usize> {
    let is_name = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let end = 1 + text.get(1..)?.find(|letter: char| !is_name(letter))?;
    (text.as_bytes()[end] == b']' && end < LONGEST).then_some(end + 1)
}

/// Puts values back into a text that comes in pieces.
#[derive(Debug)]
pub struct Restorer {
    placeholders: Placeholders,
    /// The text is JSON as it is written: values are escaped for a string.
    json: bool,
    /// From a bracket on that may be a placeholder.
    held: String,
}

impl Restorer {
    /// For a text, or for JSON as it is written (arguments of a tool).
    #[must_use]
    pub fn new(placeholders: &Placeholders, json: bool) -> Self {
        Self {
            placeholders: placeholders.clone(),
            json,
            held: String::new(),
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
