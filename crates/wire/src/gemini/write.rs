//! Contents and their parts, written.

use std::borrow::Cow;
use std::fmt::Display;

use super::generation::{self, Generation};
use super::history::Called;
use super::parts::{KEY, NAME, REST};
use super::{media, rules};
use crate::form::{
    Audio, Document, Image, Message, Part, PartKind, Role, Source, Text, TextPart, Thinking, ToolCall,
    ToolCallKind, ToolResult,
};
use crate::format::{EncodeError, Format};
use crate::json::Json;
use crate::json::object::{is_object, object_or};
use crate::json::write::{List, Object};
use crate::rules::Losses;

/// In place of a signature that the history does not have: Gemini 3 and later refuse a first function call without
/// one, and take this value (documented for the Gemini API and for Vertex AI).
const SKIP: &str = "skip_thought_signature_validator";

/// Writes the contents of one request.
pub(super) struct Contents<'l> {
    own: bool,
    generation: Generation,
    called: Called,
    losses: &'l mut Losses,
    /// The next call is the first of its step.
    first_call: bool,
}

impl<'l> Contents<'l> {
    /// For a model of `generation`; `own` when the request came in this format.
    pub(super) fn for_provider(own: bool, generation: Generation, losses: &'l mut Losses) -> Self {
        Self {
            own,
            generation,
            called: Called::default(),
            losses,
            first_call: false,
        }
    }

    /// For the client that asked; `own` when the answer came in this format.
    pub(super) fn for_client(own: bool, losses: &'l mut Losses) -> Self {
        Self::for_provider(own, None, losses)
    }

