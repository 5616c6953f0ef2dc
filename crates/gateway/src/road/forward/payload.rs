//! Bodies that are passed on: JSON, and forms with files, read as far as is needed.

use bytes::Bytes;
use http::{HeaderValue, header};
use pointsman_wire::form::{Failure, FailureKind};
use pointsman_wire::form_data::Form;
use serde_json::Value;

use super::super::errand::{self, Inspector};
use super::super::{Arrival, arrive};

/// Fields of a form that decide what is asked of whom, and what it costs: given twice, the provider might take another
/// one than was looked at here.
const DECISIVE: [&str; 8] = [
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "stream",
    "file",
    "response_format",
];

/// A body.
pub(super) enum Payload {
    Json(Bytes, Value),
    Form(Form, HeaderValue),
}

impl Payload {
    /// Reads a body, as its `Content-Type` says.
    pub(super) fn read(arrival: &Arrival, body: Bytes) -> Result<Self, Failure> {
        let kind = arrival.headers.get(header::CONTENT_TYPE);
        let said = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = said.trim_start().to_ascii_lowercase().starts_with("multipart/");
        if let Some(kind) = kind.filter(|_| is_form) {
            let form = Form::read(said, &body).map_err(arrive::damaged)?;
            return match DECISIVE.into_iter().find(|name| form.repeats(name)) {
                None => Ok(Self::Form(form, kind.clone())),
                Some(name) => {
                    let message = format!("{name} is given more than once; give it once");
                    Err(Failure::new(FailureKind::InvalidRequest, message).at(name))
                }
            };
        }
        let wrong = |error: &dyn std::fmt::Display| {
            let message = format!("the body is neither JSON nor a form of several parts: {error}");
            Failure::new(FailureKind::InvalidRequest, message)
        };
        let value: Value = serde_json::from_slice(&body).map_err(|error| wrong(&error))?;
        if value.is_object() {
            Ok(Self::Json(body, value))
        } else {
            Err(wrong(&"it is no object"))
        }
    }

    /// What a field says, as text.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        match self {
            Self::Form(form, _) => form.text(name).map(str::to_owned),
            Self::Json(_, value) => match value.get(name)? {
                Value::String(text) => Some(text.clone()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
                other => Some(other.to_string()),
            },
        }
    }

    /// How many images were given to be changed.
    pub(super) fn images(&self) -> u64 {
        match self {
            Self::Form(form, _) => form.files("image").count() as u64,
            Self::Json(_, value) => ["image", "images"]
                .into_iter()
                .filter_map(|name| value.get(name))
                .map(|images| images.as_array().map_or(1, Vec::len) as u64)
                .sum(),
        }
    }

    /// Shows its texts to the guardrails, and takes what they make of them.
    pub(super) fn inspect(&mut self, inspector: &mut Inspector) -> Result<(), Failure> {
        match self {
            Self::Json(body, value) => {
                if let Some(edited) = errand::inspect_json(body, value, inspector)? {
                    *body = edited;
                }
            }
            Self::Form(form, kind) => {
                let shown = form.text("prompt").map(|prompt| inspector.text(prompt));
                if let Some(rewritten) = shown.flatten() {
                    let body = form.with("prompt", &rewritten);
                    let kind = kind.to_str().unwrap_or_default();
                    *form = Form::read(kind, &body).map_err(arrive::damaged)?;
                }
            }
        }
        Ok(())
    }

    /// The body with the provider's name of the model.
    pub(super) fn named(&self, model: &str) -> Result<Bytes, Failure> {
        match self {
            Self::Form(form, _) => Ok(form.with("model", model)),
            Self::Json(body, value) if value.get("model").and_then(Value::as_str) == Some(model) => {
                Ok(body.clone())
            }
            Self::Json(body, _) => errand::named(body, model),
        }
    }

    /// What it is, where it is not JSON.
    pub(super) fn content_type(&self) -> Option<HeaderValue> {
        match self {
            Self::Form(_, kind) => Some(kind.clone()),
            Self::Json(..) => None,
        }
    }
}
