//! Pains with content: instructions, several texts, pictures, marks for caches.

use super::*;

/// Instructions in three places and shapes.
fn instructed() -> Value {
    json!({"model": "m", "messages": [
        {"role": "system", "content": "First."},
        {"role": "system", "content": [{"type": "text", "text": "Second."}, {"type": "text", "text": "Third."}]},
        {"role": "developer", "content": "Fourth."},
        {"role": "user", "content": "Go."}]})
}

#[test]
fn every_system_message_reaches_the_provider() {
    for to in FORMATS {
        let (body, _) = sent(CHAT, to, "m", &instructed());
        let (mut after, body) = (0, body.to_string());
        for text in ["First.", "Second.", "Third.", "Fourth."] {
            let at = body
                .find(text)
                .unwrap_or_else(|| panic!("{to:?} lost {text}: {body}"));
            assert!(at > after, "{to:?} tells {text} out of turn");
            after = at;
        }
        assert_eq!(body.matches("Second.").count(), 1, "{to:?}");
    }
}

#[test]
fn instructions_in_blocks_are_not_truncated() {
    // Coding agents send theirs in blocks, the last ones marked for the cache.
    let system = json!([{"type": "text", "text": "First."}, {"type": "text", "text": "Second.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Third.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
    for to in FORMATS {
        let (body, _) = sent(
            MESSAGES,
            to,
            "anthropic.claude",
            &question(MESSAGES, json!({"system": system})),
        );
        for text in ["First.", "Second.", "Third."] {
            assert_eq!(body.to_string().matches(text).count(), 1, "{to:?}: {body}");
        }
    }
}

#[test]
fn a_server_without_the_role_developer_gets_it_as_system() {
    let body = read(CHAT, &instructed());
    let old = EncodeTarget {
        developer_role: false,
        ..target("m")
    };
    let body = format::encode_request(MESSAGES, &body, &old).unwrap();
    assert!(!String::from_utf8_lossy(&body.body).contains("developer"));
    let request = read(
        RESPONSES,
        &json!({"model": "m", "instructions": "First.", "input": [{"role": "developer", "content": "Second."}, {"role": "user", "content": "Go."}]}),
    );
    let body = format::encode_request(CHAT, &request, &old).unwrap();
    let body: Value = serde_json::from_slice(&body.body).unwrap();
    assert_eq!(
        (&body["messages"][0]["role"], &body["messages"][1]["role"]),
        (&json!("system"), &json!("system")),
        "{body}"
    );
}

#[test]
fn every_text_of_an_answer_is_kept() {
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{"type": "text", "text": "One."}, {"type": "thinking", "thinking": "A.", "signature": "A=="}, {"type": "thinking", "thinking": "B.", "signature": "B=="}, {"type": "text", "text": "Two."}],
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    for to in FORMATS {
        let body = answered(MESSAGES, to, &answer).to_string();
        let (one, two) = (body.find("One."), body.find("Two."));
        assert!(one.is_some() && one < two, "{to:?}: {body}");
        assert!(
            to == COHERE || body.contains("A.") && body.contains("B."),
            "{to:?}: {body}"
        );
    }
}

#[test]
fn marks_for_the_cache_reach_every_provider_that_has_them() {
    let mark = json!({"type": "ephemeral"});
    let chat = json!({"model": "m", "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "Go.", "cache_control": mark}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}, "cache_control": mark}]});
    let messages = json!({"model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "Long.", "cache_control": mark}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Go.", "cache_control": mark}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}]});
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc";
    let point = json!({"type": "default"});
    let mut cases = Vec::new();
    for (from, request) in [(CHAT, chat), (MESSAGES, messages)] {
        cases.push(Case {
            name: "Anthropic",
            from,
            to: MESSAGES,
            model: "claude",
            request: request.clone(),
            holds: vec![
                ("/system/0/cache_control", mark.clone()),
                ("/messages/0/content/0/cache_control", mark.clone()),
                ("/tools/0/cache_control", mark.clone()),
            ],
        });
        cases.push(Case {
            name: "Bedrock, by an ARN",
            from,
            to: CONVERSE,
            model: arn,
            request: request.clone(),
            holds: vec![
                ("/system/1/cachePoint", point.clone()),
                ("/messages/0/content/1/cachePoint", point.clone()),
                ("/toolConfig/tools/1/cachePoint", point.clone()),
            ],
        });
        cases.push(Case {
            name: "a chat provider gets none",
            from: MESSAGES,
            to: RESPONSES,
            model: "gpt",
            request: question(MESSAGES, json!({"cache_control": mark})),
            holds: vec![("/cache_control", Value::Null)],
        });
    }
    check(cases);
}

#[test]
fn pictures_reach_every_provider() {
    let data = "iVBORw0KGgo=";
    let request = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "See."},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}]}]});
    let case = |name, to, holds| Case {
        name,
        from: CHAT,
        to,
        model: "m",
        request: request.clone(),
        holds,
    };
    check(vec![
        case(
            "Anthropic",
            MESSAGES,
            vec![(
                "/messages/0/content/1/source",
                json!({"type": "base64", "media_type": "image/png", "data": data}),
            )],
        ),
        case(
            "Gemini",
            GEMINI,
            vec![(
                "/contents/0/parts/1/inlineData",
                json!({"mimeType": "image/png", "data": data}),
            )],
        ),
        case(
            "Bedrock",
            CONVERSE,
            vec![(
                "/messages/0/content/1/image",
                json!({"format": "png", "source": {"bytes": data}}),
            )],
        ),
        case(
            "Responses",
            RESPONSES,
            vec![(
                "/input/0/content/1/image_url",
                json!(format!("data:image/png;base64,{data}")),
            )],
        ),
        case(
            "Cohere",
            COHERE,
            vec![(
                "/messages/0/content/1/image_url/url",
                json!(format!("data:image/png;base64,{data}")),
            )],
        ),
    ]);
}

#[test]
fn pictures_and_failures_in_results_are_not_lost() {
    let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Go."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": [{"type": "text", "text": "It broke."}, {"type": "image", "source": source}]}]}]});
    for to in FORMATS {
        let (body, losses) = sent(MESSAGES, to, "m", &body);
        let text = body.to_string();
        assert!(
            text.contains("iVBORw0KGgo=") && text.contains("It broke."),
            "{to:?}: {body}"
        );
        if matches!(to, CHAT | GEMINI | COHERE | RESPONSES) {
            assert!(
                losses.iter().any(|loss| loss.contains("is_error")),
                "{to:?}: {losses:?}"
            );
        }
    }
}

#[test]
fn a_turn_that_says_nothing_breaks_no_provider() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Go."}, {"role": "assistant", "content": ""}, {"role": "user", "content": "More."}]});
    let (anthropic, _) = sent(CHAT, MESSAGES, "claude", &body);
    let (bedrock, _) = sent(CHAT, CONVERSE, "anthropic.claude", &body);
    for (name, body) in [("Anthropic", anthropic), ("Bedrock", bedrock)] {
        let turns = body["messages"].as_array().unwrap();
        for turn in turns {
            for block in turn["content"].as_array().into_iter().flatten() {
                assert_ne!(block["text"], "", "{name}: {body}");
            }
            assert!(
                turn["content"] != "" && turn["content"] != json!([]),
                "{name}: {body}"
            );
        }
        assert!(body.to_string().contains("More."));
    }
}
