//! What one event of a passing stream says.

use super::failure;
use super::usage::read_usage;
use crate::form::{Failure, FailureKind, Text};
use crate::format::{DecodeError, Format, stream_failure};
use crate::json::fields::{Fields, parse};
use crate::watch::{Said, StreamWatcher, has};

pub(crate) fn event(watcher: &mut StreamWatcher, name: &[u8], data: &[u8]) -> Said {
    let mut said = Said::default();
    // The type stands in the data, too; the name of the event need not be there.
    let is = |kind: &[u8]| name == kind || (name.is_empty() && type_is(data, kind));
    if is(b"content-delta") || is(b"tool-plan-delta") || is(b"tool-call-delta") {
        let bytes = text_bytes(data);
        said.content = bytes > 0;
        watcher.content_bytes += bytes;
    } else if is(b"tool-call-start") {
        said.content = true;
    } else if is(b"message-end") || !has(data, b"\"type\"") {
        let Ok(text) = Text::try_from(data) else {
            return said;
        };
        let Ok(value) = parse(&text) else { return said };
        let Ok(mut fields) = value.fields() else {
            return said;
        };
        if !is(b"message-end") {
            if fields.has("message") {
                said.failure = Some(stream_failure(Format::CohereChat, &text));
            }
            return said;
        }
        match end(watcher, &mut fields) {
            Ok(told) => said.failure = told,
            Err(error) => said.failure = Some(Failure::new(FailureKind::Provider, error.message)),
        }
        said.ended = said.failure.is_none();
    }
    said
}

/// Reads `message-end`; the failure it tells, if it does.
fn end(watcher: &mut StreamWatcher, fields: &mut Fields<'_>) -> Result<Option<Failure>, DecodeError> {
    let told = fields.take("delta", |delta| {
        let mut delta = delta.fields()?;
        if let Some(usage) = delta.take("usage", |usage| read_usage(&usage))? {
            watcher.usage = Some(usage);
        }
        let error = delta.take("error", |error| error.string())?;
        let reason = delta.take("finish_reason", |reason| reason.string())?;
        let by_reason = reason.and_then(|reason| failure::of_reason(&reason, error.as_deref()));
        Ok(by_reason.or_else(|| error.map(|error| Failure::new(FailureKind::Provider, error.to_string()))))
    })?;
    Ok(told.flatten())
}

fn type_is(data: &[u8], kind: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(data, b"\"type\"") else {
        return false;
    };
    let value = data[at + 6..].trim_ascii_start();
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
    value
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_prefix(kind))
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}

/// About how many bytes of content a delta carries.
fn text_bytes(data: &[u8]) -> u64 {
    for field in [
        &b"\"text\":"[..],
        b"\"thinking\":",
        b"\"tool_plan\":",
        b"\"arguments\":",
    ] {
        if let Some(at) = memchr::memmem::find(data, field)
            && let Some(text) = data[at + field.len()..].trim_ascii_start().strip_prefix(b"\"")
        {
            // A quote that is escaped ends nothing, but what it cuts off is little.
            return memchr::memchr(b'"', text).unwrap_or(text.len()) as u64;
        }
    }
    0
}
