//! Reading streamed responses.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::form::{ChatResponse, Failure, FinishReason, PartStart, StreamEvent, Text, ToolCallKind, Usage};
use crate::format::{DecodeError, Format, StreamError, stream_failure};
use crate::json::Json;
use crate::json::fields::{Fields, Value, parse};
use crate::responses::annotations::citation_of;
use crate::responses::response::{self, read_created, read_finish};
use crate::responses::{is_search, read_usage, searches_in};
use crate::sse::{SseDecoder, SseEvent};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    sse: SseDecoder,
    done: bool,
    started: bool,
    calls: bool,
    /// Something was said, which the whole response at the end repeats.
    told: bool,
    next: u32,
    /// Searches that were done: the response at the end need not tell of them.
    searches: u64,
    /// Parts that have begun and not ended.
    open: SmallVec<[Open; 4]>,
}

/// Where a part stands in the stream.
#[derive(Debug, Clone, Copy)]
struct Open {
    output: u64,
    /// The content part of a message; none for items that are one part.
    content: Option<u64>,
    part: u32,
    grown: bool,
}

/// What an event is about.
#[derive(Clone, Copy)]
struct At {
    output: u64,
    content: Option<u64>,
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
    /// When the whole response never came.
    pub fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if self.done { Ok(()) } else { Err(StreamError::Cut) }
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        if event.data.trim() == "[DONE]" {
            return Ok(());
        }
        let value = parse(&event.data)?;
        let mut fields = value.fields()?;
        let kind = fields.need("type", |kind| kind.string())?;
        match kind.as_ref() {
            "response.output_text.delta"
            | "response.refusal.delta"
            | "response.function_call_arguments.delta"
            | "response.custom_tool_call_input.delta"
            | "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta" => self.delta(&kind, &mut fields, out)?,
            "response.created" => self.start(&mut fields, out)?,
            "response.in_progress" | "response.queued" => {}
            "response.output_item.added" => self.item_added(&mut fields, event, out)?,
            "response.content_part.added" => self.content_added(&mut fields, out)?,
            "response.content_part.done" => {
                let at = place(&mut fields)?;
                self.end(at, out);
            }
            "response.output_text.annotation.added" => self.annotation(&mut fields, out)?,
            "response.reasoning_summary_part.added" => self.summary_part(&mut fields, out)?,
            "response.output_item.done" => self.item_done(&mut fields, event, out)?,
            "response.completed" | "response.incomplete" => self.completed(&mut fields, out)?,
            "response.failed" => {
                self.done = true;
                let response = fields.take("response", |response| Ok(response.json()))?;
                let told = response
                    .as_ref()
                    .map_or(event.data.as_ref(), |json| json.as_str());
                out.push(StreamEvent::Error(stream_failure(Format::OpenAiResponses, told)));
            }
            "error" => {
                self.done = true;
                out.push(StreamEvent::Error(failure_of(&event.data)));
            }
            "response.output_text.done" => self.whole(&mut fields, "text", out)?,
            "response.refusal.done" => self.whole(&mut fields, "refusal", out)?,
            "response.function_call_arguments.done" => self.whole(&mut fields, "arguments", out)?,
            "response.custom_tool_call_input.done" => self.whole(&mut fields, "input", out)?,
            // Said already, piece by piece, or said again when the item ends.
            "response.reasoning_summary_text.done"
            | "response.reasoning_summary_part.done"
            | "response.reasoning_text.done" => {}
            _ => out.push(opaque(event)),
        }
        Ok(())
    }

    fn start(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        fields.need("response", |response| {
            let mut response = response.fields()?;
            out.push(StreamEvent::Start {
                id: response.take("id", |id| id.string())?.unwrap_or_default(),
                model: response
                    .take("model", |model| model.string())?
                    .unwrap_or_default(),
                created: read_created(&mut response)?,
            });
            Ok(())
        })
    }

    fn item_added(
        &mut self,
        fields: &mut Fields<'_>,
        event: &SseEvent,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let start = fields.need("item", |item| read_start(&item))?;
        match start {
            // Its content parts begin by themselves; reasoning may have none to tell.
            None => {}
            Some(PartStart::Opaque { .. }) => {
                self.told = true;
                out.push(opaque(event));
            }
            Some(start) => {
                self.calls |= matches!(start, PartStart::ToolCall { .. });
                self.begin(At { content: None, ..at }, start, out);
            }
        }
        Ok(())
    }

    fn content_added(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let kind = fields.need("part", |part| part.fields()?.need("type", |kind| kind.string()))?;
        match kind.as_ref() {
            "output_text" => drop(self.begin(at, PartStart::Text, out)),
            "refusal" => drop(self.begin(at, PartStart::Refusal, out)),
            // The reasoning of open models comes as content of its item, which has begun.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: At, start: PartStart, out: &mut Vec<StreamEvent>) -> usize {
        let part = self.next;
        self.next += 1;
        self.told = true;
        self.open.push(Open {
            output: at.output,
            content: at.content,
            part,
            grown: false,
        });
        out.push(StreamEvent::PartStart {
            choice: 0,
            part,
            start,
        });
        self.open.len() - 1
    }

    fn find(&self, at: At) -> Option<usize> {
        self.open.iter().position(|open| {
            open.output == at.output && (open.content.is_none() || open.content == at.content)
        })
    }

    fn delta(
        &mut self,
        kind: &str,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let text = fields.need("delta", |delta| delta.string())?;
        let found = match self.find(at) {
            Some(found) => found,
            // Some servers leave out the announcement.
            None if kind == "response.output_text.delta" => self.begin(at, PartStart::Text, out),
            None if kind == "response.refusal.delta" => self.begin(at, PartStart::Refusal, out),
            None if kind.starts_with("response.reasoning") => {
                self.begin(At { content: None, ..at }, PartStart::Thinking, out)
            }
            None => return Ok(()),
        };
        if kind == "response.output_text.delta"
            && let Some(logprobs) = fields.peek("logprobs").filter(|json| json.as_str().len() > 2)
            && let Ok(logprobs) = Json::parse(format!("{{\"content\":{}}}", logprobs.as_str()))
        {
            out.push(StreamEvent::Logprobs { choice: 0, logprobs });
        }
        if let Some(open) = self.open.get_mut(found)
            && !text.is_empty()
        {
            open.grown = true;
            let part = open.part;
            out.push(StreamEvent::Delta {
                choice: 0,
                part,
                text,
            });
        }
        Ok(())
    }

    /// What came in pieces, whole: for servers that send no pieces.
    fn whole(
        &mut self,
        fields: &mut Fields<'_>,
        name: &str,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let text = fields.take(name, |text| text.string())?;
        if let Some(found) = self.find(at)
            && let Some(open) = self.open.get_mut(found).filter(|open| !open.grown)
            && let Some(text) = text.filter(|text| !text.is_empty())
        {
            open.grown = true;
            out.push(StreamEvent::Delta {
                choice: 0,
                part: open.part,
                text,
            });
        }
        Ok(())
    }

    /// Summaries come in parts: a blank line between them.
    fn summary_part(
        &mut self,
        fields: &mut Fields<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        if let Some(open) = self.find(at).and_then(|found| self.open.get(found))
            && open.grown
        {
            out.push(StreamEvent::Delta {
                choice: 0,
                part: open.part,
                text: Text::from_static("\n\n"),
            });
        }
        Ok(())
    }

    fn annotation(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let annotation = fields.need("annotation", |annotation| Ok(annotation.json()))?;
        if let Some(open) = self.find(at).and_then(|found| self.open.get(found))
            && let Some(citation) = citation_of(&annotation)
        {
            out.push(StreamEvent::Citation {
                choice: 0,
                part: open.part,
                citation,
            });
        }
        Ok(())
    }

    fn end(&mut self, at: At, out: &mut Vec<StreamEvent>) {
        if let Some(found) = self
            .open
            .iter()
            .position(|open| open.output == at.output && open.content == at.content)
        {
            let part = self.open.remove(found).part;
            out.push(StreamEvent::PartEnd { choice: 0, part });
        }
    }

    fn item_done(
        &mut self,
        fields: &mut Fields<'_>,
        event: &SseEvent,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), DecodeError> {
        let at = place(fields)?;
        let (done, search) = fields.need("item", |item| Ok((read_done(&item)?, is_search(&item))))?;
        self.searches += u64::from(search);
        if done.opaque {
            out.push(opaque(event));
        }
        let silent = done.signature.is_none() && done.whole.as_ref().is_none_or(|text| text.is_empty());
        if done.reasoning && !silent && self.find(at).is_none() {
            self.begin(At { content: None, ..at }, PartStart::Thinking, out);
        }
        while let Some(found) = self.open.iter().position(|open| open.output == at.output) {
            let open = self.open.remove(found);
            if let Some(text) = done.whole.as_ref().filter(|text| !open.grown && !text.is_empty()) {
                out.push(StreamEvent::Delta {
                    choice: 0,
                    part: open.part,
                    text: text.clone(),
                });
            }
            if let Some(signature) = &done.signature {
                out.push(StreamEvent::Signature {
                    choice: 0,
                    part: open.part,
                    signature: signature.clone(),
                });
            }
            out.push(StreamEvent::PartEnd {
                choice: 0,
                part: open.part,
            });
        }
        Ok(())
    }

    fn completed(&mut self, fields: &mut Fields<'_>, out: &mut Vec<StreamEvent>) -> Result<(), DecodeError> {
        for open in std::mem::take(&mut self.open) {
            out.push(StreamEvent::PartEnd {
                choice: 0,
                part: open.part,
            });
        }
        let told = std::mem::replace(&mut self.told, true);
        fields.need("response", |value| {
            // Some servers send nothing but the end.
            if !told && let Ok(whole) = response::read(&value) {
                self.say(&whole, out);
            }
            let calls = self.calls;
            let mut response = value.fields()?;
            let reason = read_finish(
                response.peek("status").as_ref(),
                response.peek("incomplete_details").as_ref(),
                calls,
            );
            out.push(StreamEvent::Finish {
                choice: 0,
                reason: reason.unwrap_or(FinishReason::Stop),
                stop_sequence: None,
            });
            let searches = response.take("output", |output| Ok(searches_in(&output)))?;
            if let Some(usage) = response.take("usage", |usage| read_usage(&usage))? {
                let searches = searches.unwrap_or(0).max(self.searches);
                out.push(StreamEvent::Usage(Usage { searches, ..usage }));
            }
            let tier = response.take("service_tier", |tier| tier.string())?;
            out.extend(tier.map(StreamEvent::Tier));
            Ok(())
        })?;
        self.done = true;
        out.push(StreamEvent::End);
        Ok(())
    }
}

