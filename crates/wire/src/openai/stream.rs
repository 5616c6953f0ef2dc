//! Streamed chat completions: `data:` lines of chunks, ended by `data: [DONE]`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::response::{finish_name, now, read_finish};
use super::thinking::{self, After};
use super::{parts, read_usage, write_usage};
use crate::form::{FinishReason, PartKind, PartStart, StreamEvent, Text, Thinking, ToolCallKind, Usage};
use crate::format::{Format, StreamEncoderOptions, StreamError, stream_failure};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::json::write::{Object, object};
use crate::sse::SseDecoder;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    sse: SseDecoder,
    choices: BTreeMap<u32, Open>,
    started: bool,
    done: bool,
    usage: Option<Usage>,
    tier: Option<Text>,
}

/// What is open in a choice.
#[derive(Debug, Default)]
struct Open {
    parts: u32,
    /// The open part that is not a tool call, and its sort.
    flowing: Option<(u32, Flow)>,
    /// Open tool calls: their index in the format, and their part.
    calls: Vec<(u64, u32)>,
    finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Text,
    Thinking,
    Refusal,
}

impl Decoder {
    /// Takes a chunk in.
    ///
    /// # Errors
    /// When an event is not what the format demands.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let mut events = Vec::new();
        let read = self.sse.push(chunk, &mut events);
        for event in events {
            if self.done {
                break;
            }
            if event.data.trim() == "[DONE]" {
                self.end(out);
            } else {
                self.chunk(&event.data, out)?;
            }
        }
        Ok(read?)
    }

    /// The bytes have ended. Some servers leave `[DONE]` out: then the answer is complete when every choice said why
    /// it ended.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        let complete = !self.choices.is_empty() && self.choices.values().all(|choice| choice.finished);
        if !complete || !self.sse.is_between_events() {
            return Err(StreamError::Cut);
        }
        self.end(out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) {
        self.done = true;
        for (choice, open) in &mut self.choices {
            open.close_all(*choice, out);
        }
        out.push(StreamEvent::End);
    }

    fn chunk(&mut self, data: &Text, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let value = parse(data)?;
        let mut fields = value.fields()?;
        if fields.has("error") {
            self.done = true;
            out.push(StreamEvent::Error(stream_failure(Format::OpenAiChat, data)));
            return Ok(());
        }
        if !std::mem::replace(&mut self.started, true) {
            out.push(StreamEvent::Start {
                id: fields.take("id", |id| id.string())?.unwrap_or_default(),
                model: fields.take("model", |model| model.string())?.unwrap_or_default(),
                created: fields.take("created", |created| created.count())?,
            });
        }
        fields.take("choices", |choices| {
            choices.list(|choice| self.choice(&choice, out))
        })?;
        if let Some(usage) = fields.take("usage", |usage| read_usage(&usage))? {
            self.usage = Some(usage);
            out.push(StreamEvent::Usage(usage));
        }
        // It stands in every chunk, and counts when it changes.
        let tier = fields.take("service_tier", |tier| tier.string())?;
        if let Some(tier) = tier.filter(|tier| self.tier.as_ref() != Some(tier)) {
            self.tier = Some(tier.clone());
            out.push(StreamEvent::Tier(tier));
        }
        Ok(())
    }

    fn choice(
        &mut self,
        value: &Value<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), crate::format::DecodeError> {
        let mut fields = value.fields()?;
        let index = fields.take("index", |index| index.count())?.unwrap_or(0);
        let choice = u32::try_from(index).unwrap_or(u32::MAX);
        let open = self.choices.entry(choice).or_default();
        fields.take("delta", |delta| open.delta(choice, delta.fields()?, out))?;
        if let Some(logprobs) = fields.take("logprobs", |logprobs| Ok(logprobs.json()))? {
            out.push(StreamEvent::Logprobs { choice, logprobs });
        }
        if let Some(reason) = fields.take("finish_reason", |reason| reason.string())? {
            open.close_all(choice, out);
            // Some servers repeat it; the first one counts.
            if !std::mem::replace(&mut open.finished, true) {
                out.push(StreamEvent::Finish {
                    choice,
                    reason: read_finish(&reason),
                    stop_sequence: None,
                });
            }
        }
        Ok(())
    }
}

