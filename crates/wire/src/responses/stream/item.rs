//! An item of a streamed response while it is being written.

use crate::form::Text;
use crate::json::Json;
use crate::json::write::{Object, object};
use crate::responses::namespaces::FIELD;
use crate::responses::response::write_summary;

/// An item.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the output.
    pub(super) output: u64,
    pub(super) id: String,
    /// The part of the form that is growing in it.
    pub(super) part: u32,
    pub(super) kind: Kind,
}

/// What sort of item.
#[derive(Debug)]
pub(super) enum Kind {
    /// Texts and refusals that follow one another.
    Message(Vec<Content>),
    /// Reasoning, and the provider's proof of it.
    Reasoning { text: String, proof: String },
    /// A call.
    Call(Call),
}

/// A content part of a message.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) refusal: bool,
    pub(super) text: String,
    pub(super) annotations: Vec<Json>,
    pub(super) logprobs: Vec<Json>,
}

/// A tool call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Text,
    pub(super) namespace: Option<Text>,
    pub(super) name: Text,
    pub(super) custom: bool,
    pub(super) arguments: String,
}

impl Content {
    /// Writes the part, whole.
    pub(super) fn write(&self, part: &mut Object<'_>) {
        if self.refusal {
            part.string("type", "refusal");
            part.string("refusal", &self.text);
            return;
        }
        part.string("type", "output_text");
        part.string("text", &self.text);
        part.list("annotations", |list| {
            self.annotations.iter().for_each(|json| list.raw(json.as_str()));
        });
        part.list("logprobs", |list| {
            self.logprobs.iter().for_each(|json| list.raw(json.as_str()));
        });
    }
}

impl Call {
    /// The arguments; a function without any has an empty object.
    pub(super) fn said(&self) -> &str {
        if self.arguments.is_empty() && !self.custom {
            "{}"
        } else {
            &self.arguments
        }
    }
}

impl Item {
    /// The content part that is being written.
    pub(super) fn content(&mut self) -> Option<&mut Content> {
        match &mut self.kind {
            Kind::Message(contents) => contents.last_mut(),
            _ => None,
        }
    }

    /// Writes where the item stands, and where in it.
    pub(super) fn place(&self, event: &mut Object<'_>) {
        event.string("item_id", &self.id);
        event.count("output_index", self.output);
        match &self.kind {
            Kind::Message(contents) => event.count("content_index", contents.len().saturating_sub(1) as u64),
            Kind::Reasoning { .. } => event.count("summary_index", 0),
            Kind::Call(_) => {}
        }
    }

    /// The item as it begins, before it says anything.
    pub(super) fn beginning(&self) -> String {
        self.json("in_progress", false)
    }

    /// The item as it ends.
    pub(super) fn whole(&self, status: &str) -> String {
        self.json(status, true)
    }

    fn json(&self, status: &str, done: bool) -> String {
        let body = object(|item| match &self.kind {
            Kind::Message(contents) => {
                item.string("type", "message");
                item.string("id", &self.id);
                item.string("status", status);
                item.string("role", "assistant");
                item.list("content", |list| {
                    for content in contents.iter().filter(|_| done) {
                        list.object(|part| content.write(part));
                    }
                });
            }
            Kind::Reasoning { text, proof } => {
                item.string("type", "reasoning");
                item.string("id", &self.id);
                write_summary(item, if done { text } else { "" });
                if done && !proof.is_empty() {
                    item.string("encrypted_content", proof);
                }
            }
            Kind::Call(call) => {
                item.string(
                    "type",
                    if call.custom {
                        "custom_tool_call"
                    } else {
                        "function_call"
                    },
                );
                item.string("id", &self.id);
                if !call.custom {
                    item.string("status", status);
                }
                item.string("call_id", &call.id);
                item.string("name", &call.name);
                item.maybe_string(FIELD, call.namespace.as_deref());
                let field = if call.custom { "input" } else { "arguments" };
                item.string(field, if done { call.said() } else { "" });
            }
        });
        String::from_utf8(body).unwrap_or_default()
    }
}
