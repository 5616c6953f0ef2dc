//! From a stream's events to the whole answer.

use std::collections::BTreeMap;

use crate::form::{
    ChatResponse, Choice, Extra, FinishReason, Part, PartKind, PartStart, StreamEvent, Text, TextPart,
    Thinking, ToolCall, ToolCallKind, Usage,
};
use crate::format::Format;
use crate::json::Json;

/// Collects the events of one stream.
#[derive(Debug)]
pub struct Assembler {
    format: Format,
    id: Text,
    model: Text,
    created: Option<u64>,
    choices: BTreeMap<u32, Growing>,
    usage: Option<Usage>,
    tier: Option<Text>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Growing {
    parts: BTreeMap<u32, GrowingPart>,
    finish: Option<FinishReason>,
    stop_sequence: Option<Text>,
}

#[derive(Debug)]
struct GrowingPart {
    start: PartStart,
    text: String,
    signature: String,
    citations: Vec<Json>,
}

impl Assembler {
    /// For a stream that came in `format`.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            id: Text::new(),
            model: Text::new(),
            created: None,
            choices: BTreeMap::new(),
            usage: None,
            tier: None,
            ended: false,
        }
    }

    /// Takes the next event in.
    pub fn push(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Start { id, model, created } => {
                self.id = id.clone();
                self.model = model.clone();
                self.created = *created;
            }
            StreamEvent::PartStart { choice, part, start } => {
                let growing = GrowingPart {
                    start: start.clone(),
                    text: String::new(),
                    signature: String::new(),
                    citations: Vec::new(),
                };
                self.choices
                    .entry(*choice)
                    .or_default()
                    .parts
                    .insert(*part, growing);
            }
            StreamEvent::Delta { choice, part, text } => {
                self.part(*choice, *part, |growing| growing.text.push_str(text));
            }
            StreamEvent::Signature {
                choice,
                part,
                signature,
            } => {
                self.part(*choice, *part, |growing| growing.signature.push_str(signature));
            }
            StreamEvent::Citation {
                choice,
                part,
                citation,
            } => {
                self.part(*choice, *part, |growing| growing.citations.push(citation.clone()));
            }
            StreamEvent::Finish {
                choice,
                reason,
                stop_sequence,
            } => {
                let growing = self.choices.entry(*choice).or_default();
                growing.finish = Some(reason.clone());
                growing.stop_sequence.clone_from(stop_sequence);
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Tier(tier) => self.tier = Some(tier.clone()),
            StreamEvent::End => self.ended = true,
            StreamEvent::Logprobs { .. }
            | StreamEvent::PartEnd { .. }
            | StreamEvent::Ping
            | StreamEvent::Opaque { .. }
            | StreamEvent::Error(_) => {}
        }
    }

    fn part(&mut self, choice: u32, part: u32, grow: impl FnOnce(&mut GrowingPart)) {
        if let Some(growing) = self
            .choices
            .get_mut(&choice)
            .and_then(|choice| choice.parts.get_mut(&part))
        {
            grow(growing);
        }
    }

    /// The whole answer; none if the stream did not end as it should.
    #[must_use]
    pub fn finish(self) -> Option<ChatResponse> {
        if !self.ended {
            return None;
        }
        let choices = self.choices.into_iter().map(|(index, growing)| Choice {
            index,
            parts: growing.parts.into_values().map(GrowingPart::finish).collect(),
            finish: growing.finish,
            stop_sequence: growing.stop_sequence,
            logprobs: None,
            extra: Extra::default(),
            message_extra: Extra::default(),
        });
        Some(ChatResponse {
            format: self.format,
            id: self.id,
            model: self.model,
            created: self.created,
            choices: choices.collect(),
            usage: self.usage,
            usage_native: None,
            service_tier: self.tier,
            extra: Extra::default(),
        })
    }
}

impl GrowingPart {
    fn finish(self) -> Part {
        let text = Text::from(self.text);
        let signature = (!self.signature.is_empty()).then(|| Text::from(self.signature));
        Part::new(match self.start {
            PartStart::Text => {
                let citations = (!self.citations.is_empty())
                    .then(|| Json::of(&self.citations).ok())
                    .flatten();
                PartKind::Text(TextPart { text, citations })
            }
            PartStart::Thinking => PartKind::Thinking(Thinking { text, signature }),
            PartStart::RedactedThinking(data) => PartKind::RedactedThinking(data),
            PartStart::Refusal => PartKind::Refusal(text),
            PartStart::ToolCall { id, name, kind } => PartKind::ToolCall(ToolCall {
                id,
                name,
                arguments: if text.is_empty() && kind == ToolCallKind::Function {
                    Text::from_static("{}")
                } else {
                    text
                },
                kind,
                signature,
                extra: Extra::default(),
            }),
            PartStart::Opaque { format, json } => PartKind::Opaque {
                format,
                kind: Text::new(),
                json,
            },
        })
    }
}