impl Open {
    fn delta(
        &mut self,
        choice: u32,
        mut fields: Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), crate::format::DecodeError> {
        let text = |value: Value<'_>| value.string();
        let blocks = fields.take("thinking_blocks", |blocks| {
            blocks.list(|block| thinking::read_block(&block))
        })?;
        let reasoning = fields
            .take("reasoning_content", text)?
            .or(fields.take("reasoning", text)?);
        if let Some(reasoning) = reasoning {
            self.flow(choice, Flow::Thinking, reasoning, out);
        }
        for block in blocks.unwrap_or_default() {
            self.thinking_block(choice, block.kind, out);
        }
        if let Some(content) = fields.take("content", |content| parts::read_content(&content))? {
            for part in content.0 {
                if let PartKind::Text(text) = part.kind {
                    self.flow(choice, Flow::Text, text.text, out);
                }
            }
        }
        if let Some(refusal) = fields.take("refusal", text)? {
            self.flow(choice, Flow::Refusal, refusal, out);
        }
        fields.take("tool_calls", |calls| {
            calls.list(|call| self.call(choice, &call, out))
        })?;
        Ok(())
    }

    /// Text of a sort; opens a part when none of that sort is open.
    fn flow(&mut self, choice: u32, flow: Flow, text: Text, out: &mut Vec<StreamEvent>) {
        if text.is_empty() {
            return;
        }
        let part = match self.flowing {
            Some((part, open)) if open == flow => part,
            _ => {
                self.close_flow(choice, out);
                let start = match flow {
                    Flow::Text => PartStart::Text,
                    Flow::Thinking => PartStart::Thinking,
                    Flow::Refusal => PartStart::Refusal,
                };
                let part = self.start(choice, start, out);
                self.flowing = Some((part, flow));
                part
            }
        };
        out.push(StreamEvent::Delta { choice, part, text });
    }

    /// A signed or encrypted block, as our own encoder writes it: the text came as `reasoning_content` before.
    fn thinking_block(&mut self, choice: u32, block: PartKind, out: &mut Vec<StreamEvent>) {
        match block {
            PartKind::Thinking(thinking) => {
                if let Some(signature) = thinking.signature
                    && let Some((part, Flow::Thinking)) = self.flowing
                {
                    out.push(StreamEvent::Signature {
                        choice,
                        part,
                        signature,
                    });
                    self.close_flow(choice, out);
                }
            }
            PartKind::RedactedThinking(data) => {
                self.close_flow(choice, out);
                let part = self.start(choice, PartStart::RedactedThinking(data), out);
                out.push(StreamEvent::PartEnd { choice, part });
            }
            _ => {}
        }
    }

