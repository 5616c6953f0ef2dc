//! What holds for OpenAI's responses beyond a round trip: order of events, echo, failures, references, guards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::{Bytes, BytesMut};
use pointsman_wire::form::{
    ChatRequest, Failure, FailureKind, FinishReason, MaxTokensName, PartStart, StreamEvent, ToolCallKind,
    Usage,
};
use pointsman_wire::format::{
    self, EncodeTarget, Encoded, Format, StreamEncoderOptions, StreamError, WatchOptions,
};
use pointsman_wire::{failure, text};
use serde_json::{Value, json};
use smallvec::SmallVec;

const RESPONSES: Format = Format::OpenAiResponses;
const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "m",
    default_max_tokens: 4_096,
    max_tokens_name: MaxTokensName::MaxCompletionTokens,
    developer_role: true,
    stream_usage: true,
};

fn decode(format: Format, body: &Value) -> ChatRequest {
    format::decode_request(format, &Bytes::from(body.to_string())).unwrap()
}

fn body(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

/// The events of a stream, as they are written.
fn written(events: &[StreamEvent]) -> Vec<Value> {
    let options = StreamEncoderOptions {
        model: "asked".into(),
        include_usage: true,
    };
    let request = decode(
        RESPONSES,
        &json!({"model": "asked", "input": "x", "instructions": "Be brief.", "temperature": 0.5}),
    );
    let mut encoder = format::stream_encoder(RESPONSES, options).answering(&request, Format::OpenAiChat);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.encode(event, &mut out));
    let text = String::from_utf8(out.to_vec()).unwrap();
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
            data
        })
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "numbers go up by one");
    }
    events
}

fn start() -> StreamEvent {
    StreamEvent::Start {
        id: "chatcmpl/1".into(),
        model: "".into(),
        created: Some(7),
    }
}

fn begin(part: u32, start: PartStart) -> StreamEvent {
    StreamEvent::PartStart {
        choice: 0,
        part,
        start,
    }
}

fn call(id: &'static str, kind: ToolCallKind) -> PartStart {
    PartStart::ToolCall {
        id: id.into(),
        name: "f".into(),
        kind,
    }
}

fn delta(part: u32, text: &'static str) -> StreamEvent {
    StreamEvent::Delta {
        choice: 0,
        part,
        text: text.into(),
    }
}

fn end(part: u32) -> StreamEvent {
    StreamEvent::PartEnd { choice: 0, part }
}

fn finish(reason: FinishReason) -> StreamEvent {
    StreamEvent::Finish {
        choice: 0,
        reason,
        stop_sequence: None,
    }
}

/// Reasoning, a text, a refusal and two calls.
fn agent() -> Vec<StreamEvent> {
    let mut events = vec![start()];
    for (part, began, pieces) in [
        (0, PartStart::Thinking, vec!["Hm"]),
        (1, PartStart::Text, vec!["a", "b"]),
        (2, PartStart::Refusal, vec!["no"]),
        (3, call("c", ToolCallKind::Function), vec!["{}"]),
        (4, call("d", ToolCallKind::Custom), vec!["free"]),
    ] {
        events.push(begin(part, began));
        events.extend(pieces.into_iter().map(|piece| delta(part, piece)));
        events.push(end(part));
    }
    events.push(finish(FinishReason::ToolCalls));
    events.push(StreamEvent::Usage(Usage {
        input: 3,
        output: 4,
        ..Usage::default()
    }));
    events.push(StreamEvent::End);
    events
}

const IN_ORDER: &str = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
    reasoning_summary_text.done reasoning_summary_part.done output_item.done output_item.added content_part.added \
    output_text.delta output_text.delta output_text.done content_part.done content_part.added refusal.delta refusal.done \
    content_part.done output_item.done output_item.added function_call_arguments.delta function_call_arguments.done \
    output_item.done output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done completed";

#[test]
fn every_event_comes_in_its_place() {
    let events = written(&agent());
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().trim_start_matches("response."))
        .collect();
    assert_eq!(kinds.join(" "), IN_ORDER);
    // Texts and refusals that follow one another are one message.
    assert_eq!(
        (&events[14]["output_index"], &events[14]["content_index"]),
        (&json!(1), &json!(1))
    );
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["usage"]["total_tokens"], 7);
    assert_eq!(
        (&response["model"], &response["created_at"]),
        (&json!("asked"), &json!(7))
    );
    assert_eq!(
        (&response["instructions"], &response["temperature"]),
        (&json!("Be brief."), &json!(0.5))
    );
    let output = response["output"].as_array().unwrap();
    let ids: Vec<&str> = output.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [
            "rs_chatcmpl-1_0",
            "msg_chatcmpl-1_1",
            "fc_chatcmpl-1_2",
            "ctc_chatcmpl-1_3"
        ]
    );
    // Every item is at the end as it was when it was done.
    let done = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done");
    assert_eq!(
        done.map(|event| &event["item"]).collect::<Vec<_>>(),
        output.iter().collect::<Vec<_>>()
    );
}

