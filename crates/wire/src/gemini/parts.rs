//! Contents and their parts, read into the form.

use super::{media, names};
use crate::form::{
    ContentShape, Extra, Message, Part, PartKind, Role, Text, TextPart, Thinking, ToolCall, ToolCallKind,
    ToolResult,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value};

const PART: [&str; 11] = [
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "thoughtSignature",
    "videoMetadata",
    "mediaResolution",
];
/// Parts that only this format knows.
const OPAQUE: [&str; 4] = [
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
];

/// Reads one of `contents`. A content without a role is the user's.
pub(super) fn read_content(value: &Value<'_>) -> Result<Message, DecodeError> {
    let mut fields = value.fields()?;
    let mut extra = Extra::default();
    let role = match fields.take("role", names::text)?.as_deref() {
        Some("user") => Role::User,
        Some("model") => Role::Assistant,
        None => {
            extra.note("role");
            Role::User
        }
        // What older clients called the side that answers calls.
        Some(older @ ("function" | "tool")) => {
            extra.set("role", json_of(older));
            Role::User
        }
        Some(other) => {
            let message = format!("unknown role {other:?}; use user or model");
            return Err(fields.error(message));
        }
    };
    message(fields, role, extra)
}

/// Reads `systemInstruction`: a content whose role says nothing, or plain text.
pub(super) fn read_system(value: &Value<'_>) -> Result<Message, DecodeError> {
    if value.is_string() {
        return Ok(Message::text(Role::System, value.string()?));
    }
    // Its role, if it has one, stays among its fields.
    message(value.fields()?, Role::System, Extra::default())
}

fn message(mut fields: Fields<'_>, role: Role, mut extra: Extra) -> Result<Message, DecodeError> {
    let parts = fields.take("parts", |parts| names::list(&parts, |part| read_part(&part)))?;
    if parts.is_none() {
        extra.note("parts");
    }
    let parts = parts.unwrap_or_default();
    let shape = match parts.as_slice() {
        [part] if matches!(part.kind, PartKind::Text(_)) && part.extra.is_empty() => ContentShape::Text,
        _ => ContentShape::Parts,
    };
    extra.0.extend(fields.rest().0);
    Ok(Message {
        role,
        parts,
        shape,
        name: None,
        extra,
    })
}

/// Reads a part.
pub(super) fn read_part(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = names::fields(value, &PART)?;
    if let Some(kind) = OPAQUE.into_iter().find(|name| fields.has(name)) {
        return Ok(opaque(kind, value));
    }
    if fields.has("text") {
        return read_text(fields);
    }
    if fields.text("thought") == Some("true") {
        return Ok(opaque("thought", value));
    }
    let mut extra = Extra::default();
    let kind = if fields.has("functionCall") {
        let mut signature = fields.take("thoughtSignature", names::text)?;
        fields.take("functionCall", |call| {
            read_call(&call, signature.take(), &mut extra)
        })?
    } else if fields.has("functionResponse") {
        fields.take("functionResponse", |response| {
            read_response(&response, &mut extra)
        })?
    } else if fields.has("inlineData") {
        fields.take("inlineData", |blob| media::read_inline(&blob, &mut extra))?
    } else if fields.has("fileData") {
        fields.take("fileData", |file| media::read_file(&file, &mut extra))?
    } else {
        None
    };
    let Some(kind) = kind else {
        return Ok(opaque("unknown", value));
    };
    if let PartKind::Opaque { kind, .. } = &kind {
        return Ok(opaque(kind, value));
    }
    extra.0.extend(fields.rest().0);
    Ok(Part {
        kind,
        cache_control: None,
        extra,
    })
}

fn opaque(kind: &str, value: &Value<'_>) -> Part {
    Part::new(PartKind::Opaque {
        format: Format::GeminiGenerate,
        kind: kind.to_owned().into(),
        json: value.json(),
    })
}

