//! Content parts of messages: read into the form, written from it.

use std::fmt::Display;

use super::{documents, rules};
use crate::form::{ContentShape, Image, Part, PartKind, Role, Source, Text, TextPart, Thinking};
use crate::format::{DecodeError, EncodeError, Format};
use crate::json::fields::Value;
use crate::json::write::{List, Object};
use crate::responses::source_of_url;

/// Marks the text that stands in `tool_plan`.
pub(super) const PLAN: &str = "tool_plan";

/// Reads `content`: a string or a list of parts.
pub(super) fn read_content(value: &Value<'_>, role: Role) -> Result<(Vec<Part>, ContentShape), DecodeError> {
    if value.is_string() {
        return Ok((vec![Part::text(value.string()?)], ContentShape::Text));
    }
    Ok((value.list(|part| read_part(&part, role))?, ContentShape::Parts))
}

fn read_part(value: &Value<'_>, role: Role) -> Result<Part, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let text = |value: Value<'_>| value.string();
    let mut part = match kind.as_ref() {
        "text" => Part::text(fields.need("text", text)?),
        "thinking" => Part::new(PartKind::Thinking(Thinking {
            text: fields.need("thinking", text)?,
            signature: None,
        })),
        "image_url" => match fields.need("image_url", |image| read_image(&image))? {
            Some(image) => Part::new(PartKind::Image(image)),
            None => return Ok(opaque(value, kind)),
        },
        "document" if role == Role::Tool => {
            fields.need("document", |document| documents::read_result(&document))?
        }
        _ => return Ok(opaque(value, kind)),
    };
    for (name, json) in fields.rest().0 {
        part.extra.set(name, json);
    }
    Ok(part)
}

fn opaque(value: &Value<'_>, kind: Text) -> Part {
    Part::new(PartKind::Opaque {
        format: Format::CohereChat,
        kind,
        json: value.json(),
    })
}

/// The image; none when there is more to it than the form knows.
fn read_image(value: &Value<'_>) -> Result<Option<Image>, DecodeError> {
    let mut fields = value.fields()?;
    let url = fields.need("url", |url| url.string())?;
    let detail = fields.take("detail", |detail| detail.string())?;
    let image = Image {
        source: source_of_url(url),
        detail,
    };
    Ok(fields.rest().is_empty().then_some(image))
}

/// The plan of the calls that follow.
pub(super) fn plan(text: Text) -> Part {
    let mut part = Part::text(text);
    part.extra.set(PLAN, super::request::truth());
    part
}

/// Whether a part is the plan.
pub(super) fn is_plan(part: &Part) -> bool {
    part.extra.get(PLAN).is_some()
}

/// Writes a part of `content`; `own` when it came in this format.
pub(super) fn write_part(
    list: &mut List<'_>,
    part: &Part,
    at: &dyn Display,
    own: bool,
) -> Result<(), EncodeError> {
    if let PartKind::Opaque { format, kind, json } = &part.kind {
        if *format != Format::CohereChat {
            return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
        }
        list.raw(json.as_str());
        return Ok(());
    }
    let mut refused = None;
    list.object(|object| {
        refused = write_kind(object, part, at, own).err();
        if own {
            let written = |name: &Text| name != documents::AS_IT_CAME && name != PLAN;
            for (name, json) in part.extra.0.iter().filter(|(name, _)| written(name)) {
                object.raw(name, json.as_str());
            }
        }
    });
    refused.map_or(Ok(()), Err)
}

fn write_kind(object: &mut Object<'_>, part: &Part, at: &dyn Display, own: bool) -> Result<(), EncodeError> {
    match &part.kind {
        PartKind::Text(TextPart { text, .. }) => {
            if own && part.extra.get(documents::AS_IT_CAME).is_some() {
                documents::write_result(object, part, text);
            } else {
                object.string("type", "text");
                object.string("text", text);
            }
        }
        // What the model declined to say is still what it said.
        PartKind::Refusal(text) => {
            object.string("type", "text");
            object.string("text", text);
        }
        PartKind::Thinking(thinking) => {
            object.string("type", "thinking");
            object.string("thinking", &thinking.text);
        }
        PartKind::Image(image) => {
            let url = match &image.source {
                Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
                Source::Url(url) => url.to_string(),
                Source::FileId(_) | Source::PlainText { .. } | Source::Parts { .. } => {
                    return Err(rules::IMAGE_SOURCE.refuse_at(at));
                }
            };
            object.string("type", "image_url");
            object.object("image_url", |inner| {
                inner.string("url", &url);
                inner.maybe_string("detail", image.detail.as_deref());
            });
        }
        PartKind::Document(document) => {
            let text = document_text(&document.source).ok_or_else(|| rules::DOCUMENT_SOURCE.refuse_at(at))?;
            // A plain text is a text part with its title above it.
            let title = document.title.as_deref().map(|title| format!("{title}\n\n"));
            object.string("type", "text");
            object.string("text", &format!("{}{text}", title.unwrap_or_default()));
        }
        PartKind::Audio(_) => return Err(rules::AUDIO.refuse_at(at)),
        PartKind::Video(_) => return Err(rules::VIDEO.refuse_at(at)),
        PartKind::ToolCall(_)
        | PartKind::ToolResult(_)
        | PartKind::RedactedThinking(_)
        | PartKind::Opaque { .. } => return Err(rules::MISPLACED.refuse_at(at)),
    }
    Ok(())
}

/// The text of a document that is text.
pub(super) fn document_text(source: &Source) -> Option<String> {
    match source {
        Source::PlainText { data, .. } => Some(data.to_string()),
        Source::Parts { parts, .. } => parts
            .iter()
            .map(|part| match &part.kind {
                PartKind::Text(text) => Some(text.text.as_ref()),
                _ => None,
            })
            .collect::<Option<Vec<&str>>>()
            .map(|texts| texts.join("\n\n")),
        Source::Base64 { .. } | Source::Url(_) | Source::FileId(_) => None,
    }
}
