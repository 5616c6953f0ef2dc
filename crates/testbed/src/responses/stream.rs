//! A response of OpenAI as named events with numbers.

use serde_json::{Value, json};

use super::reply;
use crate::script::{Answer, End, Question};
use crate::stream::Event;
use crate::tokens::{count, pieces};

struct Teller {
    all: Vec<Event>,
    /// Of the item that is told.
    index: usize,
}

/// The events of an answer.
pub(super) fn events(answer: &Answer, question: &Question, body: &Value, told: &Value) -> Vec<Event> {
    let mut teller = Teller {
        all: Vec::new(),
        index: 0,
    };
    let begun = reply::started(answer, question, body);
    teller.tell("response.created", json!({"response": begun}), 0);
    teller.tell("response.in_progress", json!({"response": begun}), 0);
    for item in reply::output(answer, body) {
        teller.item(&item, answer);
    }
    let kind = if answer.end == End::Length {
        "response.incomplete"
    } else {
        "response.completed"
    };
    let whole = reply::whole(answer, question, body, told);
    teller.tell(kind, json!({"response": whole}), 0);
    if let Some(last) = teller.all.last_mut() {
        last.told = Some(told.clone());
    }
    teller.all
}

impl Teller {
    fn tell(&mut self, kind: &str, fields: Value, tokens: u64) {
        let mut data = json!({"type": kind, "sequence_number": self.all.len()});
        if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
            data.extend(fields);
        }
        self.all
            .push(Event::new(format!("event: {kind}\ndata: {data}\n\n"), tokens));
    }

    /// An event of the item.
    fn of(&mut self, kind: &str, item: &Value, mut fields: Value, tokens: u64) {
        fields["item_id"] = item["id"].clone();
        fields["output_index"] = json!(self.index);
        self.tell(kind, fields, tokens);
    }

    fn item(&mut self, item: &Value, answer: &Answer) {
        let mut begun = item.clone();
        match item["type"].as_str() {
            Some("message") => begun["content"] = json!([]),
            Some("function_call") => begun["arguments"] = json!(""),
            _ => begun["summary"] = json!([]),
        }
        if item.get("status").is_some() {
            begun["status"] = json!("in_progress");
        }
        let index = self.index;
        let name = item["name"].as_str().map_or(0, count);
        self.tell(
            "response.output_item.added",
            json!({"output_index": index, "item": begun}),
            name,
        );
        match item["type"].as_str() {
            Some("message") => self.message(item),
            Some("function_call") => self.call(item),
            _ => self.reasoning(item, answer),
        }
        self.tell(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
            0,
        );
        self.index += 1;
    }

    fn message(&mut self, item: &Value) {
        let part = &item["content"][0];
        let (field, event) = if part["type"] == "refusal" {
            ("refusal", "response.refusal")
        } else {
            ("text", "response.output_text")
        };
        let mut empty = part.clone();
        empty[field] = json!("");
        self.of(
            "response.content_part.added",
            item,
            json!({"content_index": 0, "part": empty}),
            0,
        );
        let text = part[field].as_str().unwrap_or_default();
        let extra = |mut fields: Value| {
            if field == "text" {
                fields["logprobs"] = json!([]);
            }
            fields
        };
        for piece in pieces(text) {
            let fields = extra(json!({"content_index": 0, "delta": piece}));
            self.of(&format!("{event}.delta"), item, fields, 1);
        }
        let fields = extra(json!({"content_index": 0, field: text}));
        self.of(&format!("{event}.done"), item, fields, 0);
        self.of(
            "response.content_part.done",
            item,
            json!({"content_index": 0, "part": part}),
            0,
        );
    }

    fn call(&mut self, item: &Value) {
        let arguments = item["arguments"].as_str().unwrap_or_default();
        for piece in pieces(arguments) {
            self.of(
                "response.function_call_arguments.delta",
                item,
                json!({"delta": piece}),
                1,
            );
        }
        self.of(
            "response.function_call_arguments.done",
            item,
            json!({"arguments": arguments, "name": item["name"]}),
            0,
        );
    }

    fn reasoning(&mut self, item: &Value, answer: &Answer) {
        let thought = answer.thinking.as_deref().unwrap_or_default();
        let Some(part) = item["summary"].get(0) else {
            // Nobody sees it, but it was thought.
            if let Some(last) = self.all.last_mut() {
                last.tokens += count(thought);
            }
            return;
        };
        let part = part.clone();
        self.of(
            "response.reasoning_summary_part.added",
            item,
            json!({"summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
            0,
        );
        for piece in pieces(thought) {
            self.of(
                "response.reasoning_summary_text.delta",
                item,
                json!({"summary_index": 0, "delta": piece}),
                1,
            );
        }
        self.of(
            "response.reasoning_summary_text.done",
            item,
            json!({"summary_index": 0, "text": thought}),
            0,
        );
        self.of(
            "response.reasoning_summary_part.done",
            item,
            json!({"summary_index": 0, "part": part}),
            0,
        );
    }
}
