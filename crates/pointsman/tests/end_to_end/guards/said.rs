//! What an answer says, put together from whatever pieces it came in.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Fields that hold text of an answer, or a piece of it.
const TEXTS: [&str; 7] = [
    "content",
    "text",
    "arguments",
    "partial_json",
    "delta",
    "input",
    "args",
];

/// The texts of all answers, by their number, those of a text and those of calls one after another.
pub fn said(body: &[u8]) -> BTreeMap<u64, String> {
    let mut all = BTreeMap::new();
    for value in documents(body) {
        gather(&value, 0, false, &mut all);
    }
    all
}

/// Every JSON document of a body: one, or one an event, or one a frame, with whatever stands between.
fn documents(body: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(next) = body[at..].iter().position(|byte| matches!(byte, b'{')) {
        at += next;
        let mut read = serde_json::Deserializer::from_slice(&body[at..]).into_iter::<Value>();
        match read.next() {
            Some(Ok(value)) => {
                at += read.byte_offset();
                let inner = value.get("bytes").and_then(Value::as_str);
                match inner.and_then(|inner| STANDARD.decode(inner).ok()) {
                    Some(inner) => all.extend(documents(&inner)),
                    None => all.push(value),
                }
            }
            _ => at += 1,
        }
    }
    all
}

fn gather(value: &Value, choice: u64, taken: bool, all: &mut BTreeMap<u64, String>) {
    match value {
        Value::String(text) if taken => all.entry(choice).or_default().push_str(text),
        Value::Array(values) => values.iter().for_each(|value| gather(value, choice, taken, all)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "choices" || name == "candidates" {
                    for one in value.as_array().into_iter().flatten() {
                        let number = one["index"].as_u64().unwrap_or_default();
                        gather(one, number, false, all);
                    }
                } else if matches!(value, Value::Object(_)) && matches!(name.as_str(), "args" | "input") {
                    all.entry(choice).or_default().push_str(&value.to_string());
                } else {
                    gather(value, choice, TEXTS.contains(&name.as_str()), all);
                }
            }
        }
        _ => {}
    }
}
