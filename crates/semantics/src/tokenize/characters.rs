//! What kind of character one is, looked up in the tables once and remembered.

use std::sync::atomic::{AtomicU8, Ordering};

use unicode_categories::UnicodeCategories;

/// What a tokenizer asks of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Says nothing: a control, a format character, one that is not assigned. Tabs and line ends are spaces.
    pub control: bool,
    /// An accent on the letter before it.
    pub mark: bool,
    /// A word of its own.
    pub punctuation: bool,
}

/// Characters that are remembered: all living scripts and ideographs.
const REMEMBERED: usize = 0x3_0000;

/// 0 where nothing is known yet; otherwise `KNOWN` and what holds. Any thread that looks finds the same, so it does not
/// matter who writes.
static KINDS: [AtomicU8; REMEMBERED] = [const { AtomicU8::new(0) }; REMEMBERED];

const KNOWN: u8 = 1;
const CONTROL: u8 = 2;
const MARK: u8 = 4;
const PUNCTUATION: u8 = 8;

impl Class {
    /// The class of a character.
    pub fn of(character: char) -> Self {
        let Some(place) = KINDS.get(character as usize) else {
            return Self::from_kind(kind(character));
        };
        let mut found = place.load(Ordering::Relaxed);
        if found == 0 {
            found = kind(character);
            place.store(found, Ordering::Relaxed);
        }
        Self::from_kind(found)
    }

    fn from_kind(kind: u8) -> Self {
        Self {
            control: kind & CONTROL != 0,
            mark: kind & MARK != 0,
            punctuation: kind & PUNCTUATION != 0,
        }
    }
}

fn kind(character: char) -> u8 {
    let mut kind = KNOWN;
    if !matches!(character, '\t' | '\n' | '\r') && character.is_other() {
        kind |= CONTROL;
    }
    if character.is_mark_nonspacing() {
        kind |= MARK;
    }
    if character.is_ascii_punctuation() || character.is_punctuation() {
        kind |= PUNCTUATION;
    }
    kind
}