#[test]
fn an_answer_that_was_cut_off_says_so_to_its_last_item() {
    for (reason, told) in [
        (FinishReason::Length, "max_output_tokens"),
        (FinishReason::ContentFilter, "content_filter"),
        (
            FinishReason::Other("MALFORMED_FUNCTION_CALL".into()),
            "MALFORMED_FUNCTION_CALL",
        ),
    ] {
        let events = written(&[
            start(),
            begin(0, PartStart::Text),
            delta(0, "Let me"),
            end(0),
            begin(1, call("c", ToolCallKind::Function)),
            delta(1, "{\"a\":"),
            end(1),
            finish(reason.clone()),
            StreamEvent::End,
        ]);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({"reason": told}));
        let statuses: Vec<&Value> = last["response"]["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["status"])
            .collect();
        assert_eq!(
            statuses,
            ["completed", "incomplete"],
            "no client runs a call that is cut off"
        );
    }
}

#[test]
fn calls_side_by_side_keep_their_places() {
    let events = written(&[
        start(),
        begin(0, call("a", ToolCallKind::Function)),
        begin(1, call("b", ToolCallKind::Function)),
        delta(1, "{\"b\""),
        delta(0, "{\"a\""),
        delta(1, ":1}"),
        delta(0, ":2}"),
        end(0),
        end(1),
        finish(FinishReason::ToolCalls),
        StreamEvent::End,
    ]);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(
        (&output[0]["arguments"], &output[1]["arguments"]),
        (&json!("{\"a\":2}"), &json!("{\"b\":1}"))
    );
}

#[test]
fn reasoning_that_says_nothing_is_no_item() {
    let events = written(&[
        start(),
        begin(0, PartStart::Thinking),
        end(0),
        begin(1, call("a", ToolCallKind::Function)),
        end(1),
        finish(FinishReason::ToolCalls),
        StreamEvent::End,
    ]);
    let output = events.last().unwrap()["response"]["output"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(output.len(), 1);
    assert_eq!(output[0]["arguments"], "{}");
}

#[test]
fn log_probabilities_of_chat_come_with_the_text() {
    let entry = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []});
    let logprobs = pointsman_wire::json::Json::of(&json!({"content": [entry], "refusal": null})).unwrap();
    let events = written(&[
        start(),
        begin(0, PartStart::Text),
        delta(0, "a"),
        StreamEvent::Logprobs { choice: 0, logprobs },
        end(0),
        finish(FinishReason::Stop),
        StreamEvent::End,
    ]);
    assert_eq!(
        events.last().unwrap()["response"]["output"][0]["content"][0]["logprobs"],
        json!([entry])
    );
}

#[test]
fn an_answer_has_what_the_sdk_demands() {
    let chat = json!({"id": "c", "created": 5, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]});
    let response = format::decode_response(Format::OpenAiChat, &Bytes::from(chat.to_string())).unwrap();
    let bare: Value = serde_json::from_slice(&format::encode_response(RESPONSES, &response)).unwrap();
    for field in [
        "id",
        "object",
        "created_at",
        "status",
        "error",
        "incomplete_details",
        "instructions",
        "metadata",
        "model",
        "output",
        "parallel_tool_calls",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
        "text",
        "truncation",
        "reasoning",
        "usage",
    ] {
        assert!(bare.get(field).is_some(), "{field}");
    }
    let request = decode(
        RESPONSES,
        &json!({"model": "m", "input": "x", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}, "text": {"verbosity": "low"}, "metadata": {"k": "v"}, "top_p": 0.9,
        "max_output_tokens": 77, "truncation": "auto", "reasoning": {"effort": "high"}, "parallel_tool_calls": false}),
    );
    let told: Value = serde_json::from_slice(&format::encode_answer(RESPONSES, &response, &request)).unwrap();
    assert_eq!(
        told["tools"],
        json!([{"type": "function", "name": "f", "description": null, "parameters": null, "strict": null}, {"type": "custom", "name": "g"}])
    );
    assert_eq!(told["tool_choice"]["type"], "allowed_tools");
    assert_eq!(
        (&told["text"], &told["metadata"]),
        (&json!({"verbosity": "low"}), &json!({"k": "v"}))
    );
    assert_eq!(
        (&told["top_p"], &told["max_output_tokens"], &told["truncation"]),
        (&json!(0.9), &json!(77), &json!("auto"))
    );
    assert_eq!(
        (&told["reasoning"], &told["parallel_tool_calls"]),
        (&json!({"effort": "high"}), &json!(false))
    );
}

