//! Content blocks of Converse, written from the form.

use std::borrow::Cow;
use std::fmt::Display;

use super::blocks::AS_JSON;
use super::media::{Medium, sound};
use super::model::Family;
use super::names::{DocumentNames, call_id, is_fit};
use super::{citations, kept, rules};
use crate::form::{
    Audio, CacheControl, ContentShape, Document, Extra, Part, PartKind, Source, Text, TextPart, ToolCall,
    ToolResult,
};
use crate::format::{EncodeError, Format};
use crate::json::Json;
use crate::json::object::object_or;
use crate::json::write::{List, Object};
use crate::rules::{Losses, Rule};

/// What is known while blocks are written, and what is noted.
pub struct Pen<'l> {
    /// They came in this format.
    pub own: bool,
    /// The target's family.
    pub family: Family,
    /// Whether the target takes cache points.
    pub caches: bool,
    /// What was mapped to the nearest thing.
    pub losses: &'l mut Losses,
    /// The names of the documents so far.
    pub names: DocumentNames,
}

/// Where blocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the instructions.
    Instructions,
    /// In the user's turn.
    User,
    /// In the model's turn.
    Model,
    /// In the result of a tool.
    Result,
}

impl Pen<'_> {
    /// Writes a cache point, where there is one.
    pub fn cache_point(&mut self, list: &mut List<'_>, control: Option<&CacheControl>) {
        let Some(control) = control else { return };
        if !self.own && !self.caches {
            self.losses.by(&rules::CACHE_POINTS);
            return;
        }
        let own = self.own;
        let ttl = control
            .ttl
            .as_deref()
            .filter(|ttl| own || matches!(*ttl, "5m" | "1h"));
        list.object(|block| {
            block.object("cachePoint", |point| {
                point.string("type", "default");
                point.maybe_string("ttl", ttl);
            });
        });
    }

    /// Whether tools may say that their schema binds.
    #[must_use]
    pub fn takes_strict(&self) -> bool {
        self.own || self.family == Family::Claude
    }

    /// What was kept of the inner object `name`.
    fn kept(&self, extra: &Extra, name: &str) -> Extra {
        if self.own {
            kept::of(extra, name)
        } else {
            Extra::default()
        }
    }

    fn call_id(&mut self, id: &Text) -> Text {
        if self.own {
            return id.clone();
        }
        let fit = call_id(id);
        if fit != *id {
            self.losses.by(&rules::CALL_IDS);
        }
        fit
    }
}

/// Whether the text says nothing, which Bedrock refuses.
#[must_use]
pub fn is_blank(part: &Part) -> bool {
    matches!(&part.kind, PartKind::Text(TextPart { text, .. }) | PartKind::Refusal(text) if text.trim().is_empty())
}

/// Writes parts as blocks, each followed by its cache point.
pub fn write_content(
    list: &mut List<'_>,
    parts: &[Part],
    place: Place,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    for (index, part) in parts.iter().enumerate() {
        write_block(list, part, place, &format_args!("{at}[{index}]"), pen)?;
        if pen.own {
            pen.cache_point(list, part.cache_control.as_ref());
            continue;
        }
        match (place, &part.kind) {
            // What holds the result has the point.
            (Place::Result, _) => {}
            (_, PartKind::ToolResult(result)) => {
                let inside = result.content.iter().find_map(|part| part.cache_control.as_ref());
                if inside.is_some() {
                    pen.losses.by(&rules::CACHE_INSIDE);
                }
                pen.cache_point(list, part.cache_control.as_ref().or(inside));
            }
            _ => pen.cache_point(list, part.cache_control.as_ref()),
        }
    }
    Ok(())
}

fn write_block(
    list: &mut List<'_>,
    part: &Part,
    place: Place,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    match &part.kind {
        PartKind::Opaque {
            format: Format::BedrockConverse,
            json,
            ..
        } => {
            list.raw(json.as_str());
            return Ok(());
        }
        PartKind::Opaque { kind, .. } => {
            return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
        }
        PartKind::RedactedThinking(data) if !pen.own && !is_base64(data) => {
            pen.losses.by(&rules::REDACTED);
            return Ok(());
        }
        _ if !pen.own && is_blank(part) => return Ok(()),
        kind if !pen.own => {
            if let Some(rule) = misplaced(kind, place) {
                return Err(rule.refuse_at(at));
            }
        }
        _ => {}
    }
    let mut refused = None;
    list.object(|block| refused = write_kind(block, part, place, at, pen).err());
    refused.map_or(Ok(()), Err)
}

fn misplaced(kind: &PartKind, place: Place) -> Option<&'static Rule> {
    let text = matches!(kind, PartKind::Text(_) | PartKind::Refusal(_));
    let shown = matches!(
        kind,
        PartKind::Image(_) | PartKind::Document(_) | PartKind::Video(_)
    );
    match place {
        Place::Instructions if !text => Some(&rules::INSTRUCTION_PARTS),
        Place::Result if !text && !shown => Some(&rules::RESULT_PARTS),
        _ => None,
    }
}

