//! Writing streamed responses.

use bytes::BytesMut;
use smallvec::SmallVec;

use crate::form::{FinishReason, PartStart, StreamEvent, Text, ToolCallKind, Usage};
use crate::format::{Format, StreamEncoderOptions};
use crate::json::Json;
use crate::json::write::{Object, object};
use crate::responses::parts::annotation_of;
use crate::responses::response::{Head, status_of, write_frame, write_summary};
use crate::responses::write_usage;
use crate::splice::Edits;

/// Writes a stream. Items of this format may grow side by side, so every part is written as it comes; what has been
/// said is kept, because the last events repeat it whole.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
    sequence: u64,
    id: Text,
    model: Text,
    created: u64,
    open: SmallVec<[Item; 2]>,
    /// Items that are complete, by their place.
    done: Vec<(u64, String)>,
    next: u64,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

/// An item that is being written: one part.
#[derive(Debug)]
struct Item {
    part: u32,
    output: u64,
    kind: Kind,
    id: String,
    text: String,
    signature: String,
    annotations: Vec<Json>,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    Refusal,
    Thinking,
    Call { id: Text, name: Text, custom: bool },
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self {
            options,
            sequence: 0,
            id: Text::new(),
            model: Text::new(),
            created: 0,
            open: SmallVec::new(),
            done: Vec::new(),
            next: 0,
            usage: None,
            finish: None,
        }
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
            | StreamEvent::PartEnd { choice, .. }
            | StreamEvent::Finish { choice, .. }
                if *choice > 0 => {}
            StreamEvent::PartStart { part, start, .. } => self.begin(*part, start, out),
            StreamEvent::Delta { part, text, .. } => self.delta(*part, text, out),
            StreamEvent::Signature { part, signature, .. } => {
                if let Some(item) = self.open.iter_mut().find(|item| item.part == *part) {
                    item.signature.push_str(signature);
                }
            }
            StreamEvent::Citation { part, citation, .. } => self.cite(*part, citation, out),
            StreamEvent::PartEnd { part, .. } => self.end_part(*part, out),
            StreamEvent::Finish { reason, .. } => self.finish = Some(reason.clone()),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Opaque {
                format: Format::OpenAiResponses,
                event,
                json,
            } => self.pass(event.as_deref(), json, out),
            StreamEvent::Error(failure) => {
                crate::failure::render_event(Format::OpenAiResponses, failure, "", out);
            }
            StreamEvent::End => self.end(out),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Logprobs { .. } | StreamEvent::Opaque { .. } => {}
        }
    }

    fn event(&mut self, out: &mut BytesMut, kind: &str, write: impl FnOnce(&mut Object<'_>)) {
        let sequence = self.sequence;
        self.sequence += 1;
        let data = object(|object| {
            object.string("type", kind);
            object.count("sequence_number", sequence);
            write(object);
        });
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\n\n");
    }

    fn start(&mut self, id: &Text, model: &Text, created: Option<u64>, out: &mut BytesMut) {
        self.id = if id.is_empty() {
            Text::from_static("resp_0")
        } else {
            id.clone()
        };
        self.model = if model.is_empty() {
            self.options.model.clone()
        } else {
            model.clone()
        };
        self.created = created.unwrap_or(0);
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", None);
            self.event(out, kind, |event| event.raw("response", &response));
        }
    }

    /// The response as it stands.
    fn response(&self, status: &str, reason: Option<&str>) -> String {
        let head = Head {
            model: &self.model,
            created: self.created,
        };
        let body = object(|body| {
            body.string("id", &self.id);
            write_frame(body, &head, status, reason);
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
        let (kind, prefix) = match start {
            PartStart::Text => (Kind::Text, "msg"),
            PartStart::Refusal => (Kind::Refusal, "msg"),
            PartStart::Thinking | PartStart::RedactedThinking(_) => (Kind::Thinking, "rs"),
            PartStart::ToolCall { id, name, kind } => (
                Kind::Call {
                    id: id.clone(),
                    name: name.clone(),
                    custom: *kind == ToolCallKind::Custom,
                },
                "fc",
            ),
            PartStart::Opaque { .. } => return,
        };
        let output = self.next;
        self.next += 1;
        let mut item = Item {
            part,
            output,
            kind,
            id: format!("{prefix}_{}_{output}", self.id),
            text: String::new(),
            signature: String::new(),
            annotations: Vec::new(),
        };
        if let PartStart::RedactedThinking(data) = start {
            item.signature.push_str(data);
        }
        let beginning = item.json(false);
        self.event(out, "response.output_item.added", |event| {
            event.count("output_index", output);
            event.raw("item", &beginning);
        });
        let first_part = match item.kind {
            Kind::Text => Some(r#"{"type":"output_text","text":"","annotations":[]}"#),
            Kind::Refusal => Some(r#"{"type":"refusal","refusal":""}"#),
            Kind::Thinking | Kind::Call { .. } => None,
        };
        if let Some(first) = first_part {
            self.event(out, "response.content_part.added", |event| {
                item.place(event);
                event.raw("part", first);
            });
        }
        self.open.push(item);
    }

    fn delta(&mut self, part: u32, text: &Text, out: &mut BytesMut) {
        let Some(at) = self.open.iter().position(|item| item.part == part) else {
            return;
        };
        let mut item = self.open.remove(at);
        let kind = match &item.kind {
            Kind::Text => "response.output_text.delta",
            Kind::Refusal => "response.refusal.delta",
            Kind::Call { custom: false, .. } => "response.function_call_arguments.delta",
            Kind::Call { custom: true, .. } => "response.custom_tool_call_input.delta",
            Kind::Thinking => {
                if item.text.is_empty() {
                    self.event(out, "response.reasoning_summary_part.added", |event| {
                        item.place(event);
                        event.raw("part", r#"{"type":"summary_text","text":""}"#);
                    });
                }
                "response.reasoning_summary_text.delta"
            }
        };
        item.text.push_str(text);
        self.event(out, kind, |event| {
            item.place(event);
            event.string("delta", text);
            if matches!(item.kind, Kind::Text) {
                event.raw("logprobs", "[]");
            }
        });
        self.open.insert(at, item);
    }

    fn cite(&mut self, part: u32, citation: &Json, out: &mut BytesMut) {
        let Some(at) = self.open.iter().position(|item| item.part == part) else {
            return;
        };
        let Some(annotation) = annotation_of(citation) else {
            return;
        };
        let mut item = self.open.remove(at);
        self.event(out, "response.output_text.annotation.added", |event| {
            item.place(event);
            event.count("annotation_index", item.annotations.len() as u64);
            event.raw("annotation", annotation.as_str());
        });
        item.annotations.push(annotation);
        self.open.insert(at, item);
    }

    fn end_part(&mut self, part: u32, out: &mut BytesMut) {
        let Some(at) = self.open.iter().position(|item| item.part == part) else {
            return;
        };
        let item = self.open.remove(at);
        self.say_done(&item, out);
        let whole = item.json(true);
        self.event(out, "response.output_item.done", |event| {
            event.count("output_index", item.output);
            event.raw("item", &whole);
        });
        let at = self.done.partition_point(|(output, _)| *output < item.output);
        self.done.insert(at, (item.output, whole));
    }

    /// The events that repeat what a part said, whole.
    fn say_done(&mut self, item: &Item, out: &mut BytesMut) {
        match &item.kind {
            Kind::Text | Kind::Refusal => {
                let refusal = matches!(item.kind, Kind::Refusal);
                let (kind, field) = if refusal {
                    ("response.refusal.done", "refusal")
                } else {
                    ("response.output_text.done", "text")
                };
                self.event(out, kind, |event| {
                    item.place(event);
                    event.string(field, &item.text);
                    if !refusal {
                        event.raw("logprobs", "[]");
                    }
                });
                self.event(out, "response.content_part.done", |event| {
                    item.place(event);
                    event.object("part", |part| item.write_content(part));
                });
            }
            Kind::Thinking if item.text.is_empty() => {}
            Kind::Thinking => {
                self.event(out, "response.reasoning_summary_text.done", |event| {
                    item.place(event);
                    event.string("text", &item.text);
                });
                self.event(out, "response.reasoning_summary_part.done", |event| {
                    item.place(event);
                    event.object("part", |part| {
                        part.string("type", "summary_text");
                        part.string("text", &item.text);
                    });
                });
            }
            Kind::Call { custom, name, .. } => {
                let (kind, field) = if *custom {
                    ("response.custom_tool_call_input.done", "input")
                } else {
                    ("response.function_call_arguments.done", "arguments")
                };
                self.event(out, kind, |event| {
                    item.place(event);
                    event.string("name", name);
                    event.string(field, item.said());
                });
            }
        }
    }

    /// An event of this format that the form does not know, with the numbers of this stream.
    fn pass(&mut self, name: Option<&str>, json: &Json, out: &mut BytesMut) {
        #[derive(serde::Deserialize)]
        struct Known {
            #[serde(rename = "type")]
            kind: String,
            item: Option<Json>,
        }
        let Ok(known) = json.read::<Known>() else { return };
        if known.kind == "response.output_item.added" {
            self.next += 1;
        }
        let output = self.next.saturating_sub(1);
        if known.kind == "response.output_item.done"
            && let Some(item) = known.item
        {
            let at = self.done.partition_point(|(other, _)| *other < output);
            self.done.insert(at, (output, item.as_str().to_owned()));
        }
        let mut edits = Edits::new();
        edits.set("sequence_number", self.sequence.to_string());
        if json.as_str().contains("\"output_index\"") {
            edits.set("output_index", output.to_string());
        }
        let Ok(data) = edits.apply(&json.as_str().to_owned().into()) else {
            return;
        };
        self.sequence += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.unwrap_or(&known.kind).as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\n\n");
    }

    fn end(&mut self, out: &mut BytesMut) {
        while let Some(part) = self.open.first().map(|item| item.part) {
            self.end_part(part, out);
        }
        let (status, reason) = status_of(self.finish.as_ref());
        let response = self.response(status, reason);
        let kind = if status == "completed" {
            "response.completed"
        } else {
            "response.incomplete"
        };
        self.event(out, kind, |event| event.raw("response", &response));
    }
}

impl Item {
    /// Writes where the item stands.
    fn place(&self, event: &mut Object<'_>) {
        event.string("item_id", &self.id);
        event.count("output_index", self.output);
        match self.kind {
            Kind::Text | Kind::Refusal => event.count("content_index", 0),
            Kind::Thinking => event.count("summary_index", 0),
            Kind::Call { .. } => {}
        }
    }

    /// The arguments; a function without any has an empty object.
    fn said(&self) -> &str {
        match self.kind {
            Kind::Call { custom: false, .. } if self.text.is_empty() => "{}",
            _ => &self.text,
        }
    }

    fn write_content(&self, part: &mut Object<'_>) {
        if matches!(self.kind, Kind::Refusal) {
            part.string("type", "refusal");
            part.string("refusal", &self.text);
            return;
        }
        part.string("type", "output_text");
        part.string("text", &self.text);
        part.list("annotations", |list| {
            self.annotations.iter().for_each(|json| list.raw(json.as_str()));
        });
    }

    /// The item, as it begins or as it ends.
    fn json(&self, done: bool) -> String {
        let body = object(|item| {
            item.string("id", &self.id);
            let status = if done { "completed" } else { "in_progress" };
            match &self.kind {
                Kind::Text | Kind::Refusal => {
                    item.string("type", "message");
                    item.string("status", status);
                    item.string("role", "assistant");
                    item.list("content", |list| {
                        if done {
                            list.object(|part| self.write_content(part));
                        }
                    });
                }
                Kind::Thinking => {
                    item.string("type", "reasoning");
                    write_summary(item, &self.text);
                    if done && !self.signature.is_empty() {
                        item.string("encrypted_content", &self.signature);
                    }
                }
                Kind::Call { id, name, custom } => {
                    item.string(
                        "type",
                        if *custom {
                            "custom_tool_call"
                        } else {
                            "function_call"
                        },
                    );
                    item.string("status", status);
                    item.string("call_id", id);
                    item.string("name", name);
                    let field = if *custom { "input" } else { "arguments" };
                    item.string(field, if done { self.said() } else { "" });
                }
            }
        });
        String::from_utf8(body).unwrap_or_default()
    }
}
