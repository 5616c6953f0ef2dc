//! What official SDKs do to what they are told before they send it back, and what providers refuse of it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use pointsman_wire::form::MaxTokensName;
use pointsman_wire::format::{self, EncodeTarget, Format};
use pointsman_wire::seal;
use serde_json::{Value, json};

use Format::{AnthropicMessages, BedrockConverse, CohereChat, GeminiGenerate, OpenAiChat, OpenAiResponses};

/// What a request becomes, for OpenAI's own server or a compatible one, and what is left out of it.
fn sent(from: Format, body: &Value, to: Format, own_server: bool) -> (Value, Vec<String>) {
    let request = format::decode_request(from, &body.to_string().into()).unwrap();
    let target = EncodeTarget {
        model: "anthropic.claude-haiku-4-5",
        default_max_tokens: 4_096,
        max_tokens_name: MaxTokensName::MaxCompletionTokens,
        developer_role: own_server,
        stream_usage: true,
    };
    let encoded = format::encode_request(to, &request, &target).unwrap();
    let losses = encoded.losses.iter().map(|loss| loss.field.to_string()).collect();
    (serde_json::from_slice(&encoded.body).unwrap(), losses)
}

#[test]
fn googles_sdk_writes_base64_in_the_other_alphabet() {
    let body = json!({"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "-_8="}}]}]});
    let (chat, _) = sent(GeminiGenerate, &body, OpenAiChat, true);
    assert_eq!(
        chat["messages"][0]["content"][0]["image_url"]["url"],
        "data:image/png;base64,+/8="
    );
}

#[test]
fn a_thought_that_was_streamed_comes_back_whole_with_its_signature() {
    // Google's SDK keeps each piece as a part; a signature of another provider is sealed.
    let sealed = seal::seal(AnthropicMessages, &seal::Proof::Thinking("c2ln".into()));
    let gemini = json!({"contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": [
            {"text": "Let me ", "thought": true},
            {"text": "think.", "thought": true},
            {"text": "", "thought": true, "thoughtSignature": sealed.replace('+', "-").replace('/', "_")},
            {"text": "y"},
            {"text": " "},
            {"text": "z"}
        ]},
        {"role": "user", "parts": [{"text": "z"}]}
    ]});
    // OpenAI's gathers the text of a thought in one field and its signature in another.
    let chat = json!({"model": "m", "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "y z", "reasoning_content": "Let me think.",
         "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]},
        {"role": "user", "content": "z"}
    ]});
    for (from, body) in [(GeminiGenerate, gemini), (OpenAiChat, chat)] {
        let (claude, _) = sent(from, &body, AnthropicMessages, true);
        assert_eq!(
            claude["messages"][1]["content"],
            json!([{"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"}, {"type": "text", "text": "y z"}])
        );
    }
}

#[test]
fn marks_of_the_cache_go_only_to_servers_that_know_them() {
    let mark = json!({"type": "ephemeral"});
    let body = json!({
        "model": "m", "max_tokens": 10,
        "system": [{"type": "text", "text": "s", "cache_control": mark}],
        "tools": [{"name": "t", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {}, "cache_control": mark}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "cache_control": mark,
                "content": [{"type": "text", "text": "r", "cache_control": mark}]}]}
        ]
    });
    let (own, losses) = sent(AnthropicMessages, &body, OpenAiChat, true);
    assert!(!own.to_string().contains("cache_control"), "{own}");
    assert_eq!(losses, ["cache_control"]);
    let (compatible, losses) = sent(AnthropicMessages, &body, OpenAiChat, false);
    assert_eq!(compatible["messages"][0]["content"][0]["cache_control"], mark);
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn calls_without_a_signed_thought_are_not_thought_on_from() {
    let thinking = |from: &str| match from {
        "open" => {
            json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "t", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "r"}])
        }
        _ => {
            json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}])
        }
    };
    for (loop_, to, expected) in [
        ("open", AnthropicMessages, false),
        ("open", BedrockConverse, false),
        ("closed", AnthropicMessages, true),
        ("closed", BedrockConverse, true),
    ] {
        let body = json!({
            "model": "m", "max_tokens": 4_000, "thinking": {"type": "enabled", "token_budget": 2_000}, "messages": thinking(loop_),
            "tools": [{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]
        });
        let (sent, losses) = sent(CohereChat, &body, to, true);
        let place = sent
            .get("thinking")
            .or(sent.pointer("/additionalModelRequestFields/thinking"));
        assert_eq!(place.is_some(), expected, "{loop_} {to:?}: {sent}");
        let told = losses.iter().any(|loss| loss == "reasoning_effort");
        assert!(told || expected, "{losses:?}");
    }
}

#[test]
fn reasoning_that_comes_back_to_responses_is_an_item_with_an_id() {
    let sealed = seal::seal(OpenAiResponses, &seal::Proof::Thinking("gAAAA".into()));
    let body = json!({"model": "m", "max_tokens": 10, "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": sealed.to_string()}, {"type": "text", "text": "y"}]},
        {"role": "user", "content": "z"}
    ]});
    let (responses, _) = sent(AnthropicMessages, &body, OpenAiResponses, true);
    let item = &responses["input"][1];
    assert_eq!(item["encrypted_content"], "gAAAA");
    assert!(
        item["id"].as_str().is_some_and(|id| id.starts_with("rs_")),
        "{item}"
    );
}
