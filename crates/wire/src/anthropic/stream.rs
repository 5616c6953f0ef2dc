//! Streamed messages: named events, block by block, ended by `message_stop`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::blocks;
use super::response::{finish_name, read_finish};
use super::usage::{read_tier, read_usage, write_tier, write_usage};
use crate::form::{FinishReason, PartStart, StreamEvent, Text, ToolCallKind, Usage};
use crate::format::{DecodeError, Format, StreamEncoderOptions, StreamError, stream_failure};
use crate::in_turn::{InTurn, part_of};
use crate::json::fields::{Fields, Value, parse};
use crate::json::write::{Object, object};
use crate::sse::{SseDecoder, SseEvent};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    sse: SseDecoder,
    done: bool,
    usage: Option<Usage>,
    /// Blocks that only this format knows: their deltas pass as they came.
    opaque: Vec<u32>,
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
            self.take(&event, out)?;
        }
        Ok(read?)
    }

    /// Takes an event in, however it was framed.
    ///
    /// # Errors
    /// When it is not what the format demands.
    pub fn take(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done { Ok(()) } else { self.event(event, out) }
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When `message_stop` never came.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        if self.done { Ok(()) } else { Err(StreamError::Cut) }
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let value = parse(&event.data)?;
        let mut fields = value.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        match kind.as_ref() {
            "message_start" => self.message_start(&mut fields, out)?,
            "content_block_start" => self.block_start(&mut fields, out)?,
            "content_block_delta" => self.block_delta(&mut fields, event, out)?,
            "content_block_stop" => {
                let part = index(&mut fields)?;
                self.opaque.retain(|opaque| *opaque != part);
                out.push(StreamEvent::PartEnd { choice: 0, part });
            }
            "message_delta" => self.message_delta(&mut fields, out)?,
            "message_stop" => {
                self.done = true;
                out.push(StreamEvent::End);
            }
            "ping" => out.push(StreamEvent::Ping),
            "error" => {
                self.done = true;
                out.push(StreamEvent::Error(stream_failure(
                    Format::AnthropicMessages,
                    &event.data,
                )));
            }
            _ => out.push(opaque(event)),
        }
        Ok(())
    }

    fn message_start(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        fields.need("message", |message| {
            let mut message = message.fields()?;
            out.push(StreamEvent::Start {
                id: message.take("id", |id| id.string())?.unwrap_or_default(),
                model: message.take("model", |model| model.string())?.unwrap_or_default(),
                created: None,
            });
            message.take("usage", |usage| self.used(&usage, out))?;
            Ok(())
        })
    }

    fn block_start(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let part = index(fields)?;
        let mut first = Text::new();
        let start = fields.need("content_block", |value| {
            let mut block = value.fields()?;
            let text = |value: Value<'_>| value.string();
            Ok(match block.need("type", text)?.as_ref() {
                "text" => {
                    first = block.take("text", text)?.unwrap_or_default();
                    PartStart::Text
                }
                "thinking" => {
                    first = block.take("thinking", text)?.unwrap_or_default();
                    PartStart::Thinking
                }
                "redacted_thinking" => PartStart::RedactedThinking(block.need("data", text)?),
                "tool_use" => PartStart::ToolCall {
                    id: block.need("id", text)?,
                    name: block.need("name", text)?,
                    kind: ToolCallKind::Function,
                },
                _ => PartStart::Opaque {
                    format: Format::AnthropicMessages,
                    json: value.json(),
                },
            })
        })?;
        if matches!(start, PartStart::Opaque { .. }) {
            self.opaque.push(part);
        }
        out.push(StreamEvent::PartStart {
            choice: 0,
            part,
            start,
        });
        if !first.is_empty() {
            out.push(StreamEvent::Delta {
                choice: 0,
                part,
                text: first,
            });
        }
        Ok(())
    }

    fn block_delta(
        &mut self,
        fields: &mut Fields<'_>,
        event: &SseEvent,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let part = index(fields)?;
        if self.opaque.contains(&part) {
            out.push(opaque(event));
            return Ok(());
        }
        fields.need("delta", |delta| {
            let mut delta = delta.fields()?;
            let text = |value: Value<'_>| value.string();
            let said = match delta.need("type", text)?.as_ref() {
                "text_delta" => delta.need("text", text)?,
                "thinking_delta" => delta.need("thinking", text)?,
                "input_json_delta" => delta.need("partial_json", text)?,
                "signature_delta" => {
                    let signature = delta.need("signature", text)?;
                    out.push(StreamEvent::Signature {
                        choice: 0,
                        part,
                        signature,
                    });
                    return Ok(());
                }
                "citations_delta" => {
                    let citation = delta.need("citation", |citation| Ok(citation.json()))?;
                    out.push(StreamEvent::Citation {
                        choice: 0,
                        part,
                        citation,
                    });
                    return Ok(());
                }
                _ => {
                    out.push(opaque(event));
                    return Ok(());
                }
            };
            if !said.is_empty() {
                out.push(StreamEvent::Delta {
                    choice: 0,
                    part,
                    text: said,
                });
            }
            Ok(())
        })
    }

    fn message_delta(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let finish = fields.need("delta", |delta| {
            let mut delta = delta.fields()?;
            let reason = delta.take("stop_reason", |reason| Ok(read_finish(&reason.string()?)))?;
            let stop = delta.take("stop_sequence", |stop| stop.string())?;
            Ok((reason, stop))
        })?;
        fields.take("usage", |usage| self.used(&usage, out))?;
        if let (Some(reason), stop_sequence) = finish {
            out.push(StreamEvent::Finish {
                choice: 0,
                reason,
                stop_sequence,
            });
        }
        Ok(())
    }
}

