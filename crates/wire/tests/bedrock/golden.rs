//! Golden files: one agent's conversation in each direction, exactly. With `BLESS=1` what is written becomes what is
//! expected; read the difference before it is committed.

use bytes::Bytes;
use pointsman_wire::format::{self, Format};
use pointsman_wire::sse::SseDecoder;
use serde_json::{Value, json};

use super::{CLAUDE, decode, encode, folder, frame, read, target, unframe};

const DIRECTIONS: [(&str, &str); 4] = [
    ("openai", "bedrock"),
    ("anthropic", "bedrock"),
    ("bedrock", "openai"),
    ("bedrock", "anthropic"),
];

fn format_of(name: &str) -> Format {
    match name {
        "openai" => Format::OpenAiChat,
        "anthropic" => Format::AnthropicMessages,
        "bedrock" => Format::BedrockConverse,
        other => panic!("{other}"),
    }
}

fn input(sort: &str, name: &str) -> Value {
    read(&folder("golden/bedrock").join(sort).join(format!("{name}.json")))
}

fn compare(sort: &str, from: &str, to: &str, written: &Value) {
    let path = folder("golden/bedrock")
        .join(sort)
        .join(format!("{from}_to_{to}.json"));
    if std::env::var_os("BLESS").is_some() {
        let text = serde_json::to_string_pretty(written).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
    }
    let expected = read(&path);
    assert!(
        *written == expected,
        "{}:\n{}",
        path.display(),
        serde_json::to_string_pretty(written).unwrap()
    );
}

#[test]
fn requests() {
    for (from, to) in DIRECTIONS {
        let body = Bytes::from(input("request", from).to_string());
        let request = format::decode_request(format_of(from), &body).unwrap();
        let encoded = format::encode_request(format_of(to), &request, &target(CLAUDE)).unwrap();
        let losses: Vec<Value> = encoded
            .losses
            .iter()
            .map(|loss| json!({ "field": loss.field, "note": loss.note }))
            .collect();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        compare("request", from, to, &json!({ "body": body, "losses": losses }));
    }
}

#[test]
fn answers() {
    for (from, to) in DIRECTIONS {
        let body = Bytes::from(input("response", from).to_string());
        let answer = format::decode_response(format_of(from), &body).unwrap();
        let encoded = format::encode_response(format_of(to), &answer);
        compare(
            "response",
            from,
            to,
            &timeless(serde_json::from_slice(&encoded).unwrap()),
        );
    }
}

#[test]
fn streams() {
    for (from, to) in DIRECTIONS {
        let events = input("stream", from);
        let bytes = if from == "bedrock" {
            frame(&events)
        } else {
            sse(&events)
        };
        let written = encode(format_of(to), &decode(format_of(from), &[&bytes]).unwrap());
        let told = if to == "bedrock" {
            unframe(&written)
        } else {
            unsse(&written)
        };
        compare("stream", from, to, &told);
    }
}

/// Bedrock does not say when it answered.
fn timeless(mut value: Value) -> Value {
    if value.get("created").is_some() {
        value["created"] = 0.into();
    }
    value
}

fn sse(events: &Value) -> Vec<u8> {
    let mut out = String::new();
    for event in events.as_array().unwrap() {
        if let Some(kind) = event.get("type").and_then(Value::as_str) {
            out.push_str(&format!("event: {kind}\n"));
        }
        let data = event
            .as_str()
            .map_or_else(|| event.to_string(), ToOwned::to_owned);
        out.push_str(&format!("data: {data}\n\n"));
    }
    out.into_bytes()
}

fn unsse(bytes: &[u8]) -> Value {
    let mut events = Vec::new();
    SseDecoder::default()
        .push(&Bytes::copy_from_slice(bytes), &mut events)
        .unwrap();
    events
        .iter()
        .map(|event| serde_json::from_str(&event.data).map_or_else(|_| Value::from(&*event.data), timeless))
        .collect()
}
