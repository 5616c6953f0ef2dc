//! Cohere's answers: whole, and as named events.

use serde_json::{Value, json};

use crate::script::{Answer, End};
use crate::stream::Event;
use crate::tokens::{Usage, count, pieces};

/// The usage, in the format's own words.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "billed_units": {"input_tokens": usage.input, "output_tokens": usage.output},
        "tokens": {"input_tokens": usage.input, "output_tokens": usage.output},
        "cached_tokens": usage.cache_read,
    })
}

fn finish(answer: &Answer) -> &'static str {
    match answer.end {
        End::Stop | End::Refusal => "COMPLETE",
        End::StopSequence => "STOP_SEQUENCE",
        End::Length => "MAX_TOKENS",
        End::Tools => "TOOL_CALL",
    }
}

fn calls(answer: &Answer) -> Vec<Value> {
    let calls = answer.calls.iter().map(|call| {
        json!({"id": format!("{}_{}", call.name, call.key), "type": "function",
               "function": {"name": call.name, "arguments": call.arguments.to_string()}})
    });
    calls.collect()
}

/// The whole answer.
pub(super) fn whole(answer: &Answer, told: &Value) -> Value {
    let mut message = json!({"role": "assistant"});
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    if !content.is_empty() {
        message["content"] = json!(content);
    }
    if !answer.calls.is_empty() {
        message["tool_calls"] = json!(calls(answer));
    }
    json!({"id": answer.seed, "finish_reason": finish(answer), "message": message, "usage": told})
}

struct Teller {
    all: Vec<Event>,
    index: usize,
}

impl Teller {
    fn tell(&mut self, data: &Value, tokens: u64) {
        let kind = data["type"].as_str().unwrap_or_default();
        self.all
            .push(Event::new(format!("event: {kind}\ndata: {data}\n\n"), tokens));
    }

    fn content(&mut self, kind: &str, text: &str) {
        let index = self.index;
        self.tell(
            &json!({"type": "content-start", "index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}}),
            0,
        );
        for piece in pieces(text) {
            self.tell(
                &json!({"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: piece}}}}),
                1,
            );
        }
        self.tell(&json!({"type": "content-end", "index": index}), 0);
        self.index += 1;
    }
}

/// The events of an answer.
pub(super) fn events(answer: &Answer, told: &Value) -> Vec<Event> {
    let mut teller = Teller {
        all: Vec::new(),
        index: 0,
    };
    teller.tell(
        &json!({"type": "message-start", "id": answer.seed, "delta": {"message": {"role": "assistant", "content": [],
                "tool_plan": "", "tool_calls": [], "citations": []}}}),
        0,
    );
    if let Some(thinking) = &answer.thinking {
        teller.content("thinking", thinking);
    }
    if !answer.text.is_empty() {
        teller.content("text", &answer.text);
    }
    for (index, call) in calls(answer).into_iter().enumerate() {
        let mut start = call.clone();
        start["function"]["arguments"] = json!("");
        let name = call["function"]["name"].as_str().unwrap_or_default();
        teller.tell(
            &json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": start}}}),
            count(name),
        );
        for piece in pieces(call["function"]["arguments"].as_str().unwrap_or_default()) {
            teller.tell(
                &json!({"type": "tool-call-delta", "index": index,
                        "delta": {"message": {"tool_calls": {"function": {"arguments": piece}}}}}),
                1,
            );
        }
        teller.tell(&json!({"type": "tool-call-end", "index": index}), 0);
    }
    let end = json!({"type": "message-end", "delta": {"finish_reason": finish(answer), "usage": told}});
    teller.tell(&end, 0);
    if let Some(last) = teller.all.last_mut() {
        last.told = Some(told.clone());
    }
    teller.all
}
