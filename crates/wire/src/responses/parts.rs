//! Content parts of messages and of tool results.

use std::fmt::Display;

use super::rules;
use crate::form::{Audio, ContentShape, Document, Image, Part, PartKind, Role, Source, Text, TextPart};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::fields::{Fields, Value};
use crate::json::write::{List, Object};

/// Reads `content` or `output`: a string or a list of parts.
pub(super) fn read_content(value: &Value<'_>, role: Role) -> Result<(Vec<Part>, ContentShape), DecodeError> {
    if value.is_string() {
        return Ok((vec![Part::text(value.string()?)], ContentShape::Text));
    }
    Ok((value.list(|part| read_part(&part, role))?, ContentShape::Parts))
}

/// Reads a content part.
pub(super) fn read_part(value: &Value<'_>, role: Role) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let text = |value: Value<'_>| value.string();
    let mut extra_type = None;
    let part = match kind.as_ref() {
        "input_text" | "output_text" | "text" => {
            if kind != text_type(role) {
                extra_type = Some(super::items::string(&kind));
            }
            PartKind::Text(TextPart {
                text: fields.need("text", text)?,
                citations: None,
            })
        }
        "refusal" => PartKind::Refusal(fields.need("refusal", text)?),
        "input_image" => {
            let source = if fields.has("image_url") {
                source_of_url(fields.need("image_url", text)?)
            } else if fields.has("file_id") {
                Source::FileId(fields.need("file_id", text)?)
            } else {
                return Err(value.error("an input_image needs image_url or file_id"));
            };
            PartKind::Image(Image {
                source,
                detail: fields.take("detail", text)?,
            })
        }
        "input_file" => PartKind::Document(read_file(value, &mut fields)?),
        "input_audio" => PartKind::Audio(fields.need("input_audio", |audio| {
            let mut audio = audio.fields()?;
            Ok(Audio {
                data: audio.need("data", text)?,
                format: audio.need("format", text)?,
                id: None,
            })
        })?),
        // Taken for what only this format knows, they would come out as items of their own.
        "message"
        | "reasoning"
        | "function_call"
        | "function_call_output"
        | "custom_tool_call"
        | "custom_tool_call_output" => {
            return Err(value.error(format!("{kind:?} is an item of `input`, not a part of a message")));
        }
        _ => {
            return Ok(Part::new(PartKind::Opaque {
                format: Format::OpenAiResponses,
                kind,
                json: value.json(),
            }));
        }
    };
    let mut part = Part::new(part);
    part.extra = fields.rest();
    if let Some(kind) = extra_type {
        part.extra.set("type", kind);
    }
    Ok(part)
}

fn read_file(value: &Value<'_>, fields: &mut Fields<'_>) -> Result<Document, DecodeError> {
    let text = |value: Value<'_>| value.string();
    let source = if fields.has("file_data") {
        source_of_data(fields.need("file_data", text)?)
    } else if fields.has("file_id") {
        Source::FileId(fields.need("file_id", text)?)
    } else if fields.has("file_url") {
        Source::Url(fields.need("file_url", text)?)
    } else {
        return Err(value.error("an input_file needs file_data, file_id or file_url"));
    };
    Ok(Document {
        source,
        title: fields.take("filename", text)?,
        context: None,
        citations: None,
    })
}

/// The bytes of a file; some clients send them without saying what they are.
fn source_of_data(data: Text) -> Source {
    match source_of_url(data) {
        Source::Url(data) => Source::Base64 {
            media_type: Text::new(),
            data,
        },
        source => source,
    }
}

/// The bytes of a `data:` URL, or the URL.
pub(crate) fn source_of_url(url: Text) -> Source {
    let inline = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
        .filter(|(media_type, _)| !media_type.is_empty())
        .map(|(media_type, data)| Source::Base64 {
            media_type: url.slice_ref(media_type),
            data: url.slice_ref(data),
        });
    inline.unwrap_or(Source::Url(url))
}

/// The type of a text part in a message of this role.
pub(super) fn text_type(role: Role) -> &'static str {
    if role == Role::Assistant {
        "output_text"
    } else {
        "input_text"
    }
}

