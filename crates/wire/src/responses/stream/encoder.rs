//! Writing streamed responses.

use bytes::BytesMut;
use smallvec::SmallVec;

use super::item::{Call, Content, Item, Kind};
use super::whole;
use crate::form::{FinishReason, PartStart, StreamEvent, Text, ToolCallKind, Usage};
use crate::format::{Format, StreamEncoderOptions};
use crate::json::Json;
use crate::json::write::{Object, object};
use crate::openai::response::now;
use crate::responses::annotations::annotation_of;
use crate::responses::logprobs::entries_of;
use crate::responses::response::{Head, item_id, status_of, write_frame};
use crate::responses::{Echo, write_usage};
use crate::splice::Edits;

/// Writes a stream. Items of this format may grow side by side, so every part is written as it comes; what has been
/// said is kept, because the last events repeat it whole. An item whose part has ended waits for what comes next: more
/// of the same message, another item, or the reason for which it was cut off.
#[derive(Debug)]
pub struct Encoder {
    pen: Pen,
    head: Answer,
    open: SmallVec<[Item; 2]>,
    waiting: SmallVec<[Item; 2]>,
    /// Reasoning that has said nothing yet, and may never: it is no item until it does.
    silent: SmallVec<[u32; 2]>,
    /// Items that are complete, by their place.
    done: Vec<(u64, String)>,
    /// Where items that only this format knows stood, and where they stand now.
    moved: Vec<(u64, u64)>,
    next: u64,
    /// Log probabilities of text that has not come.
    logprobs: Vec<Json>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

/// Numbers and writes events.
#[derive(Debug, Default)]
struct Pen {
    sequence: u64,
}

/// What is known of the answer from its beginning.
#[derive(Debug)]
struct Answer {
    options: StreamEncoderOptions,
    echo: Echo,
    id: Text,
    model: Text,
    created: u64,
}

impl Pen {
    fn event(&mut self, out: &mut BytesMut, kind: &str, write: impl FnOnce(&mut Object<'_>)) {
        let data = object(|object| {
            object.string("type", kind);
            object.count("sequence_number", self.sequence);
            write(object);
        });
        self.raw(out, kind, &data);
    }

    fn raw(&mut self, out: &mut BytesMut, kind: &str, data: &[u8]) {
        self.sequence += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
    }
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            pen: Pen::default(),
            head: Answer {
                options,
                echo: Echo::default(),
                id: Text::new(),
                model: Text::new(),
                created: 0,
            },
            open: SmallVec::new(),
            waiting: SmallVec::new(),
            silent: SmallVec::new(),
            done: Vec::new(),
            moved: Vec::new(),
            next: 0,
            logprobs: Vec::new(),
            usage: None,
            finish: None,
        }
    }

    /// Says what the answer repeats of its request.
    pub fn answers(&mut self, echo: Echo) {
        self.head.echo = echo;
    }

