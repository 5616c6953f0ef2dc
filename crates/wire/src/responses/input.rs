//! Input items, written: a message of the form as a message item, and as items of their own the calls, results and
//! reasoning in it.

use std::fmt::Display;

use super::{items, parts, rules};
use crate::form::{
    ChatRequest, ContentShape, Message, Part, PartKind, Role, Thinking, ToolCall, ToolCallKind, ToolResult,
    turns,
};
use crate::format::{EncodeError, Format};
use crate::hash::fnv1a;
use crate::json::write::{List, Object};
use crate::rules::Losses;

/// Whether a message of this format is `instructions`.
pub(super) fn is_instructions(message: &Message) -> bool {
    message.role == Role::System && message.shape == ContentShape::Absent
}

/// Whether a message of this format is `prompt`, a template that the provider keeps.
fn is_prompt(message: &Message) -> bool {
    message.shape == ContentShape::Absent
        && matches!(
            message.parts.as_slice(),
            [Part {
                kind: PartKind::Opaque { .. },
                ..
            }]
        )
}

/// Writes `prompt`, `instructions` and `input`.
pub(super) fn write(
    body: &mut Object<'_>,
    request: &ChatRequest,
    losses: &mut Losses,
) -> Result<(), EncodeError> {
    let own = request.format == Format::OpenAiResponses;
    let mut writer = Writer { own, losses };
    let joined;
    let mut messages = request.messages.as_slice();
    if own {
        while let [first, rest @ ..] = messages {
            if is_prompt(first) {
                if let PartKind::Opaque { json, .. } = &first.parts[0].kind {
                    body.raw("prompt", json.as_str());
                }
            } else if is_instructions(first) {
                body.string("instructions", only_text(first));
            } else {
                break;
            }
            messages = rest;
        }
        match messages {
            [only] if only.role == Role::User && only.shape == ContentShape::Absent => {
                body.string("input", only_text(only));
                return Ok(());
            }
            [] => return Ok(()),
            _ => {}
        }
    } else {
        joined = turns::join(messages.iter().cloned(), |_| None, writer.losses);
        messages = &joined;
    }
    let mut refused = None;
    body.list("input", |list| {
        for (index, message) in messages.iter().enumerate() {
            let at = format_args!("messages[{index}]");
            refused = writer.message(list, message, &at).err();
            if refused.is_some() {
                return;
            }
        }
    });
    refused.map_or(Ok(()), Err)
}

fn only_text(message: &Message) -> &str {
    match message.parts.first().map(|part| &part.kind) {
        Some(PartKind::Text(text)) => &text.text,
        _ => "",
    }
}

struct Writer<'a> {
    own: bool,
    losses: &'a mut Losses,
}

