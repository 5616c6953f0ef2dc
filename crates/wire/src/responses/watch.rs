//! What one event of a passing stream says.

use super::read_usage;
use crate::form::{Text, Usage};
use crate::format::{DecodeError, Format, stream_failure};
use crate::json::fields::{Value, parse};
use crate::watch::{Said, StreamWatcher, has};

pub(crate) fn event(watcher: &mut StreamWatcher, _name: &[u8], data: &[u8]) -> Said {
    let mut said = Said::default();
    // The type stands in the data, too; the name of the event need not be there.
    if has(data, b".delta\"") && has(data, b"\"delta\"") {
        said.content = true;
        watcher.content_bytes += delta_bytes(data);
        return said;
    }
    let end = [
        &b"\"response.completed\""[..],
        b"\"response.incomplete\"",
        b"\"response.failed\"",
        b"\"error\"",
    ];
    if !end.iter().any(|name| has(data, name)) {
        said.content = begins_item(data);
        return said;
    }
    let Ok(text) = Text::try_from(data) else {
        return said;
    };
    let Ok(value) = parse(&text) else { return said };
    let Ok(mut fields) = value.fields() else {
        return said;
    };
    let kind = fields.take("type", |kind| kind.string()).ok().flatten();
    match kind.as_deref() {
        Some("response.completed" | "response.incomplete") => {
            said.ended = true;
            // Some servers send nothing but the end.
            said.content = has(data, b"\"output_text\"") || has(data, b"_call\"");
            let told = fields.take("response", |response| told_by(&response));
            let (usage, tier) = told.ok().flatten().unwrap_or_default();
            (watcher.usage, watcher.tier) = (usage.or(watcher.usage), tier);
        }
        Some("response.failed") => {
            let response = fields.take("response", |response| {
                // What failed late has cost something all the same.
                watcher.usage = told_by(&response)?.0.or(watcher.usage);
                Ok(response.json())
            });
            let told = response.ok().flatten();
            said.failure = Some(stream_failure(
                Format::OpenAiResponses,
                told.as_ref().map_or(&text, |json| json.as_str()),
            ));
        }
        Some("error") => said.failure = Some(super::stream::failure_of(&text)),
        _ => said.content = begins_item(data),
    }
    said
}

/// Whether an item begins that is content by itself: a call, or what a hosted tool does.
fn begins_item(data: &[u8]) -> bool {
    let none_yet = has(data, b"\"reasoning\"") || has(data, b"\"message\"");
    has(data, b"\"response.output_item.added\"") && !none_yet
}

/// Usage and service tier.
fn told_by(response: &Value<'_>) -> Result<(Option<Usage>, Option<Text>), DecodeError> {
    let mut fields = response.fields()?;
    let usage = fields.take("usage", |usage| read_usage(&usage))?;
    let tier = fields.take("service_tier", |tier| tier.string())?;
    Ok((usage, tier))
}

/// About how many bytes of content a delta carries.
fn delta_bytes(data: &[u8]) -> u64 {
    let Some(at) = memchr::memmem::find(data, b"\"delta\":") else {
        return 0;
    };
    let value = data[at + 8..].trim_ascii_start();
    value
        .strip_prefix(b"\"")
        .map_or(0, |text| memchr::memchr(b'"', text).unwrap_or(text.len()) as u64)
}