    /// The number of the event that would come next.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.pen.sequence
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model, created } => self.start(id, model, *created, out),
            // The format knows one answer only.
            StreamEvent::PartStart { choice, .. }
            | StreamEvent::Delta { choice, .. }
            | StreamEvent::Signature { choice, .. }
            | StreamEvent::Citation { choice, .. }
            | StreamEvent::Logprobs { choice, .. }
            | StreamEvent::PartEnd { choice, .. }
            | StreamEvent::Finish { choice, .. }
                if *choice > 0 => {}
            StreamEvent::PartStart { part, start, .. } => self.begin(*part, start, out),
            StreamEvent::Delta { part, text, .. } => self.delta(*part, text, out),
            StreamEvent::Signature { part, signature, .. } => self.sign(*part, signature, out),
            StreamEvent::Citation { part, citation, .. } => self.cite(*part, citation, out),
            StreamEvent::Logprobs { logprobs, .. } => self.logprobs.extend(entries_of(logprobs)),
            StreamEvent::PartEnd { part, .. } => self.end_part(*part, out),
            StreamEvent::Finish { reason, .. } => self.finish = Some(reason.clone()),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Opaque {
                format: Format::OpenAiResponses,
                event,
                json,
            } => self.pass(event.as_deref(), json, out),
            StreamEvent::Error(failure) => {
                self.pen
                    .event(out, "error", |event| super::super::failure::write(event, failure));
            }
            StreamEvent::End => self.end(out),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Tier(_) | StreamEvent::Opaque { .. } => {}
        }
    }

    fn start(&mut self, id: &Text, model: &Text, created: Option<u64>, out: &mut BytesMut) {
        let head = &mut self.head;
        head.id = if id.is_empty() {
            Text::from_static("resp_0")
        } else {
            id.clone()
        };
        head.model = if model.is_empty() {
            head.options.model.clone()
        } else {
            model.clone()
        };
        head.created = created.unwrap_or_else(now);
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", None);
            self.pen
                .event(out, kind, |event| event.raw("response", &response));
        }
    }

    /// The response as it stands.
    fn response(&self, status: &str, reason: Option<&str>) -> String {
        let head = Head {
            id: &self.head.id,
            model: &self.head.model,
            created: self.head.created,
        };
        let body = object(|body| {
            write_frame(body, &head, status, reason, &self.head.echo);
            body.list("output", |list| {
                self.done.iter().for_each(|(_, item)| list.raw(item));
            });
            match &self.usage {
                Some(usage) if status != "in_progress" => {
                    body.object("usage", |object| write_usage(object, usage));
                }
                _ => body.raw("usage", "null"),
            }
        });
        String::from_utf8(body).unwrap_or_default()
    }

    fn begin(&mut self, part: u32, start: &PartStart, out: &mut BytesMut) {
        match start {
            PartStart::Text => self.begin_content(part, false, out),
            PartStart::Refusal => self.begin_content(part, true, out),
            PartStart::Thinking => self.silent.push(part),
            PartStart::ToolCall { id, name, kind } => {
                let custom = *kind == ToolCallKind::Custom;
                let (namespace, name) = self.head.echo.called(name);
                let call = Call {
                    id: id.clone(),
                    namespace,
                    name,
                    custom,
                    arguments: String::new(),
                };
                self.begin_item(part, if custom { "ctc" } else { "fc" }, Kind::Call(call), out);
            }
            PartStart::Opaque {
                format: Format::OpenAiResponses,
                json,
            } => self.whole_item(json, out),
            // Reasoning that is encrypted as a whole comes as reasoning, sealed.
            PartStart::RedactedThinking(_) | PartStart::Opaque { .. } => {}
        }
    }

    /// An item of this format that comes as a whole, told with the events of its kind. Those that a decoder of this
    /// format has read come as events of their own ([`Self::pass`]), and are not told twice.
    fn whole_item(&mut self, json: &Json, out: &mut BytesMut) {
        let Some(steps) = whole::steps(json) else { return };
        self.settle("completed", out);
        let output = self.next;
        self.next += 1;
        self.pen.event(out, "response.output_item.added", |event| {
            event.count("output_index", output);
            event.raw("item", &steps.beginning);
        });
        for step in &steps.between {
            self.pen.event(out, step.kind, |event| {
                event.count("output_index", output);
                event.string("item_id", &steps.id);
                if let Some((field, text)) = &step.says {
                    event.string(field, text);
                }
            });
        }
        self.keep(output, json.as_str(), out);
    }

    fn begin_item(&mut self, part: u32, prefix: &str, kind: Kind, out: &mut BytesMut) {
        self.settle("completed", out);
        let output = self.next;
        self.next += 1;
        let item = Item {
            output,
            id: item_id(prefix, &self.head.id, output),
            part,
            kind,
        };
        let beginning = item.beginning();
        self.pen.event(out, "response.output_item.added", |event| {
            event.count("output_index", output);
            event.raw("item", &beginning);
        });
        self.open.push(item);
    }

    /// A text or a refusal: more of the message before it, or a new one.
    fn begin_content(&mut self, part: u32, refusal: bool, out: &mut BytesMut) {
        let goes_on = |item: &Item| matches!(item.kind, Kind::Message(_));
        match self.waiting.iter().position(goes_on) {
            Some(at) if self.waiting.len() == 1 && self.open.is_empty() => {
                let mut item = self.waiting.remove(at);
                item.part = part;
                self.open.push(item);
            }
            _ => self.begin_item(part, "msg", Kind::Message(Vec::new()), out),
        }
        let Some(item) = self.open.last_mut() else { return };
        if let Kind::Message(contents) = &mut item.kind {
            contents.push(Content {
                refusal,
                ..Content::default()
            });
        }
        self.pen.event(out, "response.content_part.added", |event| {
            item.place(event);
            event.object("part", |part| {
                if let Some(content) = item.content() {
                    content.write(part);
                }
            });
        });
    }

    fn delta(&mut self, part: u32, text: &Text, out: &mut BytesMut) {
        self.speak(part, out);
        let Some(item) = self.open.iter_mut().find(|item| item.part == part) else {
            return;
        };
        let logprobs = match item.content() {
            Some(content) if !content.refusal => {
                let told = std::mem::take(&mut self.logprobs);
                content.logprobs.extend(told.iter().cloned());
                Some(told)
            }
            _ => None,
        };
        let first = grow(&mut item.kind, text);
        if first && matches!(item.kind, Kind::Reasoning { .. }) {
            self.pen
                .event(out, "response.reasoning_summary_part.added", |event| {
                    item.place(event);
                    event.raw("part", r#"{"type":"summary_text","text":""}"#);
                });
        }
        self.pen.event(out, delta_name(item), |event| {
            item.place(event);
            event.string("delta", text);
            if let Some(logprobs) = &logprobs {
                event.list("logprobs", |list| {
                    logprobs.iter().for_each(|json| list.raw(json.as_str()));
                });
            }
        });
    }

    /// Reasoning becomes an item with what it says first.
    fn speak(&mut self, part: u32, out: &mut BytesMut) {
        if let Some(at) = self.silent.iter().position(|silent| *silent == part) {
            self.silent.remove(at);
            let kind = Kind::Reasoning {
                text: String::new(),
                proof: String::new(),
            };
            self.begin_item(part, "rs", kind, out);
        }
    }

    fn sign(&mut self, part: u32, piece: &str, out: &mut BytesMut) {
        if !piece.is_empty() {
            self.speak(part, out);
        }
        let open = self.open.iter_mut().find(|item| item.part == part);
        if let Some(Kind::Reasoning { proof, .. }) = open.map(|item| &mut item.kind) {
            proof.push_str(piece);
        }
    }

    fn cite(&mut self, part: u32, citation: &Json, out: &mut BytesMut) {
        let Some(item) = self.open.iter_mut().find(|item| item.part == part) else {
            return;
        };
        let (Some(annotation), Some(content)) = (annotation_of(citation), item.content()) else {
            return;
        };
        let index = content.annotations.len() as u64;
        content.annotations.push(annotation.clone());
        self.pen
            .event(out, "response.output_text.annotation.added", |event| {
                item.place(event);
                event.count("annotation_index", index);
                event.raw("annotation", annotation.as_str());
            });
    }

    fn end_part(&mut self, part: u32, out: &mut BytesMut) {
        self.silent.retain(|silent| *silent != part);
        let Some(at) = self.open.iter().position(|item| item.part == part) else {
            return;
        };
        let mut item = self.open.remove(at);
        if let Some(content) = item.content() {
            if !content.refusal {
                content.logprobs.append(&mut self.logprobs);
            }
            self.end_content(&item, out);
        }
        self.waiting.push(item);
    }

    fn end_content(&mut self, item: &Item, out: &mut BytesMut) {
        let Kind::Message(contents) = &item.kind else {
            return;
        };
        let Some(content) = contents.last() else { return };
        let (kind, field) = if content.refusal {
            ("response.refusal.done", "refusal")
        } else {
            ("response.output_text.done", "text")
        };
        self.pen.event(out, kind, |event| {
            item.place(event);
            event.string(field, &content.text);
            if !content.refusal {
                event.list("logprobs", |list| {
                    content.logprobs.iter().for_each(|json| list.raw(json.as_str()));
                });
            }
        });
        self.pen.event(out, "response.content_part.done", |event| {
            item.place(event);
            event.object("part", |part| content.write(part));
        });
    }

    /// Ends the items that wait; `status` is that of the last one.
    fn settle(&mut self, status: &str, out: &mut BytesMut) {
        let waiting = std::mem::take(&mut self.waiting);
        let last = waiting.iter().map(|item| item.output).max();
        for item in waiting {
            let status = if Some(item.output) == last {
                status
            } else {
                "completed"
            };
            self.end_item(&item, status, out);
        }
    }

    fn end_item(&mut self, item: &Item, status: &str, out: &mut BytesMut) {
        match &item.kind {
            Kind::Message(_) => {}
            Kind::Reasoning { text, .. } => self.end_summary(item, text, out),
            Kind::Call(call) => {
                let (kind, field) = if call.custom {
                    ("response.custom_tool_call_input.done", "input")
                } else {
                    ("response.function_call_arguments.done", "arguments")
                };
                self.pen.event(out, kind, |event| {
                    item.place(event);
                    if !call.custom {
                        event.string("name", &call.name);
                    }
                    event.string(field, call.said());
                });
            }
        }
        let whole = item.whole(status);
        self.keep(item.output, &whole, out);
    }

    fn end_summary(&mut self, item: &Item, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.pen
            .event(out, "response.reasoning_summary_text.done", |event| {
                item.place(event);
                event.string("text", text);
            });
        self.pen
            .event(out, "response.reasoning_summary_part.done", |event| {
                item.place(event);
                event.object("part", |part| {
                    part.string("type", "summary_text");
                    part.string("text", text);
                });
            });
    }

    /// Tells an item whole, and keeps it for the response at the end.
    fn keep(&mut self, output: u64, whole: &str, out: &mut BytesMut) {
        self.pen.event(out, "response.output_item.done", |event| {
            event.count("output_index", output);
            event.raw("item", whole);
        });
        let at = self.done.partition_point(|(other, _)| *other < output);
        self.done.insert(at, (output, whole.to_owned()));
    }

    /// An event of this format that the form does not know, with the numbers of this stream.
    fn pass(&mut self, name: Option<&str>, json: &Json, out: &mut BytesMut) {
        #[derive(serde::Deserialize)]
        struct Known {
            #[serde(rename = "type")]
            kind: String,
            item: Option<Json>,
            output_index: Option<u64>,
        }
        let Ok(known) = json.read::<Known>() else { return };
        if known.kind == "response.output_item.added" {
            self.settle("completed", out);
            self.moved.push((known.output_index.unwrap_or(0), self.next));
            self.next += 1;
        }
        let mut edits = Edits::new();
        if let Some(stood) = known.output_index {
            // What is said of an item that is not passed on cannot be, either.
            let Some((_, output)) = self.moved.iter().rfind(|(from, _)| *from == stood) else {
                return;
            };
            edits.set("output_index", output.to_string());
            if let Some(item) = known.item.filter(|_| known.kind == "response.output_item.done") {
                let at = self.done.partition_point(|(other, _)| other < output);
                self.done.insert(at, (*output, item.as_str().to_owned()));
            }
        }
        edits.set("sequence_number", self.pen.sequence.to_string());
        if let Ok(data) = edits.apply(&json.as_str().to_owned().into()) {
            self.pen.raw(out, name.unwrap_or(&known.kind), &data);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        while let Some(part) = self.open.first().map(|item| item.part) {
            self.end_part(part, out);
        }
        let finish = self.finish.take();
        let (status, reason) = status_of(finish.as_ref());
        self.settle(status, out);
        let response = self.response(status, reason);
        let kind = if status == "completed" {
            "response.completed"
        } else {
            "response.incomplete"
        };
        self.pen
            .event(out, kind, |event| event.raw("response", &response));
    }
}

/// Adds to what an item says; true when it is the first.
fn grow(kind: &mut Kind, text: &str) -> bool {
    let said = match kind {
        Kind::Message(contents) => match contents.last_mut() {
            Some(content) => &mut content.text,
            None => return false,
        },
        Kind::Reasoning { text, .. } => text,
        Kind::Call(call) => &mut call.arguments,
    };
    let first = said.is_empty();
    said.push_str(text);
    first
}

fn delta_name(item: &mut Item) -> &'static str {
    match &item.kind {
        Kind::Message(contents) if contents.last().is_some_and(|content| content.refusal) => {
            "response.refusal.delta"
        }
        Kind::Message(_) => "response.output_text.delta",
        Kind::Reasoning { .. } => "response.reasoning_summary_text.delta",
        Kind::Call(Call { custom: true, .. }) => "response.custom_tool_call_input.delta",
        Kind::Call(_) => "response.function_call_arguments.delta",
    }
}
