//! A round trip through the form in one format loses nothing; a stream cut anywhere says the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::{MaxTokensName, StreamEvent};
use pointsman_wire::format::{self, EncodeTarget, Format, StreamEncoderOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    default_max_tokens: 10,
    max_tokens_name: MaxTokensName::MaxTokens,
    developer_role: true,
    stream_usage: true,
};

fn request(format: Format, body: &Value) -> Value {
    let decoded = format::decode_request(format, &Bytes::from(body.to_string()))
        .unwrap_or_else(|error| panic!("{error}: {body}"));
    let encoded = format::encode_request(format, &decoded, &TARGET).unwrap();
    assert!(encoded.losses.is_empty(), "{:?}", encoded.losses);
    serde_json::from_slice(&encoded.body).unwrap()
}

fn response(format: Format, body: &Value) -> Value {
    let decoded = format::decode_response(format, &Bytes::from(body.to_string())).unwrap();
    serde_json::from_slice(&format::encode_response(format, &decoded)).unwrap()
}

/// Values that no format knows, for fields that no format knows.
fn unknown() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zé\"\\\\ ]{0,6}".prop_map(Value::from),
        Just(json!({"a": [1, 2.5, {"b": null}]})),
    ]
}

fn with_unknown(mut object: Value, extra: Vec<(String, Value)>) -> Value {
    for (name, value) in extra {
        object[format!("x_{name}")] = value;
    }
    object
}

fn extras() -> impl Strategy<Value = Vec<(String, Value)>> {
    proptest::collection::vec(("[a-c]", unknown()), 0..3)
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Zé日\"\\\\\n{}]{1,12}"
}

fn openai_part() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        Just(
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}})
        ),
        Just(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
        Just(
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}})
        ),
        Just(json!({"type": "file", "file": {"file_id": "file-1"}})),
        Just(json!({"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}})),
        Just(json!({"type": "hologram", "hologram": {"depth": 3}})),
    ];
    (kinds, extras()).prop_map(|(part, extra)| with_unknown(part, extra))
}

fn openai_message() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        (
            prop_oneof![Just("system"), Just("developer"), Just("user")],
            text()
        )
            .prop_map(|(role, text)| json!({"role": role, "content": text})),
        proptest::collection::vec(openai_part(), 1..4)
            .prop_map(|parts| json!({"role": "user", "content": parts, "name": "Ada"})),
        text().prop_map(|text| json!({"role": "assistant", "content": text, "refusal": "no"})),
        text().prop_map(
            |arguments| json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}},
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}}]})
        ),
        Just(
            json!({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]})
        ),
        text().prop_map(
            |text| json!({"role": "assistant", "content": "a", "reasoning_content": text,
            "thinking_blocks": [{"type": "thinking", "thinking": text, "signature": "s"}]})
        ),
        text().prop_map(|text| json!({"role": "tool", "tool_call_id": "c1", "content": text})),
        text().prop_map(
            |text| json!({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": text}]})
        ),
    ];
    (kinds, extras()).prop_map(|(message, extra)| with_unknown(message, extra))
}

fn openai_request() -> impl Strategy<Value = Value> {
    let options = prop_oneof![
        Just(json!({})),
        Just(json!({"max_tokens": 5, "temperature": 0.25, "top_p": 1, "stop": "x", "stream": false})),
        Just(
            json!({"max_completion_tokens": 5, "stop": ["x", "y"], "n": 2, "seed": -3, "logprobs": true, "top_logprobs": 4,
            "logit_bias": {"50256": -100}, "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}})
        ),
        Just(
            json!({"reasoning_effort": "low", "service_tier": "flex", "user": "u", "metadata": {"k": "v"}, "store": true,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}}})
        ),
        Just(
            json!({"response_format": {"type": "json_object"}, "parallel_tool_calls": false, "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "z": 1, "a": 2.0}, "strict": true, "y": 1}},
                      {"type": "custom", "custom": {"name": "g"}}]})
        ),
        Just(
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}, "prediction": {"type": "content", "content": "c"},
            "frequency_penalty": 0.5, "presence_penalty": -0.5, "verbosity": "low", "top_k": 3})
        ),
        Just(
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}})
        ),
    ];
    (
        proptest::collection::vec(openai_message(), 1..5),
        options,
        extras(),
    )
        .prop_map(|(messages, options, extra)| {
            let mut body = json!({"model": "m", "messages": messages});
            body.as_object_mut()
                .unwrap()
                .extend(options.as_object().unwrap().clone());
            with_unknown(body, extra)
        })
}

