//! Recognisers: what can be told by its shape, its check digits and the words around it.
//!
//! They are data (`data/recognisers.json`, `data/secrets.json`): a pattern, the checks that a match must satisfy, how sure a
//! match is by itself, and how sure it is when certain words stand near. One pass over a text says which patterns occur
//! at all; only those look for their places. Time grows linearly with the text.

mod check;
mod context;
pub mod flow;
mod national;
mod wallet;

use std::collections::BTreeSet;
use std::ops::Range;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use check::Check;
use context::Context;

use crate::apart::apart;

/// Bytes of one compiled pattern, and of all together.
const SIZE_LIMIT: usize = 64 * 1024 * 1024;
/// Bytes of an automaton that is built while it reads.
const CACHE_LIMIT: usize = 16 * 1024 * 1024;

/// A recogniser as its file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, unique.
    pub name: String,
    /// What it finds: `EMAIL_ADDRESS`, `NATIONAL_ID`, …
    #[serde(default = "credential")]
    pub entity: String,
    /// Other names by which the same is asked for (those of Presidio among them).
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whose it is: a country of ISO 3166, in small letters.
    #[serde(default)]
    pub region: Option<String>,
    /// Who issues it.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What it looks like. A group named `value` is what is meant; otherwise the whole match is.
    pub pattern: String,
    /// All of these must hold.
    #[serde(default)]
    checks: Vec<Check>,
    /// How sure a match is by itself, 0 to 1. Absent: sure, unless it needs words.
    #[serde(default)]
    alone: Option<f32>,
    /// How sure a match is with one of the words near.
    #[serde(default)]
    near: Option<f32>,
    /// Words that make it surer, in any language, in small letters.
    #[serde(default)]
    words: Vec<String>,
    /// Words that make it surer right before it.
    #[serde(default)]
    before: Vec<String>,
    /// Words that make it surer right behind it.
    #[serde(default)]
    after: Vec<String>,
    /// It may stand within a word.
    #[serde(default)]
    loose: bool,
}

fn credential() -> String {
    "CREDENTIAL".to_owned()
}

/// What is wrong with a recogniser.
#[derive(Debug, thiserror::Error)]
pub enum RecogniserError {
    /// The file is not what it should be.
    #[error("recognisers: {0}")]
    File(#[from] serde_json::Error),
    /// A pattern cannot be compiled.
    #[error("recogniser {name:?}: {message}")]
    Pattern {
        /// Which one.
        name: String,
        /// Why not.
        message: String,
    },
    /// Two have one name.
    #[error("recogniser {0:?} is there twice")]
    Twice(String),
}

/// One compiled.
#[derive(Debug)]
struct Recogniser {
    definition: Definition,
    pattern: Regex,
    /// The match has a part that is meant.
    value: bool,
    context: Context,
    alone: f32,
    near: f32,
}

/// Something that was recognised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Which recogniser, to be asked of [`Recognisers::definition`].
    pub recogniser: usize,
    /// How sure, 0 to 1.
    pub score: f32,
}

/// A match before it is judged.
#[derive(Debug, Clone, PartialEq)]
struct Raw {
    whole: Range<usize>,
    /// What is meant of it.
    value: Range<usize>,
}

impl Raw {
    fn end(&self) -> usize {
        self.whole.end.max(self.value.end)
    }
}

/// Recognisers that look at a text together.
#[derive(Debug)]
pub struct Recognisers {
    any: RegexSet,
    each: Vec<Recogniser>,
}

/// The recognisers that ship: personal data, then credentials.
///
/// # Errors
/// When a file is damaged, which a test rules out.
pub fn shipped() -> Result<Vec<Definition>, RecogniserError> {
    let mut all = read(include_str!("../data/recognisers.json"))?;
    all.extend(read(include_str!("../data/secrets.json"))?);
    Ok(all)
}

/// Reads a file of recognisers.
///
/// # Errors
/// When it is not a list of them.
pub fn read(file: &str) -> Result<Vec<Definition>, RecogniserError> {
    Ok(serde_json::from_str(file)?)
}

impl Definition {
    /// Whether a match must satisfy more than its pattern.
    #[must_use]
    pub fn has_checks(&self) -> bool {
        !self.checks.is_empty()
    }

    /// Words that make it surer.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether it finds what is asked for by this name: its entity, an alias, or its own.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.entity == name || self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

impl Recognisers {
    /// Compiles recognisers; of overlapping finds that are equally sure and long, the earlier one's is kept.
    ///
    /// # Errors
    /// The first that cannot be compiled, or has another's name.
    pub fn compile(definitions: Vec<Definition>) -> Result<Self, RecogniserError> {
        let mut names = BTreeSet::new();
        let mut each = Vec::with_capacity(definitions.len());
        for definition in definitions {
            if !names.insert(definition.name.clone()) {
                return Err(RecogniserError::Twice(definition.name));
            }
            each.push(Recogniser::compile(definition)?);
        }
        let patterns = each.iter().map(|one| one.pattern.as_str());
        let any = RegexSetBuilder::new(patterns)
            .size_limit(SIZE_LIMIT)
            .dfa_size_limit(CACHE_LIMIT)
            .build()
            .map_err(|error| RecogniserError::Pattern {
                name: "all".to_owned(),
                message: error.to_string(),
            })?;
        Ok(Self { any, each })
    }

    /// What a sighting's recogniser is.
    #[must_use]
    pub fn definition(&self, sighting: &Sighting) -> &Definition {
        &self.each[sighting.recogniser].definition
    }

