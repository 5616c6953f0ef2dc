//! What the events of a passing messages stream say.

use super::usage::{read_tier, read_usage};
use crate::form::Text;
use crate::format::{Format, stream_failure};
use crate::json::fields::{Value, parse};
use crate::watch::{Said, StreamWatcher, has};

/// Looks at one event.
pub(crate) fn event(watcher: &mut StreamWatcher, name: &[u8], data: &[u8]) -> Said {
    let mut said = Said::default();
    match name {
        b"content_block_delta" => {
            said.content = true;
            // What is not text is about sixty bytes of structure.
            watcher.content_bytes += (data.len() as u64).saturating_sub(75);
        }
        b"content_block_start" => {
            said.content = has(data, b"\"tool_use\"") || has(data, b"\"redacted_thinking\"");
        }
        b"message_start" | b"message_delta" => read(watcher, data),
        b"message_stop" => said.ended = true,
        b"error" => {
            let text = Text::try_from(data).unwrap_or_default();
            said.failure = Some(stream_failure(Format::AnthropicMessages, &text));
        }
        _ => {}
    }
    said
}

fn read(watcher: &mut StreamWatcher, data: &[u8]) {
    let Ok(text) = Text::try_from(data) else { return };
    let Ok(value) = parse(&text) else { return };
    let Ok(mut fields) = value.fields() else { return };
    let before = watcher.usage;
    let told = |usage: Value<'_>| Ok((read_usage(&usage, before)?, read_tier(&usage)?));
    let beside = fields.take("usage", told);
    let inside = || {
        let inside = fields.take("message", |message| message.fields()?.take("usage", told));
        inside.ok().flatten().flatten()
    };
    if let Some((usage, tier)) = beside.ok().flatten().or_else(inside) {
        watcher.usage = Some(usage);
        watcher.tier = tier.or(watcher.tier.take());
    }
}
