//! Writing a stream.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::super::response::finish_name;
use super::super::usage::write_usage;
use super::super::{failure, logprobs};
use super::decoder::{BLOCKED, FINISH};
use crate::form::{FinishReason, PartStart, StreamEvent, Text, ToolCallKind, Usage};
use crate::format::{Format, StreamEncoderOptions};
use crate::json::Json;
use crate::json::object::{fields_of, object_or};
use crate::json::write::{List, Object, object};

/// Writes a stream.
///
/// Text goes on as it comes; a function call has no pieces in this format and waits until it is whole.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
    /// One JSON list instead of events.
    list: bool,
    written: bool,
    id: Text,
    model: Text,
    parts: BTreeMap<(u32, u32), Writing>,
    finishes: BTreeMap<u32, FinishReason>,
    /// Reasons as this format wrote them.
    native: BTreeMap<u32, String>,
    blocked: bool,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum Writing {
    Text,
    Thinking,
    Call(Call),
    Silent,
}

#[derive(Debug)]
struct Call {
    id: Text,
    name: Text,
    kind: ToolCallKind,
    arguments: String,
    signature: Option<Text>,
}

impl Encoder {
    /// A writer for a stream of events (`alt=sse`).
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            options,
            list: false,
            written: false,
            id: Text::new(),
            model: Text::new(),
            parts: BTreeMap::new(),
            finishes: BTreeMap::new(),
            native: BTreeMap::new(),
            blocked: false,
            usage: None,
        }
    }

    /// A writer for a stream that is one JSON list: what clients get that do not say `alt=sse`.
    #[must_use]
    pub fn list(options: StreamEncoderOptions) -> Self {
        Self {
            list: true,
            ..Self::new(options)
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model, .. } => {
                self.id = id.clone();
                self.model = if model.is_empty() {
                    self.options.model.clone()
                } else {
                    model.clone()
                };
            }
            StreamEvent::PartStart { choice, part, start } => self.part_start(*choice, *part, start, out),
            StreamEvent::Delta { choice, part, text } => self.delta(*choice, *part, text, out),
            StreamEvent::Signature {
                choice,
                part,
                signature,
            } => self.signature(*choice, *part, signature, out),
            StreamEvent::PartEnd { choice, part } => {
                if let Some(Writing::Call(call)) = self.parts.remove(&(*choice, *part)) {
                    self.part(*choice, out, |object| write_call(object, &call));
                }
            }
            StreamEvent::Logprobs { choice, logprobs } => self.candidate(*choice, out, |candidate| {
                logprobs::write(candidate, logprobs);
            }),
            StreamEvent::Finish { choice, reason, .. } => {
                self.finishes.insert(*choice, reason.clone());
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Opaque {
                format: Format::GeminiGenerate,
                event,
                json,
            } => self.own(event.as_deref(), json, out),
            StreamEvent::Error(failure) => {
                let body = failure::render(failure, "");
                self.write_raw(&body, out);
                if self.list {
                    out.extend_from_slice(b"]");
                }
            }
            StreamEvent::End => self.end(out),
            // SDKs of this format read every line as a piece of the answer: there is no sign of life to give.
            StreamEvent::Ping
            | StreamEvent::Tier(_)
            | StreamEvent::Citation { .. }
            | StreamEvent::Opaque { .. } => {}
        }
    }

    fn part_start(&mut self, choice: u32, part: u32, start: &PartStart, out: &mut BytesMut) {
        let writing = match start {
            PartStart::Text | PartStart::Refusal => Writing::Text,
            PartStart::Thinking => Writing::Thinking,
            PartStart::ToolCall { id, name, kind } => Writing::Call(Call {
                id: id.clone(),
                name: name.clone(),
                kind: *kind,
                arguments: String::new(),
                signature: None,
            }),
            PartStart::Opaque {
                format: Format::GeminiGenerate,
                json,
            } => {
                self.content(choice, out, |list| list.raw(json.as_str()));
                Writing::Silent
            }
            PartStart::RedactedThinking(_) | PartStart::Opaque { .. } => Writing::Silent,
        };
        self.parts.insert((choice, part), writing);
    }

    fn delta(&mut self, choice: u32, part: u32, text: &str, out: &mut BytesMut) {
        let thought = match self.parts.get_mut(&(choice, part)) {
            Some(Writing::Text) => false,
            Some(Writing::Thinking) => true,
            Some(Writing::Call(call)) => return call.arguments.push_str(text),
            Some(Writing::Silent) | None => return,
        };
        self.part(choice, out, |object| {
            object.string("text", text);
            if thought {
                object.boolean("thought", true);
            }
        });
    }

    fn signature(&mut self, choice: u32, part: u32, signature: &Text, out: &mut BytesMut) {
        match self.parts.get_mut(&(choice, part)) {
            Some(Writing::Call(call)) => call.signature = Some(signature.clone()),
            Some(Writing::Thinking) => {
                self.part(choice, out, |object| {
                    object.string("text", "");
                    object.boolean("thought", true);
                    object.string("thoughtSignature", signature);
                });
            }
            _ => {}
        }
    }

    /// What the reader of this format told the writer.
    fn own(&mut self, event: Option<&str>, json: &Json, out: &mut BytesMut) {
        if event == Some(FINISH) {
            let told = json.read::<serde_json::Value>().unwrap_or_default();
            let index = told["index"].as_u64().and_then(|index| u32::try_from(index).ok());
            if let (Some(index), Some(reason)) = (index, told["finishReason"].as_str()) {
                self.native.insert(index, reason.to_owned());
            }
            return;
        }
        self.blocked |= event == Some(BLOCKED);
        let fields = fields_of(json);
        self.piece(out, |piece| {
            fields
                .iter()
                .for_each(|(name, json)| piece.raw(name, json.as_str()));
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        let finishes = std::mem::take(&mut self.finishes);
        let natives = std::mem::take(&mut self.native);
        let usage = self.usage;
        let said = !self.blocked && !finishes.is_empty();
        self.piece(out, |piece| {
            if said {
                piece.list("candidates", |list| {
                    for (choice, reason) in &finishes {
                        let native = natives.get(choice).map(String::as_str);
                        list.object(|candidate| {
                            candidate.object("content", |content| {
                                content.list("parts", |list| list.object(|part| part.string("text", "")));
                                content.string("role", "model");
                            });
                            candidate.string("finishReason", native.unwrap_or_else(|| finish_name(reason)));
                            candidate.count("index", u64::from(*choice));
                        });
                    }
                });
            }
            if let Some(usage) = usage {
                piece.object("usageMetadata", |object| write_usage(object, &usage));
            }
        });
        self.written = true;
        if self.list {
            out.extend_from_slice(b"]");
        }
    }

    fn part(&mut self, choice: u32, out: &mut BytesMut, write: impl FnOnce(&mut Object<'_>)) {
        self.content(choice, out, |list| list.object(write));
    }

    fn content(&mut self, choice: u32, out: &mut BytesMut, write: impl FnOnce(&mut List<'_>)) {
        self.candidate(choice, out, |candidate| {
            candidate.object("content", |content| {
                content.list("parts", write);
                content.string("role", "model");
            });
        });
    }

    fn candidate(&mut self, choice: u32, out: &mut BytesMut, write: impl FnOnce(&mut Object<'_>)) {
        self.piece(out, |piece| {
            piece.list("candidates", |list| {
                list.object(|candidate| {
                    write(candidate);
                    candidate.count("index", u64::from(choice));
                });
            });
        });
    }

    /// One piece: what is its own, and what all repeat.
    fn piece(&mut self, out: &mut BytesMut, own: impl FnOnce(&mut Object<'_>)) {
        let body = object(|piece| {
            own(piece);
            for (name, text) in [("modelVersion", &self.model), ("responseId", &self.id)] {
                if !text.is_empty() {
                    piece.string(name, text);
                }
            }
        });
        self.write_raw(&body, out);
    }

    fn write_raw(&mut self, body: &[u8], out: &mut BytesMut) {
        let first = !std::mem::replace(&mut self.written, true);
        if self.list {
            out.extend_from_slice(if first { b"[" } else { b",\r\n" });
            out.extend_from_slice(body);
        } else {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(body);
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

fn write_call(object: &mut Object<'_>, call: &Call) {
    let key = match call.kind {
        ToolCallKind::Function => "_raw",
        ToolCallKind::Custom => "input",
    };
    object.object("functionCall", |function| {
        if !call.id.is_empty() {
            function.string("id", &call.id);
        }
        function.string("name", &call.name);
        function.raw("args", &object_or(&call.arguments, key));
    });
    object.maybe_string("thoughtSignature", call.signature.as_deref());
}
