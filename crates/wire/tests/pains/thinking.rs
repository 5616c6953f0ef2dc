//! Pains with reasoning: text and proofs are shown, kept and replayed.

use super::*;

fn claude() -> Value {
    json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "SIG=="}, {"type": "redacted_thinking", "data": "UkVE"},
            {"type": "text", "text": "One."}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}],
        "usage": {"input_tokens": 1, "output_tokens": 1}})
}

/// The next request of a chat client that sends the message back as it got it.
fn next(message: &Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Go."}, message, {"role": "tool", "tool_call_id": "a", "content": "ok"}]})
}

#[test]
fn signed_thinking_is_shown_and_replayed_through_chat_clients() {
    let chat = answered(MESSAGES, CHAT, &claude());
    let message = &chat["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "Hm.");
    let (body, _) = sent(CHAT, MESSAGES, "claude", &next(message));
    assert_eq!(body["messages"][1]["content"], claude()["content"]);
}

/// What Claude says above, as a stream.
fn stream() -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    ];
    let blocks = [
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                json!({"type": "thinking_delta", "thinking": "Hm."}),
                json!({"type": "signature_delta", "signature": "SIG=="}),
            ],
        ),
        (json!({"type": "redacted_thinking", "data": "UkVE"}), vec![]),
        (
            json!({"type": "text", "text": ""}),
            vec![json!({"type": "text_delta", "text": "One."})],
        ),
        (
            json!({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
            vec![json!({"type": "input_json_delta", "partial_json": "{}"})],
        ),
    ];
    for (index, (block, deltas)) in blocks.into_iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.extend(
            deltas
                .into_iter()
                .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    events
}

#[test]
fn streamed_thinking_reaches_chat_clients_with_its_signature() {
    let chunks = streamed(MESSAGES, CHAT, &stream());
    let delta = |name: &'static str| {
        chunks.iter().filter_map(move |chunk| {
            chunk
                .pointer("/choices/0/delta")
                .and_then(|delta| delta.get(name))
                .cloned()
        })
    };
    let said: String = delta("reasoning_content")
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, "Hm.");
    let blocks: Vec<Value> = delta("thinking_blocks")
        .flat_map(|blocks| blocks.as_array().unwrap().clone())
        .collect();
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "One.", "reasoning_content": said, "thinking_blocks": blocks, "tool_calls": [call]});
    let (body, _) = sent(CHAT, MESSAGES, "claude", &next(&message));
    assert_eq!(body["messages"][1]["content"], claude()["content"]);
}

#[test]
fn signed_thinking_without_text_is_replayed() {
    // Newer models may leave out the text and send the proof alone.
    let silent = json!({"type": "thinking", "thinking": "", "signature": "SIG=="});
    let body = json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "content": [silent, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]}]});
    let (same, _) = sent(MESSAGES, MESSAGES, "claude", &body);
    assert_eq!(same["messages"][1]["content"][0], silent);
    let (bedrock, _) = sent(
        MESSAGES,
        CONVERSE,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        &body,
    );
    assert_eq!(
        bedrock["messages"][1]["content"][0]["reasoningContent"]["reasoningText"],
        json!({"text": "", "signature": "SIG=="})
    );
    let mut answer = claude();
    answer["content"][0] = silent.clone();
    let chat = answered(MESSAGES, CHAT, &answer);
    let (body, _) = sent(CHAT, MESSAGES, "claude", &next(&chat["choices"][0]["message"]));
    assert_eq!(body["messages"][1]["content"][0], silent);
}

#[test]
fn thinking_is_replayed_on_bedrock() {
    let body = json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."}, {"role": "assistant", "content": claude()["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]}]});
    let (body, _) = sent(
        MESSAGES,
        CONVERSE,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        &body,
    );
    holds(
        "Bedrock",
        &body,
        &[
            (
                "/messages/1/content/0/reasoningContent/reasoningText",
                json!({"text": "Hm.", "signature": "SIG=="}),
            ),
            ("/messages/1/content/2/text", json!("One.")),
            ("/messages/1/content/3/toolUse/toolUseId", json!("a")),
        ],
    );
    assert!(
        body["messages"][1]["content"][1]["reasoningContent"]
            .get("redactedContent")
            .is_some(),
        "{body}"
    );
}

