//! Gemini's format and the others: one agent's conversation from each to each, exactly.
//!
//! `UPDATE_GOLDEN=1` writes what came out; read the difference before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::fs;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use pointsman_wire::sse::SseDecoder;
use serde_json::{Value, json};

use Format::{AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/gemini")
        .join(name)
}

fn read(name: &str) -> Bytes {
    fs::read(path(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .into()
}

fn is_golden(name: &str, found: &Value) {
    let name = format!("{name}.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(&name), format!("{found:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_slice(&read(&name)).unwrap();
    assert_eq!(*found, expected, "{name} became\n{found:#}");
}

/// What `source` becomes in `to`, with what is lost.
fn request(from: Format, source: &str, to: Format, model: &str) -> Value {
    let mut request = format::decode_request(from, &read(source)).unwrap();
    if to == OpenAiResponses {
        // Refused there.
        request.sampling.stop.clear();
    }
    let target = EncodeTarget {
        model,
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        developer_role: false,
        stream_usage: true,
    };
    let encoded = format::encode_request(to, &request, &target).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let losses: Vec<String> = encoded
        .losses
        .iter()
        .map(|loss| format!("{}: {}", loss.field, loss.note))
        .collect();
    json!({"body": body, "losses": losses})
}

fn response(from: Format, source: &str, to: Format) -> Value {
    let response = format::decode_response(from, &read(source)).unwrap();
    timeless(serde_json::from_slice(&format::encode_response(to, &response)).unwrap())
}

fn stream(from: Format, source: &str, to: Format) -> Value {
    let mut decoder = format::stream_decoder(from);
    let mut events = Vec::new();
    decoder.push(&read(source), &mut events).unwrap();
    decoder.finish(&mut events).unwrap();
    let options = StreamEncoderOptions {
        model: "asked".into(),
        include_usage: true,
    };
    let asked = match to {
        GeminiGenerate => r#"{"contents":[]}"#,
        _ => r#"{"model":"asked","max_tokens":9,"messages":[]}"#,
    };
    let asked = format::decode_request(to, &Bytes::from_static(asked.as_bytes())).unwrap();
    let mut encoder = format::stream_encoder(to, options).answering(&asked, from);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let mut sse = Vec::new();
    SseDecoder::default().push(&out.freeze(), &mut sse).unwrap();
    sse.iter()
        .map(|event| {
            serde_json::from_str(&event.data).map_or_else(|_| json!(event.data.to_string()), timeless)
        })
        .collect()
}

/// Without the time: providers that tell none get that of now.
fn timeless(mut body: Value) -> Value {
    if let Some(created) = body.get_mut("created") {
        *created = json!(0);
    }
    body
}

#[test]
fn openai_to_gemini() {
    let source = "openai.request.json";
    is_golden(
        "openai_to_gemini_2_5.request",
        &request(OpenAiChat, source, GeminiGenerate, "gemini-2.5-flash"),
    );
    is_golden(
        "openai_to_gemini_3.request",
        &request(OpenAiChat, source, GeminiGenerate, "gemini-3-pro-preview"),
    );
    let structured = "openai_structured.request.json";
    is_golden(
        "openai_to_gemini_structured.request",
        &request(OpenAiChat, structured, GeminiGenerate, "gemini-2.5-flash"),
    );
}

#[test]
fn anthropic_to_gemini() {
    let source = "anthropic.request.json";
    is_golden(
        "anthropic_to_gemini_2_5.request",
        &request(AnthropicMessages, source, GeminiGenerate, "gemini-2.5-pro"),
    );
    is_golden(
        "anthropic_to_gemini_3.request",
        &request(AnthropicMessages, source, GeminiGenerate, "gemini-3-flash"),
    );
}

#[test]
fn gemini_to_the_others() {
    let source = "gemini.request.json";
    is_golden(
        "gemini_to_openai.request",
        &request(GeminiGenerate, source, OpenAiChat, "gpt-5"),
    );
    is_golden(
        "gemini_to_anthropic.request",
        &request(GeminiGenerate, source, AnthropicMessages, "claude"),
    );
    is_golden(
        "gemini_to_responses.request",
        &request(GeminiGenerate, source, OpenAiResponses, "gpt-5"),
    );
}

#[test]
fn answers_in_each_direction() {
    is_golden(
        "gemini_to_openai.response",
        &response(GeminiGenerate, "gemini.response.json", OpenAiChat),
    );
    is_golden(
        "gemini_to_anthropic.response",
        &response(GeminiGenerate, "gemini.response.json", AnthropicMessages),
    );
    is_golden(
        "openai_to_gemini.response",
        &response(OpenAiChat, "openai.response.json", GeminiGenerate),
    );
    is_golden(
        "anthropic_to_gemini.response",
        &response(AnthropicMessages, "anthropic.response.json", GeminiGenerate),
    );
}

#[test]
fn streams_in_each_direction() {
    is_golden(
        "gemini_to_openai.stream",
        &stream(GeminiGenerate, "gemini.stream.txt", OpenAiChat),
    );
    is_golden(
        "gemini_to_anthropic.stream",
        &stream(GeminiGenerate, "gemini.stream.txt", AnthropicMessages),
    );
    is_golden(
        "openai_to_gemini.stream",
        &stream(OpenAiChat, "openai.stream.txt", GeminiGenerate),
    );
    is_golden(
        "anthropic_to_gemini.stream",
        &stream(AnthropicMessages, "anthropic.stream.txt", GeminiGenerate),
    );
}

/// An answer's signatures go to a client of another format and come back with its next request.
#[test]
fn signatures_survive_clients_of_other_formats() {
    let answer = format::decode_response(GeminiGenerate, &read("gemini.response.json")).unwrap();
    let target = EncodeTarget {
        model: "gemini-3-pro-preview",
        default_max_tokens: 10,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        stream_usage: true,
    };
    for client in [OpenAiChat, AnthropicMessages] {
        let told: Value = serde_json::from_slice(&format::encode_response(client, &answer)).unwrap();
        let said = match client {
            OpenAiChat => told["choices"][0]["message"].clone(),
            _ => json!({"role": "assistant", "content": told["content"]}),
        };
        let next =
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}, said]});
        let request = format::decode_request(client, &Bytes::from(next.to_string())).unwrap();
        let encoded = format::encode_request(GeminiGenerate, &request, &target).unwrap();
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        let parts = body["contents"][1]["parts"].as_array().unwrap();
        let calls: Vec<&Value> = parts
            .iter()
            .filter(|part| part.get("functionCall").is_some())
            .collect();
        assert_eq!(calls[0]["thoughtSignature"], "CpcBAdHt", "{client:?}: {body:#}");
        assert_eq!(calls[1].get("thoughtSignature"), None, "{client:?}");
    }
}

