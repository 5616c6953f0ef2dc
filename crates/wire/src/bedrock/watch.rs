//! What one message of a passing stream says.

use bytes::Bytes;

use super::failure;
use super::usage::{read_tier, read_usage};
use crate::eventstream::Message;
use crate::form::Text;
use crate::json::fields::parse;
use crate::watch::{Said, StreamWatcher, has};

/// Looks at a message of ConverseStream.
pub(crate) fn event(watcher: &mut StreamWatcher, message: &Message) -> Said {
    let mut said = Said::default();
    if let Some(failure) = failure::of_message(message) {
        said.failure = Some(failure);
        return said;
    }
    let data = &message.payload;
    match message.header(":event-type") {
        Some("contentBlockDelta") => {
            said.content = true;
            // What is not text is about fifty bytes of structure.
            watcher.content_bytes += (data.len() as u64).saturating_sub(50);
        }
        Some("contentBlockStart") => said.content = has(data, b"\"toolUse\""),
        Some("messageStop") => watcher.finished = true,
        Some("metadata") => {
            read(watcher, data);
            said.ended = watcher.finished;
        }
        _ => {}
    }
    said
}

fn read(watcher: &mut StreamWatcher, data: &Bytes) {
    let Ok(text) = Text::try_from(data.clone()) else {
        return;
    };
    let Ok(value) = parse(&text) else { return };
    let Ok(mut fields) = value.fields() else { return };
    if let Ok(Some(usage)) = fields.take("usage", |usage| read_usage(&usage)) {
        watcher.usage = Some(usage);
    }
    if let Ok(Some(Some(tier))) = fields.take("serviceTier", |tier| read_tier(&tier)) {
        watcher.tier = Some(tier);
    }
}
