//! Reading a stream.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use memchr::memchr2;

use super::super::response::{ANSWER, CANDIDATE, finish_name, read_finish};
use super::super::usage::read_usage;
use super::super::{history, logprobs, names, parts};
use super::objects::Objects;
use super::partial::{Growing, continues};
use crate::form::{Extra, FinishReason, Part, PartKind, PartStart, StreamEvent, Text, ToolCall, Usage};
use crate::format::{DecodeError, Format, StreamError, stream_failure};
use crate::json::Json;
use crate::json::fields::{Value, parse};
use crate::json::write::Object;
use crate::sse::SseDecoder;

/// Names of events that tell the writer of this format how to end.
pub(super) const FINISH: &str = "finishReason";
pub(super) const BLOCKED: &str = "promptFeedback";

/// Reads a stream, in either of its shapes.
#[derive(Debug, Default)]
pub struct Decoder {
    shape: Shape,
    sse: SseDecoder,
    objects: Objects,
    /// The next byte begins a line.
    in_line: bool,
    started: bool,
    done: bool,
    blocked: bool,
    id: Text,
    usage: Option<Usage>,
    /// What the last piece said beyond the answer itself: it is repeated in every one.
    rest: Extra,
    choices: BTreeMap<u32, Open>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Shape {
    /// No byte has told yet.
    #[default]
    Unknown,
    Events,
    Objects,
}

/// What is open in a candidate.
#[derive(Debug, Default)]
struct Open {
    parts: u32,
    calls: u32,
    flowing: Option<(u32, Flow)>,
    /// A call of which more will come.
    growing: Option<Growing>,
    finish: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Text,
    Thinking,
}

impl Decoder {
    /// Takes a chunk in.
    ///
    /// # Errors
    /// When a piece is not what the format demands.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let mut rest = chunk.clone();
        if self.shape == Shape::Unknown {
            let Some(first) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(());
            };
            rest.advance(first);
            self.shape = match rest[0] {
                b'[' | b'{' => Shape::Objects,
                _ => Shape::Events,
            };
        }
        if self.shape == Shape::Events {
            let bare = self.bare_object(&rest);
            let events = rest.split_to(bare.unwrap_or(rest.len()));
            self.events(&events, out)?;
            if bare.is_none() {
                return Ok(());
            }
            // An error comes as a bare object, whatever came before.
            self.shape = Shape::Objects;
            self.events(&Bytes::from_static(b"\n"), out)?;
        }
        let mut objects = Vec::new();
        let read = self.objects.push(&rest, &mut objects);
        for object in &objects {
            self.piece(object, out)?;
        }
        read
    }

    /// Where a line begins with an object instead of a field.
    fn bare_object(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            if !self.in_line && *first == b'{' {
                return Some(at);
            }
            let end = memchr2(b'\n', b'\r', &bytes[at..]);
            self.in_line = end.is_none();
            at = end.map_or(bytes.len(), |end| at + end + 1);
        }
        None
    }

    fn events(&mut self, bytes: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let mut events = Vec::new();
        let read = self.sse.push(bytes, &mut events);
        for event in events {
            self.piece(&event.data, out)?;
        }
        Ok(read?)
    }

    /// The bytes have ended: that is the end of an answer of which every candidate said why it ended, or of a prompt
    /// that was refused.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        let whole = self.sse.is_between_events() && self.objects.is_whole();
        let finished = !self.choices.is_empty() && self.choices.values().all(Open::is_whole);
        if !whole || !(finished || (self.blocked && self.choices.is_empty())) {
            return Err(StreamError::Cut);
        }
        self.done = true;
        for (choice, open) in &mut self.choices {
            open.close(*choice, out);
            open.finish(*choice, out);
        }
        if self.choices.is_empty() {
            out.push(StreamEvent::Finish {
                choice: 0,
                reason: FinishReason::ContentFilter,
                stop_sequence: None,
            });
        }
        out.extend(self.usage.map(StreamEvent::Usage));
        out.push(StreamEvent::End);
        Ok(())
    }

    fn piece(&mut self, data: &Text, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        let value = parse(data)?;
        let mut fields = names::fields(&value, &ANSWER)?;
        if fields.has("error") {
            self.done = true;
            out.push(StreamEvent::Error(stream_failure(Format::GeminiGenerate, data)));
            return Ok(());
        }
        let id = fields.take("responseId", names::text)?.unwrap_or_default();
        let model = fields.take("modelVersion", names::text)?.unwrap_or_default();
        if !std::mem::replace(&mut self.started, true) {
            self.id = id.clone();
            out.push(StreamEvent::Start {
                id,
                model,
                created: None,
            });
        }
        fields.take("candidates", |list| {
            list.list(|candidate| self.candidate(&candidate, out))
        })?;
        let feedback = fields.take("promptFeedback", |feedback| {
            let known = ["blockReason"];
            let blocks = names::fields(&feedback, &known)?.has("blockReason");
            self.blocked |= blocks;
            let event = blocks.then(|| Text::from_static(BLOCKED));
            Ok(opaque(event, |piece| {
                piece.raw("promptFeedback", feedback.text());
            }))
        })?;
        out.extend(feedback);
        if let Some(usage) = fields.take("usageMetadata", |usage| read_usage(&usage))?
            && self.usage != Some(usage)
        {
            self.usage = Some(usage);
            out.push(StreamEvent::Usage(usage));
        }
        let rest = fields.rest();
        if rest != self.rest {
            if !rest.is_empty() {
                out.push(opaque(None, |piece| piece.extra(&rest)));
            }
            self.rest = rest;
        }
        Ok(())
    }

    fn candidate(&mut self, value: &Value<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let mut fields = names::fields(value, &CANDIDATE)?;
        let index = fields.take("index", names::count)?.unwrap_or(0);
        let choice = u32::try_from(index).unwrap_or(u32::MAX);
        let open = self.choices.entry(choice).or_default();
        let parts = fields.take("content", |content| {
            let mut content = content.fields()?;
            content.take("parts", |parts| {
                names::list(&parts, |part| Ok((parts::read_part(&part)?, part.json())))
            })
        })?;
        for (part, json) in parts.flatten().unwrap_or_default() {
            open.part(choice, &self.id, part, json, out);
        }
        if let Some(Some(logprobs)) = fields.take("logprobsResult", |result| logprobs::read(&result))? {
            out.push(StreamEvent::Logprobs { choice, logprobs });
        }
        if let Some(reason) = fields.take("finishReason", names::text)? {
            // Some models say it in every piece: the last one counts.
            open.finish = Some(reason);
        }
        let rest = fields.rest();
        if !rest.is_empty() {
            out.push(opaque(None, |piece| {
                piece.list("candidates", |list| {
                    list.object(|candidate| {
                        candidate.count("index", u64::from(choice));
                        candidate.extra(&rest);
                    });
                });
            }));
        }
        Ok(())
    }
}

