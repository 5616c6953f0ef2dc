//! OpenAI's Realtime API: JSON events, one a message, both ways over one connection.
//!
//! Nothing is translated: events pass as they came. What is read here is what the gateway must know of them (what
//! starts an answer, what an answer used, which models are named), in the words of the present version and of the beta
//! before it. An event that is not known says nothing and passes.

mod client;
mod server;
mod session;
mod texts;
mod usage;

use bytes::Bytes;

use crate::failure;
use crate::form::Failure;
use crate::json::fields::{self, Value};
use crate::json::write;
use crate::splice::{Edits, SpliceError};

pub use client::{ClientAsks, ClientEvent, Said};
pub use server::{ServerEvent, Spoken};
pub use session::{Ceiling, Output, Session};
pub use texts::rewrite_texts;

/// Where the model stands in an event that tells of a session.
pub const SESSION_MODEL: &[&str] = &["session", "model"];

/// An `error` event. `about` is the client's event that it is about, where there is one.
#[must_use]
pub fn error_event(failure: &Failure, about: Option<&str>, id: &str) -> String {
    let written = write::object(|event| {
        event.string("type", "error");
        event.string("event_id", id);
        event.object("error", |error| {
            failure::openai(error, failure);
            match about {
                Some(about) => error.string("event_id", about),
                None => error.raw("event_id", "null"),
            }
        });
    });
    // What the writer writes is text.
    String::from_utf8(written).unwrap_or_default()
}

/// Puts the string `value` at `path` of an event, and leaves every other byte alone. What leads there must be there.
///
/// # Errors
/// When the event is not a JSON object.
pub fn put(event: &Bytes, path: &[&str], value: &str) -> Result<Bytes, SpliceError> {
    let mut edits = Edits::new();
    match path {
        [] => return Ok(event.clone()),
        [last] => edits.set_string(last, value),
        [first, rest @ ..] => {
            let Some(inner) = inner(event, first) else {
                return Ok(event.clone());
            };
            let inner = put(&inner, rest, value)?;
            edits.set(first, std::str::from_utf8(&inner)?);
        }
    }
    edits.apply(event)
}

/// The object that a field holds.
fn inner(event: &Bytes, name: &str) -> Option<Bytes> {
    let event = event.clone().try_into().ok()?;
    let value = fields::parse(&event).ok()?;
    at(&value, &[name], &mut |inner| {
        inner
            .is_object()
            .then(|| Bytes::copy_from_slice(inner.text().as_bytes()))
    })
}

/// What stands at `path`, as far as it can be read.
fn at<T>(value: &Value<'_>, path: &[&str], read: &mut dyn FnMut(&Value<'_>) -> Option<T>) -> Option<T> {
    let Some((first, rest)) = path.split_first() else {
        return read(value);
    };
    let mut fields = value.fields().ok()?;
    fields.take(first, |inner| Ok(at(&inner, rest, read))).ok()??
}

/// The bytes of a value in base64.
fn decoded_length(value: &Value<'_>) -> u64 {
    (value.text().len().saturating_sub(2) as u64).saturating_mul(3) / 4
}

#[cfg(test)]
mod tests;
