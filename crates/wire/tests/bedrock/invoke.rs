//! InvokeModel: Anthropic's messages in an envelope.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{FinishReason, StreamEvent};
use pointsman_wire::format::{self, Format, StreamError, WatchOptions};
use proptest::prelude::*;
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{CLAUDE, decode, encode, message, pieces, target, unframe};

fn body() -> Value {
    json!({
        "anthropic_version": "bedrock-2023-05-31", "anthropic_beta": ["interleaved-thinking-2025-05-14"],
        "max_tokens": 2048, "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Chur?"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "11", "x": 1}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "thinking": {"type": "enabled", "budget_tokens": 1024},
        "x_unknown": {"kept": true}
    })
}

fn request(from: Format, to: Format, body: &Value) -> (Value, Vec<String>) {
    let request = format::decode_request(from, &body.to_string().into()).unwrap();
    let encoded = format::encode_request(to, &request, &target(CLAUDE)).unwrap();
    let losses = encoded.losses.iter().map(|loss| loss.field.to_string()).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), losses)
}

#[test]
fn a_request_comes_back_as_it_went() {
    let written = request(Format::BedrockInvoke, Format::BedrockInvoke, &body());
    assert_eq!(written, (body(), Vec::new()));
}

#[test]
fn the_envelope_is_put_on_and_taken_off() {
    let (opened, losses) = request(Format::BedrockInvoke, Format::AnthropicMessages, &body());
    assert_eq!(opened["model"], CLAUDE);
    assert_eq!(
        (opened.get("anthropic_version"), opened.get("anthropic_beta")),
        (None, None)
    );
    assert_eq!(opened["x_unknown"], json!({"kept": true}));
    assert_eq!(losses, ["anthropic_beta"]);
    let mut plain = opened;
    plain["stream"] = true.into();
    let (wrapped, losses) = request(Format::AnthropicMessages, Format::BedrockInvoke, &plain);
    let mut expected = body();
    expected.as_object_mut().unwrap().shift_remove("anthropic_beta");
    assert_eq!((wrapped, losses), (expected, Vec::new()));
}

#[test]
fn another_format_gets_an_envelope_too() {
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true});
    let (written, _) = request(Format::OpenAiChat, Format::BedrockInvoke, &asked);
    let expected = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]});
    assert_eq!(written, expected);
}

#[test]
fn an_answer_comes_back_as_it_went() {
    let answer = json!({"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "11"}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1, "new": 1}, "x": [1]});
    let read = format::decode_response(Format::BedrockInvoke, &answer.to_string().into()).unwrap();
    for to in [Format::BedrockInvoke, Format::AnthropicMessages] {
        let written: Value = serde_json::from_slice(&format::encode_response(to, &read)).unwrap();
        assert_eq!(written, answer);
    }
}

fn events() -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüezi"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 5}}),
        json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 20, "outputTokenCount": 5, "cacheReadInputTokenCount": 4, "cacheWriteInputTokenCount": 0}}),
    ]
}

fn stream() -> Vec<u8> {
    let mut out = BytesMut::new();
    for event in events() {
        let payload = json!({"bytes": STANDARD.encode(event.to_string()), "p": "abcdefgh"});
        message("event", "chunk", payload.to_string().as_bytes(), &mut out);
    }
    out.to_vec()
}

/// The events inside the chunks.
fn inside(bytes: &[u8]) -> Vec<Value> {
    let all = unframe(bytes);
    let decode = |event: &Value| {
        let encoded = event["chunk"]["bytes"].as_str().unwrap();
        serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap()
    };
    all.as_array().unwrap().iter().map(decode).collect()
}

#[test]
fn a_stream_comes_back_as_it_went() {
    let read = decode(Format::BedrockInvoke, &[&stream()]).unwrap();
    let mut written = inside(&encode(Format::BedrockInvoke, &read));
    // What the first event says of usage is provisional; the last but one tells it.
    written[0]["message"]["usage"] = events()[0]["message"]["usage"].clone();
    assert_eq!(written, events());
}

#[test]
fn a_stream_says_the_same_outside_of_its_envelope() {
    let read = decode(Format::BedrockInvoke, &[&stream()]).unwrap();
    let mut assembler = Assembler::new(Format::BedrockInvoke);
    read.iter().for_each(|event| assembler.push(event));
    let answer = assembler.finish().unwrap();
    assert_eq!(answer.choices[0].finish, Some(FinishReason::Stop));
    assert_eq!(
        answer.usage.map(|usage| (usage.input, usage.output)),
        Some((24, 5))
    );
    let plain = encode(Format::AnthropicMessages, &read);
    let again = decode(Format::AnthropicMessages, &[&plain]).unwrap();
    let said = |events: &[StreamEvent]| {
        let usage = |event: &&StreamEvent| !matches!(event, StreamEvent::Usage(_));
        events.iter().filter(usage).cloned().collect::<Vec<_>>()
    };
    assert_eq!(said(&again), said(&read));
}

#[test]
fn a_stream_without_its_end_is_cut() {
    let stream = stream();
    for keep in [0, 100, stream.len() / 2, stream.len() - 1] {
        assert_eq!(
            decode(Format::BedrockInvoke, &[&stream[..keep]]),
            Err(StreamError::Cut),
            "{keep}"
        );
    }
}

#[test]
fn a_chunk_that_is_not_base64_is_malformed() {
    let mut out = BytesMut::new();
    message("event", "chunk", br#"{"bytes":"***"}"#, &mut out);
    assert!(matches!(
        decode(Format::BedrockInvoke, &[&out]),
        Err(StreamError::Malformed(_))
    ));
}

proptest! {
    #[test]
    fn it_passes_in_any_cutting(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9)) {
        let stream = stream();
        let mut watcher = format::stream_watcher(Format::BedrockInvoke, WatchOptions::default());
        let (mut out, mut content) = (Vec::new(), false);
        for piece in pieces(&stream, &cuts) {
            let mut forward = SmallVec::new();
            content |= watcher.push(Bytes::copy_from_slice(piece), &mut forward).content;
            forward.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        prop_assert_eq!(out, stream);
        prop_assert!(content && watcher.is_complete());
        prop_assert_eq!(watcher.usage().map(|usage| (usage.input, usage.output)), Some((24, 5)));
    }
}