    /// The recogniser that [`Sighting::recogniser`] and [`flow::Piece::Found`] tell of.
    ///
    /// # Panics
    /// When it is of others.
    #[must_use]
    pub fn at(&self, recogniser: usize) -> &Definition {
        &self.each[recogniser].definition
    }

    /// Finds everything that is at least this sure, in the order of the text, without overlaps.
    #[must_use]
    pub fn find(&self, text: &str, least: f32) -> Vec<Sighting> {
        let mut found = Vec::new();
        for place in self.any.matches(text) {
            self.each[place].find(text, (place, least), &mut found);
        }
        surest(found)
    }

    /// Every match from `from` on, whatever it is worth, in the order of the text.
    fn raw(&self, text: &str, from: usize) -> Vec<(usize, Raw)> {
        // What stands before decides where words begin: a letter of it is enough.
        let mut seen = from.saturating_sub(4);
        while !text.is_char_boundary(seen) {
            seen -= 1;
        }
        let mut all = Vec::new();
        for place in self.any.matches(&text[seen..]) {
            self.each[place].each_raw(text, from, |raw| all.push((place, raw)));
        }
        all.sort_by_key(|(place, raw)| (raw.whole.start, *place));
        all
    }
}

impl Recogniser {
    fn compile(definition: Definition) -> Result<Self, RecogniserError> {
        let (before, behind) = if definition.loose {
            ("", "")
        } else {
            (r"(?-u:\b{start-half})", r"(?-u:\b{end-half})")
        };
        let whole = format!("{before}(?:{}){behind}", definition.pattern);
        let pattern = RegexBuilder::new(&whole)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| RecogniserError::Pattern {
                name: definition.name.clone(),
                message: error.to_string(),
            })?;
        let context = Context::new(&definition.words, &definition.before, &definition.after);
        let alone = definition
            .alone
            .unwrap_or(if context.is_empty() { 0.95 } else { 0.05 });
        Ok(Self {
            value: pattern.capture_names().flatten().any(|name| name == "value"),
            context,
            near: definition.near.unwrap_or(0.95),
            alone,
            pattern,
            definition,
        })
    }

    fn find(&self, text: &str, (recogniser, least): (usize, f32), found: &mut Vec<Sighting>) {
        self.each_raw(text, 0, |raw| {
            let score = self.score(text, &raw.value);
            if score >= least {
                found.push(Sighting {
                    start: raw.value.start,
                    end: raw.value.end,
                    recogniser,
                    score,
                });
            }
        });
    }

    /// Hands every match from `from` on to `each`.
    fn each_raw(&self, text: &str, mut from: usize, mut each: impl FnMut(Raw)) {
        while let Some((whole, mut value)) = self.next(text, from) {
            if let Some(length) = self
                .definition
                .checks
                .iter()
                .find_map(|check| check.length(&text[value.clone()]))
            {
                value.end = value.start + length;
            }
            // Where a check took less than the pattern, the rest may be something else.
            from = value.end.min(whole.end).max(whole.start + 1);
            while !text.is_char_boundary(from) {
                from += 1;
            }
            each(Raw { whole, value });
        }
    }

    /// The next match, and what is meant of it.
    fn next(&self, text: &str, from: usize) -> Option<(Range<usize>, Range<usize>)> {
        if from > text.len() {
            return None;
        }
        if !self.value {
            let whole = self.pattern.find_at(text, from)?.range();
            return Some((whole.clone(), whole));
        }
        let captures = self.pattern.captures_at(text, from)?;
        let whole = captures.get(0)?.range();
        let value = captures
            .name("value")
            .map_or_else(|| whole.clone(), |part| part.range());
        Some((whole, value))
    }

    /// How sure a match is: not at all when a check fails or when it is part of a longer number.
    fn score(&self, text: &str, value: &Range<usize>) -> f32 {
        let raw = &text[value.clone()];
        if !self.definition.loose && part_of_more(text, value) {
            return 0.0;
        }
        if !self.definition.checks.is_empty() {
            let compact: String = raw
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|letter| letter.to_ascii_uppercase())
                .collect();
            if !self
                .definition
                .checks
                .iter()
                .all(|check| check.holds(&compact, raw))
            {
                return 0.0;
            }
        }
        if self.near > self.alone && self.context.speaks_for(text, value) {
            self.near
        } else {
            self.alone
        }
    }
}

/// Whether digits go on behind a separator, before or after: the match would be a part of a longer number.
fn part_of_more(text: &str, value: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let joint = |byte: Option<&u8>| matches!(byte, Some(b'.' | b'-' | b','));
    let first = value.start;
    let before =
        first >= 2 && digit(bytes.get(first)) && joint(bytes.get(first - 1)) && digit(bytes.get(first - 2));
    let behind = digit(bytes.get(value.end.wrapping_sub(1)))
        && matches!(bytes.get(value.end), Some(b'.' | b'-'))
        && digit(bytes.get(value.end + 1));
    before || behind
}

/// Of those that overlap, the surest; of equally sure ones the longest, then the earlier recogniser's.
fn surest(mut found: Vec<Sighting>) -> Vec<Sighting> {
    found.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then((b.end - b.start).cmp(&(a.end - a.start)))
            .then(a.recogniser.cmp(&b.recogniser))
            .then(a.start.cmp(&b.start))
    });
    apart(&mut found, |one| one.start..one.end);
    found
}
