//! What users of other gateways complain about, one test a pain; `docs/pains.md` lists them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

mod answers;
mod content;
mod requests;
mod streams;
mod table;
mod thinking;
mod tools;
mod usage;

use bytes::{Bytes, BytesMut};
use pointsman_wire::eventstream::{HeaderValue, write_message};
use pointsman_wire::form::{ChatRequest, MaxTokensName, StreamEvent, Usage};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions, StreamError, WatchOptions};
use serde_json::{Value, json};
use smallvec::SmallVec;

use Format::{
    AnthropicMessages as MESSAGES, BedrockConverse as CONVERSE, CohereChat as COHERE,
    GeminiGenerate as GEMINI, OpenAiChat as CHAT, OpenAiResponses as RESPONSES,
};

/// The formats a conversation can be told in.
const FORMATS: [Format; 6] = [CHAT, RESPONSES, MESSAGES, GEMINI, CONVERSE, COHERE];

/// One thing that must hold of a request that goes from one format to another.
struct Case {
    name: &'static str,
    from: Format,
    to: Format,
    model: &'static str,
    request: Value,
    /// Where, and what is there; `null` where nothing may be.
    holds: Vec<(&'static str, Value)>,
}

fn target(model: &str) -> EncodeTarget<'_> {
    EncodeTarget {
        model,
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        developer_role: true,
        stream_usage: true,
    }
}

fn read(format: Format, body: &Value) -> ChatRequest {
    format::decode_request(format, &Bytes::from(body.to_string()))
        .unwrap_or_else(|error| panic!("{format:?}: {error}: {body}"))
}

/// The body that the provider gets, and what is told of losses.
fn sent(from: Format, to: Format, model: &str, body: &Value) -> (Value, Vec<String>) {
    let encoded = format::encode_request(to, &read(from, body), &target(model))
        .unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error:?}: {body}"));
    let losses = encoded
        .losses
        .iter()
        .map(|loss| format!("{}: {}", loss.field, loss.note));
    (serde_json::from_slice(&encoded.body).unwrap(), losses.collect())
}

/// The field at fault, and why.
fn refused(from: Format, to: Format, body: &Value) -> (String, String) {
    let error = format::encode_request(to, &read(from, body), &target("m")).expect_err(&body.to_string());
    (error.field, error.message)
}

fn check(cases: Vec<Case>) {
    for case in cases {
        let (body, _) = sent(case.from, case.to, case.model, &case.request);
        holds(case.name, &body, &case.holds);
    }
}

fn holds(name: &str, body: &Value, expected: &[(&str, Value)]) {
    for (at, value) in expected {
        let there = body.pointer(at).unwrap_or(&Value::Null);
        assert_eq!(there, value, "{name}: {at} of {body}");
    }
}

/// A question in the format, with `more` in it.
fn question(format: Format, more: Value) -> Value {
    let mut body = match format {
        RESPONSES => json!({"model": "m", "input": "Go."}),
        GEMINI => json!({"contents": [{"role": "user", "parts": [{"text": "Go."}]}]}),
        CONVERSE => json!({"messages": [{"role": "user", "content": [{"text": "Go."}]}]}),
        MESSAGES => {
            json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."}]})
        }
        _ => json!({"model": "m", "messages": [{"role": "user", "content": "Go."}]}),
    };
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

/// What the client of `to` gets of the answer that a provider of `from` gave.
fn answered(from: Format, to: Format, body: &Value) -> Value {
    let response = format::decode_response(from, &Bytes::from(body.to_string()))
        .unwrap_or_else(|error| panic!("{from:?}: {error}: {body}"));
    let bytes = format::encode_answer(to, &response, &read(to, &question(to, json!({}))));
    serde_json::from_slice(&bytes).unwrap()
}

/// Server-sent events, unnamed or named by their `type`.
fn sse(format: Format, events: &[Value]) -> String {
    let mut out = String::new();
    for event in events {
        if matches!(format, MESSAGES | RESPONSES | COHERE) {
            out += &format!("event: {}\n", event["type"].as_str().unwrap());
        }
        out += &format!("data: {event}\n\n");
    }
    if format == CHAT {
        out += "data: [DONE]\n\n";
    }
    out
}

/// Messages of an event stream, each an object of one field that names it.
fn frames(events: &[Value]) -> Vec<Vec<u8>> {
    let string = |text: &str| HeaderValue::String(text.into());
    let frame = |event: &Value| {
        let (name, payload) = event.as_object().unwrap().iter().next().unwrap();
        let mut out = BytesMut::new();
        let headers = [
            (":event-type", string(name)),
            (":content-type", string("application/json")),
            (":message-type", string("event")),
        ];
        write_message(&headers, payload.to_string().as_bytes(), &mut out).unwrap();
        out.to_vec()
    };
    events.iter().map(frame).collect()
}

fn bytes(format: Format, events: &[Value]) -> Vec<u8> {
    match format {
        CONVERSE => frames(events).concat(),
        _ => sse(format, events).into_bytes(),
    }
}

fn decoded(format: Format, bytes: &[u8]) -> Result<Vec<StreamEvent>, StreamError> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    decoder.push(&Bytes::copy_from_slice(bytes), &mut events)?;
    decoder.finish(&mut events)?;
    Ok(events)
}

fn encoded(from: Format, to: Format, events: &[StreamEvent]) -> Vec<u8> {
    let options = StreamEncoderOptions {
        model: "asked".into(),
        include_usage: true,
    };
    let request = read(to, &question(to, json!({})));
    let mut encoder = format::stream_encoder(to, options).answering(&request, from);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out.to_vec()
}

/// The data of the events that the client gets.
fn streamed(from: Format, to: Format, events: &[Value]) -> Vec<Value> {
    data(&encoded(from, to, &decoded(from, &bytes(from, events)).unwrap()))
}

fn data(bytes: &[u8]) -> Vec<Value> {
    let data = |line: &str| serde_json::from_str(line.strip_prefix("data: ")?).ok();
    std::str::from_utf8(bytes)
        .unwrap()
        .lines()
        .filter_map(data)
        .collect()
}

/// What was used, as the watcher of a passing stream saw it.
fn metered(format: Format, events: &[Value]) -> Usage {
    let mut watcher = format::stream_watcher(format, WatchOptions::default());
    let seen = watcher.push(bytes(format, events).into(), &mut SmallVec::new());
    assert_eq!(seen.failure, None);
    assert!(watcher.finish(&mut SmallVec::new()), "the stream is whole");
    watcher.usage().unwrap()
}

/// What was used, as the reader of a translated stream says it: the last count holds.
fn last_usage(format: Format, events: &[Value]) -> Usage {
    let last = |event| match event {
        StreamEvent::Usage(usage) => Some(usage),
        _ => None,
    };
    let events = decoded(format, &bytes(format, events)).unwrap();
    events.into_iter().filter_map(last).next_back().unwrap()
}
