//! What could not be carried over, and what was carried over as the nearest thing: one line each, with its place.

use std::fmt::Write as _;

use serde::Serialize;

use crate::source::Item;

/// What became of a key of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is not in the result.
    NotCarried,
    /// The nearest thing is in the result; it does not do quite the same.
    Nearest,
    /// A secret: its place is taken by a variable.
    Secret,
}

impl Fate {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotCarried => "not carried over",
            Self::Nearest => "carried over as the nearest thing",
            Self::Secret => "a secret, not copied",
        }
    }
}

/// What became of one key of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file.
    pub file: String,
    /// The line of the key, from 1.
    pub line: usize,
    /// The key, such as `router_settings.redis_host`.
    pub key: String,
    /// What became of it.
    pub fate: Fate,
    /// Why.
    pub why: String,
    /// What to do instead; nothing need be done when empty.
    pub instead: String,
}

/// Everything that is not in the result as it was in the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By file and line.
    pub lines: Vec<Line>,
    /// Environment variables that the result names.
    pub variables: Vec<String>,
}

impl Report {
    /// Tells of a key; all of it counts as read. Values are never told: they may be secrets.
    pub(crate) fn tell(
        &mut self,
        item: &Item,
        fate: Fate,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) {
        item.accept();
        let line = Line {
            file: item.file.to_string(),
            line: item.line,
            key: item.path.clone(),
            fate,
            why: one_line(&why.into()),
            instead: one_line(&instead.into()),
        };
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// A key that is not in the result.
    pub(crate) fn lost(&mut self, item: &Item, why: impl Into<String>, instead: impl Into<String>) {
        self.tell(item, Fate::NotCarried, why, instead);
    }

    /// A key of which the nearest thing is in the result.
    pub(crate) fn nearest(&mut self, item: &Item, why: impl Into<String>, instead: impl Into<String>) {
        self.tell(item, Fate::Nearest, why, instead);
    }

    pub(crate) fn sort(&mut self, main: &str) {
        self.lines.sort_by(|left, right| {
            (left.file != main, &left.file, left.line).cmp(&(right.file != main, &right.file, right.line))
        });
    }

    /// For a terminal: a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            let _ = write!(
                out,
                "{}:{}: {}: {}: {}",
                line.file,
                line.line,
                line.key,
                line.fate.name(),
                line.why
            );
            if !line.instead.is_empty() {
                let _ = write!(out, "; {}", line.instead);
            }
            out.push('\n');
        }
        out
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// For people: a table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let mut out = String::from("# Imported\n\n");
        if self.lines.is_empty() {
            out.push_str("Everything was carried over.\n");
        } else {
            out.push_str(
                "| Where | Key | What became of it | Why | What to do |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        for line in &self.lines {
            let _ = writeln!(
                out,
                "| {}:{} | `{}` | {} | {} | {} |",
                cell(&line.file),
                line.line,
                cell(&line.key),
                line.fate.name(),
                cell(&line.why),
                cell(&line.instead)
            );
        }
        if !self.variables.is_empty() {
            out.push_str("\nEnvironment variables to set:\n\n");
            for name in &self.variables {
                let _ = writeln!(out, "- `{name}`");
            }
        }
        out
    }
}

/// A text without line breaks: what others say of an error may have some.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
