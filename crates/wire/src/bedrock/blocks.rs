//! Content blocks of Converse, read into the form. A block is an object with one field that names its kind.

use super::media::Medium;
use super::{citations, kept};
use crate::form::{
    Audio, CacheControl, ContentShape, Document, Extra, Image, Part, PartKind, Source, Text, TextPart,
    Thinking, ToolCall, ToolCallKind, ToolResult, Video,
};
use crate::format::{DecodeError, Format};
use crate::json::Json;
use crate::json::fields::{Fields, Value};

/// Marks a text that came as a JSON value (`json` in the result of a tool).
pub const AS_JSON: &str = "$json";

/// The kinds that the form knows.
const KINDS: [&str; 11] = [
    "text",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "image",
    "document",
    "video",
    "audio",
    "json",
    "guardContent",
    "citationsContent",
];

/// What an inner object says; none when it holds what the form cannot keep, and the block stays as it is.
type Read<T> = Result<Option<T>, DecodeError>;

fn text(value: Value<'_>) -> Result<Text, DecodeError> {
    value.string()
}

/// Reads a list of blocks; a cache point belongs to the block before it.
pub fn read_content(value: &Value<'_>) -> Result<Vec<Part>, DecodeError> {
    let mut parts: Vec<Part> = Vec::new();
    value.list(|block| {
        match (read_cache_point(&block)?, parts.last_mut()) {
            (Some(point), Some(last)) if last.cache_control.is_none() => last.cache_control = Some(point),
            _ => parts.push(read_block(&block)?),
        }
        Ok(())
    })?;
    Ok(parts)
}

/// A block that is nothing but a cache point.
pub fn read_cache_point(block: &Value<'_>) -> Read<CacheControl> {
    let mut fields = block.fields()?;
    let point = fields.take("cachePoint", |point| {
        let mut point = point.fields()?;
        let kind = point.take("type", text)?;
        let ttl = point.take("ttl", text)?;
        Ok((kind, ttl, point.rest()))
    })?;
    Ok(match point {
        Some((Some(kind), ttl, left)) if kind == "default" && left.is_empty() && fields.rest().is_empty() => {
            Some(CacheControl {
                kind: Text::from_static("ephemeral"),
                ttl,
                extra: Extra::default(),
            })
        }
        _ => None,
    })
}

fn read_block(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let mut extra = Extra::default();
    let Some(name) = KINDS.into_iter().find(|name| fields.has(name)) else {
        return Ok(opaque(value, fields));
    };
    let kind = fields.need(name, |inner| match name {
        "text" => Ok(Some(plain_text(inner.string()?))),
        "json" => {
            extra.set(AS_JSON, Json::of(&true).unwrap_or_else(|_| Json::null()));
            Ok(Some(plain_text(inner.text().into())))
        }
        "toolUse" => read_call(&inner),
        "toolResult" => read_result(&inner, &mut extra),
        "reasoningContent" => read_reasoning(&inner, &mut extra),
        "image" => read_image(&inner, &mut extra),
        "document" => read_document(&inner, &mut extra),
        "video" => read_film(&inner, &mut extra),
        "audio" => read_audio(&inner, &mut extra),
        "guardContent" => read_guarded(&inner, &mut extra),
        _ => read_cited(&inner, &mut extra),
    })?;
    let Some(kind) = kind else {
        return Ok(opaque(value, value.fields()?));
    };
    // Fields beside the one that names the kind.
    extra.0.extend(fields.rest().0);
    Ok(Part {
        kind,
        cache_control: None,
        extra,
    })
}

fn opaque(value: &Value<'_>, fields: Fields<'_>) -> Part {
    let kind = fields.rest().0.into_iter().next().map(|(name, _)| name);
    Part::new(PartKind::Opaque {
        format: Format::BedrockConverse,
        kind: kind.unwrap_or_default(),
        json: value.json(),
    })
}

fn plain_text(text: Text) -> PartKind {
    PartKind::Text(TextPart {
        text,
        citations: None,
    })
}

fn read_call(value: &Value<'_>) -> Read<PartKind> {
    let mut fields = value.fields()?;
    // Calls of tools that Bedrock itself runs are no business of the client's.
    if fields.has("type") {
        return Ok(None);
    }
    Ok(Some(PartKind::ToolCall(ToolCall {
        id: fields.need("toolUseId", text)?,
        name: fields.need("name", text)?,
        arguments: fields
            .take("input", |input| Ok(Text::from(input.text())))?
            .unwrap_or_default(),
        kind: ToolCallKind::Function,
        signature: None,
        extra: fields.rest(),
    })))
}

fn read_result(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    if fields.has("type") {
        return Ok(None);
    }
    let call_id = fields.need("toolUseId", text)?;
    let content = fields.take("content", |content| read_content(&content))?;
    let shape = if content.is_some() {
        ContentShape::Parts
    } else {
        ContentShape::Absent
    };
    let status = fields.take("status", text)?;
    let is_error = match status.as_deref() {
        Some("success") => Some(false),
        Some("error") => Some(true),
        None => None,
        Some(_) => return Ok(None),
    };
    kept::keep(extra, "toolResult", fields, true);
    Ok(Some(PartKind::ToolResult(ToolResult {
        call_id,
        content: content.unwrap_or_default(),
        shape,
        is_error,
    })))
}

fn read_reasoning(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    let mut inner = Extra::default();
    let thinking = fields.take("reasoningText", |said| {
        let mut said = said.fields()?;
        let thinking = Thinking {
            text: said.need("text", text)?,
            signature: said.take("signature", text)?,
        };
        kept::keep(&mut inner, "reasoningText", said, true);
        Ok(PartKind::Thinking(thinking))
    })?;
    let kind = match thinking {
        Some(thinking) => Some(thinking),
        None => fields
            .take("redactedContent", text)?
            .map(PartKind::RedactedThinking),
    };
    inner.0.extend(fields.rest().0);
    kept::keep_extra(extra, "reasoningContent", &inner, true);
    Ok(kind)
}

