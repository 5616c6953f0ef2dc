//! Content blocks: read into the form, written from it.

use std::fmt::Display;

use super::rules;
use crate::form::{
    CacheControl, ContentShape, Document, Image, Part, PartKind, Source, Text, TextPart, Thinking, ToolCall,
    ToolCallKind, ToolResult,
};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::Json;
use crate::json::fields::Value;
use crate::json::object::object_or;
use crate::json::write::{List, Object};

/// Reads `content`: a string or a list of blocks.
pub fn read_content(value: &Value<'_>) -> Result<(Vec<Part>, ContentShape), DecodeError> {
    if value.is_string() {
        return Ok((vec![Part::text(value.string()?)], ContentShape::Text));
    }
    Ok((value.list(|block| read_block(&block))?, ContentShape::Parts))
}

/// Reads a block.
pub fn read_block(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let cache_control = fields.take("cache_control", |control| read_cache_control(&control))?;
    let text = |value: Value<'_>| value.string();
    let json = |value: Value<'_>| Ok(value.json());
    let kind = match kind.as_ref() {
        "text" => PartKind::Text(TextPart {
            text: fields.need("text", text)?,
            citations: fields.take("citations", json)?,
        }),
        "image" => {
            let source = fields.need("source", |source| read_source(&source))?;
            PartKind::Image(Image { source, detail: None })
        }
        "document" => PartKind::Document(Document {
            source: fields.need("source", |source| read_source(&source))?,
            title: fields.take("title", text)?,
            context: fields.take("context", text)?,
            citations: fields.take("citations", json)?,
        }),
        "tool_use" => PartKind::ToolCall(ToolCall {
            id: fields.need("id", text)?,
            name: fields.need("name", text)?,
            arguments: fields
                .take("input", |input| Ok(Text::from(input.text())))?
                .unwrap_or_default(),
            kind: ToolCallKind::Function,
            signature: None,
            extra: crate::form::Extra::default(),
        }),
        "tool_result" => {
            let call_id = fields.need("tool_use_id", text)?;
            let content = fields.take("content", |content| read_content(&content))?;
            let (content, shape) = content.unwrap_or((Vec::new(), ContentShape::Absent));
            PartKind::ToolResult(ToolResult {
                call_id,
                content,
                shape,
                is_error: fields.take("is_error", |value| value.boolean())?,
            })
        }
        "thinking" => PartKind::Thinking(Thinking {
            text: fields.take("thinking", text)?.unwrap_or_default(),
            signature: fields.take("signature", text)?,
        }),
        "redacted_thinking" => PartKind::RedactedThinking(fields.need("data", text)?),
        _ => {
            let kind = PartKind::Opaque {
                format: Format::AnthropicMessages,
                kind,
                json: value.json(),
            };
            return Ok(Part::new(kind));
        }
    };
    Ok(Part {
        kind,
        cache_control,
        extra: fields.rest(),
    })
}

/// Reads `cache_control`.
pub fn read_cache_control(value: &Value<'_>) -> Result<CacheControl, DecodeError> {
    crate::openai::request::read_cache_control(value)
}

fn read_source(value: &Value<'_>) -> Result<Source, DecodeError> {
    let mut fields = value.fields()?;
    let text = |value: Value<'_>| value.string();
    match fields.need("type", text)?.as_ref() {
        "base64" => Ok(Source::Base64 {
            media_type: fields.need("media_type", text)?,
            data: fields.need("data", text)?,
        }),
        "url" => Ok(Source::Url(fields.need("url", text)?)),
        "file" => Ok(Source::FileId(fields.need("file_id", text)?)),
        "text" => Ok(Source::PlainText {
            media_type: fields.need("media_type", text)?,
            data: fields.need("data", text)?,
        }),
        "content" => {
            let (parts, shape) = fields.need("content", |content| read_content(&content))?;
            Ok(Source::Parts { parts, shape })
        }
        other => Err(value.error(format!(
            "unknown source type {other:?}; use base64, url, file, text or content"
        ))),
    }
}

/// Writes a block; `own` when it came in this format.
pub fn write_block(list: &mut List<'_>, part: &Part, at: &dyn Display, own: bool) -> Result<(), EncodeError> {
    match &part.kind {
        PartKind::Opaque {
            format: Format::AnthropicMessages,
            json,
            ..
        } => {
            list.raw(json.as_str());
            return Ok(());
        }
        // The API refuses empty text blocks; other formats have them.
        PartKind::Text(text) if text.text.is_empty() && !own => return Ok(()),
        // Other formats have reasoning that tells nothing.
        PartKind::Thinking(thinking) if thinking.text.is_empty() && thinking.signature.is_none() && !own => {
            return Ok(());
        }
        _ => {}
    }
    let mut refused = None;
    list.object(|object| {
        refused = write_kind(object, &part.kind, at, own).err();
        crate::openai::request::write_cache_control(object, part.cache_control.as_ref());
        if own {
            object.extra(&part.extra);
        }
    });
    refused.map_or(Ok(()), Err)
}

