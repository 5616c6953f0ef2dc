//! Writing a stream.

use bytes::BytesMut;

use super::write_event;
use crate::bedrock::citations;
use crate::bedrock::response::{finish_name, write_metrics};
use crate::bedrock::usage::write_usage;
use crate::form::{Failure, FailureKind, FinishReason, PartStart, StreamEvent, Usage};
use crate::format::{Format, StreamEncoderOptions};
use crate::in_turn::{InTurn, part_of};
use crate::json::Json;
use crate::json::write::{Object, object};

/// Writes a stream.
///
/// Blocks follow one another, as clients expect it, though each event names its block.
#[derive(Debug, Default)]
pub struct Encoder {
    turn: InTurn,
    /// How many blocks have begun.
    blocks: u64,
    open: Option<Kind>,
    /// Whether the client has seen anything of the open block: texts begin with their first words.
    shown: bool,
    calls: bool,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// The last two events as the provider wrote them.
    stop: Option<Json>,
    metadata: Option<Json>,
    broken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
    Silent,
}

impl Encoder {
    /// A writer for one stream. The format tells neither a model nor, ever, leaves usage out.
    #[must_use]
    pub fn new(_options: StreamEncoderOptions) -> Self {
        Self::default()
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { .. } => {
                self.event("messageStart", out, |start| start.string("role", "assistant"));
            }
            // The format knows one answer only.
            StreamEvent::PartStart { choice, .. }
            | StreamEvent::Delta { choice, .. }
            | StreamEvent::Signature { choice, .. }
            | StreamEvent::Citation { choice, .. }
            | StreamEvent::PartEnd { choice, .. }
            | StreamEvent::Finish { choice, .. }
                if *choice > 0 => {}
            StreamEvent::PartStart { .. }
            | StreamEvent::Delta { .. }
            | StreamEvent::Signature { .. }
            | StreamEvent::Citation { .. }
            | StreamEvent::PartEnd { .. } => {
                let mut turn = std::mem::take(&mut self.turn);
                turn.take(event, |_, event| self.part(event, out));
                self.turn = turn;
            }
            StreamEvent::Finish { reason, .. } => self.finish = Some(reason.clone()),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Opaque {
                format: Format::BedrockConverse,
                event: Some(kind),
                json,
            } => match kind.as_ref() {
                "messageStop" => self.stop = Some(json.clone()),
                "metadata" => self.metadata = Some(json.clone()),
                kind => self.raw(kind, json.as_str().as_bytes(), out),
            },
            StreamEvent::Error(failure) => {
                crate::failure::render_event(Format::BedrockConverse, failure, "", out);
            }
            StreamEvent::End => self.end(out),
            StreamEvent::Ping
            | StreamEvent::Tier(_)
            | StreamEvent::Logprobs { .. }
            | StreamEvent::Opaque { .. } => {}
        }
    }

    fn part(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        debug_assert!(part_of(event).is_some());
        match event {
            StreamEvent::PartStart { start, .. } => self.start(start, out),
            StreamEvent::Delta { text, .. } => match self.open {
                Some(Kind::Text) => self.delta(out, |delta| delta.string("text", text)),
                Some(Kind::Thinking) => self.delta(out, |delta| {
                    delta.object("reasoningContent", |said| said.string("text", text));
                }),
                Some(Kind::Call) => self.delta(out, |delta| {
                    delta.object("toolUse", |call| call.string("input", text));
                }),
                Some(Kind::Silent) | None => {}
            },
            StreamEvent::Signature { signature, .. } if self.open == Some(Kind::Thinking) => {
                self.delta(out, |delta| {
                    delta.object("reasoningContent", |said| said.string("signature", signature));
                });
            }
            StreamEvent::Citation { citation, .. } => {
                if let Some(citation) = citations::write(citation) {
                    self.delta(out, |delta| delta.raw("citation", &citation));
                }
            }
            StreamEvent::PartEnd { .. } => {
                if std::mem::take(&mut self.shown) {
                    let block = self.blocks;
                    self.event("contentBlockStop", out, |stop| {
                        stop.count("contentBlockIndex", block);
                    });
                    self.blocks += 1;
                }
                self.open = None;
            }
            _ => {}
        }
    }

    fn start(&mut self, start: &PartStart, out: &mut BytesMut) {
        let (kind, begin) = match start {
            PartStart::Text | PartStart::Refusal => (Kind::Text, None),
            PartStart::Thinking => (Kind::Thinking, None),
            PartStart::RedactedThinking(data) => {
                self.open = Some(Kind::Silent);
                self.delta(out, |delta| {
                    delta.object("reasoningContent", |said| said.string("redactedContent", data));
                });
                return;
            }
            PartStart::ToolCall { id, name, .. } => {
                self.calls = true;
                let begin = object(|start| {
                    start.object("toolUse", |call| {
                        call.string("toolUseId", id);
                        call.string("name", name);
                    });
                });
                (Kind::Call, Some(begin))
            }
            PartStart::Opaque {
                format: Format::BedrockConverse,
                json,
            } => (Kind::Silent, Some(json.as_str().as_bytes().to_vec())),
            PartStart::Opaque { .. } => (Kind::Silent, None),
        };
        self.open = Some(kind);
        if let Some(begin) = begin {
            self.shown = true;
            let block = self.blocks;
            self.event("contentBlockStart", out, |event| {
                event.count("contentBlockIndex", block);
                event.raw("start", std::str::from_utf8(&begin).unwrap_or("{}"));
            });
        }
    }

    fn delta(&mut self, out: &mut BytesMut, delta: impl FnOnce(&mut Object<'_>)) {
        if self.open.is_none() {
            return;
        }
        self.shown = true;
        let block = self.blocks;
        self.event("contentBlockDelta", out, |event| {
            event.count("contentBlockIndex", block);
            event.object("delta", delta);
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        let reason = self.finish.take().unwrap_or(FinishReason::Stop);
        // Some servers say "stop" after tool calls; agents go on only when they are told to.
        let reason = if self.calls && reason == FinishReason::Stop {
            FinishReason::ToolCalls
        } else {
            reason
        };
        match self.stop.take() {
            Some(stop) => self.raw("messageStop", stop.as_str().as_bytes(), out),
            None => self.event("messageStop", out, |stop| {
                stop.string("stopReason", finish_name(&reason));
            }),
        }
        match self.metadata.take() {
            Some(metadata) => self.raw("metadata", metadata.as_str().as_bytes(), out),
            None => {
                let usage = self.usage.unwrap_or_default();
                self.event("metadata", out, |metadata| {
                    metadata.object("usage", |object| write_usage(object, &usage));
                    write_metrics(metadata);
                });
            }
        }
    }

    fn event(&mut self, kind: &str, out: &mut BytesMut, payload: impl FnOnce(&mut Object<'_>)) {
        self.raw(kind, &object(payload), out);
    }

    /// Writes an event; one that is too large for the framing ends the stream as broken.
    fn raw(&mut self, kind: &str, payload: &[u8], out: &mut BytesMut) {
        if self.broken {
            return;
        }
        if write_event(kind, payload, out).is_err() {
            self.broken = true;
            let failure = Failure::new(FailureKind::Provider, "an event is too large for an event stream");
            crate::failure::render_event(Format::BedrockConverse, &failure, "", out);
        }
    }
}