fn anthropic_block() -> impl Strategy<Value = Value> {
    let kinds = prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        Just(
            json!({"type": "text", "text": "t", "citations": [{"type": "char_location"}], "cache_control": {"type": "ephemeral"}})
        ),
        Just(
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}})
        ),
        Just(json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})),
        Just(
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}, "title": "t", "context": "c", "citations": {"enabled": true}})
        ),
        Just(
            json!({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "x"}]}})
        ),
        Just(json!({"type": "document", "source": {"type": "file", "file_id": "f"}})),
        Just(json!({"type": "tool_use", "id": "c", "name": "f", "input": {"b": 1, "a": [1.0]}})),
        Just(json!({"type": "tool_result", "tool_use_id": "c", "content": "r", "is_error": true})),
        Just(
            json!({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]})
        ),
        Just(json!({"type": "tool_result", "tool_use_id": "c"})),
        text().prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": "s"})),
        Just(json!({"type": "redacted_thinking", "data": "x"})),
        Just(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
    ];
    (kinds, extras()).prop_map(|(block, extra)| with_unknown(block, extra))
}

fn anthropic_request() -> impl Strategy<Value = Value> {
    let message = prop_oneof![
        (
            prop_oneof![Just("user"), Just("assistant"), Just("system")],
            text()
        )
            .prop_map(|(role, text)| json!({"role": role, "content": text})),
        (
            prop_oneof![Just("user"), Just("assistant")],
            proptest::collection::vec(anthropic_block(), 1..4)
        )
            .prop_map(|(role, blocks)| json!({"role": role, "content": blocks})),
    ];
    let options = prop_oneof![
        Just(json!({})),
        Just(
            json!({"system": "s", "temperature": 0.5, "top_k": 4, "top_p": 0.9, "stop_sequences": ["x"], "stream": true})
        ),
        Just(
            json!({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"type": "text", "text": "t"}],
            "metadata": {"user_id": "u"}, "service_tier": "auto", "cache_control": {"type": "ephemeral"}})
        ),
        Just(
            json!({"metadata": {"user_id": "u", "more": 1}, "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}})
        ),
        Just(
            json!({"output_config": {"effort": "max", "unheard_of": true}, "thinking": {"type": "adaptive", "display": "omitted"}})
        ),
        Just(
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "container": "c", "mcp_servers": [{"url": "u"}],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "z": 1, "a": 2}, "strict": true, "cache_control": {"type": "ephemeral"}},
                      {"type": "custom", "name": "g", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": true}})
        ),
        Just(
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "f"}})
        ),
    ];
    (proptest::collection::vec(message, 1..5), options, extras()).prop_map(|(messages, options, extra)| {
        let mut body = json!({"model": "m", "max_tokens": 100, "messages": messages});
        body.as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        with_unknown(body, extra)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn an_openai_request_comes_back_as_it_went(body in openai_request()) {
        prop_assert_eq!(request(Format::OpenAiChat, &body), body);
    }

    #[test]
    fn an_anthropic_request_comes_back_as_it_went(body in anthropic_request()) {
        prop_assert_eq!(request(Format::AnthropicMessages, &body), body);
    }

    #[test]
    fn an_openai_answer_comes_back_as_it_went(said in text(), top in extras(), inner in extras()) {
        let message = with_unknown(json!({"role": "assistant", "content": said, "refusal": null, "annotations": []}), inner.clone());
        let choice = with_unknown(json!({"index": 0, "message": message, "logprobs": {"content": []}, "finish_reason": "stop"}), inner.clone());
        let call = json!({"index": 1, "message": {"role": "assistant", "content": null, "refusal": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": said}}]}, "logprobs": null, "finish_reason": "tool_calls"});
        let usage = with_unknown(json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}), inner);
        let body = with_unknown(json!({"id": "i", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice, call],
            "usage": usage, "service_tier": "default", "system_fingerprint": "fp"}), top);
        prop_assert_eq!(response(Format::OpenAiChat, &body), body);
    }

    #[test]
    fn an_anthropic_answer_comes_back_as_it_went(blocks in proptest::collection::vec(anthropic_block(), 0..4), top in extras()) {
        let body = with_unknown(json!({"id": "i", "type": "message", "role": "assistant", "model": "m", "content": blocks, "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2, "server_tool_use": {"web_search_requests": 1}}}), top);
        prop_assert_eq!(response(Format::AnthropicMessages, &body), body);
    }
}

const OPENAI_STREAM: &str = concat!(
    "data: {\"id\":\"i\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    ": keep-alive\n\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüezi\"}},{\"index\":1,\"delta\":{\"content\":\"Salü\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"x\\\"\"}}]}}]}\n\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}},{\"index\":1,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n",
    "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"},{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"i\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9,\"total_tokens\":12}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC_STREAM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\r\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}}\r\n\r\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"é\\\":1}\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn decode(format: Format, pieces: &[&[u8]]) -> Vec<StreamEvent> {
    let mut decoder = format::stream_decoder(format);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    decoder.finish(&mut events).unwrap();
    events
}

fn encode(format: Format, events: &[StreamEvent]) -> BytesMut {
    let mut encoder = format::stream_encoder(
        format,
        StreamEncoderOptions {
            model: "m".into(),
            include_usage: true,
        },
    );
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    out
}

/// What a stream says, without how it is cut into events.
fn said(events: &[StreamEvent]) -> Vec<(u32, String)> {
    let mut assembler = pointsman_wire::assemble::Assembler::new(Format::OpenAiChat);
    events.iter().for_each(|event| assembler.push(event));
    let answer = assembler.finish().unwrap();
    answer
        .choices
        .iter()
        .map(|choice| (choice.index, format!("{:?} {:?}", choice.parts, choice.finish)))
        .collect()
}

proptest! {
    #[test]
    fn any_cutting_decodes_to_the_same_events(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12), anthropic in any::<bool>()) {
        let (format, stream) = if anthropic { (Format::AnthropicMessages, ANTHROPIC_STREAM) } else { (Format::OpenAiChat, OPENAI_STREAM) };
        let bytes = stream.as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(format, &pieces), decode(format, &[bytes]));
    }
}

#[test]
fn what_a_stream_says_survives_encoding_in_its_own_format() {
    for (format, stream) in [
        (Format::OpenAiChat, OPENAI_STREAM),
        (Format::AnthropicMessages, ANTHROPIC_STREAM),
    ] {
        let events = decode(format, &[stream.as_bytes()]);
        assert_eq!(
            said(&decode(format, &[&encode(format, &events)])),
            said(&events),
            "{format:?}"
        );
    }
}

#[test]
fn interleaved_calls_become_blocks_one_after_another() {
    let events = decode(Format::OpenAiChat, &[OPENAI_STREAM.as_bytes()]);
    let anthropic = encode(Format::AnthropicMessages, &events);
    let again = decode(Format::AnthropicMessages, &[&anthropic]);
    let mut open = None;
    for event in &again {
        match event {
            StreamEvent::PartStart { part, .. } => assert_eq!(open.replace(*part), None, "blocks overlap"),
            StreamEvent::PartEnd { part, .. } => assert_eq!(open.take(), Some(*part)),
            _ => {}
        }
    }
    let first = |all: Vec<(u32, String)>| all.into_iter().find(|(index, _)| *index == 0).unwrap();
    assert_eq!(first(said(&again)), first(said(&events)));
}

#[test]
fn a_stream_without_its_terminator_is_cut() {
    for (format, stream, keep) in [
        (Format::OpenAiChat, OPENAI_STREAM, 600),
        (Format::AnthropicMessages, ANTHROPIC_STREAM, 1_000),
    ] {
        let mut decoder = format::stream_decoder(format);
        let mut events = Vec::new();
        decoder
            .push(&Bytes::copy_from_slice(&stream.as_bytes()[..keep]), &mut events)
            .unwrap();
        assert!(decoder.finish(&mut events).is_err(), "{format:?}");
        assert!(!events.contains(&StreamEvent::End));
    }
}

/// Written again they would stand beside their message, not in it.
#[test]
fn an_item_of_responses_is_no_part_of_a_message() {
    for kind in ["message", "reasoning", "function_call", "custom_tool_call_output"] {
        let body = json!({"model": "m", "input": [{"role": "assistant", "content": [{"type": kind, "role": "as"}]}]});
        let read = format::decode_request(Format::OpenAiResponses, &Bytes::from(body.to_string()));
        let error = read.unwrap_err();
        assert_eq!(error.param.as_deref(), Some("input[0].content[0]"), "{error}");
    }
}
