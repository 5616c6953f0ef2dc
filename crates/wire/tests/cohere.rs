//! What holds for Cohere's chat beyond a round trip: counts, reasons, failures, bounds, guards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use pointsman_wire::failure::{self, FailureClass};
use pointsman_wire::form::{
    ChatRequest, Failure, FailureKind, FinishReason, MaxTokensName, StreamEvent, Usage,
};
use pointsman_wire::format::{self, EncodeError, EncodeTarget, Format, WatchOptions};
use pointsman_wire::text;
use serde_json::{Value, json};
use smallvec::SmallVec;

const COHERE: Format = Format::CohereChat;
const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "command",
    default_max_tokens: 4_096,
    max_tokens_name: MaxTokensName::MaxCompletionTokens,
    developer_role: true,
    stream_usage: true,
};

fn decode(format: Format, body: &Value) -> ChatRequest {
    format::decode_request(format, &Bytes::from(body.to_string())).unwrap()
}

/// A chat completion with these fields, as Cohere gets it.
fn from_chat(fields: Value) -> Result<(Value, Vec<String>), EncodeError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let encoded = format::encode_request(COHERE, &decode(Format::OpenAiChat, &body), &TARGET)?;
    let losses = encoded.losses.iter().map(|loss| loss.field.to_string()).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), losses))
}

fn answer(reason: &str, usage: &Value) -> Bytes {
    json!({"id": "1", "finish_reason": reason, "message": {"role": "assistant", "content": [{"type": "text", "text": "x"}]}, "usage": usage})
        .to_string()
        .into()
}

#[test]
fn what_is_billed_is_what_is_counted() {
    let usage = |usage: Value| {
        format::decode_response(COHERE, &answer("COMPLETE", &usage))
            .unwrap()
            .usage
            .unwrap()
    };
    let told = json!({"billed_units": {"input_tokens": 18.0, "output_tokens": 6, "search_units": 2}, "tokens": {"input_tokens": 1661, "output_tokens": 19}, "cached_tokens": 1600});
    assert_eq!(
        usage(told),
        Usage {
            input: 18,
            output: 6,
            cache_read: 18,
            searches: 2,
            ..Usage::default()
        }
    );
    // Servers that bill nothing tell tokens alone.
    let alone = usage(json!({"tokens": {"input_tokens": 11, "output_tokens": 3}, "cached_tokens": 4.0}));
    assert_eq!((alone.input, alone.output, alone.cache_read), (11, 3, 4));
    assert_eq!(usage(json!({})), Usage::default());
    let negative = answer("COMPLETE", &json!({"tokens": {"input_tokens": -1}}));
    assert!(format::decode_response(COHERE, &negative).is_err());
}

#[test]
fn every_reason_is_known_both_ways() {
    for (name, reason) in [
        ("COMPLETE", FinishReason::Stop),
        ("STOP_SEQUENCE", FinishReason::StopSequence),
        ("MAX_TOKENS", FinishReason::Length),
        ("TOOL_CALL", FinishReason::ToolCalls),
        ("SOMETHING_NEW", FinishReason::Other("SOMETHING_NEW".into())),
    ] {
        let response = format::decode_response(COHERE, &answer(name, &json!({}))).unwrap();
        assert_eq!(response.choices[0].finish, Some(reason));
        let again: Value = serde_json::from_slice(&format::encode_response(COHERE, &response)).unwrap();
        assert_eq!(again["finish_reason"], name);
    }
}

#[test]
fn an_answer_that_failed_is_no_answer() {
    for (name, kind) in [
        ("ERROR", FailureKind::Provider),
        ("TIMEOUT", FailureKind::ProviderTimeout),
    ] {
        let error = format::decode_response(COHERE, &answer(name, &json!({}))).unwrap_err();
        assert!(error.message.contains("provider"), "{error}");

        // What a client is told of a failure is what a provider's is read as.
        let mut told = BytesMut::new();
        failure::render_event(
            COHERE,
            &Failure::new(kind, "the model went away"),
            "req_1",
            &mut told,
        );
        let data = std::str::from_utf8(&told)
            .unwrap()
            .trim_start_matches("event: message-end\ndata: ");
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            event["delta"],
            json!({"error": "the model went away", "finish_reason": name})
        );
        let told = told.freeze();
        let mut events = Vec::new();
        let mut decoder = format::stream_decoder(COHERE);
        decoder.push(&told, &mut events).unwrap();
        assert!(
            matches!(events.last(), Some(StreamEvent::Error(failure)) if failure.kind == kind && failure.message == "the model went away")
        );
        assert!(!events.contains(&StreamEvent::End));
        let mut watcher = format::stream_watcher(COHERE, WatchOptions::default());
        let mut forward = SmallVec::new();
        let seen = watcher.push(told, &mut forward);
        assert_eq!(seen.failure.unwrap().kind, kind);
        assert!(!seen.ended && forward.is_empty() && !watcher.finish(&mut forward));
    }
}

