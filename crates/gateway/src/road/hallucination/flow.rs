//! A streamed answer, gathered while it passes and judged as it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_routing::Warning;
use pointsman_wire::form::{PartStart, StreamEvent};
use pointsman_wire::format::Format;
use pointsman_wire::json::Json;

use super::{Check, Finding, Ticket};

/// Bytes of an answer that are gathered; what is beyond is not judged.
const MOST: usize = 1024 * 1024;

/// A stream on its way past a check.
pub struct Flow {
    check: Arc<Check>,
    format: Format,
    choices: BTreeMap<u32, Choice>,
    found: Vec<Finding>,
    told: bool,
}

/// A choice as it grows.
#[derive(Default)]
struct Choice {
    text: String,
    /// Parts that are texts.
    texts: Vec<u32>,
    /// The number that a further part would have.
    next: u32,
}

impl Flow {
    /// For a client that speaks `format`.
    pub fn new(check: &Arc<Check>, format: Format) -> Self {
        Self {
            check: Arc::clone(check),
            format,
            choices: BTreeMap::new(),
            found: Vec::new(),
            told: false,
        }
    }

    /// Takes an event as it goes to the client; what must go before it is handed on.
    pub fn pass(&mut self, event: &StreamEvent, on: &mut impl FnMut(StreamEvent)) {
        match event {
            StreamEvent::PartStart { choice, part, start } => {
                let grown = self.choices.entry(*choice).or_default();
                grown.next = grown.next.max(part.saturating_add(1));
                if matches!(start, PartStart::Text) {
                    grown.texts.push(*part);
                }
            }
            StreamEvent::Delta { choice, part, text } => {
                if let Some(grown) = self.choices.get_mut(choice)
                    && grown.texts.contains(part)
                    && grown.text.len() + text.len() <= MOST
                {
                    grown.text.push_str(text);
                }
            }
            StreamEvent::Finish { choice, .. } => self.end(*choice, on),
            _ => {}
        }
    }

    /// A choice is over: it is judged, and its end waits until what was found is told.
    fn end(&mut self, choice: u32, on: &mut impl FnMut(StreamEvent)) {
        let grown = self.choices.remove(&choice).unwrap_or_default();
        if grown.text.trim().is_empty() {
            return;
        }
        let found = self.check.look_at(choice, &grown.text);
        if let Some(words) = self.check.words(found.as_ref()) {
            let part = grown.next;
            on(StreamEvent::PartStart {
                choice,
                part,
                start: PartStart::Text,
            });
            let text = format!("\n\n{words}").into();
            on(StreamEvent::Delta { choice, part, text });
            on(StreamEvent::PartEnd { choice, part });
        }
        let Some(found) = found else { return };
        if self.check.settings.found == Warning::Header
            && self.format == Format::OpenAiChat
            && let Ok(field) = Json::of(&self.check.field(std::slice::from_ref(&found)))
        {
            let json = Json::object(|object| object.raw("pointsman", field.as_str()));
            on(StreamEvent::Opaque {
                format: Format::OpenAiChat,
                event: None,
                json,
            });
        }
        self.found.push(found);
    }

    /// A comment that every reader of server-sent events leaves out, before the end of a stream in another format.
    pub fn comment(&self) -> Option<&'static str> {
        let says = !self.found.is_empty()
            && self.check.settings.found == Warning::Header
            && self.format != Format::OpenAiChat;
        says.then_some(": x-pointsman-warnings: hallucination\n\n")
    }

    /// Notes what was found, once.
    pub fn note(&mut self, ticket: &mut Ticket) {
        if !std::mem::replace(&mut self.told, true) {
            self.check.noted(&self.found, ticket);
        }
    }
}