impl Writer<'_> {
    fn message(
        &mut self,
        list: &mut List<'_>,
        message: &Message,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if self.own {
            return match message.parts.as_slice() {
                [part] if items::is_item(message) => self.item(list, part, at),
                content => write_message(list, message, content, at, true),
            };
        }
        if message.name.is_some() {
            self.losses.by(&rules::NAMES);
        }
        let mut content: Vec<Part> = Vec::new();
        for part in &message.parts {
            let alone = matches!(
                part.kind,
                PartKind::ToolCall(_)
                    | PartKind::ToolResult(_)
                    | PartKind::Thinking(_)
                    | PartKind::RedactedThinking(_)
            );
            if alone {
                flush(list, message, &mut content, at)?;
                self.item(list, part, at)?;
            } else {
                content.push(part.clone());
            }
        }
        flush(list, message, &mut content, at)
    }

    fn item(&mut self, list: &mut List<'_>, part: &Part, at: &dyn Display) -> Result<(), EncodeError> {
        match &part.kind {
            PartKind::ToolCall(call) => self.call(list, part, call),
            PartKind::ToolResult(result) => return self.result(list, part, result, at),
            PartKind::Thinking(thinking) => self.thinking(list, part, thinking),
            PartKind::Opaque { json, .. } => list.raw(json.as_str()),
            // Reasoning that another provider encrypted was left out before.
            _ => {}
        }
        Ok(())
    }

    fn call(&self, list: &mut List<'_>, part: &Part, call: &ToolCall) {
        let (kind, field) = match call.kind {
            ToolCallKind::Function => ("function_call", "arguments"),
            ToolCallKind::Custom => ("custom_tool_call", "input"),
        };
        list.object(|object| {
            object.string("type", kind);
            object.string("call_id", &call.id);
            object.string("name", &call.name);
            let empty = call.arguments.is_empty() && call.kind == ToolCallKind::Function && !self.own;
            object.string(field, if empty { "{}" } else { &call.arguments });
            if self.own {
                object.extra(&part.extra);
            }
        });
    }

    fn thinking(&mut self, list: &mut List<'_>, part: &Part, thinking: &Thinking) {
        if thinking.signature.is_none() && !self.own {
            self.losses.by(&rules::UNSIGNED);
            return;
        }
        let kept = if self.own {
            items::reasoning_fields(part, thinking)
        } else {
            Vec::new()
        };
        list.object(|object| {
            object.string("type", "reasoning");
            for (name, json) in &kept {
                object.raw(name, json.as_str());
            }
            if let Some(proof) = thinking.signature.as_deref().filter(|_| !self.own) {
                // An item must have one; what is encrypted is not looked up by it.
                object.string("id", &format!("rs_{:016x}", fnv1a(proof.bytes())));
            }
            if !kept.iter().any(|(name, _)| name == "summary") {
                super::response::write_summary(object, &thinking.text);
            }
            object.maybe_string("encrypted_content", thinking.signature.as_deref());
        });
    }

    fn result(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        result: &ToolResult,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        let failed = result.is_error == Some(true);
        if failed {
            self.losses.by(&rules::IS_ERROR);
        }
        let own = self.own;
        let mut refused = None;
        list.object(|object| {
            match part.extra.get("type").filter(|_| own) {
                Some(kind) => object.raw("type", kind.as_str()),
                None => object.string("type", "function_call_output"),
            }
            object.string("call_id", &result.call_id);
            refused = write_output(object, result, failed, at, own).err();
            if own {
                let rest = part.extra.0.iter().filter(|(name, _)| name != "type");
                rest.for_each(|(name, json)| object.raw(name, json.as_str()));
            }
        });
        refused.map_or(Ok(()), Err)
    }
}

fn flush(
    list: &mut List<'_>,
    message: &Message,
    content: &mut Vec<Part>,
    at: &dyn Display,
) -> Result<(), EncodeError> {
    let content = std::mem::take(content);
    let blank = |part: &Part| matches!(&part.kind, PartKind::Text(text) if text.text.is_empty());
    if content.is_empty() || (message.role == Role::Assistant && content.iter().all(blank)) {
        return Ok(());
    }
    write_message(list, message, &content, at, false)
}

fn write_message(
    list: &mut List<'_>,
    message: &Message,
    content: &[Part],
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut refused = None;
    list.object(|object| {
        if !own {
            object.string("type", "message");
        }
        object.string("role", role);
        match (message.shape, content) {
            (
                ContentShape::Text,
                [
                    Part {
                        kind: PartKind::Text(text),
                        ..
                    },
                ],
            ) => object.string("content", &text.text),
            _ => object.list("content", |list| {
                for (index, part) in content.iter().enumerate() {
                    let at = format_args!("{at}.content[{index}]");
                    let written = parts::write_part(list, part, message.role, &at, own);
                    refused = refused.take().or(written.err());
                }
            }),
        }
        if own {
            object.extra(&message.extra);
        }
    });
    refused.map_or(Ok(()), Err)
}

/// The output of a tool: a string where it is text alone, else a list of parts.
fn write_output(
    object: &mut Object<'_>,
    result: &ToolResult,
    failed: bool,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    let mut content = result.content.iter();
    let text_alone = content.all(|part| matches!(part.kind, PartKind::Text(_)));
    if text_alone && !(own && result.shape == ContentShape::Parts) {
        let mut all = if failed {
            "Error: ".to_owned()
        } else {
            String::new()
        };
        for part in &result.content {
            if let PartKind::Text(text) = &part.kind {
                all.push_str(&text.text);
            }
        }
        object.string("output", &all);
        return Ok(());
    }
    let mut refused = None;
    object.list("output", |list| {
        if failed {
            list.object(|note| {
                note.string("type", "input_text");
                note.string("text", "Error:");
            });
        }
        for (index, part) in result.content.iter().enumerate() {
            let at = format_args!("{at}.output[{index}]");
            let written = parts::write_part(list, part, Role::Tool, &at, own);
            refused = refused.take().or(written.err());
        }
    });
    refused.map_or(Ok(()), Err)
}
