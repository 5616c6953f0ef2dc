//! What one event of a passing stream says.

use super::{is_search, read_usage, searches_in};
use crate::form::{Text, Usage};
use crate::format::{DecodeError, Format, stream_failure};
use crate::json::fields::{Value, parse};
use crate::watch::{Said, StreamWatcher, has};

pub(crate) fn event(watcher: &mut StreamWatcher, _name: &[u8], data: &[u8]) -> Said {
    if has(data, b"\"response.output_item.done\"") && has(data, b"\"web_search_call\"") {
        watcher.searches += u64::from(tells_search(data));
    }
    let said = said_by(watcher, data);
    // What fails is not forwarded: an error of our own stands in its place.
    if said.failure.is_none()
        && let Some(number) = number_of(data)
    {
        watcher.next_number = number.saturating_add(1);
    }
    said
}

/// Whether the item of an event is a search that was done.
fn tells_search(data: &[u8]) -> bool {
    let told = || {
        let text = Text::try_from(data).ok()?;
        let value = parse(&text).ok()?;
        value
            .fields()
            .ok()?
            .take("item", |item| Ok(is_search(&item)))
            .ok()?
    };
    told().unwrap_or(false)
}

/// The number of an event, found without reading it.
fn number_of(data: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b"\"sequence_number\":";
    let at = memchr::memmem::find(data, FIELD)?;
    let digits = data[at + FIELD.len()..].trim_ascii_start();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn said_by(watcher: &mut StreamWatcher, data: &[u8]) -> Said {
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
            let usage = usage.map(|usage| Usage {
                searches: usage.searches.max(watcher.searches),
                ..usage
            });
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
    let searches = fields
        .take("output", |output| Ok(searches_in(&output)))?
        .unwrap_or(0);
    let usage = fields.take("usage", |usage| read_usage(&usage))?;
    let usage = usage.map(|usage| Usage { searches, ..usage });
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