fn read_image(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let source = read_media(value, Medium::Image, "image", extra)?;
    Ok(source.map(|source| PartKind::Image(Image { source, detail: None })))
}

fn read_film(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let source = read_media(value, Medium::Film, "video", extra)?;
    Ok(source.map(|source| PartKind::Video(Video { source })))
}

fn read_media(value: &Value<'_>, medium: Medium, name: &'static str, extra: &mut Extra) -> Read<Source> {
    let mut fields = value.fields()?;
    let format = fields.peek("format");
    let read = fields.need("source", |source| read_source(&source, medium, format.as_ref()))?;
    let Some((source, inner)) = read else {
        return Ok(None);
    };
    keep_media(extra, name, fields, &source, medium, inner);
    Ok(Some(source))
}

/// Keeps what is left of a medium; its format, too, where the media type does not tell it.
fn keep_media(
    extra: &mut Extra,
    name: &'static str,
    fields: Fields<'_>,
    source: &Source,
    medium: Medium,
    inner: Extra,
) {
    let mut left = fields.rest();
    if let Source::Base64 { media_type, .. } = source
        && let Some(format) = medium.format(media_type)
        && left
            .get("format")
            .is_some_and(|json| json.as_str() == format!("\"{format}\""))
    {
        left.remove("format");
    }
    kept::keep_extra(&mut left, "source", &inner, true);
    kept::keep_extra(extra, name, &left, true);
}

/// Reads `source`, and what is left of it.
fn read_source(value: &Value<'_>, medium: Medium, format: Option<&Json>) -> Read<(Source, Extra)> {
    let mut fields = value.fields()?;
    let media_type = || {
        let format: Option<String> = format.and_then(|json| json.read().ok());
        format.map_or_else(
            || Text::from_static("application/octet-stream"),
            |format| medium.media_type(&format).into(),
        )
    };
    let mut left = Extra::default();
    let source = if let Some(data) = fields.take("bytes", text)? {
        Source::Base64 {
            media_type: media_type(),
            data,
        }
    } else if let Some(uri) = fields.take("s3Location", |location| {
        let mut location = location.fields()?;
        let uri = location.need("uri", text)?;
        kept::keep(&mut left, "s3Location", location, true);
        Ok(uri)
    })? {
        Source::Url(uri)
    } else if let Some(data) = fields.take("text", text)? {
        Source::PlainText {
            media_type: if format.is_some() {
                media_type()
            } else {
                Text::from_static("text/plain")
            },
            data,
        }
    } else if let Some(parts) = fields.take("content", |content| {
        content.list(|piece| {
            let mut piece = piece.fields()?;
            let mut part = Part::text(piece.need("text", text)?);
            part.extra = piece.rest();
            Ok(part)
        })
    })? {
        Source::Parts {
            parts,
            shape: ContentShape::Parts,
        }
    } else {
        return Ok(None);
    };
    left.0.extend(fields.rest().0);
    Ok(Some((source, left)))
}

fn read_document(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    let format = fields.peek("format");
    let read = fields.need("source", |source| {
        read_source(&source, Medium::Document, format.as_ref())
    })?;
    let Some((source, inner)) = read else {
        return Ok(None);
    };
    let title = fields.take("name", text)?;
    let context = fields.take("context", text)?;
    let citations = fields.take("citations", |citations| Ok(citations.json()))?;
    keep_media(extra, "document", fields, &source, Medium::Document, inner);
    Ok(Some(PartKind::Document(Document {
        source,
        title,
        context,
        citations,
    })))
}

fn read_audio(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    let format = fields.need("format", text)?;
    let mut inner = Extra::default();
    let data = fields.need("source", |source| {
        let mut source = source.fields()?;
        let data = source.take("bytes", text)?;
        inner = source.rest();
        Ok(data)
    })?;
    let Some(data) = data else { return Ok(None) };
    let mut left = fields.rest();
    kept::keep_extra(&mut left, "source", &inner, true);
    kept::keep_extra(extra, "audio", &left, true);
    Ok(Some(PartKind::Audio(Audio {
        data,
        format,
        id: None,
    })))
}

/// Text that a guardrail shall look at: text all the same.
fn read_guarded(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    let mut inner = Extra::default();
    let said = fields.take("text", |said| {
        let mut said = said.fields()?;
        let words = said.need("text", text)?;
        kept::keep(&mut inner, "text", said, true);
        Ok(words)
    })?;
    inner.0.extend(fields.rest().0);
    // Always kept: it tells guarded text from plain text.
    kept::keep_extra(extra, "guardContent", &inner, false);
    Ok(said.map(plain_text))
}

/// Text with citations.
fn read_cited(value: &Value<'_>, extra: &mut Extra) -> Read<PartKind> {
    let mut fields = value.fields()?;
    let pieces = fields.take("content", |content| {
        content.list(|piece| {
            let mut piece = piece.fields()?;
            let words = piece.take("text", text)?;
            Ok(words.filter(|_| piece.rest().is_empty()))
        })
    })?;
    let Some([Some(words)]) = pieces.as_deref() else {
        return Ok(None);
    };
    let cited = fields.peek("citations");
    let read = fields.take("citations", |list| citations::read_list(&list))?;
    let mut left = fields.rest();
    if let Some(cited) = cited {
        left.set("citations", cited);
    }
    kept::keep_extra(extra, "citationsContent", &left, false);
    Ok(Some(PartKind::Text(TextPart {
        text: words.clone(),
        citations: read.flatten(),
    })))
}
