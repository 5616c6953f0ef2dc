//! The regex guardrail: over a whole text, and over one that comes in pieces.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::config::{Action, RegexConfig};
use crate::hold::{Candidates, Prospect};

/// Size of a compiled pattern.
const SIZE_LIMIT: usize = 1024 * 1024;
/// Default of `max_hold_bytes`.
const DEFAULT_HOLD: usize = 16 * 1024;

/// A compiled guardrail: its patterns are one, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct RegexGuard {
    pub(crate) action: Action,
    replacement: String,
    pattern: Regex,
    prospect: Prospect,
    max_hold: usize,
}

/// What a guardrail found in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The text with replacements, when there were any.
    pub(crate) rewritten: Option<String>,
    /// Whether there was a match at all.
    pub(crate) matched: bool,
}

impl RegexGuard {
    /// Compiles a block; `action` is what it does, which a dry run changes.
    pub(crate) fn compile(config: &RegexConfig, action: Action) -> Result<Self, (&'static str, String)> {
        if config.deny.is_empty() {
            return Err(("deny", "a regex guardrail needs at least one pattern".to_owned()));
        }
        for pattern in &config.deny {
            let parsed = regex_syntax::parse(pattern).map_err(|error| ("deny", error.to_string()))?;
            if parsed.properties().minimum_len() == Some(0) {
                return Err((
                    "deny",
                    format!("the pattern {pattern:?} matches the empty text, which is everywhere"),
                ));
            }
        }
        let all: Vec<String> = config
            .deny
            .iter()
            .map(|pattern| format!("(?:{pattern})"))
            .collect();
        // Word boundaries are those of ASCII: an automaton over bytes has no others, and both ways must agree.
        let pattern = ascii_boundaries(&all.join("|"));
        let compiled = RegexBuilder::new(&pattern).size_limit(SIZE_LIMIT).build();
        Ok(Self {
            action,
            replacement: config
                .replacement
                .clone()
                .unwrap_or_else(|| format!("[REDACTED:{}]", config.name)),
            pattern: compiled.map_err(|error| ("deny", error.to_string()))?,
            prospect: Prospect::new(&pattern).map_err(|error| ("deny", error))?,
            max_hold: config.max_hold_bytes.unwrap_or(DEFAULT_HOLD),
        })
    }

    pub(crate) fn inspect(&self, text: &str) -> Found {
        let mut matches = self.pattern.find_iter(text).peekable();
        if matches.peek().is_none() {
            return Found::default();
        }
        if self.action != Action::Redact {
            return Found {
                rewritten: None,
                matched: true,
            };
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in matches {
            out.push_str(&text[from..found.start()]);
            out.push_str(&self.replacement);
            from = found.end();
        }
        out.push_str(&text[from..]);
        Found {
            rewritten: Some(out),
            matched: true,
        }
    }
}

/// The pattern with its word boundaries made those of ASCII; an escaped backslash before a `b` is none.
fn ascii_boundaries(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(boundary @ ('b' | 'B')) => {
                out.push_str("(?-u:\\");
                out.push(boundary);
                out.push(')');
            }
            Some(escaped) => out.extend(['\\', escaped]),
            None => out.push('\\'),
        }
    }
    out
}

/// A text that comes in pieces, on its way through one guardrail.
#[derive(Debug)]
pub(crate) struct Flowing {
    guard: Arc<RegexGuard>,
    candidates: Candidates,
    /// What has not been released, behind a little of what has (for boundaries).
    buffer: String,
    /// Where the buffer begins in the text.
    base: usize,
    /// Up to where the text is settled.
    done: usize,
    /// A match was seen.
    pub(crate) matched: bool,
}

/// The text is held longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeldTooLong;

impl Flowing {
    pub(crate) fn new(guard: Arc<RegexGuard>) -> Self {
        Self {
            guard,
            candidates: Candidates::default(),
            buffer: String::new(),
            base: 0,
            done: 0,
            matched: false,
        }
    }

    /// Takes a piece in and releases what is settled.
    pub(crate) fn push(&mut self, piece: &str, out: &mut String) -> Result<(), HeldTooLong> {
        self.buffer.push_str(piece);
        let hold = self
            .guard
            .prospect
            .advance(&mut self.candidates, piece.as_bytes())
            .map_err(|_| HeldTooLong)?;
        self.release(hold, out);
        if self.base + self.buffer.len() - self.done > self.guard.max_hold {
            return Err(HeldTooLong);
        }
        Ok(())
    }

    /// The text has ended.
    pub(crate) fn finish(&mut self, out: &mut String) {
        self.release(usize::MAX, out);
    }

    /// Releases what lies before `hold`: no match that begins there can still grow.
    fn release(&mut self, hold: usize, out: &mut String) {
        let end = self.base + self.buffer.len();
        let redacts = self.guard.action == Action::Redact;
        let ended = hold == usize::MAX;
        let mut searched = self.done;
        while searched <= end {
            let Some(found) = self.guard.pattern.find_at(&self.buffer, searched - self.base) else {
                break;
            };
            let (start, stop) = (self.base + found.start(), self.base + found.end());
            if start >= hold && !ended {
                break;
            }
            self.matched = true;
            if redacts {
                out.push_str(&self.buffer[self.done - self.base..start - self.base]);
                out.push_str(&self.guard.replacement);
                self.done = stop;
            }
            // Patterns that match the empty text are refused at load: every match moves on.
            searched = stop;
        }
        let mut until = hold.min(end);
        while !self.buffer.is_char_boundary(until - self.base) {
            until -= 1;
        }
        if until > self.done {
            out.push_str(&self.buffer[self.done - self.base..until - self.base]);
            self.done = until;
        }
        self.forget();
    }

    /// Drops what is settled, but for one letter of context.
    fn forget(&mut self) {
        let mut keep = (self.done - self.base).saturating_sub(4);
        while !self.buffer.is_char_boundary(keep) {
            keep -= 1;
        }
        if keep > 0 {
            self.buffer.drain(..keep);
            self.base += keep;
        }
    }
}