/// Text, or a thought. The signature of text stays among its fields: the form has one for thoughts and calls.
fn read_text(mut fields: Fields<'_>) -> Result<Part, DecodeError> {
    let text = fields.need("text", names::text)?;
    let is_thought = fields.text("thought") == Some("true");
    let kind = if is_thought {
        let _ = fields.take("thought", |_| Ok(()))?;
        let signature = fields.take("thoughtSignature", names::text)?;
        PartKind::Thinking(Thinking { text, signature })
    } else {
        PartKind::Text(TextPart {
            text,
            citations: None,
        })
    };
    Ok(Part {
        kind,
        cache_control: None,
        extra: fields.rest(),
    })
}

fn read_call(value: &Value<'_>, signature: Option<Text>, extra: &mut Extra) -> Result<PartKind, DecodeError> {
    let mut fields = names::fields(value, &["partialArgs", "willContinue"])?;
    let id = fields.take("id", names::text)?.filter(|id| !id.is_empty());
    if id.is_none() {
        extra.note("id");
    }
    let args = fields.take("args", |args| Ok(args.kept_text()))?;
    if args.is_none() {
        extra.note("args");
    }
    Ok(PartKind::ToolCall(ToolCall {
        // One is given by who knows the conversation.
        id: id.unwrap_or_default(),
        name: fields.take("name", names::text)?.unwrap_or_default(),
        arguments: args.unwrap_or_else(|| Text::from_static("{}")),
        kind: ToolCallKind::Function,
        signature,
        extra: fields.rest(),
    }))
}

/// Keys under which clients put a result that is a text and no object.
const TEXT_KEYS: [&str; 3] = ["result", "output", "error"];
/// The note of the key under which the text stood.
pub(super) const KEY: &str = "?functionResponse.key";
/// Where the name of the function is kept.
pub(super) const NAME: &str = "functionResponse.name";
/// Where other fields are kept.
pub(super) const REST: &str = "functionResponse.";

fn read_response(value: &Value<'_>, extra: &mut Extra) -> Result<PartKind, DecodeError> {
    let mut fields = names::fields(value, &["willContinue"])?;
    let id = fields.take("id", names::text)?.filter(|id| !id.is_empty());
    if id.is_none() {
        extra.note("id");
    }
    if let Some(name) = fields.take("name", |name| name.said().map(|_| name.json()))? {
        extra.set(Text::from_static(NAME), name);
    }
    let mut result = ToolResult {
        call_id: id.unwrap_or_default(),
        content: Vec::new(),
        shape: ContentShape::Text,
        is_error: None,
    };
    match fields.take("response", |response| read_answer(&response))? {
        Some((text, key)) => {
            if let Some(key) = key {
                result.is_error = (key == "error").then_some(true);
                extra.set(Text::from_static(KEY), json_of(key));
            }
            result.content.push(Part::text(text));
        }
        None => result.shape = ContentShape::Absent,
    }
    if let Some(parts) = fields.take("parts", |parts| names::list(&parts, |part| read_part(&part)))? {
        result.content.extend(parts);
        result.shape = ContentShape::Parts;
    }
    for (name, json) in fields.rest().0 {
        extra.set(format!("{REST}{name}"), json);
    }
    Ok(PartKind::ToolResult(result))
}

/// The text of a response, and the key under which it stood if the response holds nothing else.
fn read_answer(value: &Value<'_>) -> Result<(Text, Option<&'static str>), DecodeError> {
    let mut fields = value.fields()?;
    for key in TEXT_KEYS {
        if fields.text(key).is_some_and(|text| text.starts_with('"')) {
            let text = fields.need(key, names::text)?;
            if fields.rest().is_empty() {
                return Ok((text, Some(key)));
            }
            break;
        }
    }
    Ok((value.kept_text(), None))
}

pub(super) fn json_of(text: &str) -> Json {
    Json::of(text).unwrap_or_else(|_| Json::null())
}