#[test]
fn a_signature_of_a_call_survives_chat_clients() {
    let answer = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "U0lH"}]}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}, "modelVersion": "gemini", "responseId": "r"});
    let chat = answered(GEMINI, CHAT, &answer);
    let (body, _) = sent(
        CHAT,
        GEMINI,
        "gemini-3-pro-preview",
        &next(&chat["choices"][0]["message"]),
    );
    assert_eq!(body["contents"][1]["parts"][0]["thoughtSignature"], "U0lH");
}

#[test]
fn every_effort_is_taken_by_every_provider() {
    for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max"] {
        for (to, model) in [
            (MESSAGES, "claude-sonnet-4-5"),
            (GEMINI, "gemini-3-pro-preview"),
            (GEMINI, "gemini-3-flash-preview"),
            (GEMINI, "gemini-2.5-pro"),
            (GEMINI, "gemini-2.5-flash"),
            (CONVERSE, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (COHERE, "command-a-reasoning-08-2025"),
            (RESPONSES, "gpt-5"),
            (CHAT, "gpt-5"),
        ] {
            sent(
                CHAT,
                to,
                model,
                &question(CHAT, json!({"reasoning_effort": effort, "max_tokens": 30_000})),
            );
        }
    }
    let (body, _) = sent(
        CHAT,
        GEMINI,
        "gemini-3-pro-preview",
        &question(CHAT, json!({"reasoning_effort": "high"})),
    );
    let level = &body["generationConfig"]["thinkingConfig"]["thinkingLevel"];
    assert!(
        level
            .as_str()
            .is_some_and(|level| level.eq_ignore_ascii_case("high")),
        "{body}"
    );
}

#[test]
fn thinking_leaves_room_for_an_answer() {
    let (body, _) = sent(
        CHAT,
        MESSAGES,
        "claude",
        &question(CHAT, json!({"reasoning_effort": "high", "max_tokens": 4096})),
    );
    if let Some(budget) = body["thinking"]["budget_tokens"].as_u64() {
        assert!((1024..4096).contains(&budget), "{body}");
    } else {
        assert!(body["output_config"]["effort"].is_string(), "{body}");
    }
}

/// What Claude says when it thinks between its words and between its calls.
fn interleaved() -> Value {
    json!([
        {"type": "thinking", "thinking": "A", "signature": "U0E="}, {"type": "text", "text": "Öne. "},
        {"type": "thinking", "thinking": "B", "signature": "U0I="}, {"type": "redacted_thinking", "data": "UkVE"},
        {"type": "text", "text": "Two."}, {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "thinking", "thinking": "C", "signature": "U0M="}, {"type": "tool_use", "id": "b", "name": "f", "input": {}}])
}

/// The next request of a chat client after two calls.
fn after_two_calls(message: &Value) -> Value {
    let mut body = next(message);
    let result = json!({"role": "tool", "tool_call_id": "b", "content": "ok"});
    body["messages"].as_array_mut().unwrap().push(result);
    body
}

