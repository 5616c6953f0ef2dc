//! Turns: neighbouring messages of one role joined, as formats demand whose roles take turns.

use super::{ContentShape, Extra, Message, Part, PartKind, Role, Text};
use crate::rules::{Losses, UNKNOWN};

/// Fields that formats keep for their own bookkeeping: leaving them out loses nothing.
const BOOKKEEPING: [&str; 11] = [
    "id",
    "type",
    "status",
    "annotations",
    "logprobs",
    "summary",
    "content",
    "item",
    "$json",
    "tool_plan",
    "document",
];

/// Puts neighbouring texts of an answer together that say nothing but their words: clients that were told it piece by
/// piece may keep each piece, and formats refuse a piece that is white space alone.
pub fn gather_texts(parts: Vec<Part>) -> Vec<Part> {
    let mut gathered: Vec<Part> = Vec::with_capacity(parts.len());
    for mut part in parts {
        match (gathered.last_mut().and_then(plain_text), plain_text(&mut part)) {
            (Some(before), Some(text)) => *before = format!("{before}{text}").into(),
            _ => gathered.push(part),
        }
    }
    gathered
}

fn plain_text(part: &mut Part) -> Option<&mut Text> {
    match &mut part.kind {
        PartKind::Text(text)
            if text.citations.is_none() && part.cache_control.is_none() && part.extra.is_empty() =>
        {
            Some(&mut text.text)
        }
        _ => None,
    }
}

/// Joins neighbours that `role_of` gives the same role; those to which it gives none stay alone. What only their own
/// format knows is left out, and told.
pub fn join(
    messages: impl IntoIterator<Item = Message>,
    role_of: impl Fn(Role) -> Option<Role>,
    losses: &mut Losses,
) -> Vec<Message> {
    let messages = messages.into_iter();
    let mut turns: Vec<Message> = Vec::with_capacity(messages.size_hint().0);
    let mut open: Option<Role> = None;
    for message in messages {
        tell_unknown(&message.extra, losses);
        let role = role_of(message.role);
        let parts = message.parts.into_iter().map(|part| plain(part, losses));
        match turns.last_mut() {
            Some(last) if role.is_some() && role == open => {
                last.parts.extend(parts);
                last.shape = ContentShape::Parts;
            }
            _ => turns.push(Message {
                role: role.unwrap_or(message.role),
                parts: parts.collect(),
                shape: message.shape,
                name: message.name,
                extra: Extra::default(),
            }),
        }
        open = role;
    }
    turns
}

/// The part without what only its own format knows.
fn plain(mut part: Part, losses: &mut Losses) -> Part {
    tell_unknown(&part.extra, losses);
    part.extra = Extra::default();
    match &mut part.kind {
        PartKind::ToolCall(call) => {
            tell_unknown(&call.extra, losses);
            call.extra = Extra::default();
        }
        PartKind::ToolResult(result) => {
            let inner = std::mem::take(&mut result.content);
            result.content = inner.into_iter().map(|part| plain(part, losses)).collect();
        }
        _ => {}
    }
    part
}

fn tell_unknown(extra: &Extra, losses: &mut Losses) {
    for (name, _) in extra.fields() {
        if !BOOKKEEPING.contains(&name.as_ref()) {
            losses.at(format!("messages[].{name}"), &UNKNOWN);
        }
    }
}