#[test]
fn what_refers_to_what_another_provider_does_not_have_is_refused() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("background", json!(true)),
    ] {
        let request = decode(RESPONSES, &json!({"model": "m", "input": "x", field: value}));
        for to in [Format::OpenAiChat, Format::AnthropicMessages, Format::CohereChat] {
            assert_eq!(
                format::encode_request(to, &request, &TARGET).unwrap_err().field,
                field
            );
        }
        assert_eq!(
            body(&format::encode_request(RESPONSES, &request, &TARGET).unwrap())[field],
            value
        );
    }
    let said = decode(
        RESPONSES,
        &json!({"model": "m", "input": "x", "previous_response_id": null, "background": false}),
    );
    assert!(format::encode_request(Format::OpenAiChat, &said, &TARGET).is_ok());
    for (item, told) in [
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (
            json!({"input": [{"type": "item_reference", "id": "m"}]}),
            "item_reference",
        ),
        (
            json!({"input": [{"type": "web_search_call", "id": "w", "status": "completed"}]}),
            "web_search_call",
        ),
    ] {
        let mut request = json!({"model": "m", "input": "x"});
        request
            .as_object_mut()
            .unwrap()
            .extend(item.as_object().unwrap().clone());
        let request = decode(RESPONSES, &request);
        for to in [Format::OpenAiChat, Format::AnthropicMessages, Format::CohereChat] {
            let error = format::encode_request(to, &request, &TARGET).unwrap_err();
            assert!(error.field.ends_with(told), "{to:?}: {error}");
        }
    }
}

#[test]
fn what_has_no_place_in_responses_is_refused_or_told() {
    for (fields, field) in [
        (json!({"stop": ["x"]}), "stop"),
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 1}}), "logit_bias"),
    ] {
        let mut chat = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        chat.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let error =
            format::encode_request(RESPONSES, &decode(Format::OpenAiChat, &chat), &TARGET).unwrap_err();
        assert_eq!(error.field, field);
    }
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "x", "name": "Ada"}], "seed": 1, "max_tokens": 5, "frequency_penalty": 1, "prediction": {"x": 1}});
    let encoded = format::encode_request(RESPONSES, &decode(Format::OpenAiChat, &chat), &TARGET).unwrap();
    let fields: Vec<&str> = encoded.losses.iter().map(|loss| loss.field.as_ref()).collect();
    assert_eq!(
        fields,
        [
            "messages[].name",
            "frequency_penalty",
            "seed",
            "max_tokens",
            "prediction"
        ]
    );
    assert_eq!(body(&encoded)["max_output_tokens"], 16);
}

#[test]
fn custom_tools_and_allowed_tools_pass_between_openai_s_formats() {
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "custom", "custom": {"name": "g", "description": "d", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "s"}}}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]}}});
    let responses =
        body(&format::encode_request(RESPONSES, &decode(Format::OpenAiChat, &chat), &TARGET).unwrap());
    assert_eq!(
        responses["tools"],
        json!([{"type": "custom", "name": "g", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "s"}}])
    );
    assert_eq!(
        responses["tool_choice"],
        json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]})
    );
    let again =
        body(&format::encode_request(Format::OpenAiChat, &decode(RESPONSES, &responses), &TARGET).unwrap());
    assert_eq!(
        (&again["tools"], &again["tool_choice"]),
        (&chat["tools"], &chat["tool_choice"])
    );
}

#[test]
fn failures_end_a_stream_and_are_never_a_clean_end() {
    let head = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"error\":null,\"output\":[]}}\n\n";
    for (event, message) in [
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"slow down","param":null,"sequence_number":3}"#,
            "slow down",
        ),
        (
            r#"{"type":"error","error":{"message":"nested","code":"server_error"}}"#,
            "nested",
        ),
        (
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"it broke"},"usage":{"input_tokens":5,"output_tokens":1}}}"#,
            "it broke",
        ),
    ] {
        let stream = Bytes::from(format!("{head}data: {event}\n\n"));
        let mut events = Vec::new();
        format::stream_decoder(RESPONSES)
            .push(&stream, &mut events)
            .unwrap();
        assert!(
            matches!(events.last(), Some(StreamEvent::Error(failure)) if failure.message == message),
            "{events:?}"
        );
        let mut watcher = format::stream_watcher(RESPONSES, WatchOptions::default());
        let mut forward = SmallVec::new();
        let seen = watcher.push(stream, &mut forward);
        assert_eq!(seen.failure.unwrap().message, message);
        assert_eq!(forward.concat(), head.as_bytes());
        assert_eq!(
            watcher.usage().map(|usage| usage.input),
            message.starts_with("it").then_some(5)
        );
    }
    let failed = json!({"id": "r", "status": "failed", "error": {"code": "server_error", "message": "it broke"}, "output": []});
    let error = format::decode_response(RESPONSES, &Bytes::from(failed.to_string())).unwrap_err();
    assert!(error.message.ends_with("it broke"), "{error}");
}

