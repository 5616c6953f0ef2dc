//! Writing streamed answers.

use bytes::BytesMut;

use crate::cohere::citations;
use crate::cohere::response::{finish_name, items_of};
use crate::cohere::usage::write_usage;
use crate::form::{FinishReason, PartStart, StreamEvent, Text, Usage};
use crate::format::{Format, StreamEncoderOptions};
use crate::in_turn::InTurn;
use crate::json::Json;
use crate::json::write::{Object, object};

/// Writes a stream. Parts follow one another: clients put what comes to the part that began last.
#[derive(Debug, Default)]
pub struct Encoder {
    id: Text,
    turns: InTurn,
    pen: Pen,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

/// What is being written, and what came beside it.
#[derive(Debug, Default)]
struct Pen {
    /// The answer came in this format: what stands beside the form's events is written as it came.
    own: bool,
    /// The next text is a plan.
    plans: bool,
    /// Log probabilities of the next delta, as they came.
    logprobs: Option<Json>,
    usage: Option<Json>,
    open: Option<Writing>,
    contents: u64,
    calls: u64,
    cited: u64,
}

#[derive(Debug)]
struct Writing {
    kind: Kind,
    index: u64,
    text: String,
    citations: Vec<Json>,
    /// A call of which no argument came has none, which is an empty object.
    empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plan,
    Text,
    Thinking,
    Call,
    Silent,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(_options: StreamEncoderOptions) -> Self {
        Self::default()
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, .. } => self.start(id, out),
            // The format knows one answer only.
            StreamEvent::PartStart { choice, .. }
            | StreamEvent::Delta { choice, .. }
            | StreamEvent::Signature { choice, .. }
            | StreamEvent::Citation { choice, .. }
            | StreamEvent::Logprobs { choice, .. }
            | StreamEvent::PartEnd { choice, .. }
            | StreamEvent::Finish { choice, .. }
                if *choice > 0 => {}
            StreamEvent::PartStart { .. }
            | StreamEvent::Delta { .. }
            | StreamEvent::Signature { .. }
            | StreamEvent::Citation { .. }
            | StreamEvent::PartEnd { .. } => {
                let pen = &mut self.pen;
                self.turns.take(event, |_, event| pen.write(event, out));
            }
            StreamEvent::Logprobs { logprobs, .. } => self.pen.tell_logprobs(logprobs, out),
            StreamEvent::Finish { reason, .. } => self.finish = Some(reason.clone()),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Opaque {
                format: Format::CohereChat,
                event,
                json,
            } => self.pen.aside(event.as_deref(), json, out),
            StreamEvent::Error(failure) => {
                crate::failure::render_event(Format::CohereChat, failure, &self.id, out);
            }
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::End => self.end(out),
            StreamEvent::Tier(_) | StreamEvent::Opaque { .. } => {}
        }
    }

    fn start(&mut self, id: &Text, out: &mut BytesMut) {
        self.id = if id.is_empty() {
            Text::from_static("chat-0")
        } else {
            id.clone()
        };
        write_event(out, "message-start", |event| {
            event.string("id", &self.id);
            write_message(event, |message| {
                message.string("role", "assistant");
                message.list("content", |_| {});
                message.string("tool_plan", "");
                message.list("tool_calls", |_| {});
                message.list("citations", |_| {});
            });
        });
    }

    fn end(&mut self, out: &mut BytesMut) {
        let reason = self.finish.take().unwrap_or(FinishReason::Stop);
        // Some servers say "stop" after tool calls; agents go on only when they are told to.
        let reason = if self.pen.calls > 0 && reason == FinishReason::Stop {
            FinishReason::ToolCalls
        } else {
            reason
        };
        write_event(out, "message-end", |event| {
            event.object("delta", |delta| {
                if reason == FinishReason::ContentFilter {
                    delta.string("error", "the provider held the answer back");
                }
                delta.string("finish_reason", finish_name(&reason));
                match (&self.pen.usage, &self.usage) {
                    (Some(native), _) => delta.raw("usage", native.as_str()),
                    (None, Some(usage)) => delta.object("usage", |object| write_usage(object, usage)),
                    (None, None) => {}
                }
            });
        });
    }
}

impl Pen {
    fn aside(&mut self, event: Option<&str>, json: &Json, out: &mut BytesMut) {
        match event {
            Some("message-start") => self.own = true,
            Some("tool-plan-delta") => self.plans = true,
            Some("message-end") => self.usage = Some(json.clone()),
            Some("content-delta") => {
                #[derive(serde::Deserialize)]
                struct Told {
                    logprobs: Option<Json>,
                }
                self.logprobs = json.read::<Told>().ok().and_then(|told| told.logprobs);
            }
            name => write_raw(out, name.unwrap_or("debug"), json.as_str()),
        }
    }