#[test]
fn an_error_inside_a_stream_is_not_forwarded() {
    let stream = Bytes::from("data: {\"id\":\"e1\",\"message\":\"internal server error\"}\n\n");
    let mut watcher = format::stream_watcher(COHERE, WatchOptions::default());
    let seen = watcher.push(stream.clone(), &mut SmallVec::new());
    assert_eq!(seen.failure.unwrap().message, "internal server error");
    let mut events = Vec::new();
    format::stream_decoder(COHERE).push(&stream, &mut events).unwrap();
    assert!(matches!(&events[..], [StreamEvent::Error(_)]));
}

#[test]
fn failures_have_the_statuses_that_cohere_s_sdk_knows() {
    for (kind, status) in [
        (FailureKind::InvalidRequest, 400),
        (FailureKind::Authentication, 401),
        (FailureKind::PermissionDenied, 403),
        (FailureKind::NotFound, 404),
        (FailureKind::Unprocessable, 422),
        (FailureKind::RateLimited, 429),
        (FailureKind::QuotaExceeded, 429),
        (FailureKind::Internal, 500),
        (FailureKind::Overloaded, 503),
        (FailureKind::Unavailable, 503),
        (FailureKind::ProviderTimeout, 504),
    ] {
        let rendered = failure::render(COHERE, &Failure::new(kind, "why"), "req_9");
        assert_eq!(rendered.status.as_u16(), status);
        let body: Value = serde_json::from_slice(&rendered.body).unwrap();
        assert_eq!(body, json!({"id": "req_9", "message": "why"}));
    }
    for (status, kind) in [
        (400, FailureKind::InvalidRequest),
        (429, FailureKind::RateLimited),
        (498, FailureKind::InvalidRequest),
        (499, FailureKind::InvalidRequest),
        (501, FailureKind::Provider),
        (503, FailureKind::Unavailable),
        (504, FailureKind::ProviderTimeout),
    ] {
        let told = br#"{"id":"x","message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}"#;
        let failure = failure::decode(COHERE, StatusCode::from_u16(status).unwrap(), None, told);
        assert_eq!(failure.kind, kind, "{status}");
        if kind == FailureKind::InvalidRequest {
            assert_eq!(failure::classify(&failure), Some(FailureClass::ContextWindow));
        }
    }
}

#[test]
fn numbers_out_of_bounds_come_as_near_as_can_be() {
    let (body, losses) = from_chat(json!({"top_p": 1, "frequency_penalty": 1.5, "presence_penalty": -1, "seed": -7, "top_k": 900, "top_logprobs": 4, "logprobs": true})).unwrap();
    assert_eq!(body["p"], 0.99);
    assert_eq!(body["frequency_penalty"], 1);
    assert_eq!(body["presence_penalty"], 0);
    assert_eq!(
        (&body["seed"], &body["k"], &body["logprobs"]),
        (&json!(7), &json!(500), &json!(true))
    );
    assert_eq!(
        losses,
        [
            "top_logprobs",
            "top_k",
            "seed",
            "top_p",
            "frequency_penalty",
            "presence_penalty"
        ]
    );
    let (body, losses) =
        from_chat(json!({"top_p": 0.5, "frequency_penalty": 0.5, "seed": 7, "user": "u"})).unwrap();
    assert_eq!(
        (&body["p"], &body["frequency_penalty"], &body["seed"]),
        (&json!(0.5), &json!(0.5), &json!(7))
    );
    assert_eq!(losses, ["user"]);
}

#[test]
fn what_would_mean_something_else_is_refused() {
    for (fields, field) in [
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 1}}), "logit_bias"),
        (json!({"stop": ["1", "2", "3", "4", "5", "6"]}), "stop"),
        (
            json!({"tools": [{"type": "custom", "custom": {"name": "g"}}]}),
            "tools[0].type custom",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}),
            "tool_choice",
        ),
        (json!({"response_format": {"type": "grammar"}}), "response_format"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}),
            "messages[0].content[0]",
        ),
    ] {
        assert_eq!(from_chat(fields).unwrap_err().field, field);
    }
}