#[test]
fn a_failure_of_ours_is_read_as_one() {
    let told = Failure::new(FailureKind::Provider, "gone").coded("stream_broken");
    let mut out = BytesMut::new();
    failure::render_event(RESPONSES, &told, "req", &mut out);
    let mut decoder = format::stream_decoder(RESPONSES);
    let mut events = Vec::new();
    decoder.push(&out.freeze(), &mut events).unwrap();
    assert!(
        matches!(&events[..], [StreamEvent::Error(failure)] if failure.message == "gone" && failure.code.as_deref() == Some("stream_broken"))
    );
    let events = written(&[start(), StreamEvent::Error(told)]);
    assert_eq!(events[2]["message"], "gone");
    assert_eq!(
        format::stream_decoder(RESPONSES).finish(&mut Vec::new()),
        Err(StreamError::Cut)
    );
}

#[test]
fn guards_see_every_text_and_what_they_change_is_sent() {
    let request = json!({"model": "m", "prompt": {"id": "p", "variables": {"v": "secret-0"}}, "instructions": "secret-1", "input": [
        {"role": "user", "content": "secret-2"},
        {"role": "user", "content": [{"type": "input_text", "text": "secret-3"}]},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "secret-4"}], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":\"secret-5\"}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "secret-6"}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "secret-7"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "secret-8"},
        {"type": "shell_call_output", "call_id": "s", "output": [{"stdout": "secret-9"}]}]});
    let mut decoded = decode(RESPONSES, &request);
    let mut seen = 0;
    text::request_texts(&decoded, |_, text| seen += text.matches("secret").count());
    assert_eq!(seen, 10);
    assert!(text::rewrite(&mut decoded, |_, text| text
        .contains("secret")
        .then(|| text.replace("secret", "hidden"))));
    let sent = body(&format::encode_request(RESPONSES, &decoded, &TARGET).unwrap());
    let mut expected: Value = serde_json::from_str(&request.to_string().replace("secret", "hidden")).unwrap();
    // Reasoning that was changed goes on without the proof of what it was.
    expected["input"][2]
        .as_object_mut()
        .unwrap()
        .remove("encrypted_content");
    assert_eq!(sent, expected);

    let answer = json!({"id": "r", "status": "completed", "model": "m", "output": [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "secret"}]},
        {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "secret", "annotations": []}]}]});
    let mut response = format::decode_response(RESPONSES, &Bytes::from(answer.to_string())).unwrap();
    assert!(text::rewrite_response(&mut response, |_, text| Some(
        text.replace("secret", "hidden")
    )));
    let told = format::encode_response(RESPONSES, &response);
    assert!(!String::from_utf8_lossy(&told).contains("secret"));
}

#[test]
fn a_body_that_is_not_a_request_says_where() {
    for (body, param) in [
        (json!({"model": "m", "input": 7}), "input"),
        (
            json!({"model": "m", "input": [{"role": "robot", "content": "x"}]}),
            "input[0].role",
        ),
        (
            json!({"model": "m", "input": [{"role": "user"}]}),
            "input[0].content",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call", "name": "f"}]}),
            "input[0].call_id",
        ),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0]",
        ),
        (
            json!({"model": "m", "input": "x", "tool_choice": "any"}),
            "tool_choice",
        ),
        (
            json!({"model": "m", "input": "x", "tools": [{"name": "f"}]}),
            "tools[0].type",
        ),
        (
            json!({"model": "m", "input": "x", "reasoning": {"effort": "lots"}}),
            "reasoning.effort",
        ),
    ] {
        let error = format::decode_request(RESPONSES, &Bytes::from(body.to_string())).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
    }
}

#[test]
fn half_a_letter_in_an_answer_breaks_nothing() {
    let body = r#"{"id": "r", "status": "completed", "model": "m", "output": [{"type": "message", "id": "m", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": [{"\ud800token": "\udfff", "logprob": -1}]}]}]}"#;
    let response = format::decode_response(RESPONSES, &Bytes::from(body)).unwrap();
    for to in [Format::OpenAiChat, Format::CohereChat, RESPONSES] {
        assert!(!format::encode_response(to, &response).is_empty());
    }
}
