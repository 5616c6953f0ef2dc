//! Content parts of messages: read into the form, written from it.

use std::fmt::Display;

use super::rules;
use crate::form::{
    Audio, CacheControl, ContentShape, Document, Extra, Image, Part, PartKind, Source, Text, TextPart,
    ToolCall, ToolCallKind,
};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::Json;
use crate::json::fields::Value;
use crate::json::write::{List, Object};

/// Reads `content`: a string, a list of parts, or null.
pub fn read_content(value: &Value<'_>) -> Result<(Vec<Part>, ContentShape), DecodeError> {
    if value.is_string() {
        return Ok((vec![Part::text(value.string()?)], ContentShape::Text));
    }
    Ok((value.list(|part| read_part(&part))?, ContentShape::Parts))
}

fn read_part(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let cache_control = fields.take("cache_control", |value| read_cache_control(&value))?;
    let kind = match kind.as_ref() {
        "text" => {
            let text = fields.need("text", |text| text.string())?;
            PartKind::Text(TextPart {
                text,
                citations: None,
            })
        }
        "refusal" => PartKind::Refusal(fields.need("refusal", |text| text.string())?),
        "image_url" => {
            let (image, extra) = fields.need("image_url", |image| read_image(&image))?;
            if !extra.is_empty() {
                return Ok(opaque(value, kind));
            }
            PartKind::Image(image)
        }
        "input_audio" => PartKind::Audio(fields.need("input_audio", |audio| {
            let mut audio = audio.fields()?;
            let data = audio.need("data", |data| data.string())?;
            let format = audio.need("format", |format| format.string())?;
            Ok(Audio {
                data,
                format,
                id: None,
            })
        })?),
        "file" => PartKind::Document(fields.need("file", |file| read_file(&file))?),
        _ => return Ok(opaque(value, kind)),
    };
    Ok(Part {
        kind,
        cache_control,
        extra: fields.rest(),
    })
}

fn opaque(value: &Value<'_>, kind: Text) -> Part {
    Part::new(PartKind::Opaque {
        format: Format::OpenAiChat,
        kind,
        json: value.json(),
    })
}

/// Reads `cache_control`, an extension that compatible servers take over from Anthropic.
pub fn read_cache_control(value: &Value<'_>) -> Result<CacheControl, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let ttl = fields.take("ttl", |ttl| ttl.string())?;
    Ok(CacheControl {
        kind,
        ttl,
        extra: fields.rest(),
    })
}

/// Writes `cache_control`.
pub fn write_cache_control(object: &mut Object<'_>, control: Option<&CacheControl>) {
    if let Some(control) = control {
        object.object("cache_control", |object| {
            object.string("type", &control.kind);
            object.maybe_string("ttl", control.ttl.as_deref());
            object.extra(&control.extra);
        });
    }
}

fn read_image(value: &Value<'_>) -> Result<(Image, Extra), DecodeError> {
    let mut fields = value.fields()?;
    let url = fields.need("url", |url| url.string())?;
    let detail = fields.take("detail", |detail| detail.string())?;
    Ok((
        Image {
            source: read_url(&url),
            detail,
        },
        fields.rest(),
    ))
}

/// A URL, or the data it holds (RFC 2397).
fn read_url(url: &Text) -> Source {
    let data = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((media_type, data)) if !media_type.is_empty() => Source::Base64 {
            media_type: url.slice_ref(media_type),
            data: url.slice_ref(data),
        },
        _ => Source::Url(url.clone()),
    }
}

fn read_file(value: &Value<'_>) -> Result<Document, DecodeError> {
    let mut fields = value.fields()?;
    let title = fields.take("filename", |name| name.string())?;
    let data = fields.take("file_data", |data| data.string())?;
    let id = fields.take("file_id", |id| id.string())?;
    let source = match (data, id) {
        (Some(data), _) => read_url(&data),
        (None, Some(id)) => Source::FileId(id),
        (None, None) => return Err(value.error("a file needs file_data or file_id")),
    };
    Ok(Document {
        source,
        title,
        context: None,
        citations: None,
    })
}

/// Reads one entry of `tool_calls`.
pub fn read_tool_call(value: &Value<'_>) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let id = fields.take("id", |id| id.string())?.unwrap_or_default();
    let custom = fields
        .take("type", |kind| Ok(kind.said()? == "custom"))?
        .unwrap_or_default();
    let (field, arguments) = if custom {
        ("custom", "input")
    } else {
        ("function", "arguments")
    };
    let (name, arguments, extra) = fields.need(field, |function| {
        let mut function = function.fields()?;
        let name = function.need("name", |name| name.string())?;
        let arguments = function.take(arguments, |arguments| {
            // Some servers send the object itself instead of its text.
            if arguments.is_string() {
                arguments.string()
            } else {
                Ok(arguments.kept_text())
            }
        })?;
        Ok((name, arguments.unwrap_or_default(), function.rest()))
    })?;
    let kind = if custom {
        ToolCallKind::Custom
    } else {
        ToolCallKind::Function
    };
    let cache_control = fields.take("cache_control", |value| read_cache_control(&value))?;
    let call = ToolCall {
        id,
        name,
        arguments,
        kind,
        signature: fields
            .peek(EXTRA_CONTENT)
            .and_then(|extra| read_call_signature(&extra)),
        extra,
    };
    Ok(Part {
        kind: PartKind::ToolCall(call),
        cache_control,
        extra: fields.rest(),
    })
}

