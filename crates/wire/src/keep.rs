//! Answers that are worth keeping, in memory of their own.
//!
//! Decoded text is a slice of the body it came in: whoever keeps a word of it keeps the whole body. What is kept for long
//! is copied, and how much it is, is known.

mod stored;

pub use stored::{Unreadable, pack, unpack};

use crate::form::{
    ChatResponse, Choice, Extra, FinishReason, Part, PartKind, Text, TextPart, Thinking, ToolCall,
};
use crate::json::Json;

/// What a piece of an answer takes beside its bytes.
const PIECE: usize = 96;

/// Whether an answer is whole and can be given again: every choice has come to its own end and says something. One that
/// was cut, held back or declined is none; nor is one that holds pictures or sound.
#[must_use]
pub fn is_whole(response: &ChatResponse) -> bool {
    !response.choices.is_empty() && response.choices.iter().all(says_all)
}

/// Whether it is text alone: no tool is to be run.
#[must_use]
pub fn is_text(response: &ChatResponse) -> bool {
    let parts = |choice: &Choice| {
        let mut parts = choice.parts.iter();
        parts.all(|part| matches!(part.kind, PartKind::Text(_) | PartKind::Thinking(_)))
    };
    response.choices.iter().all(parts)
}

fn says_all(choice: &Choice) -> bool {
    let ended = matches!(
        choice.finish,
        Some(FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolCalls)
    );
    let mut says = false;
    let known = choice.parts.iter().all(|part| match &part.kind {
        PartKind::Text(text) => {
            says |= !text.text.is_empty();
            true
        }
        PartKind::ToolCall(_) => {
            says = true;
            true
        }
        PartKind::Thinking(_) | PartKind::RedactedThinking(_) | PartKind::Opaque { .. } => true,
        _ => false,
    });
    ended && known && says
}

/// A copy of an answer in memory of its own, and about how many bytes that is.
#[must_use]
pub fn copied(response: &ChatResponse) -> (ChatResponse, usize) {
    let mut copier = Copier { bytes: 512 };
    let copy = ChatResponse {
        format: response.format,
        id: copier.text(&response.id),
        model: copier.text(&response.model),
        created: response.created,
        choices: response
            .choices
            .iter()
            .map(|choice| copier.choice(choice))
            .collect(),
        usage: response.usage,
        usage_native: response.usage_native.as_ref().map(|json| copier.json(json)),
        service_tier: response.service_tier.as_ref().map(|tier| copier.text(tier)),
        extra: copier.extra(&response.extra),
    };
    (copy, copier.bytes)
}

struct Copier {
    bytes: usize,
}

impl Copier {
    fn text(&mut self, text: &Text) -> Text {
        self.bytes += text.len();
        Text::from(text.to_string())
    }

    fn json(&mut self, json: &Json) -> Json {
        self.bytes += json.as_str().len();
        json.copied()
    }

    fn extra(&mut self, extra: &Extra) -> Extra {
        self.bytes += extra.0.len() * PIECE;
        let fields = extra.0.iter();
        Extra(
            fields
                .map(|(name, json)| (self.text(name), self.json(json)))
                .collect(),
        )
    }

    fn choice(&mut self, choice: &Choice) -> Choice {
        self.bytes += size_of::<Choice>();
        Choice {
            index: choice.index,
            parts: choice.parts.iter().map(|part| self.part(part)).collect(),
            finish: match &choice.finish {
                Some(FinishReason::Other(reason)) => Some(FinishReason::Other(self.text(reason))),
                finish => finish.clone(),
            },
            stop_sequence: choice.stop_sequence.as_ref().map(|stop| self.text(stop)),
            logprobs: choice.logprobs.as_ref().map(|json| self.json(json)),
            extra: self.extra(&choice.extra),
            message_extra: self.extra(&choice.message_extra),
        }
    }

    fn part(&mut self, part: &Part) -> Part {
        self.bytes += size_of::<Part>();
        let kind = match &part.kind {
            PartKind::Text(text) => PartKind::Text(TextPart {
                text: self.text(&text.text),
                citations: text.citations.as_ref().map(|json| self.json(json)),
            }),
            PartKind::Thinking(thinking) => PartKind::Thinking(Thinking {
                text: self.text(&thinking.text),
                signature: thinking.signature.as_ref().map(|proof| self.text(proof)),
            }),
            PartKind::RedactedThinking(data) => PartKind::RedactedThinking(self.text(data)),
            PartKind::Refusal(text) => PartKind::Refusal(self.text(text)),
            PartKind::ToolCall(call) => PartKind::ToolCall(ToolCall {
                id: self.text(&call.id),
                name: self.text(&call.name),
                arguments: self.text(&call.arguments),
                kind: call.kind,
                signature: call.signature.as_ref().map(|proof| self.text(proof)),
                extra: self.extra(&call.extra),
            }),
            PartKind::Opaque { format, kind, json } => PartKind::Opaque {
                format: *format,
                kind: self.text(kind),
                json: self.json(json),
            },
            // Not part of an answer that is whole: `is_whole` says so.
            other => other.clone(),
        };
        Part {
            kind,
            cache_control: part.cache_control.clone(),
            extra: self.extra(&part.extra),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{self, Format};

    fn answer(finish: &str, message: &str) -> ChatResponse {
        let body = format!(
            r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{message},"finish_reason":"{finish}"}}],"usage":{{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}}}"#
        );
        format::decode_response(Format::OpenAiChat, &bytes::Bytes::from(body)).unwrap()
    }

    const SAID: &str = r#"{"role":"assistant","content":"Hello there, how are you?"}"#;

    #[test]
    fn answers_cut_held_back_or_declined_are_not_whole() {
        assert!(is_whole(&answer("stop", SAID)) && is_text(&answer("stop", SAID)));
        for finish in ["length", "content_filter", "something_new"] {
            assert!(!is_whole(&answer(finish, SAID)), "{finish}");
        }
        for message in [
            r#"{"role":"assistant","content":null,"refusal":"I cannot."}"#,
            r#"{"role":"assistant","content":""}"#,
            r#"{"role":"assistant","content":null}"#,
        ] {
            assert!(!is_whole(&answer("stop", message)), "{message}");
        }
        let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
        let call = answer("tool_calls", call);
        assert!(is_whole(&call) && !is_text(&call));
    }

    #[test]
    fn a_copy_is_the_same_in_memory_of_its_own() {
        let call = r#"{"role":"assistant","content":"Let me see","annotations":[],"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#;
        for response in [answer("stop", SAID), answer("tool_calls", call)] {
            let (copy, bytes) = copied(&response);
            assert_eq!(copy, response);
            assert!(bytes > 512 && bytes < 4_096, "{bytes}");
            let text = |response: &ChatResponse| match &response.choices[0].parts[0].kind {
                PartKind::Text(text) => text.text.as_ptr(),
                _ => panic!("no text"),
            };
            assert_ne!(text(&copy), text(&response));
        }
    }
}
