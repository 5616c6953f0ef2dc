//! Names of people, places and organisations, and addresses, by lists and by the grammar around them: what the model, whose
//! words are English, tells badly in other languages.
//!
//! What is sure counts by itself. The rest, a given name or a town of the lists, is somebody's only where the text has
//! something else of a person: who asks decides by that ([`Name::sure`]). Time grows linearly with the text.

mod japanese;
mod korean;
mod lexicon;
mod people;
mod places;
mod words;

use std::sync::OnceLock;

use lexicon::Lexicon;
use words::Words;

use crate::apart::apart;

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Somebody's name.
    Person,
    /// A street with its number.
    Address,
    /// A company.
    Organisation,
    /// A town, a province or a country.
    Place,
    /// A post code.
    Code,
    /// What stands before or behind a name.
    Title,
    /// A nationality.
    Nationality,
}

impl Kind {
    /// As finds are called: `PERSON`, …
    #[must_use]
    pub fn entity(self) -> &'static str {
        match self {
            Self::Person => "PERSON",
            Self::Address => "STREET_ADDRESS",
            Self::Organisation => "ORGANIZATION",
            Self::Place => "GPE",
            Self::Code => "ZIP_CODE",
            Self::Title => "TITLE",
            Self::Nationality => "NRP",
        }
    }
}

/// A find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// It is one whatever else the text has.
    pub sure: bool,
}

/// Whether lists and patterns are ready.
static READY: OnceLock<()> = OnceLock::new();

/// Reads the lists and compiles the patterns, if that was not done before: it takes as long as thousands of texts.
pub fn prepare() {
    READY.get_or_init(|| {
        japanese::shipped();
        korean::shipped();
        Lexicon::shipped();
        places::patterns();
    });
}

/// Whether the next text has to wait for neither.
#[must_use]
pub fn is_ready() -> bool {
    READY.get().is_some()
}

/// Everything of this sort in a text, in its order, without overlaps.
#[must_use]
pub fn find(text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    let scripts = Scripts::of(text);
    if scripts.japanese {
        japanese::find(text, &mut found);
    }
    if scripts.korean {
        korean::find(text, &mut found);
    }
    if scripts.capitals {
        let words = Words::read(text, Lexicon::shipped());
        people::find(&words, &mut found);
        places::find(&words, &mut found);
    }
    surest(found)
}

/// Which scripts a text is written in.
struct Scripts {
    japanese: bool,
    korean: bool,
    /// One that has capitals.
    capitals: bool,
}

impl Scripts {
    fn of(text: &str) -> Self {
        let mut scripts = Self {
            japanese: false,
            korean: false,
            capitals: false,
        };
        for letter in text.chars() {
            match letter {
                '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' => scripts.japanese = true,
                '\u{ac00}'..='\u{d7af}' => scripts.korean = true,
                other if other.is_ascii_alphabetic() => scripts.capitals = true,
                _ => {}
            }
        }
        scripts
    }
}

/// Of those that overlap the surest, then the longest.
fn surest(mut found: Vec<Name>) -> Vec<Name> {
    found.sort_by(|a, b| {
        (b.sure.cmp(&a.sure))
            .then((b.end - b.start).cmp(&(a.end - a.start)))
            .then(a.kind.cmp(&b.kind))
            .then(a.start.cmp(&b.start))
    });
    apart(&mut found, |one| one.start..one.end);
    found
}
