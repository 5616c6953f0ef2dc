//! One agent's conversation from each format to each other, whole and streamed, against files of what exactly comes out.
//!
//! `request`: instructions, a picture, reasoning, two calls at once, their results, an answer by a schema. `calls`: the
//! model's turn with reasoning and two calls. `structured`: its last one. A source is named for its format, an expected
//! file `FROM-to-TO`; with `GOLDEN=write` in the environment the expected files are written anew, to be read by a person.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::{ChatRequest, MaxTokensName, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use serde_json::{Value, json};

const FORMATS: [Format; 4] = [
    Format::OpenAiChat,
    Format::AnthropicMessages,
    Format::CohereChat,
    Format::OpenAiResponses,
];

/// Every pair of formats but those that have nothing to do with Cohere and Responses.
fn pairs() -> impl Iterator<Item = (Format, Format)> {
    let own = |format| matches!(format, Format::CohereChat | Format::OpenAiResponses);
    FORMATS
        .into_iter()
        .flat_map(|from| FORMATS.into_iter().map(move |to| (from, to)))
        .filter(move |(from, to)| from != to && (own(*from) || own(*to)))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn source(kind: &str, format: Format, extension: &str) -> Bytes {
    let file = folder().join(kind).join(format!("{}.{extension}", format.name()));
    std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        .into()
}

fn request_of(format: Format) -> ChatRequest {
    format::decode_request(format, &source("request", format, "json")).unwrap()
}

/// Compares with the file, or writes it.
fn golden(kind: &str, from: Format, to: Format, extension: &str, told: &str) {
    let file = folder()
        .join(kind)
        .join(format!("{}-to-{}.{extension}", from.name(), to.name()));
    if std::env::var_os("GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(&file, told).unwrap();
    }
    let expected =
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(told, expected, "{}", file.display());
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Times that the writer takes from the clock.
fn timeless(mut value: Value) -> Value {
    for name in ["created", "created_at"] {
        if value.get(name).is_some() {
            value[name] = json!(0);
        }
    }
    if let Some(response) = value.get_mut("response") {
        *response = timeless(response.take());
    }
    value
}

#[test]
fn a_conversation_goes_from_each_format_to_each_other() {
    for (from, to) in pairs() {
        let target = EncodeTarget {
            model: "provider-model",
            default_max_tokens: 4_096,
            max_tokens_name: MaxTokensName::MaxCompletionTokens,
            developer_role: true,
            stream_usage: true,
        };
        let encoded = format::encode_request(to, &request_of(from), &target)
            .unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}"));
        let losses: Vec<String> = encoded
            .losses
            .iter()
            .map(|loss| format!("{}: {}", loss.field, loss.note))
            .collect();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        golden(
            "request",
            from,
            to,
            "json",
            &pretty(&json!({"body": body, "losses": losses})),
        );
    }
}

#[test]
fn an_answer_goes_from_each_format_to_each_other() {
    for (from, to) in pairs() {
        for kind in ["calls", "structured"] {
            let response = format::decode_response(from, &source(kind, from, "json")).unwrap();
            let written = format::encode_answer(to, &response, &request_of(to));
            let told: Value = serde_json::from_slice(&written).unwrap();
            golden(kind, from, to, "json", &pretty(&timeless(told)));
        }
    }
}

fn events(format: Format, stream: &Bytes) -> Vec<StreamEvent> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    decoder.push(stream, &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    events
}

#[test]
fn a_stream_goes_from_each_format_to_each_other() {
    for (from, to) in pairs() {
        let request = request_of(to);
        let options = StreamEncoderOptions {
            model: request.model.clone(),
            include_usage: true,
        };
        let mut encoder = format::stream_encoder(to, options).answering(&request, from);
        let mut out = BytesMut::new();
        for event in events(from, &source("calls", from, "txt")) {
            encoder.encode(&event, &mut out);
        }
        let lines: Vec<String> = String::from_utf8(out.to_vec())
            .unwrap()
            .lines()
            .map(|line| match line.strip_prefix("data: ") {
                Some(data) if data != "[DONE]" => {
                    format!("data: {}", timeless(serde_json::from_str(data).unwrap()))
                }
                _ => line.to_owned(),
            })
            .collect();
        golden("calls", from, to, "txt", &(lines.join("\n") + "\n"));
    }
}
