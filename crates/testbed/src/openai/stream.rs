//! A chat completion or a completion as a stream of chunks.

use serde_json::{Value, json};

use super::reply::{calls, finish};
use crate::script::{Answer, Question};
use crate::stream::Event;
use crate::tokens::{count, pieces};

struct Teller<'a> {
    answer: &'a Answer,
    question: &'a Question,
    /// The usage has been asked for.
    usage: bool,
    all: Vec<Event>,
}

/// The chunks of an answer.
pub(super) fn events(answer: &Answer, question: &Question, usage: Option<&Value>, text: bool) -> Vec<Event> {
    let mut teller = Teller {
        answer,
        question,
        usage: usage.is_some(),
        all: Vec::new(),
    };
    for index in 0..question.choices {
        if text {
            teller.text(index);
        } else {
            teller.chat(index);
        }
    }
    if let Some(usage) = usage {
        let chunk = teller.chunk(json!([]), text, Some(usage));
        teller.all.push(Event::new(chunk, 0).telling(usage));
    }
    teller.all.push(Event::new("data: [DONE]\n\n", 0));
    teller.all
}

impl Teller<'_> {
    fn chunk(&self, choices: Value, text: bool, usage: Option<&Value>) -> String {
        let (mark, kind) = if text {
            ("cmpl", "text_completion")
        } else {
            ("chatcmpl", "chat.completion.chunk")
        };
        let mut chunk = json!({"id": format!("{mark}-{}", self.answer.seed), "object": kind, "created": 1_700_000_000,
                               "model": crate::routes::plain_model(&self.question.model),
                               "service_tier": "default", "system_fingerprint": "fp_sim", "choices": choices});
        if self.usage {
            chunk["usage"] = usage.cloned().unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    }

    fn text(&mut self, index: u64) {
        for piece in pieces(&self.answer.text) {
            let choice = json!([{"index": index, "text": piece, "logprobs": null, "finish_reason": null}]);
            self.all.push(Event::new(self.chunk(choice, true, None), 1));
        }
        let last =
            json!([{"index": index, "text": "", "logprobs": null, "finish_reason": finish(self.answer)}]);
        self.all.push(Event::new(self.chunk(last, true, None), 0));
    }

    fn delta(&mut self, index: u64, delta: Value, tokens: u64) {
        let choice = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]);
        self.all.push(Event::new(self.chunk(choice, false, None), tokens));
    }

    fn chat(&mut self, index: u64) {
        let answer = self.answer;
        self.delta(
            index,
            json!({"role": "assistant", "content": "", "refusal": null}),
            0,
        );
        for piece in answer.thinking.iter().flat_map(|thinking| pieces(thinking)) {
            self.delta(index, json!({"reasoning_content": piece}), 1);
        }
        let field = if answer.refusal { "refusal" } else { "content" };
        for piece in pieces(&answer.text) {
            self.delta(index, json!({field: piece}), 1);
        }
        self.calls(index);
        let last = json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": finish(answer)}]);
        self.all.push(Event::new(self.chunk(last, false, None), 0));
    }

    fn call_begins(&mut self, index: u64, at: usize, call: &Value) {
        let mut start = call.clone();
        start["index"] = json!(at);
        start["function"]["arguments"] = json!("");
        let name = call["function"]["name"].as_str().unwrap_or_default();
        self.delta(index, json!({"tool_calls": [start]}), count(name));
    }

    fn call_goes_on(&mut self, index: u64, at: usize, piece: &str) {
        let call = json!({"index": at, "function": {"arguments": piece}});
        self.delta(index, json!({"tool_calls": [call]}), 1);
    }

    fn calls(&mut self, index: u64) {
        let calls = calls(self.answer);
        // The format allows it, and some servers do it: parallel calls in turns.
        if self.question.last_text.contains("call tools") {
            return self.calls_in_turns(index, &calls);
        }
        for (at, call) in calls.iter().enumerate() {
            self.call_begins(index, at, call);
            for piece in pieces(call["function"]["arguments"].as_str().unwrap_or_default()) {
                self.call_goes_on(index, at, &piece);
            }
        }
    }

    fn calls_in_turns(&mut self, index: u64, calls: &[Value]) {
        for (at, call) in calls.iter().enumerate() {
            self.call_begins(index, at, call);
        }
        let mut rests: Vec<Vec<String>> = calls
            .iter()
            .map(|call| pieces(call["function"]["arguments"].as_str().unwrap_or_default()))
            .collect();
        while rests.iter().any(|rest| !rest.is_empty()) {
            for (at, rest) in rests.iter_mut().enumerate().filter(|(_, rest)| !rest.is_empty()) {
                let piece = rest.remove(0);
                self.call_goes_on(index, at, &piece);
            }
        }
    }
}