#[test]
fn thinking_between_words_and_calls_keeps_its_place_through_chat_clients() {
    let mut answer = claude();
    answer["content"] = interleaved();
    let chat = answered(MESSAGES, CHAT, &answer);
    let message = &chat["choices"][0]["message"];
    assert_eq!(message["content"], "Öne. Two.");
    let (body, _) = sent(CHAT, MESSAGES, "claude", &after_two_calls(message));
    assert_eq!(body["messages"][1]["content"], interleaved());
    // A client that has changed the words gets the thoughts to their calls all the same.
    let mut shorter = message.clone();
    shorter["content"] = json!("Ö");
    let (body, _) = sent(CHAT, MESSAGES, "claude", &after_two_calls(&shorter));
    let kinds: Vec<&str> = body["messages"][1]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect();
    let expected = [
        "thinking",
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "thinking",
        "tool_use",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn streamed_thinking_between_words_and_calls_keeps_its_place_through_chat_clients() {
    let mut events = vec![stream()[0].clone()];
    for (index, block) in interleaved().as_array().unwrap().iter().enumerate() {
        let (start, deltas) = match block["type"].as_str().unwrap() {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ],
            ),
            "text" => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": block["text"]})],
            ),
            _ => (block.clone(), vec![]),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.extend(
            deltas
                .into_iter()
                .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.extend(stream().into_iter().rev().take(2).rev());
    let mut message = json!({"role": "assistant", "content": "", "thinking_blocks": [], "tool_calls": []});
    for chunk in streamed(MESSAGES, CHAT, &events) {
        let delta = &chunk["choices"][0]["delta"];
        if let Some(text) = delta["content"].as_str() {
            message["content"] = json!(message["content"].as_str().unwrap().to_owned() + text);
        }
        for list in ["thinking_blocks", "tool_calls"] {
            let more = delta[list].as_array().cloned().unwrap_or_default();
            message[list].as_array_mut().unwrap().extend(more);
        }
    }
    let (body, _) = sent(CHAT, MESSAGES, "claude", &after_two_calls(&message));
    assert_eq!(body["messages"][1]["content"], interleaved());
}

#[test]
fn thinking_of_every_turn_stays_with_its_calls() {
    let turn = |id: &str| {
        json!({"role": "assistant", "content": null, "reasoning_content": id,
            "thinking_blocks": [{"type": "thinking", "thinking": id, "signature": format!("{id}{id}==")}],
            "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "ok"});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Go."},
        turn("aa"), result("aa"), turn("bb"), result("bb"), turn("cc"), result("cc")]});
    for (to, model, signature) in [
        (MESSAGES, "claude", "/signature"),
        (
            CONVERSE,
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "/reasoningContent/reasoningText/signature",
        ),
    ] {
        let (body, _) = sent(CHAT, to, model, &body);
        for (at, id) in [(1, "aa"), (3, "bb"), (5, "cc")] {
            let block = &body["messages"][at]["content"][0];
            assert_eq!(
                block.pointer(signature),
                Some(&json!(format!("{id}{id}=="))),
                "{to:?}: {body}"
            );
        }
    }
}

#[test]
fn reasoning_that_nobody_signed_has_the_field_and_is_not_replayed_to_claude() {
    let chat = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "reasoning_content": "Hm.", "content": "One."}}]});
    let answer = answered(CHAT, MESSAGES, &chat);
    // Official clients and the Vercel SDK demand a signature of every block.
    assert_eq!(
        answer["content"][0],
        json!({"type": "thinking", "thinking": "Hm.", "signature": ""})
    );
    let next = json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": "On."}]});
    assert!(
        pointsman_wire::seal::is_in(&read(MESSAGES, &next)),
        "such a body does not pass as it came"
    );
    for to in [MESSAGES, CONVERSE] {
        let (body, _) = sent(MESSAGES, to, "anthropic.claude-sonnet-4-5-20250929-v1:0", &next);
        let said = body["messages"][1]["content"].as_array().unwrap();
        assert_eq!(said.len(), 1, "{to:?}: {body}");
        assert_eq!(said[0]["text"], "One.", "{to:?}");
    }
    let (body, _) = sent(MESSAGES, CHAT, "m", &next);
    assert_eq!(body["messages"][1]["reasoning_content"], "Hm.");
}

#[test]
fn a_level_of_thinking_leaves_half_of_the_answer() {
    for (to, budget, most) in [
        (MESSAGES, "/thinking/budget_tokens", 1024),
        (
            CONVERSE,
            "/additionalModelRequestFields/thinking/budget_tokens",
            1024,
        ),
        (COHERE, "/thinking/token_budget", 1000),
    ] {
        let body = question(
            CHAT,
            json!({"reasoning_effort": "low", "max_completion_tokens": 2000}),
        );
        let (body, _) = sent(CHAT, to, "anthropic.claude-sonnet-4-5-20250929-v1:0", &body);
        assert_eq!(body.pointer(budget), Some(&json!(most)), "{to:?}: {body}");
    }
}

#[test]
fn thinking_reaches_claude_behind_a_name_that_does_not_tell() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc";
    let body = json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "content": claude()["content"]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "ok"}]}]});
    let (body, losses) = sent(MESSAGES, CONVERSE, arn, &body);
    holds(
        "by an ARN",
        &body,
        &[
            (
                "/additionalModelRequestFields/thinking",
                json!({"type": "enabled", "budget_tokens": 2000}),
            ),
            (
                "/messages/1/content/0/reasoningContent/reasoningText",
                json!({"text": "Hm.", "signature": "SIG=="}),
            ),
        ],
    );
    assert!(losses.is_empty(), "{losses:?}");
}