impl Open {
    /// It said why it ended, and not in the middle of a call.
    fn is_whole(&self) -> bool {
        self.finish.is_some() && self.growing.is_none()
    }

    fn part(&mut self, choice: u32, answer: &str, part: Part, json: Json, out: &mut Vec<StreamEvent>) {
        // What the fields of this format say about a part has no place in events: within the format it passes whole.
        let plain = part.extra.fields().next().is_none();
        match part.kind {
            PartKind::Text(text) if plain => self.flow(choice, Flow::Text, text.text, out),
            PartKind::Text(text) if text.text.is_empty() => out.push(in_candidate(choice, &json)),
            PartKind::Text(text) => {
                self.flow(choice, Flow::Text, text.text, out);
                let beside = part.extra;
                out.push(in_candidate(choice, &empty_text(&beside)));
            }
            PartKind::Thinking(thinking) => {
                let signature = thinking.signature;
                if signature.is_some() || !thinking.text.is_empty() {
                    let part = self.open_flow(choice, Flow::Thinking, out);
                    delta(choice, part, thinking.text, out);
                    if let Some(signature) = signature {
                        out.push(StreamEvent::Signature {
                            choice,
                            part,
                            signature,
                        });
                        // What is thought after it is another thought.
                        self.close(choice, out);
                    }
                }
            }
            PartKind::ToolCall(call) => self.piece_of_call(choice, answer, call, out),
            _ => {
                self.close(choice, out);
                let start = PartStart::Opaque {
                    format: Format::GeminiGenerate,
                    json,
                };
                let part = self.start(choice, start, out);
                out.push(StreamEvent::PartEnd { choice, part });
            }
        }
    }