fn is_base64(data: &str) -> bool {
    let digits = data.trim_end_matches('=');
    data.len().is_multiple_of(4)
        && data.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Writes the one field that names the kind, and what stood beside it.
fn write_kind(
    block: &mut Object<'_>,
    part: &Part,
    place: Place,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<(), EncodeError> {
    let extra = &part.extra;
    let name = match &part.kind {
        PartKind::Text(text) => write_text(block, text, extra, place, pen),
        PartKind::Refusal(text) => {
            block.string("text", text);
            "text"
        }
        PartKind::ToolCall(call) => write_call(block, call, at, pen)?,
        PartKind::ToolResult(result) => write_result(block, result, extra, at, pen)?,
        PartKind::Thinking(thinking) => {
            let kept = pen.kept(extra, "reasoningContent");
            block.object("reasoningContent", |inner| {
                inner.object("reasoningText", |said| {
                    said.string("text", &thinking.text);
                    said.maybe_string("signature", thinking.signature.as_deref());
                    kept::write(said, &kept::of(&kept, "reasoningText"), &[]);
                });
                kept::write(inner, &kept, &["reasoningText"]);
            });
            "reasoningContent"
        }
        PartKind::RedactedThinking(data) => {
            let kept = pen.kept(extra, "reasoningContent");
            block.object("reasoningContent", |inner| {
                inner.string("redactedContent", data);
                kept::write(inner, &kept, &[]);
            });
            "reasoningContent"
        }
        PartKind::Image(image) => {
            if image.detail.is_some() {
                pen.losses.by(&rules::DETAIL);
            }
            write_media(block, Medium::Image, &image.source, None, extra, at, pen)?
        }
        PartKind::Video(film) => write_media(block, Medium::Film, &film.source, None, extra, at, pen)?,
        PartKind::Document(document) => write_media(
            block,
            Medium::Document,
            &document.source,
            Some(document),
            extra,
            at,
            pen,
        )?,
        PartKind::Audio(audio) => write_audio(block, audio, extra, at, pen)?,
        PartKind::Opaque { .. } => "",
    };
    if pen.own {
        kept::write(block, extra, &[name, AS_JSON]);
    }
    Ok(())
}

fn write_text(
    block: &mut Object<'_>,
    text: &TextPart,
    extra: &Extra,
    place: Place,
    pen: &mut Pen<'_>,
) -> &'static str {
    if pen.own {
        if extra.get(AS_JSON).is_some() && Json::parse(text.text.to_string()).is_ok() {
            block.raw("json", &text.text);
            return "json";
        }
        if let Some(kept) = extra.get("guardContent").map(kept::fields_of) {
            block.object("guardContent", |inner| {
                inner.object("text", |said| {
                    said.string("text", &text.text);
                    kept::write(said, &kept::of(&kept, "text"), &[]);
                });
                kept::write(inner, &kept, &["text"]);
            });
            return "guardContent";
        }
        if let Some(kept) = extra.get("citationsContent").map(kept::fields_of) {
            write_cited(block, &text.text, |inner| kept::write(inner, &kept, &[]));
            return "citationsContent";
        }
    } else if let Some(list) = &text.citations {
        let cited = citations::write_list(list);
        if place == Place::Model && !cited.is_empty() {
            write_cited(block, &text.text, |inner| {
                inner.list("citations", |list| cited.iter().for_each(|one| list.raw(one)));
            });
            return "citationsContent";
        }
        pen.losses.by(&rules::CITATIONS);
    }
    block.string("text", &text.text);
    "text"
}

fn write_cited(block: &mut Object<'_>, text: &str, cited: impl FnOnce(&mut Object<'_>)) {
    block.object("citationsContent", |inner| {
        inner.list("content", |list| list.object(|piece| piece.string("text", text)));
        cited(inner);
    });
}

fn write_call(
    block: &mut Object<'_>,
    call: &ToolCall,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<&'static str, EncodeError> {
    let own = pen.own;
    if !own && !is_fit(&call.name) {
        return Err(rules::TOOL_NAME.refuse_at(format!("{at} of tool {:?}", call.name)));
    }
    let arguments = object_or(&call.arguments, "_raw");
    if !own && matches!(arguments, Cow::Owned(_)) {
        pen.losses.by(&rules::ARGUMENTS);
    }
    let id = pen.call_id(&call.id);
    block.object("toolUse", |inner| {
        inner.string("toolUseId", &id);
        inner.string("name", &call.name);
        let kept = own.then(|| Json::parse(call.arguments.clone()));
        match kept {
            Some(Ok(json)) => inner.raw("input", json.as_str()),
            Some(Err(_)) if call.arguments.is_empty() => {}
            _ => inner.raw("input", &arguments),
        }
        if own {
            inner.extra(&call.extra);
        }
    });
    Ok("toolUse")
}