impl Decoder {
    fn say(&mut self, whole: &ChatResponse, out: &mut Vec<StreamEvent>) {
        for event in crate::replay::events(whole) {
            match event {
                StreamEvent::PartStart {
                    start: PartStart::Opaque { .. },
                    ..
                }
                | StreamEvent::Finish { .. }
                | StreamEvent::Usage(_)
                | StreamEvent::End => {}
                StreamEvent::Start { .. } if std::mem::replace(&mut self.started, true) => {}
                event => {
                    let start = match &event {
                        StreamEvent::PartStart { start, .. } => Some(start),
                        _ => None,
                    };
                    self.calls |= matches!(start, Some(PartStart::ToolCall { .. }));
                    out.push(event);
                }
            }
        }
    }
}

fn place(fields: &mut Fields<'_>) -> Result<At, DecodeError> {
    Ok(At {
        output: fields.take("output_index", |index| index.count())?.unwrap_or(0),
        content: fields.take("content_index", |index| index.count())?,
    })
}

/// How an item's part begins; none for messages and reasoning, which begin with what they say.
fn read_start(item: &Value<'_>) -> Result<Option<PartStart>, DecodeError> {
    let mut fields = item.fields()?;
    let text = |value: Value<'_>| value.string();
    let kind = fields.need("type", text)?;
    Ok(Some(match kind.as_ref() {
        "message" | "reasoning" => return Ok(None),
        "function_call" | "custom_tool_call" => PartStart::ToolCall {
            id: fields.need("call_id", text)?,
            name: fields.need("name", text)?,
            kind: if kind == "custom_tool_call" {
                ToolCallKind::Custom
            } else {
                ToolCallKind::Function
            },
        },
        _ => PartStart::Opaque {
            format: Format::OpenAiResponses,
            json: item.json(),
        },
    }))
}

