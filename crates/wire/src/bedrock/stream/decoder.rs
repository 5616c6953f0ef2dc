//! Reading a stream.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::bedrock::response::{finish_name, json_of, read_finish};
use crate::bedrock::usage::{read_tier, read_usage};
use crate::bedrock::{citations, failure};
use crate::eventstream::{EventStreamDecoder, Message};
use crate::form::{FinishReason, PartStart, StreamEvent, Text, ToolCallKind};
use crate::format::{DecodeError, Format, StreamError};
use crate::json::fields::{Fields, Value, parse};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: EventStreamDecoder,
    /// The open blocks: which part of the form each is, and of what sort.
    open: BTreeMap<u64, (u32, Kind)>,
    parts: u32,
    started: bool,
    /// `messageStop` came: the answer is whole, though what it used may still be told.
    stopped: bool,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Redacted,
    Call,
    Opaque,
}

impl Decoder {
    /// Takes a chunk in.
    ///
    /// # Errors
    /// When an event is not what the format demands.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        let mut messages = Vec::new();
        let read = self.frames.push(chunk, &mut messages);
        for message in messages {
            if !self.done {
                self.message(message, out)?;
            }
        }
        Ok(read?)
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When `messageStop` never came, or the bytes end inside a message.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        if !self.stopped || !self.frames.is_between_messages() {
            return Err(StreamError::Cut);
        }
        self.done = true;
        out.push(StreamEvent::End);
        Ok(())
    }

    fn message(&mut self, message: Message, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if let Some(failure) = failure::of_message(&message) {
            self.done = true;
            out.push(StreamEvent::Error(failure));
            return Ok(());
        }
        let Some(kind) = message.header(":event-type") else {
            return Err(StreamError::Malformed("an event without a type".to_owned()));
        };
        let data = Text::try_from(message.payload.clone())
            .map_err(|_| StreamError::Malformed("an event is not valid UTF-8".to_owned()))?;
        let value = parse(&data)?;
        let mut fields = value.fields()?;
        if !self.started && kind != "initial-response" {
            self.started = true;
            out.push(StreamEvent::Start {
                id: Text::new(),
                model: Text::new(),
                created: None,
            });
        }
        match kind {
            "messageStart" => {}
            "contentBlockStart" => self.block_start(&mut fields, out)?,
            "contentBlockDelta" => self.block_delta(&mut fields, &data, out)?,
            "contentBlockStop" => {
                let block = block_index(&mut fields)?;
                self.close(block, out);
            }
            "messageStop" => self.message_stop(&mut fields, &data, out)?,
            "metadata" => self.metadata(&mut fields, &data, out)?,
            _ => out.push(opaque(kind, &data)),
        }
        Ok(())
    }

    fn block_start(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let block = block_index(fields)?;
        let (start, kind) = fields.need("start", |start| {
            let opaque = PartStart::Opaque {
                format: Format::BedrockConverse,
                json: start.json(),
            };
            let call = start.fields()?.take("toolUse", |call| {
                let mut call = call.fields()?;
                // What Bedrock runs itself is no call to the client.
                if call.has("type") {
                    return Ok(None);
                }
                Ok(Some(PartStart::ToolCall {
                    id: call.need("toolUseId", |id| id.string())?,
                    name: call.need("name", |name| name.string())?,
                    kind: ToolCallKind::Function,
                }))
            })?;
            Ok(match call.flatten() {
                Some(call) => (call, Kind::Call),
                None => (opaque, Kind::Opaque),
            })
        })?;
        self.close(block, out);
        self.open(block, start, kind, out);
        Ok(())
    }

    fn block_delta(
        &mut self,
        fields: &mut Fields<'_>,
        data: &Text,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let block = block_index(fields)?;
        if let Some((_, Kind::Opaque)) = self.open.get(&block) {
            out.push(opaque("contentBlockDelta", data));
            return Ok(());
        }
        let mut told = false;
        fields.need("delta", |delta| {
            let mut delta = delta.fields()?;
            if let Some(text) = delta.take("text", string)? {
                let part = self.ensure(block, Kind::Text, out);
                add(part, text, out);
                told = true;
            }
            if let Some(citation) = delta.take("citation", |citation| citations::read(&citation))? {
                let part = self.ensure(block, Kind::Text, out);
                out.extend(citation.map(|citation| StreamEvent::Citation {
                    choice: 0,
                    part,
                    citation,
                }));
                told = true;
            }
            if let Some((_, Kind::Call)) = self.open.get(&block)
                && let Some(input) = delta.take("toolUse", |call| call.fields()?.take("input", string))?
            {
                let part = self.ensure(block, Kind::Call, out);
                add(part, input.unwrap_or_default(), out);
                told = true;
            }
            if let Some(reasoning) = delta.take("reasoningContent", |reasoning| {
                self.reasoning(block, &reasoning, out)
            })? {
                told |= reasoning;
            }
            Ok(())
        })?;
        if !told {
            out.push(opaque("contentBlockDelta", data));
        }
        Ok(())
    }

    /// Reasoning; false when it is of a sort that is not known.
    fn reasoning(
        &mut self,
        block: u64,
        value: &Value<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<bool, DecodeError> {
        let mut fields = value.fields()?;
        let mut told = false;
        if let Some(text) = fields.take("text", string)? {
            let part = self.ensure(block, Kind::Thinking, out);
            add(part, text, out);
            told = true;
        }
        if let Some(signature) = fields.take("signature", string)? {
            let part = self.ensure(block, Kind::Thinking, out);
            out.push(StreamEvent::Signature {
                choice: 0,
                part,
                signature,
            });
            told = true;
        }
        if let Some(data) = fields.take("redactedContent", string)? {
            self.close(block, out);
            self.open(block, PartStart::RedactedThinking(data), Kind::Redacted, out);
            told = true;
        }
        Ok(told)
    }

    fn message_stop(
        &mut self,
        fields: &mut Fields<'_>,
        data: &Text,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let open: Vec<u64> = self.open.keys().copied().collect();
        open.into_iter().for_each(|block| self.close(block, out));
        let name = fields.take("stopReason", string)?.unwrap_or_default();
        let reason = if name.is_empty() {
            FinishReason::Stop
        } else {
            read_finish(&name)
        };
        let more = fields.take("additionalModelResponseFields", |more| {
            if !more.is_object() {
                return Ok(None);
            }
            let stop = more.fields()?.peek("stop_sequence");
            Ok(stop.and_then(|stop| stop.read::<String>().ok()))
        })?;
        if more.is_some() || name != finish_name(&reason) {
            out.push(opaque("messageStop", data));
        }
        out.push(StreamEvent::Finish {
            choice: 0,
            reason,
            stop_sequence: more.flatten().map(Text::from),
        });
        self.stopped = true;
        Ok(())
    }

    fn metadata(
        &mut self,
        fields: &mut Fields<'_>,
        data: &Text,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        if let Some(usage) = fields.take("usage", |usage| read_usage(&usage))? {
            out.push(StreamEvent::Usage(usage));
        }
        let tier = fields.take("serviceTier", |tier| read_tier(&tier))?;
        out.extend(tier.flatten().map(StreamEvent::Tier));
        out.push(opaque("metadata", data));
        if self.stopped {
            self.done = true;
            out.push(StreamEvent::End);
        }
        Ok(())
    }

    /// The part of an open block. Text and reasoning have no start of their own.
    fn ensure(&mut self, block: u64, kind: Kind, out: &mut Vec<StreamEvent>) -> u32 {
        match self.open.get(&block) {
            Some((part, open)) if *open == kind => return *part,
            Some(_) => self.close(block, out),
            None => {}
        }
        let start = if kind == Kind::Thinking {
            PartStart::Thinking
        } else {
            PartStart::Text
        };
        self.open(block, start, kind, out)
    }

    fn open(&mut self, block: u64, start: PartStart, kind: Kind, out: &mut Vec<StreamEvent>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        self.open.insert(block, (part, kind));
        out.push(StreamEvent::PartStart {
            choice: 0,
            part,
            start,
        });
        part
    }

    fn close(&mut self, block: u64, out: &mut Vec<StreamEvent>) {
        if let Some((part, _)) = self.open.remove(&block) {
            out.push(StreamEvent::PartEnd { choice: 0, part });
        }
    }
}

fn string(value: Value<'_>) -> Result<Text, DecodeError> {
    value.string()
}

fn block_index(fields: &mut Fields<'_>) -> Result<u64, DecodeError> {
    fields.need("contentBlockIndex", |index| index.count())
}

fn add(part: u32, text: Text, out: &mut Vec<StreamEvent>) {
    if !text.is_empty() {
        out.push(StreamEvent::Delta {
            choice: 0,
            part,
            text,
        });
    }
}

fn opaque(kind: &str, data: &Text) -> StreamEvent {
    StreamEvent::Opaque {
        format: Format::BedrockConverse,
        event: Some(Text::from(kind)),
        json: json_of(data),
    }
}
