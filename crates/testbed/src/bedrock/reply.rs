//! Bedrock's answers: whole, and as events.

use serde_json::{Value, json};

use super::frame::event;
use crate::script::{Answer, End, sign};
use crate::stream::Event;
use crate::tokens::{Usage, count, pieces};

/// The usage, in the format's own words.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "inputTokens": usage.fresh(),
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.end {
        End::Stop => "end_turn",
        End::StopSequence => "stop_sequence",
        End::Length => "max_tokens",
        End::Tools => "tool_use",
        End::Refusal => "content_filtered",
    }
}

/// The whole answer.
pub(super) fn whole(answer: &Answer, told: &Value) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(
            json!({"reasoningContent": {"reasoningText": {"text": thinking, "signature": sign(thinking)}}}),
        );
    }
    if !answer.text.is_empty() {
        content.push(json!({"text": answer.text}));
    }
    for call in &answer.calls {
        content.push(json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.key), "name": call.name, "input": call.arguments}}));
    }
    json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop_reason(answer),
           "usage": told, "metrics": {"latencyMs": 7}})
}

struct Teller {
    all: Vec<Event>,
    index: usize,
}

impl Teller {
    fn tell(&mut self, kind: &str, payload: &Value, tokens: u64) {
        self.all.push(Event::new(event(kind, payload), tokens));
    }

    fn delta(&mut self, delta: &Value, tokens: u64) {
        let payload = json!({"contentBlockIndex": self.index, "delta": delta});
        self.tell("contentBlockDelta", &payload, tokens);
    }

    fn stop(&mut self) {
        self.tell("contentBlockStop", &json!({"contentBlockIndex": self.index}), 0);
        self.index += 1;
    }
}

/// The events of an answer.
pub(super) fn events(answer: &Answer, told: &Value) -> Vec<Event> {
    let mut teller = Teller {
        all: Vec::new(),
        index: 0,
    };
    teller.tell("messageStart", &json!({"role": "assistant"}), 0);
    if let Some(thinking) = &answer.thinking {
        for piece in pieces(thinking) {
            teller.delta(&json!({"reasoningContent": {"text": piece}}), 1);
        }
        teller.delta(&json!({"reasoningContent": {"signature": sign(thinking)}}), 0);
        teller.stop();
    }
    if !answer.text.is_empty() {
        for piece in pieces(&answer.text) {
            teller.delta(&json!({"text": piece}), 1);
        }
        teller.stop();
    }
    for call in &answer.calls {
        let start = json!({"toolUse": {"toolUseId": format!("tooluse_{}", call.key), "name": call.name}});
        let payload = json!({"contentBlockIndex": teller.index, "start": start});
        teller.tell("contentBlockStart", &payload, count(&call.name));
        for piece in pieces(&call.arguments.to_string()) {
            teller.delta(&json!({"toolUse": {"input": piece}}), 1);
        }
        teller.stop();
    }
    teller.tell("messageStop", &json!({"stopReason": stop_reason(answer)}), 0);
    let metadata = json!({"usage": told, "metrics": {"latencyMs": 7}});
    teller
        .all
        .push(Event::new(event("metadata", &metadata), 0).telling(told));
    teller.all
}
