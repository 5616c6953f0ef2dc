//! Streamed completions: chunks with a `text`, ended by `data: [DONE]`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::form::{PartStart, StreamEvent, Usage};
use crate::format::{DecodeError, Format, StreamEncoderOptions, StreamError, stream_failure};
use crate::json::fields::{Value, parse};
use crate::json::write::{Object, object};
use crate::openai::response::{finish_name, now, read_finish};
use crate::openai::{read_usage, write_usage};
use crate::sse::SseDecoder;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    sse: SseDecoder,
    started: bool,
    done: bool,
    /// Whether each choice's part is open.
    choices: BTreeMap<u32, Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Finished,
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
                continue;
            }
            let value = parse(&event.data)?;
            let mut fields = value.fields()?;
            if fields.has("error") {
                self.done = true;
                out.push(StreamEvent::Error(stream_failure(
                    Format::OpenAiCompletions,
                    &event.data,
                )));
                break;
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
                out.push(StreamEvent::Usage(usage));
            }
        }
        Ok(read?)
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        let complete =
            !self.choices.is_empty() && self.choices.values().all(|choice| *choice == Progress::Finished);
        if !complete || !self.sse.is_between_events() {
            return Err(StreamError::Cut);
        }
        self.end(out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) {
        self.done = true;
        for (choice, _) in self
            .choices
            .iter()
            .filter(|(_, progress)| **progress == Progress::Open)
        {
            out.push(StreamEvent::PartEnd {
                choice: *choice,
                part: 0,
            });
        }
        out.push(StreamEvent::End);
    }

    fn choice(&mut self, value: &Value<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let mut fields = value.fields()?;
        let index = fields.take("index", |index| index.count())?.unwrap_or(0);
        let choice = u32::try_from(index).unwrap_or(u32::MAX);
        if let std::collections::btree_map::Entry::Vacant(entry) = self.choices.entry(choice) {
            entry.insert(Progress::Open);
            out.push(StreamEvent::PartStart {
                choice,
                part: 0,
                start: PartStart::Text,
            });
        }
        if let Some(text) = fields
            .take("text", |text| text.string())?
            .filter(|text| !text.is_empty())
        {
            out.push(StreamEvent::Delta {
                choice,
                part: 0,
                text,
            });
        }
        if let Some(logprobs) = fields.take("logprobs", |logprobs| Ok(logprobs.json()))? {
            out.push(StreamEvent::Logprobs { choice, logprobs });
        }
        if let Some(reason) = fields.take("finish_reason", |reason| reason.string())?
            && self.choices.insert(choice, Progress::Finished) != Some(Progress::Finished)
        {
            out.push(StreamEvent::PartEnd { choice, part: 0 });
            out.push(StreamEvent::Finish {
                choice,
                reason: read_finish(&reason),
                stop_sequence: None,
            });
        }
        Ok(())
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
    head: String,
    texts: Vec<(u32, u32)>,
    usage: Option<Usage>,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            options,
            head: String::new(),
            texts: Vec::new(),
            usage: None,
        }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model, created } => {
                let head = object(|head| {
                    head.string("id", if id.is_empty() { "cmpl-0" } else { id });
                    head.string("object", "text_completion");
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
                self.head = String::from_utf8(head).unwrap_or_default();
                self.head.pop();
            }
            StreamEvent::PartStart {
                choice,
                part,
                start: PartStart::Text,
            } => self.texts.push((*choice, *part)),
            StreamEvent::Delta { choice, part, text } if self.texts.contains(&(*choice, *part)) => {
                self.write(*choice, text, None, out);
            }
            StreamEvent::Finish { choice, reason, .. } => {
                self.write(*choice, "", Some(finish_name(reason)), out);
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Error(failure) => {
                crate::failure::render_event(Format::OpenAiCompletions, failure, "", out);
            }
            StreamEvent::End => {
                if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
                    self.chunk(out, |chunk| {
                        chunk.list("choices", |_| {});
                        chunk.object("usage", |object| write_usage(object, &usage));
                    });
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            // A text completion has nothing but text.
            _ => {}
        }
    }

    fn write(&self, choice: u32, text: &str, finish: Option<&str>, out: &mut BytesMut) {
        self.chunk(out, |chunk| {
            chunk.list("choices", |list| {
                list.object(|object| {
                    object.count("index", u64::from(choice));
                    object.string("text", text);
                    object.raw("logprobs", "null");
                    match finish {
                        Some(finish) => object.string("finish_reason", finish),
                        None => object.raw("finish_reason", "null"),
                    }
                });
            });
        });
    }

    fn chunk(&self, out: &mut BytesMut, own: impl FnOnce(&mut Object<'_>)) {
        let rest = object(own);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b",");
        out.extend_from_slice(&rest[1..]);
        out.extend_from_slice(b"\n\n");
    }
}