    /// Writes `systemInstruction`.
    pub(super) fn system(&mut self, body: &mut Object<'_>, messages: &[Message]) -> Result<(), EncodeError> {
        let Some(first) = messages.first() else {
            return Ok(());
        };
        let mut refused = None;
        body.object("systemInstruction", |content| {
            if !(self.own && first.extra.has_note("parts")) {
                content.list("parts", |list| {
                    for part in messages.iter().flat_map(|message| &message.parts) {
                        refused = refused.take().or(self.part(list, part, &"system").err());
                    }
                });
            }
            if self.own {
                content.extra(&first.extra);
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// Writes one of `contents`.
    pub(super) fn turn(
        &mut self,
        list: &mut List<'_>,
        message: &Message,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        self.first_call = true;
        let parts = self.ordered(message);
        if parts.is_empty() && !self.own {
            return Ok(());
        }
        let mut refused = None;
        list.object(|content| {
            let extra = &message.extra;
            if !(self.own && (extra.has_note("role") || extra.get("role").is_some())) {
                let model = message.role == Role::Assistant;
                content.string("role", if model { "model" } else { "user" });
            }
            if !(self.own && extra.has_note("parts")) {
                content.list("parts", |list| {
                    for (index, part) in parts.iter().enumerate() {
                        let at = format_args!("{at}.content[{index}]");
                        refused = refused.take().or(self.part(list, part, &at).err());
                    }
                });
            }
            if self.own {
                content.extra(extra);
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// The parts as the API wants them: results first; of other formats none that cannot be replayed and none that
    /// say nothing.
    fn ordered<'m>(&mut self, message: &'m Message) -> Vec<&'m Part> {
        if self.own {
            return message.parts.iter().collect();
        }
        let kept = message.parts.iter().filter(|part| self.is_said(part));
        let (mut results, others): (Vec<&Part>, Vec<&Part>) =
            kept.partition(|part| matches!(part.kind, PartKind::ToolResult(_)));
        results.extend(others);
        results
    }

    /// Whether a part of another format is sent at all.
    fn is_said(&mut self, part: &Part) -> bool {
        if part.cache_control.is_some() {
            self.losses.by(&rules::CACHE_CONTROL);
        }
        match &part.kind {
            PartKind::Text(text) => {
                if text.citations.is_some() {
                    self.losses.by(&rules::CITED);
                }
                !text.text.is_empty()
            }
            PartKind::Thinking(Thinking { signature: None, .. }) => {
                self.losses.by(&rules::UNSIGNED);
                false
            }
            _ => true,
        }
    }

    /// Writes a part.
    pub(super) fn part(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        match &part.kind {
            PartKind::Opaque {
                format: Format::GeminiGenerate,
                json,
                ..
            } => list.raw(json.as_str()),
            PartKind::Opaque { kind, .. } => {
                return Err(rules::OPAQUE_PART.refuse_at(format!("{at} of type {kind}")));
            }
            PartKind::Text(text) => self.object(list, part, |object| object.string("text", &text.text)),
            // What the model declined to say is still what it said.
            PartKind::Refusal(text) => self.object(list, part, |object| object.string("text", text)),
            PartKind::Thinking(thinking) => self.thinking(list, part, thinking),
            // Another provider's, and none of its business.
            PartKind::RedactedThinking(_) => {}
            PartKind::ToolCall(call) => self.call(list, part, call),
            PartKind::ToolResult(result) => return self.result(list, part, result, at),
            PartKind::Image(image) => return self.image(list, part, image, at),
            PartKind::Audio(audio) => return self.audio(list, part, audio, at),
            PartKind::Video(video) => return self.source(list, part, &video.source, "video/mp4", at),
            PartKind::Document(document) => return self.document(list, part, document, at),
        }
        Ok(())
    }

    /// One part: what `write` says of it, and the fields that only this format knows.
    fn object(&self, list: &mut List<'_>, part: &Part, write: impl FnOnce(&mut Object<'_>)) {
        list.object(|object| {
            write(object);
            if self.own {
                write_extra(object, part);
            }
        });
    }

    fn thinking(&self, list: &mut List<'_>, part: &Part, thinking: &Thinking) {
        self.object(list, part, |object| {
            object.string("text", &thinking.text);
            object.boolean("thought", true);
            object.maybe_string("thoughtSignature", thinking.signature.as_deref());
        });
    }

    fn call(&mut self, list: &mut List<'_>, part: &Part, call: &ToolCall) {
        self.called.add(&call.id, &call.name);
        let first = std::mem::replace(&mut self.first_call, false);
        let mut signature = call.signature.clone();
        if signature.is_none() && first && !self.own && generation::is_third_or_later(self.generation) {
            signature = Some(Text::from_static(SKIP));
            self.losses.by(&rules::SKIPPED_SIGNATURE);
        }
        let key = match call.kind {
            ToolCallKind::Function => "_raw",
            ToolCallKind::Custom => "input",
        };
        let arguments = object_or(&call.arguments, key);
        if matches!(arguments, Cow::Owned(_)) {
            self.losses.by(match call.kind {
                ToolCallKind::Function => &rules::ARGUMENTS,
                ToolCallKind::Custom => &rules::CUSTOM,
            });
        }
        self.object(list, part, |object| {
            object.object("functionCall", |function| {
                write_call(function, part, call, &arguments, self.own);
            });
            object.maybe_string("thoughtSignature", signature.as_deref());
        });
    }

    fn result(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        result: &ToolResult,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        let own_name = part.extra.get(NAME).filter(|_| self.own).and_then(Json::string);
        let name: Cow<'_, str> = match (own_name, self.called.name(&result.call_id)) {
            (Some(name), _) => name,
            (None, Some(name)) => Cow::Owned(name.to_string()),
            (None, None) => {
                if !self.own {
                    self.losses.by(&rules::UNKNOWN_CALL);
                }
                Cow::Borrowed(&result.call_id)
            }
        };
        let failed = result.is_error == Some(true);
        if failed && !self.own {
            self.losses.by(&rules::IS_ERROR);
        }
        let is_text = |part: &&Part| matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_));
        let (texts, media): (Vec<&Part>, Vec<&Part>) = result.content.iter().partition(is_text);
        let inside = self.own || generation::is_third_or_later(self.generation);
        let mut refused = None;
        list.object(|object| {
            object.object("functionResponse", |function| {
                if !(self.own && part.extra.has_note("id")) {
                    function.string("id", &result.call_id);
                }
                function.string("name", &name);
                if !(self.own && texts.is_empty()) {
                    write_response(function, part, &joined(&texts), failed, self.own);
                }
                if inside && !media.is_empty() {
                    function.list("parts", |list| refused = self.media(list, &media, at).err());
                }
                if self.own {
                    write_rest_of_response(function, part);
                }
            });
            if self.own {
                write_extra(object, part);
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
        if !inside && !media.is_empty() {
            self.losses.by(&rules::TOOL_MEDIA);
            self.media(list, &media, at)?;
        }
        Ok(())
    }

    /// Media in, or beside, the result of a function.
    fn media(&mut self, list: &mut List<'_>, media: &[&Part], at: &dyn Display) -> Result<(), EncodeError> {
        for part in media {
            if matches!(
                part.kind,
                PartKind::ToolCall(_) | PartKind::ToolResult(_) | PartKind::Thinking(_)
            ) {
                return Err(rules::MISPLACED.refuse_at(at));
            }
            self.part(list, part, at)?;
        }
        Ok(())
    }

    fn image(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        image: &Image,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.by(&rules::DETAIL);
        }
        self.source(list, part, &image.source, "image/jpeg", at)
    }

    fn audio(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        audio: &Audio,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if audio.id.is_some() && audio.data.is_empty() {
            return Err(rules::AUDIO_ID.refuse_at(at));
        }
        let kept = part.extra.get("inlineData").filter(|_| self.own);
        self.object(list, part, |object| {
            media::write_inline(
                object,
                &format!("audio/{}", audio.format),
                &audio.data,
                None,
                kept,
            );
        });
        Ok(())
    }

    fn document(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        document: &Document,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        if document.citations.is_some() {
            self.losses.by(&rules::DOCUMENT_CITATIONS);
        }
        let heading = [document.title.as_deref(), document.context.as_deref()];
        let heading = || heading.iter().flatten().map(|text| format!("{text}\n\n"));
        match &document.source {
            Source::PlainText { data, .. } => {
                self.losses.by(&rules::PLAIN_DOCUMENT);
                let text = format!("{}{data}", heading().collect::<String>());
                self.object(list, part, |object| object.string("text", &text));
                Ok(())
            }
            Source::Parts { parts, .. } => {
                self.losses.by(&rules::PLAIN_DOCUMENT);
                for text in heading() {
                    list.object(|object| object.string("text", text.trim_end()));
                }
                parts.iter().try_for_each(|inner| self.part(list, inner, at))
            }
            source => {
                if !self.own && (document.title.is_some() || document.context.is_some()) {
                    self.losses.by(&rules::DOCUMENT_TITLE);
                }
                self.named_source(
                    list,
                    part,
                    source,
                    "application/pdf",
                    document.title.as_deref(),
                    at,
                )
            }
        }
    }

    fn source(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        source: &Source,
        fallback: &str,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        self.named_source(list, part, source, fallback, None, at)
    }

    fn named_source(
        &mut self,
        list: &mut List<'_>,
        part: &Part,
        source: &Source,
        fallback: &str,
        title: Option<&str>,
        at: &dyn Display,
    ) -> Result<(), EncodeError> {
        let own = self.own;
        let title = title.filter(|_| own);
        match source {
            Source::Base64 { media_type, data } => self.object(list, part, |object| {
                let kept = part.extra.get("inlineData").filter(|_| own);
                media::write_inline(object, media_type, data, title, kept);
            }),
            Source::Url(url) => match data_url(url) {
                Some((mime, data)) if !own => {
                    self.object(list, part, |object| {
                        media::write_inline(object, mime, data, title, None);
                    });
                }
                _ => self.object(list, part, |object| {
                    let kept = part.extra.get("fileData").filter(|_| own);
                    media::write_file(object, url, fallback, title, kept, own);
                }),
            },
            Source::FileId(id) if own => self.object(list, part, |object| {
                media::write_file(object, id, fallback, title, part.extra.get("fileData"), own);
            }),
            Source::FileId(_) => return Err(rules::FILE_ID.refuse_at(at)),
            Source::PlainText { .. } | Source::Parts { .. } => return Err(rules::OPAQUE_PART.refuse_at(at)),
        }
        Ok(())
    }
}

/// The data in a URL, if it is of that sort (RFC 2397).
fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// Fields of a part beyond what the form knows, but for those that stand inside its own objects.
fn write_extra(object: &mut Object<'_>, part: &Part) {
    let inside = |name: &str| name.starts_with(REST) || name == "inlineData" || name == "fileData";
    for (name, json) in part.extra.fields().filter(|(name, _)| !inside(name)) {
        object.raw(name, json.as_str());
    }
}

fn write_rest_of_response(function: &mut Object<'_>, part: &Part) {
    for (name, json) in part.extra.fields() {
        if name != NAME
            && let Some(name) = name.strip_prefix(REST)
        {
            function.raw(name, json.as_str());
        }
    }
}

/// Writes the inside of `functionCall`.
fn write_call(function: &mut Object<'_>, part: &Part, call: &ToolCall, arguments: &str, own: bool) {
    let without = own && part.extra.has_note("id");
    if !without && !call.id.is_empty() {
        function.string("id", &call.id);
    }
    function.string("name", &call.name);
    let none = own && part.extra.has_note("args") && call.arguments == "{}";
    if !none {
        function.raw("args", arguments);
    }
    if own {
        function.extra(&call.extra);
    }
}

/// The texts of a result; one is not copied.
fn joined<'p>(texts: &[&'p Part]) -> Cow<'p, str> {
    let said = |part: &&'p Part| match &part.kind {
        PartKind::Text(TextPart { text, .. }) | PartKind::Refusal(text) => text.as_ref(),
        _ => "",
    };
    match texts {
        [only] => Cow::Borrowed(said(only)),
        all => Cow::Owned(all.iter().map(said).collect()),
    }
}

/// Writes the response of a function: an object, whatever the result is.
fn write_response(function: &mut Object<'_>, part: &Part, text: &str, failed: bool, own: bool) {
    let kept = part.extra.get(KEY).filter(|_| own).and_then(Json::string);
    let key = match kept {
        Some(key) => key,
        None if failed && !own => "error".into(),
        None if is_object(text) => return function.raw("response", text.trim()),
        None => "result".into(),
    };
    function.object("response", |response| response.string(&key, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_data() {
        assert_eq!(
            data_url("data:application/pdf;base64,AA=="),
            Some(("application/pdf", "AA=="))
        );
        assert_eq!(data_url("https://example.com/a.pdf"), None);
    }
}