impl Decoder {
    /// What has been used so far, and at which tier.
    fn used(&mut self, value: &Value<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let usage = read_usage(value, self.usage)?;
        self.usage = Some(usage);
        out.push(StreamEvent::Usage(usage));
        out.extend(read_tier(value)?.map(StreamEvent::Tier));
        Ok(())
    }
}

fn index(fields: &mut Fields<'_>) -> Result<u32, DecodeError> {
    fields.need("index", |index| {
        Ok(u32::try_from(index.count()?).unwrap_or(u32::MAX))
    })
}

fn opaque(event: &SseEvent) -> StreamEvent {
    StreamEvent::Opaque {
        format: Format::AnthropicMessages,
        event: event.event.clone(),
        // It was parsed a moment ago.
        json: crate::json::Json::parse(event.data.to_string()).unwrap_or_else(|_| crate::json::Json::null()),
    }
}

/// Writes a stream.
///
/// Blocks of this format follow one another; parts of others may overlap (parallel tool calls of OpenAI). What comes
/// for a part whose turn has not come waits until the parts before it have ended.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
    usage: Option<Usage>,
    tier: Option<Text>,
    finish: Option<(FinishReason, Option<Text>)>,
    /// The number of the block that is being written.
    open: Option<u32>,
    blocks: u32,
    kinds: BTreeMap<u32, Kind>,
    turn: InTurn,
    calls: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
    Silent,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            options,
            usage: None,
            tier: None,
            finish: None,
            open: None,
            blocks: 0,
            kinds: BTreeMap::new(),
            turn: InTurn::default(),
            calls: false,
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model, .. } => self.start(id, model, out),
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
            | StreamEvent::PartEnd { .. } => self.in_turn(event, out),
            StreamEvent::Finish {
                reason,
                stop_sequence,
                ..
            } => {
                self.finish = Some((reason.clone(), stop_sequence.clone()));
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Tier(tier) => self.tier = Some(tier.clone()),
            StreamEvent::Ping => write_event(out, "ping", |_| {}),
            StreamEvent::Opaque {
                format: Format::AnthropicMessages,
                event,
                json,
            } => {
                write_raw(out, event.as_deref().unwrap_or("unknown"), json.as_str());
            }
            StreamEvent::Error(failure) => {
                crate::failure::render_event(Format::AnthropicMessages, failure, "", out);
            }
            StreamEvent::End => self.end(out),
            StreamEvent::Logprobs { .. } | StreamEvent::Opaque { .. } => {}
        }
    }

    fn start(&mut self, id: &Text, model: &Text, out: &mut BytesMut) {
        let usage = self.usage.unwrap_or_default();
        write_event(out, "message_start", |event| {
            event.object("message", |message| {
                message.string("id", if id.is_empty() { "msg_0" } else { id });
                message.string("type", "message");
                message.string("role", "assistant");
                message.string(
                    "model",
                    if model.is_empty() {
                        &self.options.model
                    } else {
                        model
                    },
                );
                message.list("content", |_| {});
                message.raw("stop_reason", "null");
                message.raw("stop_sequence", "null");
                message.object("usage", |object| write_usage(object, &usage));
            });
        });
    }

    fn in_turn(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        let mut turn = std::mem::take(&mut self.turn);
        turn.take(event, |_, event| self.write(event, out));
        self.turn = turn;
    }

    fn write(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        let Some(part) = part_of(event) else { return };
        match event {
            StreamEvent::PartStart { start, .. } => {
                self.calls |= matches!(start, PartStart::ToolCall { .. });
                self.begin(part, start, out);
            }
            StreamEvent::Signature { .. } if self.kinds.get(&part) != Some(&Kind::Thinking) => {}
            StreamEvent::Delta { text, .. } => {
                let (kind, field) = match self.kinds.get(&part) {
                    Some(Kind::Text) => ("text_delta", "text"),
                    Some(Kind::Thinking) => ("thinking_delta", "thinking"),
                    Some(Kind::Call) => ("input_json_delta", "partial_json"),
                    Some(Kind::Silent) | None => return,
                };
                self.delta(out, |delta| {
                    delta.string("type", kind);
                    delta.string(field, text);
                });
            }
            StreamEvent::Signature { signature, .. } => self.delta(out, |delta| {
                delta.string("type", "signature_delta");
                delta.string("signature", signature);
            }),
            StreamEvent::Citation { citation, .. } if !blocks::can_be_told(citation) => {}
            StreamEvent::Citation { citation, .. } => self.delta(out, |delta| {
                delta.string("type", "citations_delta");
                delta.raw("citation", citation.as_str());
            }),
            StreamEvent::PartEnd { .. } => {
                if let Some(block) = self.open.take() {
                    write_event(out, "content_block_stop", |event| {
                        event.count("index", u64::from(block));
                    });
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, part: u32, start: &PartStart, out: &mut BytesMut) {
        let block = self.blocks;
        self.blocks += 1;
        self.open = Some(block);
        self.kinds.insert(part, kind_of(start));
        write_event(out, "content_block_start", |event| {
            event.count("index", u64::from(block));
            write_block_start(event, start);
        });
    }

    fn delta(&self, out: &mut BytesMut, delta: impl FnOnce(&mut Object<'_>)) {
        let Some(block) = self.open else { return };
        write_event(out, "content_block_delta", |event| {
            event.count("index", u64::from(block));
            event.object("delta", delta);
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        let (reason, stop) = self.finish.take().unwrap_or((FinishReason::Stop, None));
        // Some servers say "stop" after tool calls; agents go on only when they are told to.
        let reason = if self.calls && reason == FinishReason::Stop {
            FinishReason::ToolCalls
        } else {
            reason
        };
        let usage = self.usage.unwrap_or_default();
        write_event(out, "message_delta", |event| {
            event.object("delta", |delta| {
                delta.string("stop_reason", finish_name(&reason));
                match &stop {
                    Some(stop) => delta.string("stop_sequence", stop),
                    None => delta.raw("stop_sequence", "null"),
                }
            });
            event.object("usage", |object| {
                write_usage(object, &usage);
                write_tier(object, self.tier.as_deref());
            });
        });
        write_event(out, "message_stop", |_| {});
    }
}

fn kind_of(start: &PartStart) -> Kind {
    match start {
        PartStart::Text | PartStart::Refusal => Kind::Text,
        PartStart::Thinking => Kind::Thinking,
        PartStart::ToolCall { .. } => Kind::Call,
        PartStart::RedactedThinking(_) | PartStart::Opaque { .. } => Kind::Silent,
    }
}

fn write_block_start(event: &mut Object<'_>, start: &PartStart) {
    if let PartStart::Opaque { json, .. } = start {
        event.raw("content_block", json.as_str());
        return;
    }
    event.object("content_block", |block| match start {
        PartStart::Text | PartStart::Refusal => {
            block.string("type", "text");
            block.string("text", "");
        }
        PartStart::Thinking => {
            block.string("type", "thinking");
            block.string("thinking", "");
            block.string("signature", "");
        }
        PartStart::RedactedThinking(data) => {
            block.string("type", "redacted_thinking");
            block.string("data", data);
        }
        PartStart::ToolCall { id, name, .. } => {
            block.string("type", "tool_use");
            block.string("id", id);
            block.string("name", name);
            block.object("input", |_| {});
        }
        PartStart::Opaque { .. } => {}
    });
}

fn write_event(out: &mut BytesMut, kind: &str, own: impl FnOnce(&mut Object<'_>)) {
    let data = object(|event| {
        event.string("type", kind);
        own(event);
    });
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\n\n");
}

fn write_raw(out: &mut BytesMut, kind: &str, data: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\n\n");
}
