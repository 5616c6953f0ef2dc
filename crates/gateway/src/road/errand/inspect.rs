//! The guardrails' view of what is sent beside chat: every text, wherever it stands.

use std::sync::Arc;

use bytes::Bytes;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::splice::Edits;
use pointsman_wire::text::TextStage;
use serde_json::Value;

use super::super::guard::{self, Judging};

/// Fields with texts in them.
const TEXTS: [&str; 10] = [
    "input",
    "prompt",
    "instructions",
    "text_1",
    "text_2",
    "queries",
    "documents",
    "messages",
    "data_1",
    "data_2",
];

/// Shows texts to the input guardrails.
pub struct Inspector<'a>(Does<'a>);

/// What is done with a text.
enum Does<'a> {
    /// Taken down, for models to be asked about it.
    Gathers(Vec<Arc<str>>),
    /// Judged.
    Judges(Judging<'a>, &'a mut Vec<String>),
}

impl<'a> Inspector<'a> {
    /// One that notes in `flags` what is flagged.
    pub fn new(judging: Judging<'a>, flags: &'a mut Vec<String>) -> Self {
        Self(Does::Judges(judging, flags))
    }

    /// One that takes down what it is shown, and changes nothing.
    pub fn gathering() -> Self {
        Self(Does::Gathers(Vec::new()))
    }

    /// What it was shown.
    pub fn gathered(self) -> Vec<Arc<str>> {
        match self.0 {
            Does::Gathers(texts) => texts,
            Does::Judges(..) => Vec::new(),
        }
    }

    /// Whether there is nobody to show anything to.
    pub fn is_idle(&self) -> bool {
        matches!(&self.0, Does::Judges(judging, _) if judging.guards.is_empty())
    }

    /// Shows a text; what it becomes, where it is rewritten.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub fn text(&mut self, text: &str) -> Result<Option<String>, Failure> {
        if self.is_idle() || text.is_empty() {
            return Ok(None);
        }
        let (judging, flags) = match &mut self.0 {
            Does::Judges(judging, flags) => (judging, flags),
            Does::Gathers(texts) => {
                texts.push(text.into());
                return Ok(None);
            }
        };
        let verdict = judging.judge(TextStage::User, text);
        flags.extend(verdict.flags.into_iter().map(|flag| flag.guard));
        match verdict.blocked {
            Some(block) => Err(guard::refusal(&block)),
            None => Ok(verdict.rewritten),
        }
    }

    /// Shows a text that cannot be changed.
    ///
    /// # Errors
    /// When a guardrail blocks it or would change it.
    pub fn fixed(&mut self, text: &str, field: &str) -> Result<(), Failure> {
        match self.text(text)? {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                FailureKind::PermissionDenied,
                format!(
                    "a guardrail wants to change {field}, which cannot be changed; send it as a text alone"
                ),
            )
            .at(field)
            .coded("guardrail_blocked")),
        }
    }

    /// Refuses what no guardrail can read.
    ///
    /// # Errors
    /// When there are guardrails.
    pub fn unreadable(&self, field: &str) -> Result<(), Failure> {
        if self.is_idle() {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::InvalidRequest,
            format!("{field} holds token ids, which the guardrails here cannot read; send texts"),
        )
        .at(field))
    }
}

/// Calls `see` with every text of a body.
pub fn each_text(body: &Value, see: &mut impl FnMut(&str)) {
    for name in TEXTS {
        see_texts(body.get(name), see);
    }
}

/// Calls `see` with every text of a value: strings, and those under `text` and `content` of objects.
fn see_texts(value: Option<&Value>, see: &mut impl FnMut(&str)) {
    match value {
        Some(Value::String(text)) => see(text),
        Some(Value::Array(all)) => all.iter().for_each(|value| see_texts(Some(value), see)),
        Some(Value::Object(fields)) => {
            for name in ["text", "content"] {
                see_texts(fields.get(name), see);
            }
        }
        _ => {}
    }
}

/// Shows every text of a value; true when one was changed.
fn show(value: &mut Value, name: &str, inspector: &mut Inspector<'_>) -> Result<bool, Failure> {
    let mut changed = false;
    match value {
        Value::String(text) => {
            if let Some(rewritten) = inspector.text(text)? {
                *text = rewritten;
                changed = true;
            }
        }
        Value::Number(_) => inspector.unreadable(name)?,
        Value::Array(all) => {
            for value in all {
                changed |= show(value, name, inspector)?;
            }
        }
        Value::Object(fields) => {
            for part in ["text", "content"] {
                if let Some(value) = fields.get_mut(part) {
                    changed |= show(value, name, inspector)?;
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    Ok(changed)
}

/// Shows the texts of a JSON body; the body as the guardrails leave it.
pub fn inspect_json(
    body: &Bytes,
    value: &mut Value,
    inspector: &mut Inspector<'_>,
) -> Result<Option<Bytes>, Failure> {
    let mut edits = Edits::new();
    for name in TEXTS {
        if let Some(value) = value.get_mut(name)
            && show(value, name, inspector)?
        {
            edits.set(name, value.to_string());
        }
    }
    if edits.is_empty() {
        return Ok(None);
    }
    super::edited(body, &edits).map(Some)
}
