//! Reading streamed answers.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::cohere::response::{logprobs_of, read_finish};
use crate::cohere::usage::read_usage;
use crate::cohere::{citations, failure};
use crate::form::{Failure, FailureKind, FinishReason, PartStart, StreamEvent, Text, ToolCallKind};
use crate::format::{DecodeError, Format, StreamError, stream_failure};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::sse::{SseDecoder, SseEvent};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    sse: SseDecoder,
    started: bool,
    done: bool,
    next: u32,
    calls: bool,
    open: SmallVec<[Open; 4]>,
}

/// A part that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    place: Place,
    part: u32,
}

/// Content and calls are numbered apart; of plans there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Plan,
    Content(u64),
    Call(u64),
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
            if !self.done {
                self.event(&event, out)?;
            }
        }
        Ok(read?)
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When `message-end` never came.
    pub fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done { Ok(()) } else { Err(StreamError::Cut) }
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        // Some servers send it; it ends nothing.
        if event.data.trim() == "[DONE]" {
            return Ok(());
        }
        let value = parse(&event.data)?;
        let mut fields = value.fields()?;
        let told = fields.take("type", |kind| kind.string())?;
        let Some(kind) = told.or_else(|| event.event.clone()) else {
            if fields.has("message") {
                self.fail(stream_failure(Format::CohereChat, &event.data), out);
                return Ok(());
            }
            return Err(fields.error("an event has no type").into());
        };
        if kind != "message-start" {
            self.begin_answer(Text::new(), out);
        }
        match kind.as_ref() {
            "message-start" => {
                let id = fields.take("id", |id| id.string())?.unwrap_or_default();
                self.begin_answer(id, out);
            }
            "content-start" => self.content(&mut fields, event, true, out)?,
            "content-delta" => self.content(&mut fields, event, false, out)?,
            "content-end" => {
                let at = index(&mut fields)?;
                self.end(Place::Content(at), out);
            }
            "tool-plan-delta" => self.plan(&mut fields, out)?,
            "tool-call-start" => self.call_start(&mut fields, out)?,
            "tool-call-delta" => self.call_delta(&mut fields, out)?,
            "tool-call-end" => {
                let at = index(&mut fields)?;
                self.end(Place::Call(at), out);
            }
            "citation-start" => self.citation(&mut fields, event, out)?,
            "message-end" => self.message_end(&mut fields, out)?,
            _ => out.push(aside(event.event.clone().or(Some(kind)), &event.data)),
        }
        Ok(())
    }

    fn begin_answer(&mut self, id: Text, out: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        out.push(StreamEvent::Start {
            id,
            // Cohere does not say which model answers.
            model: Text::new(),
            created: None,
        });
        out.push(aside(Some(Text::from_static("message-start")), "{}"));
    }

    fn part(&self, place: Place) -> Option<u32> {
        let open = self.open.iter().find(|open| open.place == place);
        open.map(|open| open.part)
    }

    fn begin(&mut self, place: Place, start: PartStart, out: &mut Vec<StreamEvent>) -> u32 {
        if place != Place::Plan {
            self.end(Place::Plan, out);
        }
        // A number that is used again begins another part.
        self.end(place, out);
        let part = self.next;
        self.next += 1;
        self.open.push(Open { place, part });
        out.push(StreamEvent::PartStart {
            choice: 0,
            part,
            start,
        });
        part
    }

    fn end(&mut self, place: Place, out: &mut Vec<StreamEvent>) {
        if let Some(at) = self.open.iter().position(|open| open.place == place) {
            let part = self.open.remove(at).part;
            out.push(StreamEvent::PartEnd { choice: 0, part });
        }
    }

    fn content(
        &mut self,
        fields: &mut Fields<'_>,
        event: &SseEvent,
        starts: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = Place::Content(index(fields)?);
        let told = in_message(fields, "content", |content| {
            let mut content = content.fields()?;
            let kind = content.take("type", |kind| kind.string())?;
            let text = content.take("text", |text| text.string())?;
            let thinking = content.take("thinking", |text| text.string())?;
            Ok((kind, text, thinking))
        })?;
        let (kind, text, thinking) = told.unwrap_or_default();
        let thinks = match kind.as_deref() {
            Some(kind) => kind == "thinking",
            None => thinking.is_some(),
        };
        let part = match self.part(at) {
            Some(part) if !starts => part,
            _ if thinks => self.begin(at, PartStart::Thinking, out),
            _ => self.begin(at, PartStart::Text, out),
        };
        let logprobs = fields.take("logprobs", |logprobs| Ok(logprobs.json()))?;
        if let Some(logprobs) = logprobs {
            out.push(aside(Some(Text::from_static("content-delta")), &event.data));
            if let Some(logprobs) = logprobs_of(&logprobs) {
                out.push(StreamEvent::Logprobs { choice: 0, logprobs });
            }
        }
        delta(part, text.filter(|text| !text.is_empty()).or(thinking), out);
        Ok(())
    }

    fn plan(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let text = in_message(fields, "tool_plan", |plan| plan.string())?;
        let part = match self.part(Place::Plan) {
            Some(part) => part,
            None => {
                out.push(aside(Some(Text::from_static("tool-plan-delta")), "{}"));
                self.begin(Place::Plan, PartStart::Text, out)
            }
        };
        delta(part, text, out);
        Ok(())
    }

    fn call_start(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let at = index(fields)?;
        let told = in_message(fields, "tool_calls", |call| {
            let mut call = call.fields()?;
            let id = call.take("id", |id| id.string())?;
            let function = call.take("function", |function| {
                let mut function = function.fields()?;
                let name = function.take("name", |name| name.string())?;
                let arguments = function.take("arguments", |text| text.string())?;
                Ok((name, arguments))
            })?;
            Ok((id, function.unwrap_or_default()))
        })?;
        let (id, (name, arguments)) = told.unwrap_or_default();
        self.calls = true;
        let start = PartStart::ToolCall {
            id: id.unwrap_or_else(|| format!("call_{at}").into()),
            name: name.unwrap_or_default(),
            kind: ToolCallKind::Function,
        };
        let part = self.begin(Place::Call(at), start, out);
        delta(part, arguments, out);
        Ok(())
    }

    fn call_delta(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let at = index(fields)?;
        let text = in_message(fields, "tool_calls", |call| {
            let function = call.fields()?.take("function", |function| {
                function.fields()?.take("arguments", |text| text.string())
            })?;
            Ok(function.flatten())
        })?;
        if let Some(part) = self.part(Place::Call(at)) {
            delta(part, text.flatten(), out);
        }
        Ok(())
    }

    fn citation(
        &mut self,
        fields: &mut Fields<'_>,
        event: &SseEvent,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let citation = in_message(fields, "citations", |citation| Ok(citation.json()))?;
        out.push(aside(Some(Text::from_static("citation-start")), &event.data));
        let text = self
            .open
            .iter()
            .rev()
            .find(|open| matches!(open.place, Place::Content(_)));
        if let Some(open) = text
            && let Some(citation) = citation.as_ref().and_then(citations::of_cohere)
        {
            out.push(StreamEvent::Citation {
                choice: 0,
                part: open.part,
                citation,
            });
        }
        Ok(())
    }

    fn message_end(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let mut reason = None;
        let mut error = None;
        let mut usage = None;
        fields.take("delta", |delta| {
            let mut delta = delta.fields()?;
            reason = delta.take("finish_reason", |reason| reason.string())?;
            error = delta.take("error", |error| error.string())?;
            usage = delta.take("usage", |usage| Ok((read_usage(&usage)?, usage.json())))?;
            Ok(())
        })?;
        for open in std::mem::take(&mut self.open) {
            out.push(StreamEvent::PartEnd {
                choice: 0,
                part: open.part,
            });
        }
        if let Some((usage, native)) = usage {
            out.push(aside(Some(Text::from_static("message-end")), native.as_str()));
            out.push(StreamEvent::Usage(usage));
        }
        let told = reason
            .as_deref()
            .and_then(|reason| failure::of_reason(reason, error.as_deref()));
        let told = told.or_else(|| error.map(|error| Failure::new(FailureKind::Provider, error.to_string())));
        if let Some(failure) = told {
            self.fail(failure, out);
            return Ok(());
        }
        let unsaid = if self.calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        };
        out.push(StreamEvent::Finish {
            choice: 0,
            reason: reason.as_ref().map_or(unsaid, read_finish),
            stop_sequence: None,
        });
        self.done = true;
        out.push(StreamEvent::End);
        Ok(())
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<StreamEvent>) {
        self.done = true;
        out.push(StreamEvent::Error(failure));
    }
}

fn delta(part: u32, text: Option<Text>, out: &mut Vec<StreamEvent>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push(StreamEvent::Delta {
            choice: 0,
            part,
            text,
        });
    }
}

fn index(fields: &mut Fields<'_>) -> Result<u64, DecodeError> {
    Ok(fields.take("index", |index| index.count())?.unwrap_or(0))
}

/// Reads the field `name` of `delta.message`.
fn in_message<T>(
    fields: &mut Fields<'_>,
    name: &str,
    read: impl FnOnce(Value<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let told = fields.take("delta", |delta| {
        delta
            .fields()?
            .take("message", |message| message.fields()?.take(name, read))
    })?;
    Ok(told.flatten().flatten())
}

/// What only this format knows.
fn aside(event: Option<Text>, json: &str) -> StreamEvent {
    StreamEvent::Opaque {
        format: Format::CohereChat,
        event,
        // It was parsed a moment ago.
        json: Json::parse(json.to_owned()).unwrap_or_else(|_| Json::null()),
    }
}