fn write_result(
    block: &mut Object<'_>,
    result: &ToolResult,
    extra: &Extra,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<&'static str, EncodeError> {
    let id = pen.call_id(&result.call_id);
    let status = match result.is_error {
        Some(true) => Some("error"),
        Some(false) if pen.own => Some("success"),
        _ => None,
    };
    let kept = pen.kept(extra, "toolResult");
    let mut refused = None;
    block.object("toolResult", |inner| {
        inner.string("toolUseId", &id);
        if !(pen.own && result.shape == ContentShape::Absent) {
            inner.list("content", |list| {
                refused = write_content(list, &result.content, Place::Result, at, pen).err();
            });
        }
        inner.maybe_string("status", status);
        kept::write(inner, &kept, &[]);
    });
    refused.map_or(Ok("toolResult"), Err)
}

fn write_audio(
    block: &mut Object<'_>,
    audio: &Audio,
    extra: &Extra,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<&'static str, EncodeError> {
    let format = if pen.own {
        Some(&*audio.format)
    } else {
        sound(&audio.format)
    };
    let Some(format) = format.filter(|_| pen.own || !audio.data.is_empty()) else {
        return Err(rules::AUDIO.refuse_at(at));
    };
    let kept = pen.kept(extra, "audio");
    block.object("audio", |inner| {
        inner.string("format", format);
        inner.object("source", |source| {
            source.string("bytes", &audio.data);
            kept::write(source, &kept::of(&kept, "source"), &[]);
        });
        kept::write(inner, &kept, &["source"]);
    });
    Ok("audio")
}

/// Writes an image, a film or a document.
fn write_media(
    block: &mut Object<'_>,
    medium: Medium,
    source: &Source,
    document: Option<&Document>,
    extra: &Extra,
    at: &dyn Display,
    pen: &mut Pen<'_>,
) -> Result<&'static str, EncodeError> {
    let (name, no_source, no_format) = match medium {
        Medium::Image => ("image", &rules::IMAGE_SOURCE, &rules::IMAGE_FORMAT),
        Medium::Document => ("document", &rules::DOCUMENT_SOURCE, &rules::DOCUMENT_FORMAT),
        Medium::Film => ("video", &rules::VIDEO_SOURCE, &rules::VIDEO_SOURCE),
    };
    let own = pen.own;
    if !own && !takes(medium, source) {
        return Err(no_source.refuse_at(at));
    }
    let title = document.and_then(|document| document.title.as_deref());
    let format = format_of(medium, source, title, own);
    let kept = pen.kept(extra, name);
    if !own && format.is_none() {
        return Err(no_format.refuse_at(at));
    }
    let given = document.and_then(|_| document_name(title, format.unwrap_or_default(), pen));
    block.object(name, |inner| {
        if kept.get("format").is_none() {
            inner.maybe_string("format", format);
        }
        inner.maybe_string("name", given.as_deref());
        inner.object("source", |inner| {
            let kept = kept::of(&kept, "source");
            write_source(inner, source, &kept, own);
            kept::write(inner, &kept, &["s3Location"]);
        });
        if let Some(document) = document {
            inner.maybe_string("context", document.context.as_deref());
            inner.maybe_json("citations", document.citations.as_ref());
        }
        kept::write(inner, &kept, &["source"]);
    });
    Ok(name)
}

fn document_name(title: Option<&str>, format: &str, pen: &mut Pen<'_>) -> Option<String> {
    if pen.own {
        return title.map(ToOwned::to_owned);
    }
    let name = pen.names.name(title, format);
    if title.is_some_and(|title| title != name) {
        pen.losses.by(&rules::DOCUMENT_NAME);
    }
    Some(name)
}

fn takes(medium: Medium, source: &Source) -> bool {
    match source {
        Source::Base64 { .. } => true,
        Source::Url(url) => url.starts_with("s3://"),
        Source::PlainText { .. } => medium == Medium::Document,
        Source::Parts { parts, .. } => {
            medium == Medium::Document && parts.iter().all(|part| matches!(part.kind, PartKind::Text(_)))
        }
        Source::FileId(_) => false,
    }
}

/// The format, as far as the source tells it.
fn format_of(medium: Medium, source: &Source, title: Option<&str>, own: bool) -> Option<&'static str> {
    match source {
        Source::Base64 { media_type, .. } => medium.format(media_type).or_else(|| {
            title
                .filter(|_| !own)
                .and_then(|title| medium.format_of_name(title))
        }),
        // What came in this format keeps what it said of itself.
        _ if own => None,
        Source::Url(url) => medium.format_of_name(url),
        Source::PlainText { media_type, .. } => medium.format(media_type).or(Some("txt")),
        Source::Parts { .. } => Some("txt"),
        Source::FileId(_) => None,
    }
}

fn write_source(object: &mut Object<'_>, source: &Source, kept: &Extra, own: bool) {
    match source {
        Source::Base64 { data, .. } => object.string("bytes", data),
        Source::Url(uri) => object.object("s3Location", |location| {
            location.string("uri", uri);
            kept::write(location, &kept::of(kept, "s3Location"), &[]);
        }),
        Source::PlainText { data, .. } => object.string("text", data),
        Source::Parts { parts, .. } => object.list("content", |list| {
            for part in parts {
                if let PartKind::Text(text) = &part.kind {
                    list.object(|piece| {
                        piece.string("text", &text.text);
                        if own {
                            piece.extra(&part.extra);
                        }
                    });
                }
            }
        }),
        Source::FileId(_) => {}
    }
}
