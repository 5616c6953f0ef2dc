//! Items: what stands in `input` and in `output`, each read as a message or its parts.

use super::parts;
use crate::form::{
    ContentShape, Extra, Message, Part, PartKind, Role, Text, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value};

/// Reads `input`: a string, or a list of items.
pub(super) fn read_input(value: &Value<'_>) -> Result<Vec<Message>, DecodeError> {
    if value.is_string() {
        // Without a content field of its own: so it is told from a list of one message.
        return Ok(vec![Message {
            shape: ContentShape::Absent,
            ..Message::text(Role::User, value.string()?)
        }]);
    }
    value.list(|item| read_item(&item))
}

fn read_item(value: &Value<'_>) -> Result<Message, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.take("type", |kind| kind.string())?;
    let refers = kind.is_none() && !fields.has("role") && fields.has("id");
    if matches!(kind.as_deref(), None | Some("message")) && !refers {
        return read_message(fields, kind);
    }
    let gives_back = kind.as_deref().is_some_and(|kind| kind.ends_with("_output"));
    let part = match kind {
        Some(_) => read_part_item(value)?,
        // A reference need not say that it is one.
        None => opaque(Text::from_static("item_reference"), value),
    };
    Ok(Message {
        role: if gives_back { Role::Tool } else { Role::Assistant },
        parts: vec![part],
        // So it is told from a message: it has no content field.
        shape: ContentShape::Null,
        name: None,
        extra: Extra::default(),
    })
}

/// Whether a message of this format is an item of its own.
pub(super) fn is_item(message: &Message) -> bool {
    message.shape == ContentShape::Null
}

/// A part that only this format knows.
pub(super) fn opaque(kind: Text, value: &Value<'_>) -> Part {
    Part::new(PartKind::Opaque {
        format: Format::OpenAiResponses,
        kind,
        json: value.json(),
    })
}

fn read_message(mut fields: Fields<'_>, kind: Option<Text>) -> Result<Message, DecodeError> {
    let role = fields.need("role", |role| match role.said()?.as_ref() {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        "developer" => Ok(Role::Developer),
        other => Err(role.error(format!(
            "unknown role {other:?}; use user, assistant, system or developer"
        ))),
    })?;
    let (parts, shape) = fields.need("content", |content| parts::read_content(&content, role))?;
    let mut extra = fields.rest();
    if let Some(kind) = kind {
        extra.set("type", string(&kind));
    }
    Ok(Message {
        role,
        parts,
        shape,
        name: None,
        extra,
    })
}

/// Reads an item that is one part: a call, a result, reasoning, or what only this format knows.
pub(super) fn read_part_item(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let text = |value: Value<'_>| value.string();
    let part = match kind.as_ref() {
        "function_call" | "custom_tool_call" => {
            let custom = kind == "custom_tool_call";
            PartKind::ToolCall(ToolCall {
                id: fields.need("call_id", text)?,
                name: fields.need("name", text)?,
                arguments: fields
                    .take(if custom { "input" } else { "arguments" }, text)?
                    .unwrap_or_default(),
                kind: if custom {
                    ToolCallKind::Custom
                } else {
                    ToolCallKind::Function
                },
                signature: None,
                extra: Extra::default(),
            })
        }
        "function_call_output" | "custom_tool_call_output" => {
            let call_id = fields.need("call_id", text)?;
            let (content, shape) =
                fields.need("output", |output| parts::read_content(&output, Role::Tool))?;
            PartKind::ToolResult(ToolResult {
                call_id,
                content,
                shape,
                is_error: None,
            })
        }
        "reasoning" => PartKind::Thinking(read_reasoning(&mut fields)?),
        _ => return Ok(opaque(kind, value)),
    };
    let mut part = Part::new(part);
    part.extra = fields.rest();
    if kind == "custom_tool_call_output" {
        part.extra.set("type", string(&kind));
    }
    Ok(part)
}

/// The summary, or the reasoning itself where a server gives it; both stay in the part's extra fields as they came.
fn read_reasoning(fields: &mut Fields<'_>) -> Result<Thinking, DecodeError> {
    let text = told(|name| fields.peek(name));
    let signature = if fields.has("encrypted_content") {
        fields.take("encrypted_content", |content| content.string())?
    } else {
        None
    };
    Ok(Thinking {
        text: text.into(),
        signature,
    })
}

/// What an item of reasoning says: its summary, or the reasoning itself.
pub(super) fn told(field: impl Fn(&str) -> Option<Json>) -> String {
    let mut text = String::new();
    for name in ["summary", "content"] {
        let Some(json) = field(name).filter(|_| text.is_empty()) else {
            continue;
        };
        let pieces: Vec<Piece<'_>> = json.read().unwrap_or_default();
        for piece in pieces {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&piece.text);
        }
    }
    text
}

/// The fields of an item of reasoning as they came; without its text where that was changed meanwhile.
pub(super) fn reasoning_fields(part: &Part, thinking: &Thinking) -> Vec<(Text, Json)> {
    let unchanged = told(|name| part.extra.get(name).cloned()) == *thinking.text;
    let kept = |name: &str| unchanged || (name != "summary" && name != "content");
    let fields = part.extra.0.iter().filter(|(name, _)| kept(name));
    fields.cloned().collect()
}

#[derive(serde::Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: std::borrow::Cow<'a, str>,
}

/// A text as JSON.
pub(super) fn string(text: &str) -> Json {
    Json::of(text).unwrap_or_else(|_| Json::null())
}