/// The other way: a client of this format keeps Anthropic's signature.
#[test]
fn foreign_signatures_survive_clients_of_this_format() {
    let told = response(AnthropicMessages, "anthropic.response.json", GeminiGenerate);
    let next =
        json!({"contents": [{"role": "user", "parts": [{"text": "go"}]}, told["candidates"][0]["content"]]});
    let request = format::decode_request(GeminiGenerate, &Bytes::from(next.to_string())).unwrap();
    let target = EncodeTarget {
        model: "claude",
        default_max_tokens: 10,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        stream_usage: true,
    };
    let encoded = format::encode_request(AnthropicMessages, &request, &target).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["messages"][1]["content"][0]["signature"], "ErUBCkYIBxgC+/a=");
    // Gemini itself does not get it.
    let encoded = format::encode_request(
        GeminiGenerate,
        &request,
        &EncodeTarget {
            model: "gemini-3-pro",
            ..target
        },
    )
    .unwrap();
    let body = String::from_utf8(encoded.body.to_vec()).unwrap();
    assert!(!body.contains("ErUBCkYIBxgC"), "{body}");
    assert_eq!(encoded.losses.len(), 1);
}

#[test]
fn what_cannot_be_sent_is_refused_by_name() {
    let target = EncodeTarget {
        model: "gemini-2.5-flash",
        default_max_tokens: 10,
        max_tokens_name: MaxTokensName::MaxTokens,
        developer_role: false,
        stream_usage: true,
    };
    let ask = |mut body: Value| {
        body["model"] = json!("m");
        if body.get("messages").is_none() {
            body["messages"] = json!([{"role": "user", "content": "x"}]);
        }
        let request = format::decode_request(OpenAiChat, &Bytes::from(body.to_string())).unwrap();
        format::encode_request(GeminiGenerate, &request, &target).map_err(|error| error.field)
    };
    for (body, field) in [
        (json!({"stop": ["1", "2", "3", "4", "5", "6"]}), "stop"),
        (json!({"n": 9}), "n"),
        (json!({"logit_bias": {"7": 1}}), "logit_bias"),
        (
            json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]}),
            "tools[0].type custom",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "response_format": {"type": "json_object"}}),
            "response_format",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}),
            "messages[0].content[0] of type hologram",
        ),
    ] {
        assert_eq!(ask(body.clone()).unwrap_err(), field, "{body}");
    }
    assert!(ask(json!({"stop": ["1", "2", "3", "4", "5"], "n": 8})).is_ok());
}