fn write_kind(
    object: &mut Object<'_>,
    kind: &PartKind,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    match kind {
        PartKind::Text(text) => {
            object.string("type", "text");
            object.string("text", &text.text);
            match &text.citations {
                Some(citations) if !own => write_citations(object, citations),
                citations => object.maybe_json("citations", citations.as_ref()),
            }
        }
        // What the model declined to say is still what it said.
        PartKind::Refusal(text) => {
            object.string("type", "text");
            object.string("text", text);
        }
        PartKind::Image(image) => {
            object.string("type", "image");
            write_source(object, &image.source, at, own)?;
        }
        PartKind::Document(document) => {
            object.string("type", "document");
            write_source(object, &document.source, at, own)?;
            object.maybe_string("title", document.title.as_deref());
            object.maybe_string("context", document.context.as_deref());
            object.maybe_json("citations", document.citations.as_ref());
        }
        PartKind::ToolCall(call) => {
            object.string("type", "tool_use");
            object.string("id", &call.id);
            object.string("name", &call.name);
            object.raw("input", &object_or(&call.arguments, "_raw"));
        }
        PartKind::ToolResult(result) => write_result(object, result, at, own)?,
        PartKind::Thinking(thinking) => {
            object.string("type", "thinking");
            object.string("thinking", &thinking.text);
            object.maybe_string("signature", thinking.signature.as_deref());
        }
        PartKind::RedactedThinking(data) => {
            object.string("type", "redacted_thinking");
            object.string("data", data);
        }
        PartKind::Audio(_) => return Err(rules::AUDIO.refuse_at(at)),
        PartKind::Video(_) => return Err(rules::VIDEO.refuse_at(at)),
        PartKind::Opaque { kind, .. } => {
            return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
        }
    }
    Ok(())
}

/// Whether a citation can be told: without what Anthropic's own search adds to one of the web, the API refuses it when
/// the client sends it back.
pub fn can_be_told(citation: &Json) -> bool {
    let text = citation.as_str();
    !text.contains("\"web_search_result_location\"") || text.contains("\"encrypted_index\"")
}

fn write_citations(object: &mut Object<'_>, citations: &Json) {
    let citations: Vec<Json> = citations.read().unwrap_or_default();
    let told: Vec<&Json> = citations.iter().filter(|json| can_be_told(json)).collect();
    if !told.is_empty() {
        object.list("citations", |list| {
            told.iter().for_each(|json| list.raw(json.as_str()));
        });
    }
}

fn write_result(
    object: &mut Object<'_>,
    result: &ToolResult,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    object.string("type", "tool_result");
    object.string("tool_use_id", &result.call_id);
    let mut refused = None;
    match (result.shape, result.content.as_slice()) {
        (ContentShape::Absent | ContentShape::Null, []) => {}
        (
            ContentShape::Text,
            [
                Part {
                    kind: PartKind::Text(text),
                    ..
                },
            ],
        ) => object.string("content", &text.text),
        (_, parts) => object.list("content", |list| {
            for part in parts {
                refused = refused.take().or(write_block(list, part, at, own).err());
            }
        }),
    }
    object.maybe_boolean("is_error", result.is_error);
    refused.map_or(Ok(()), Err)
}

fn write_source(
    object: &mut Object<'_>,
    source: &Source,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    let mut refused = None;
    object.object("source", |object| match source {
        Source::Base64 { media_type, data } => {
            object.string("type", "base64");
            object.string("media_type", media_type);
            object.string("data", data);
        }
        Source::Url(url) => {
            object.string("type", "url");
            object.string("url", url);
        }
        Source::FileId(id) => {
            object.string("type", "file");
            object.string("file_id", id);
        }
        Source::PlainText { media_type, data } => {
            object.string("type", "text");
            object.string("media_type", media_type);
            object.string("data", data);
        }
        Source::Parts { parts, shape } => {
            object.string("type", "content");
            match (shape, parts.as_slice()) {
                (
                    ContentShape::Text,
                    [
                        Part {
                            kind: PartKind::Text(text),
                            ..
                        },
                    ],
                ) => object.string("content", &text.text),
                (_, parts) => object.list("content", |list| {
                    for part in parts {
                        refused = refused.take().or(write_block(list, part, at, own).err());
                    }
                }),
            }
        }
    });
    refused.map_or(Ok(()), Err)
}