    fn call(
        &mut self,
        choice: u32,
        value: &Value<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), crate::format::DecodeError> {
        let mut fields = value.fields()?;
        let id = fields.take("id", |id| id.string())?.filter(|id| !id.is_empty());
        let said = fields.take("index", |index| index.count())?;
        // Servers that leave the index out send a call whole, or name it by its id at the start only.
        let index = said.unwrap_or_else(|| match (&id, self.calls.last()) {
            (None, Some((last, _))) => *last,
            _ => self.calls.len() as u64,
        });
        let signature = fields.peek(parts::EXTRA_CONTENT);
        let signature = signature.and_then(|extra| parts::read_call_signature(&extra));
        let custom = fields.has("custom");
        let (field, arguments) = if custom {
            ("custom", "input")
        } else {
            ("function", "arguments")
        };
        let mut name = None;
        let mut text = None;
        fields.take(field, |function| {
            let mut function = function.fields()?;
            name = function
                .take("name", |name| name.string())?
                .filter(|name| !name.is_empty());
            text = function.take(arguments, |text| {
                if text.is_string() {
                    text.string()
                } else {
                    Ok(Text::from(text.text()))
                }
            })?;
            Ok(())
        })?;
        let known = self
            .calls
            .iter()
            .find(|(known, _)| *known == index)
            .map(|(_, part)| *part);
        let part = match known {
            Some(part) => part,
            None => {
                self.close_flow(choice, out);
                let kind = if custom {
                    ToolCallKind::Custom
                } else {
                    ToolCallKind::Function
                };
                let start = PartStart::ToolCall {
                    id: id.unwrap_or_else(|| format!("call_{choice}_{index}").into()),
                    name: name.unwrap_or_default(),
                    kind,
                };
                let part = self.start(choice, start, out);
                self.calls.push((index, part));
                part
            }
        };
        out.extend(signature.map(|signature| StreamEvent::Signature {
            choice,
            part,
            signature,
        }));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            out.push(StreamEvent::Delta { choice, part, text });
        }
        Ok(())
    }

    fn start(&mut self, choice: u32, start: PartStart, out: &mut Vec<StreamEvent>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        out.push(StreamEvent::PartStart { choice, part, start });
        part
    }

    fn close_flow(&mut self, choice: u32, out: &mut Vec<StreamEvent>) {
        if let Some((part, _)) = self.flowing.take() {
            out.push(StreamEvent::PartEnd { choice, part });
        }
    }

    fn close_all(&mut self, choice: u32, out: &mut Vec<StreamEvent>) {
        self.close_flow(choice, out);
        for (_, part) in self.calls.drain(..) {
            out.push(StreamEvent::PartEnd { choice, part });
        }
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
    head: String,
    parts: BTreeMap<(u32, u32), Written>,
    /// What was said of each choice.
    said: BTreeMap<u32, After>,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum Written {
    Text,
    /// With what was told of it: its signature comes with all of it, because clients gather a block field by field,
    /// and some keep the last piece only.
    Thinking(String),
    Refusal,
    Call {
        index: u64,
        kind: ToolCallKind,
    },
    Silent,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            options,
            head: String::new(),
            parts: BTreeMap::new(),
            said: BTreeMap::new(),
            usage: None,
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model, created } => self.start(id, model, *created, out),
            StreamEvent::PartStart { choice, part, start } => self.part_start(*choice, *part, start, out),
            StreamEvent::Delta { choice, part, text } => self.delta(*choice, *part, text, out),
            StreamEvent::Signature {
                choice,
                part,
                signature,
            } => self.signature(*choice, *part, signature, out),
            StreamEvent::Logprobs { choice, logprobs } => {
                self.chunk(out, |choices| {
                    choices.list("choices", |list| {
                        list.object(|object| {
                            object.count("index", u64::from(*choice));
                            object.object("delta", |_| {});
                            object.raw("logprobs", logprobs.as_str());
                            object.raw("finish_reason", "null");
                        });
                    });
                });
            }
            StreamEvent::Finish { choice, reason, .. } => self.finish(*choice, reason, out),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::End => self.end(out),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Error(failure) => crate::failure::render_event(Format::OpenAiChat, failure, "", out),
            // Fields that belong to the answer as a whole, in a chunk without choices.
            StreamEvent::Opaque {
                format: Format::OpenAiChat,
                json,
                ..
            } => self.fields(json, out),
            // What only another format knows has no place here.
            StreamEvent::Citation { .. }
            | StreamEvent::PartEnd { .. }
            | StreamEvent::Tier(_)
            | StreamEvent::Opaque { .. } => {}
        }
    }

    fn start(&mut self, id: &Text, model: &Text, created: Option<u64>, out: &mut BytesMut) {
        let head = object(|head| {
            head.string("id", if id.is_empty() { "chatcmpl-0" } else { id });
            head.string("object", "chat.completion.chunk");
            head.count("created", created.unwrap_or_else(now));
            head.string(
                "model",
                if model.is_empty() {
                    &self.options.model
                } else {
                    model
                },
            );
        });
        // Kept without its closing brace, to be written in front of every chunk.
        self.head = String::from_utf8(head).unwrap_or_default();
        self.head.pop();
        self.write(0, out, |delta| {
            delta.string("role", "assistant");
            delta.string("content", "");
        });
    }

    fn part_start(&mut self, choice: u32, part: u32, start: &PartStart, out: &mut BytesMut) {
        let written = match start {
            PartStart::Text => Written::Text,
            PartStart::Thinking => Written::Thinking(String::new()),
            PartStart::Refusal => Written::Refusal,
            PartStart::ToolCall { id, name, kind } => {
                let said = self.said.entry(choice).or_default();
                let index = said.calls;
                said.calls += 1;
                self.write(choice, out, |delta| {
                    write_call_start(delta, index, id, name, *kind);
                });
                Written::Call { index, kind: *kind }
            }
            PartStart::RedactedThinking(data) => {
                let block = PartKind::RedactedThinking(data.clone());
                let after = self.after(choice);
                self.write(choice, out, |delta| thinking::write_block(delta, &block, after));
                Written::Silent
            }
            PartStart::Opaque { .. } => Written::Silent,
        };
        self.parts.insert((choice, part), written);
    }

    fn delta(&mut self, choice: u32, part: u32, text: &str, out: &mut BytesMut) {
        let field = match self.parts.get_mut(&(choice, part)) {
            Some(Written::Text) => {
                self.said.entry(choice).or_default().text += text.len() as u64;
                "content"
            }
            Some(Written::Thinking(told)) => {
                told.push_str(text);
                "reasoning_content"
            }
            Some(Written::Refusal) => "refusal",
            Some(Written::Call { index, kind }) => {
                let (index, kind) = (*index, *kind);
                self.write(choice, out, |delta| write_call_more(delta, index, kind, text));
                return;
            }
            Some(Written::Silent) | None => return,
        };
        self.write(choice, out, |delta| delta.string(field, text));
    }

    fn signature(&mut self, choice: u32, part: u32, signature: &str, out: &mut BytesMut) {
        match self.parts.get(&(choice, part)) {
            Some(Written::Thinking(told)) => {
                let block = PartKind::Thinking(Thinking {
                    text: told.clone().into(),
                    signature: Some(Text::from(signature.to_owned())),
                });
                let after = self.after(choice);
                self.write(choice, out, |delta| thinking::write_block(delta, &block, after));
            }
            Some(Written::Call { index, kind }) => {
                let (index, (kind, arguments)) = (*index, call_fields(*kind));
                self.write(choice, out, |delta| {
                    delta.list("tool_calls", |list| {
                        list.object(|call| {
                            call.count("index", index);
                            call.object(kind, |function| function.string(arguments, ""));
                            parts::write_call_signature(call, signature);
                        });
                    });
                });
            }
            _ => {}
        }
    }

    fn after(&self, choice: u32) -> After {
        self.said.get(&choice).copied().unwrap_or_default()
    }

    fn finish(&mut self, choice: u32, reason: &FinishReason, out: &mut BytesMut) {
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.object(|object| {
                    object.count("index", u64::from(choice));
                    object.object("delta", |_| {});
                    object.raw("logprobs", "null");
                    object.string("finish_reason", finish_name(reason));
                });
            });
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.chunk(out, |chunk| {
                chunk.list("choices", |_| {});
                chunk.object("usage", |object| write_usage(object, &usage));
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fields(&self, json: &Json, out: &mut BytesMut) {
        let Ok(fields) = json.read::<BTreeMap<String, Box<serde_json::value::RawValue>>>() else {
            return;
        };
        self.chunk(out, |chunk| {
            chunk.list("choices", |_| {});
            for (name, value) in &fields {
                chunk.raw(name, value.get());
            }
        });
    }

    fn write(&self, choice: u32, out: &mut BytesMut, delta: impl FnOnce(&mut Object<'_>)) {
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.object(|object| {
                    object.count("index", u64::from(choice));
                    object.object("delta", delta);
                    object.raw("logprobs", "null");
                    object.raw("finish_reason", "null");
                });
            });
        });
    }

    /// One chunk: the head that all chunks share, and what is its own.
    fn chunk(&self, out: &mut BytesMut, own: impl FnOnce(&mut Object<'_>)) {
        let rest = object(own);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b",");
        out.extend_from_slice(&rest[1..]);
        out.extend_from_slice(b"\n\n");
    }
}

fn write_call_start(delta: &mut Object<'_>, index: u64, id: &str, name: &str, kind: ToolCallKind) {
    let (kind, arguments) = call_fields(kind);
    delta.list("tool_calls", |list| {
        list.object(|call| {
            call.count("index", index);
            call.string("id", id);
            call.string("type", kind);
            call.object(kind, |function| {
                function.string("name", name);
                function.string(arguments, "");
            });
        });
    });
}

fn write_call_more(delta: &mut Object<'_>, index: u64, kind: ToolCallKind, text: &str) {
    let (kind, arguments) = call_fields(kind);
    delta.list("tool_calls", |list| {
        list.object(|call| {
            call.count("index", index);
            call.object(kind, |function| function.string(arguments, text));
        });
    });
}

fn call_fields(kind: ToolCallKind) -> (&'static str, &'static str) {
    match kind {
        ToolCallKind::Function => ("function", "arguments"),
        ToolCallKind::Custom => ("custom", "input"),
    }
}