/// Writes a content part of a message of `role`; `own` when it came in this format.
pub(super) fn write_part(
    list: &mut List<'_>,
    part: &Part,
    role: Role,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    if let PartKind::Opaque { format, json, kind } = &part.kind {
        if *format != Format::OpenAiResponses {
            return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
        }
        list.raw(json.as_str());
        return Ok(());
    }
    let mut refused = None;
    list.object(|object| {
        refused = write_kind(object, part, role, at, own).err();
        if own {
            part.extra
                .0
                .iter()
                .filter(|(name, _)| name != "type")
                .for_each(|(name, json)| object.raw(name, json.as_str()));
        }
    });
    refused.map_or(Ok(()), Err)
}

fn write_kind(
    object: &mut Object<'_>,
    part: &Part,
    role: Role,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    match &part.kind {
        PartKind::Text(text) => {
            match part.extra.get("type").filter(|_| own) {
                Some(kind) => object.raw("type", kind.as_str()),
                None => object.string("type", text_type(role)),
            }
            object.string("text", &text.text);
            if role == Role::Assistant && !own {
                // Which page is cited is of no use to a model that did not see it.
                object.raw("annotations", "[]");
            }
        }
        PartKind::Refusal(text) => {
            object.string("type", "refusal");
            object.string("refusal", text);
        }
        PartKind::Image(image) => {
            object.string("type", "input_image");
            match &image.source {
                Source::Base64 { media_type, data } => {
                    object.string("image_url", &format!("data:{media_type};base64,{data}"));
                }
                Source::Url(url) => object.string("image_url", url),
                Source::FileId(id) => object.string("file_id", id),
                Source::PlainText { .. } | Source::Parts { .. } => {
                    return Err(rules::IMAGE_SOURCE.refuse_at(at));
                }
            }
            match (&image.detail, own) {
                (Some(detail), _) => object.string("detail", detail),
                (None, false) => object.string("detail", "auto"),
                (None, true) => {}
            }
        }
        PartKind::Document(document) => write_document(object, document, at, own)?,
        PartKind::Audio(audio) if audio.id.is_some() => return Err(rules::AUDIO_ID.refuse_at(at)),
        PartKind::Audio(audio) => {
            object.string("type", "input_audio");
            object.object("input_audio", |inner| {
                inner.string("data", &audio.data);
                inner.string("format", &audio.format);
            });
        }
        PartKind::Video(_) => return Err(rules::VIDEO.refuse_at(at)),
        PartKind::ToolCall(_)
        | PartKind::ToolResult(_)
        | PartKind::Thinking(_)
        | PartKind::RedactedThinking(_)
        | PartKind::Opaque { .. } => return Err(rules::MISPLACED.refuse_at(at)),
    }
    Ok(())
}

fn write_document(
    object: &mut Object<'_>,
    document: &Document,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    // A plain text is a text part with its title above it.
    if let Source::PlainText { data, .. } = &document.source {
        let title = document.title.as_deref().map(|title| format!("{title}\n\n"));
        object.string("type", "input_text");
        object.string("text", &format!("{}{data}", title.unwrap_or_default()));
        return Ok(());
    }
    object.string("type", "input_file");
    let title = document.title.as_deref();
    match &document.source {
        Source::Base64 { media_type, data } => {
            // The API demands a name with data.
            let name = title.or((!own).then_some("document.pdf"));
            object.maybe_string("filename", name);
            if media_type.is_empty() {
                object.string("file_data", data);
            } else {
                object.string("file_data", &format!("data:{media_type};base64,{data}"));
            }
        }
        Source::Url(url) => {
            object.maybe_string("filename", title.filter(|_| own));
            object.string("file_url", url);
        }
        Source::FileId(id) => {
            object.maybe_string("filename", title.filter(|_| own));
            object.string("file_id", id);
        }
        Source::PlainText { .. } | Source::Parts { .. } => return Err(rules::SOURCE.refuse_at(at)),
    }
    Ok(())
}