#[test]
fn efforts_become_budgets_and_none_is_disabled() {
    let thinking = |fields: Value| from_chat(fields).unwrap().0["thinking"].clone();
    assert_eq!(
        thinking(json!({"reasoning_effort": "none"})),
        json!({"type": "disabled"})
    );
    assert_eq!(
        thinking(json!({"reasoning_effort": "high"})),
        json!({"type": "enabled"})
    );
    assert_eq!(
        thinking(json!({"reasoning_effort": "low"})),
        json!({"type": "enabled", "token_budget": 2048})
    );
    let tight = json!({"reasoning_effort": "medium", "max_completion_tokens": 3000});
    assert_eq!(thinking(tight), json!({"type": "enabled", "token_budget": 2000}));
    assert_eq!(thinking(json!({})), Value::Null);
}

#[test]
fn arguments_that_are_no_object_are_told_as_text() {
    let call = json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{oops"}}, {"id": "b", "type": "function", "function": {"name": "f", "arguments": ""}}]}]});
    let (body, losses) = from_chat(call).unwrap();
    let calls = &body["messages"][1]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], r#"{"_raw":"{oops"}"#);
    assert_eq!(calls[1]["function"]["arguments"], "{}");
    assert_eq!(losses, ["tool_calls[].function.arguments"]);
}

#[test]
fn documents_to_be_cited_become_documents() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Oslo lies north."}, "title": "Atlas", "citations": {"enabled": true}},
        {"type": "document", "source": {"type": "content", "content": "No need to cite."}},
        {"type": "text", "text": "Where?"}]}]});
    let encoded = format::encode_request(COHERE, &decode(Format::AnthropicMessages, &body), &TARGET).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        body["documents"],
        json!([{"data": {"title": "Atlas", "text": "Oslo lies north."}}])
    );
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "No need to cite."}, {"type": "text", "text": "Where?"}])
    );
}

#[test]
fn guards_see_every_text_and_what_they_change_is_sent() {
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": "secret-1"},
        {"role": "user", "content": [{"type": "text", "text": "secret-2"}]},
        {"role": "assistant", "tool_plan": "secret-3", "content": [{"type": "thinking", "thinking": "secret-4"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"secret-5\"}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"id": "d", "data": {"k": "secret-6"}}}, {"type": "document", "document": {"data": "secret-7"}}]}],
        "documents": ["secret-8", {"id": "i", "data": {"snippet": "secret-9"}, "x": 1}, {"data": "secret-10"}]});
    let mut request = decode(COHERE, &body);
    let mut seen = 0;
    text::request_texts(&request, |_, text| seen += text.matches("secret").count());
    assert_eq!(seen, 10);
    assert!(text::rewrite(&mut request, |_, text| text
        .contains("secret")
        .then(|| text.replace("secret", "hidden"))));
    let encoded = format::encode_request(COHERE, &request, &EncodeTarget { model: "m", ..TARGET }).unwrap();
    let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
    let mut expected: Value = serde_json::from_str(&body.to_string().replace("secret", "hidden")).unwrap();
    // A document that was changed keeps its id and its text, in the shape that all of them may have.
    expected["documents"][1] = json!({"id": "i", "data": {"snippet": "hidden-9"}});
    expected["documents"][2] = json!({"data": {"text": "hidden-10"}});
    expected["messages"][3]["content"][1]["document"] = json!({"data": {"text": "hidden-7"}});
    assert_eq!(sent, expected);
}

#[test]
fn a_body_that_is_not_a_request_says_where() {
    for (body, param) in [
        (json!({"messages": []}), "model"),
        (json!({"model": "m"}), "messages"),
        (
            json!({"model": "m", "messages": [{"role": "robot", "content": "x"}]}),
            "messages[0].role",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user"}]}),
            "messages[0]",
        ),
        (
            json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"text": "x"}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"model": "m", "messages": [], "tool_choice": "auto"}),
            "tool_choice",
        ),
        (json!({"model": "m", "messages": [], "k": -1}), "k"),
        (
            json!({"model": "m", "messages": [], "documents": [{"id": "1"}]}),
            "documents[0].data",
        ),
    ] {
        let error = format::decode_request(COHERE, &Bytes::from(body.to_string())).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
    }
}
