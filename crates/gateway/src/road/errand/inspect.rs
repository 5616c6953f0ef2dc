//! The guardrails' view of what is sent beside chat: every text, wherever it stands.

use bytes::Bytes;
use pointsman_guard::Shown;
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::splice::Edits;
use pointsman_wire::text::TextStage;
use serde_json::Value;

use super::super::guard;

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

/// Shows texts to the input guardrails: once to take them down, so that whoever must be asked can be, and once more to put
/// what they become in their places.
pub struct Inspector(Does);

/// What is done with a text.
enum Does {
    /// Nothing: nobody looks at it.
    Nothing,
    /// Taken down.
    Gathers(Vec<Shown>),
    /// Replaced, in the order in which texts were taken down.
    Applies(std::vec::IntoIter<Option<String>>),
}

impl Inspector {
    /// One that shows nobody anything.
    pub fn idle() -> Self {
        Self(Does::Nothing)
    }

    /// One that takes down what it is shown, and changes nothing.
    pub fn gathering() -> Self {
        Self(Does::Gathers(Vec::new()))
    }

    /// One that puts these in the places of the texts that were taken down.
    pub fn applying(rewritten: Vec<Option<String>>) -> Self {
        Self(Does::Applies(rewritten.into_iter()))
    }

    /// What it was shown.
    pub fn gathered(self) -> Vec<Shown> {
        match self.0 {
            Does::Gathers(texts) => texts,
            Does::Nothing | Does::Applies(_) => Vec::new(),
        }
    }

    /// Whether there is nobody to show anything to.
    pub fn is_idle(&self) -> bool {
        matches!(self.0, Does::Nothing)
    }

    /// Shows a text; what it becomes, where it is rewritten.
    pub fn text(&mut self, text: &str) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        match &mut self.0 {
            Does::Nothing => None,
            Does::Gathers(texts) => {
                texts.push(guard::shown(TextStage::User, text));
                None
            }
            Does::Applies(rewritten) => rewritten.next().flatten(),
        }
    }

    /// Shows a text that cannot be changed.
    ///
    /// # Errors
    /// When a guardrail would change it.
    pub fn fixed(&mut self, text: &str, field: &str) -> Result<(), Failure> {
        match self.text(text) {
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
fn show(value: &mut Value, name: &str, inspector: &mut Inspector) -> Result<bool, Failure> {
    let mut changed = false;
    match value {
        Value::String(text) => {
            if let Some(rewritten) = inspector.text(text) {
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
    inspector: &mut Inspector,
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