#[derive(Default)]
struct Done {
    /// The arguments, in case they did not come in pieces.
    whole: Option<Text>,
    signature: Option<Text>,
    opaque: bool,
    reasoning: bool,
}

fn read_done(item: &Value<'_>) -> Result<Done, DecodeError> {
    let mut fields = item.fields()?;
    let text = |value: Value<'_>| value.string();
    let mut done = Done::default();
    match fields.need("type", text)?.as_ref() {
        "message" => {}
        "reasoning" => {
            done.reasoning = true;
            done.whole = Some(crate::responses::items::told(|name| fields.peek(name)).into());
            done.signature = fields.take("encrypted_content", text)?;
        }
        "function_call" => done.whole = fields.take("arguments", text)?,
        "custom_tool_call" => done.whole = fields.take("input", text)?,
        _ => done.opaque = true,
    }
    Ok(done)
}

fn opaque(event: &SseEvent) -> StreamEvent {
    StreamEvent::Opaque {
        format: Format::OpenAiResponses,
        event: event.event.clone(),
        // It was parsed a moment ago.
        json: Json::parse(event.data.to_string()).unwrap_or_else(|_| Json::null()),
    }
}

/// The failure of an `error` event: its fields stand at the top, or, with some servers, in an `error` object.
pub(in crate::responses) fn failure_of(data: &str) -> Failure {
    #[derive(serde::Deserialize)]
    struct Top {
        error: Option<serde::de::IgnoredAny>,
        message: Option<String>,
        code: Option<String>,
        param: Option<String>,
    }
    match serde_json::from_str::<Top>(data) {
        Ok(Top {
            error: None,
            message,
            code,
            param,
        }) => {
            let body = serde_json::json!({"error": {"message": message, "code": code, "param": param}});
            stream_failure(Format::OpenAiResponses, &body.to_string())
        }
        _ => stream_failure(Format::OpenAiResponses, data),
    }
}