    fn write(&mut self, event: &StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::PartStart { start, .. } => self.begin(start, out),
            StreamEvent::Delta { text, .. } => self.delta(text, out),
            StreamEvent::Citation { citation, .. } => {
                if let Some(open) = self.open.as_mut().filter(|_| !self.own) {
                    open.citations.push(citation.clone());
                }
            }
            StreamEvent::PartEnd { .. } => self.finish(out),
            // Another provider's proof is nothing to Cohere's clients.
            _ => {}
        }
    }

    fn begin(&mut self, start: &PartStart, out: &mut BytesMut) {
        let kind = match start {
            PartStart::Text if std::mem::take(&mut self.plans) => Kind::Plan,
            PartStart::Text | PartStart::Refusal => Kind::Text,
            PartStart::Thinking => Kind::Thinking,
            PartStart::ToolCall { .. } => Kind::Call,
            PartStart::RedactedThinking(_) | PartStart::Opaque { .. } => Kind::Silent,
        };
        let index = match kind {
            Kind::Text | Kind::Thinking => next(&mut self.contents),
            Kind::Call => next(&mut self.calls),
            Kind::Plan | Kind::Silent => 0,
        };
        self.open = Some(Writing {
            kind,
            index,
            text: String::new(),
            citations: Vec::new(),
            empty: true,
        });
        match (kind, start) {
            (Kind::Text | Kind::Thinking, _) => write_event(out, "content-start", |event| {
                event.count("index", index);
                write_message(event, |message| {
                    message.object("content", |content| {
                        content.string("type", content_name(kind).0);
                        content.string(content_name(kind).1, "");
                    });
                });
            }),
            (_, PartStart::ToolCall { id, name, .. }) => write_event(out, "tool-call-start", |event| {
                event.count("index", index);
                write_message(event, |message| {
                    message.object("tool_calls", |call| {
                        call.string("id", id);
                        call.string("type", "function");
                        call.object("function", |function| {
                            function.string("name", name);
                            function.string("arguments", "");
                        });
                    });
                });
            }),
            _ => {}
        }
    }

    fn delta(&mut self, text: &str, out: &mut BytesMut) {
        let Some(open) = self.open.as_mut() else { return };
        open.empty = false;
        let index = open.index;
        match open.kind {
            Kind::Silent => {}
            Kind::Plan => write_event(out, "tool-plan-delta", |event| {
                write_message(event, |message| message.string("tool_plan", text));
            }),
            Kind::Call => write_arguments(out, index, text),
            kind => {
                open.text.push_str(text);
                let logprobs = self.logprobs.take();
                write_content(out, kind, index, text, logprobs.as_ref());
            }
        }
    }

    /// Log probabilities of another format come with no delta of their own.
    fn tell_logprobs(&mut self, logprobs: &Json, out: &mut BytesMut) {
        let Some(open) = self
            .open
            .as_ref()
            .filter(|open| !self.own && open.kind == Kind::Text)
        else {
            return;
        };
        for item in items_of(logprobs) {
            write_content(out, Kind::Text, open.index, "", Some(&item));
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let Some(open) = self.open.take() else { return };
        let index = open.index;
        let end = match open.kind {
            Kind::Plan | Kind::Silent => return,
            Kind::Call => {
                if open.empty {
                    write_arguments(out, index, "{}");
                }
                "tool-call-end"
            }
            Kind::Text | Kind::Thinking => {
                for citation in &open.citations {
                    self.cite(citation, &open, out);
                }
                "content-end"
            }
        };
        write_event(out, end, |event| event.count("index", index));
    }

    fn cite(&mut self, citation: &Json, open: &Writing, out: &mut BytesMut) {
        let Some(citation) = citations::of_form(citation, &open.text, open.index) else {
            return;
        };
        let index = self.cited;
        self.cited += 1;
        write_event(out, "citation-start", |event| {
            event.count("index", index);
            write_message(event, |message| message.raw("citations", citation.as_str()));
        });
        write_event(out, "citation-end", |event| event.count("index", index));
    }
}

fn next(count: &mut u64) -> u64 {
    let now = *count;
    *count += 1;
    now
}

/// The type of a content part, and the field that holds its text.
fn content_name(kind: Kind) -> (&'static str, &'static str) {
    if kind == Kind::Thinking {
        ("thinking", "thinking")
    } else {
        ("text", "text")
    }
}

fn write_content(out: &mut BytesMut, kind: Kind, index: u64, text: &str, logprobs: Option<&Json>) {
    write_event(out, "content-delta", |event| {
        event.count("index", index);
        write_message(event, |message| {
            message.object("content", |content| content.string(content_name(kind).1, text));
        });
        event.maybe_json("logprobs", logprobs);
    });
}

fn write_arguments(out: &mut BytesMut, index: u64, text: &str) {
    write_event(out, "tool-call-delta", |event| {
        event.count("index", index);
        write_message(event, |message| {
            message.object("tool_calls", |call| {
                call.object("function", |function| function.string("arguments", text));
            });
        });
    });
}

fn write_message(event: &mut Object<'_>, write: impl FnOnce(&mut Object<'_>)) {
    event.object("delta", |delta| delta.object("message", write));
}

fn write_event(out: &mut BytesMut, kind: &str, own: impl FnOnce(&mut Object<'_>)) {
    let data = object(|event| {
        event.string("type", kind);
        own(event);
    });
    write_data(out, kind, &data);
}

fn write_raw(out: &mut BytesMut, kind: &str, data: &str) {
    write_data(out, kind, data.as_bytes());
}

fn write_data(out: &mut BytesMut, kind: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}