/// Where Google keeps what is its own in a tool call.
pub const EXTRA_CONTENT: &str = "extra_content";

/// Google's place in a tool call for the signature of Gemini: `extra_content.google.thought_signature`.
pub fn read_call_signature(extra: &Json) -> Option<Text> {
    #[derive(serde::Deserialize)]
    struct Content {
        google: Google,
    }
    #[derive(serde::Deserialize)]
    struct Google {
        thought_signature: String,
    }
    let content: Content = extra.read().ok()?;
    Some(content.google.thought_signature.into())
}

/// Writes the signature of a call where clients that keep one look for it.
pub fn write_call_signature(call: &mut Object<'_>, signature: &str) {
    call.object(EXTRA_CONTENT, |content| {
        content.object("google", |google| google.string("thought_signature", signature));
    });
}

/// Writes one entry of `tool_calls`; `own` when it came in this format.
pub fn write_tool_call(list: &mut List<'_>, part: &Part, call: &ToolCall, own: bool) {
    list.object(|object| {
        object.string("id", &call.id);
        let (kind, arguments) = match call.kind {
            ToolCallKind::Function => ("function", "arguments"),
            ToolCallKind::Custom => ("custom", "input"),
        };
        object.string("type", kind);
        object.object(kind, |function| {
            function.string("name", &call.name);
            function.string(arguments, &call.arguments);
            if own {
                function.extra(&call.extra);
            }
        });
        write_cache_control(object, part.cache_control.as_ref());
        if own {
            object.extra(&part.extra);
        }
        if let Some(signature) = &call.signature
            && !(own && part.extra.get(EXTRA_CONTENT).is_some())
        {
            write_call_signature(object, signature);
        }
    });
}

/// Writes a content part.
pub fn write_part(list: &mut List<'_>, part: &Part, at: &dyn Display) -> Result<(), EncodeError> {
    let mut refused = None;
    if let PartKind::Opaque {
        format: Format::OpenAiChat,
        json,
        ..
    } = &part.kind
    {
        list.raw(json.as_str());
        return Ok(());
    }
    list.object(|object| {
        refused = write_kind(object, &part.kind, at).err();
        write_cache_control(object, part.cache_control.as_ref());
        object.extra(&part.extra);
    });
    refused.map_or(Ok(()), Err)
}

fn write_kind(object: &mut Object<'_>, kind: &PartKind, at: &dyn Display) -> Result<(), EncodeError> {
    match kind {
        PartKind::Text(text) => {
            object.string("type", "text");
            object.string("text", &text.text);
        }
        PartKind::Refusal(text) => {
            object.string("type", "refusal");
            object.string("refusal", text);
        }
        PartKind::Image(image) => {
            let url = image_url(&image.source, at)?;
            object.string("type", "image_url");
            object.object("image_url", |inner| {
                inner.string("url", &url);
                inner.maybe_string("detail", image.detail.as_deref());
            });
        }
        PartKind::Audio(audio) => {
            object.string("type", "input_audio");
            object.object("input_audio", |inner| {
                inner.string("data", &audio.data);
                inner.string("format", &audio.format);
            });
        }
        PartKind::Video(_) => return Err(rules::VIDEO.refuse_at(at)),
        PartKind::Document(document) => write_document(object, document, at)?,
        PartKind::Opaque { kind, .. } => {
            return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
        }
        PartKind::ToolCall(_)
        | PartKind::ToolResult(_)
        | PartKind::Thinking(_)
        | PartKind::RedactedThinking(_) => {
            return Err(rules::MISPLACED.refuse_at(at));
        }
    }
    Ok(())
}

fn image_url(source: &Source, at: &dyn Display) -> Result<String, EncodeError> {
    match source {
        Source::Base64 { media_type, data } => Ok(format!("data:{media_type};base64,{data}")),
        Source::Url(url) => Ok(url.to_string()),
        Source::FileId(_) | Source::PlainText { .. } | Source::Parts { .. } => {
            Err(rules::IMAGE_SOURCE.refuse_at(at))
        }
    }
}

fn write_document(object: &mut Object<'_>, document: &Document, at: &dyn Display) -> Result<(), EncodeError> {
    match &document.source {
        // A plain text is a text part with its title above it.
        Source::PlainText { data, .. } => {
            let title = document
                .title
                .as_deref()
                .map(|title| format!("{title}\n\n"))
                .unwrap_or_default();
            object.string("type", "text");
            object.string("text", &format!("{title}{data}"));
        }
        Source::Base64 { media_type, data } => {
            object.string("type", "file");
            object.object("file", |file| {
                file.string("filename", document.title.as_deref().unwrap_or("document.pdf"));
                file.string("file_data", &format!("data:{media_type};base64,{data}"));
            });
        }
        Source::FileId(id) => {
            object.string("type", "file");
            object.object("file", |file| {
                file.string("file_id", id);
                file.maybe_string("filename", document.title.as_deref());
            });
        }
        Source::Url(url) if url.starts_with("data:") => {
            object.string("type", "file");
            object.object("file", |file| {
                file.maybe_string("filename", document.title.as_deref());
                file.string("file_data", url);
            });
        }
        Source::Url(_) | Source::Parts { .. } => {
            return Err(rules::DOCUMENT_SOURCE.refuse_at(at));
        }
    }
    Ok(())
}