    fn flow(&mut self, choice: u32, flow: Flow, text: Text, out: &mut Vec<StreamEvent>) {
        if !text.is_empty() {
            let part = self.open_flow(choice, flow, out);
            delta(choice, part, text, out);
        }
    }

    /// The open part of this sort; opens one when there is none.
    fn open_flow(&mut self, choice: u32, flow: Flow, out: &mut Vec<StreamEvent>) -> u32 {
        if let Some((part, open)) = self.flowing
            && open == flow
        {
            return part;
        }
        self.close(choice, out);
        let start = match flow {
            Flow::Text => PartStart::Text,
            Flow::Thinking => PartStart::Thinking,
        };
        let part = self.start(choice, start, out);
        self.flowing = Some((part, flow));
        part
    }

    /// A call, or a piece of one.
    fn piece_of_call(&mut self, choice: u32, answer: &str, call: ToolCall, out: &mut Vec<StreamEvent>) {
        let more = continues(&call);
        let growing = match self.growing.take() {
            // The last piece may be empty.
            Some(mut growing) if call.name.is_empty() => {
                growing.add(&call);
                growing
            }
            before => {
                if let Some(whole) = before.map(Growing::whole) {
                    self.call(choice, answer, whole, out);
                }
                if !more && call.extra.get("partialArgs").is_none() {
                    return self.call(choice, answer, call, out);
                }
                Growing::new(call)
            }
        };
        if more {
            self.growing = Some(growing);
        } else {
            self.call(choice, answer, growing.whole(), out);
        }
    }

    /// A call comes whole; its signature is told before its arguments, for writers that put it in front of the call.
    fn call(&mut self, choice: u32, answer: &str, call: ToolCall, out: &mut Vec<StreamEvent>) {
        self.close(choice, out);
        let id = if call.id.is_empty() {
            history::call_id(answer, choice, self.calls, &call.name, &call.arguments)
        } else {
            call.id
        };
        self.calls += 1;
        let start = PartStart::ToolCall {
            id,
            name: call.name,
            kind: call.kind,
        };
        let part = self.start(choice, start, out);
        out.extend(call.signature.map(|signature| StreamEvent::Signature {
            choice,
            part,
            signature,
        }));
        delta(choice, part, call.arguments, out);
        out.push(StreamEvent::PartEnd { choice, part });
    }

    fn start(&mut self, choice: u32, start: PartStart, out: &mut Vec<StreamEvent>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        out.push(StreamEvent::PartStart { choice, part, start });
        part
    }

    fn close(&mut self, choice: u32, out: &mut Vec<StreamEvent>) {
        if let Some((part, _)) = self.flowing.take() {
            out.push(StreamEvent::PartEnd { choice, part });
        }
    }

    fn finish(&mut self, choice: u32, out: &mut Vec<StreamEvent>) {
        let Some(said) = self.finish.take() else { return };
        let reason = read_finish(&said, self.calls > 0);
        if finish_name(&reason) != said.as_ref() as &str {
            out.push(opaque(Some(Text::from_static(FINISH)), |piece| {
                piece.count("index", u64::from(choice));
                piece.string("finishReason", &said);
            }));
        }
        out.push(StreamEvent::Finish {
            choice,
            reason,
            stop_sequence: None,
        });
    }
}

fn delta(choice: u32, part: u32, text: Text, out: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        out.push(StreamEvent::Delta { choice, part, text });
    }
}

fn empty_text(beside: &Extra) -> Json {
    Json::object(|part| {
        part.string("text", "");
        part.extra(beside);
    })
}

fn in_candidate(choice: u32, part: &Json) -> StreamEvent {
    opaque(None, |piece| {
        piece.list("candidates", |list| {
            list.object(|candidate| {
                candidate.object("content", |content| {
                    content.list("parts", |list| list.raw(part.as_str()));
                    content.string("role", "model");
                });
                candidate.count("index", u64::from(choice));
            });
        });
    })
}

fn opaque(event: Option<Text>, write: impl FnOnce(&mut Object<'_>)) -> StreamEvent {
    StreamEvent::Opaque {
        format: Format::GeminiGenerate,
        event,
        json: Json::object(write),
    }
}
