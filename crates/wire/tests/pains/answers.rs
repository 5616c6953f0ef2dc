//! Pains with answers: reasons, errors, ids.

use super::usage::answer;
use super::*;
use pointsman_wire::failure;
use pointsman_wire::form::FailureKind;

fn chat(reason: &str) -> Value {
    let mut body = answer(
        CHAT,
        json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
    );
    body["choices"][0]["finish_reason"] = json!(reason);
    body
}

fn messages(reason: &str) -> Value {
    let mut body = answer(MESSAGES, json!({"input_tokens": 1, "output_tokens": 1}));
    body["stop_reason"] = json!(reason);
    body
}

#[test]
fn reasons_to_stop_are_told_in_the_clients_words() {
    for (reason, there) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ] {
        assert_eq!(
            answered(MESSAGES, CHAT, &messages(reason))["choices"][0]["finish_reason"],
            there,
            "{reason}"
        );
    }
    for (reason, there) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
    ] {
        assert_eq!(
            answered(CHAT, MESSAGES, &chat(reason))["stop_reason"],
            there,
            "{reason}"
        );
    }
    let gemini = |reason: &str| {
        let mut body = answer(GEMINI, json!({"promptTokenCount": 1, "candidatesTokenCount": 1}));
        body["candidates"][0]["finishReason"] = json!(reason);
        body
    };
    for (reason, there) in [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
    ] {
        assert_eq!(
            answered(GEMINI, CHAT, &gemini(reason))["choices"][0]["finish_reason"],
            there,
            "{reason}"
        );
    }
    let bedrock = |reason: &str| {
        let mut body = answer(
            CONVERSE,
            json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}),
        );
        body["stopReason"] = json!(reason);
        body
    };
    for (reason, there) in [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ] {
        assert_eq!(
            answered(CONVERSE, CHAT, &bedrock(reason))["choices"][0]["finish_reason"],
            there,
            "{reason}"
        );
    }
}

#[test]
fn every_answer_has_id_model_and_time() {
    let mut bare = answer(GEMINI, json!({"promptTokenCount": 1, "candidatesTokenCount": 1}));
    for name in ["responseId", "modelVersion"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    let bedrock = answer(
        CONVERSE,
        json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}),
    );
    for (from, body) in [
        (GEMINI, bare),
        (CONVERSE, bedrock),
        (MESSAGES, messages("end_turn")),
    ] {
        let chat = answered(from, CHAT, &body);
        assert!(
            chat["id"].as_str().is_some_and(|id| !id.is_empty()),
            "{from:?}: {chat}"
        );
        assert!(
            chat["model"].as_str().is_some_and(|model| !model.is_empty()),
            "{from:?}: {chat}"
        );
        assert!(
            chat["created"].is_u64() && chat["object"] == "chat.completion",
            "{from:?}: {chat}"
        );
        let message = answered(from, MESSAGES, &body);
        assert!(
            message["id"].as_str().is_some_and(|id| !id.is_empty()),
            "{from:?}: {message}"
        );
        assert_eq!(
            (&message["type"], &message["role"]),
            (&json!("message"), &json!("assistant")),
            "{from:?}"
        );
    }
}

#[test]
fn errors_have_the_types_of_the_clients_format() {
    let body =
        br#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    let failure = failure::decode(CHAT, http::StatusCode::TOO_MANY_REQUESTS, None, body);
    assert_eq!(failure.kind, FailureKind::RateLimited);
    let told: Value = serde_json::from_slice(&failure::render(MESSAGES, &failure, "req_1").body).unwrap();
    holds(
        "Anthropic",
        &told,
        &[
            ("/type", json!("error")),
            ("/error/type", json!("rate_limit_error")),
            ("/error/message", json!("slow down")),
        ],
    );
    let told: Value = serde_json::from_slice(&failure::render(GEMINI, &failure, "req_1").body).unwrap();
    holds(
        "Gemini",
        &told,
        &[
            ("/error/code", json!(429)),
            ("/error/status", json!("RESOURCE_EXHAUSTED")),
        ],
    );
}

#[test]
fn errors_that_are_no_json_have_a_kind_by_their_status() {
    for (status, there) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (503, "overloaded_error"),
    ] {
        let failure = failure::decode(
            CHAT,
            http::StatusCode::from_u16(status).unwrap(),
            None,
            b"<html>Bad</html>",
        );
        let told: Value = serde_json::from_slice(&failure::render(MESSAGES, &failure, "r").body).unwrap();
        assert_eq!(told["error"]["type"], there, "{status}: {told}");
    }
}
