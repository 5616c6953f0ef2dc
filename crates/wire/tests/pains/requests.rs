//! Pains with parameters: dropped, invented, or sent to who refuses them.

use super::*;

#[test]
fn sampling_and_stops_reach_every_provider() {
    let request = question(
        CHAT,
        json!({"temperature": 0.5, "top_p": 0.9, "stop": "x", "max_tokens": 100}),
    );
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
            vec![
                ("/temperature", json!(0.5)),
                ("/stop_sequences", json!(["x"])),
                ("/max_tokens", json!(100)),
            ],
        ),
        case(
            "Gemini",
            GEMINI,
            vec![
                ("/generationConfig/temperature", json!(0.5)),
                ("/generationConfig/topP", json!(0.9)),
                ("/generationConfig/stopSequences", json!(["x"])),
                ("/generationConfig/maxOutputTokens", json!(100)),
            ],
        ),
        case(
            "Bedrock",
            CONVERSE,
            vec![(
                "/inferenceConfig",
                json!({"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]}),
            )],
        ),
        case(
            "Cohere",
            COHERE,
            vec![
                ("/temperature", json!(0.5)),
                ("/p", json!(0.9)),
                ("/stop_sequences", json!(["x"])),
                ("/max_tokens", json!(100)),
            ],
        ),
    ]);
}

#[test]
fn top_k_reaches_every_provider_that_has_it() {
    let request = question(MESSAGES, json!({"top_k": 7}));
    for (to, at) in [
        (MESSAGES, "/top_k"),
        (GEMINI, "/generationConfig/topK"),
        (COHERE, "/k"),
        (CONVERSE, "/additionalModelRequestFields/top_k"),
    ] {
        let (body, _) = sent(
            MESSAGES,
            to,
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            &request,
        );
        holds("top_k", &body, &[(at, json!(7))]);
    }
}

#[test]
fn who_gives_no_limit_gets_the_default_and_never_zero() {
    let (body, _) = sent(CHAT, MESSAGES, "claude", &question(CHAT, json!({})));
    assert_eq!(body["max_tokens"], 4_096);
    let (body, _) = sent(CHAT, GEMINI, "gemini", &question(CHAT, json!({})));
    assert_eq!(body.pointer("/generationConfig/maxOutputTokens"), None);
}

#[test]
fn a_temperature_too_high_is_lowered_and_told() {
    let (body, losses) = sent(
        CHAT,
        MESSAGES,
        "claude",
        &question(CHAT, json!({"temperature": 1.7})),
    );
    assert_eq!(body["temperature"], 1);
    assert!(
        losses.iter().any(|loss| loss.starts_with("temperature: ")),
        "{losses:?}"
    );
}

#[test]
fn the_limit_has_the_name_that_the_server_knows() {
    let asked = read(MESSAGES, &question(MESSAGES, json!({"max_tokens": 77})));
    for (name, there, not) in [
        (
            MaxTokensName::MaxCompletionTokens,
            "max_completion_tokens",
            "max_tokens",
        ),
        (MaxTokensName::MaxTokens, "max_tokens", "max_completion_tokens"),
    ] {
        let target = EncodeTarget {
            max_tokens_name: name,
            ..target("m")
        };
        let body = format::encode_request(CHAT, &asked, &target).unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body[there], body.get(not)), (&json!(77), None), "{body}");
    }
    let both = question(CHAT, json!({"max_tokens": 5, "max_completion_tokens": 9}));
    assert_eq!(sent(CHAT, MESSAGES, "claude", &both).0["max_tokens"], 9);
}

#[test]
fn what_a_provider_rejects_is_not_sent_to_it() {
    let request = question(
        CHAT,
        json!({"stream": true, "stream_options": {"include_usage": true}, "seed": 1, "presence_penalty": 0.1, "store": true,
        "service_tier": "flex", "logit_bias": null, "safety_identifier": "u"}),
    );
    for to in [MESSAGES, GEMINI, CONVERSE, COHERE] {
        let (body, _) = sent(CHAT, to, "m", &request);
        for name in [
            "stream_options",
            "store",
            "safety_identifier",
            "logit_bias",
            "service_tier",
        ] {
            assert_eq!(body.get(name), None, "{to:?}: {body}");
        }
    }
    let (body, losses) = sent(CHAT, MESSAGES, "claude", &request);
    assert_eq!((body.get("seed"), body.get("presence_penalty")), (None, None));
    for name in ["seed", "presence_penalty", "store", "safety_identifier"] {
        assert!(
            losses.iter().any(|loss| loss.starts_with(name)),
            "{name} was left out in silence: {losses:?}"
        );
    }
    let old = EncodeTarget {
        stream_usage: false,
        ..target("m")
    };
    let body = format::encode_request(
        CHAT,
        &read(MESSAGES, &question(MESSAGES, json!({"stream": true}))),
        &old,
    )
    .unwrap()
    .body;
    assert!(!String::from_utf8_lossy(&body).contains("stream_options"));
}

#[test]
fn usage_is_asked_for_in_streams_and_kept_from_who_did_not_ask() {
    for from in [CHAT, MESSAGES, GEMINI] {
        let mut request = read(from, &question(from, json!({})));
        request.stream.enabled = true;
        // So the gateway asks for its own sake.
        request.stream.include_usage = true;
        let body = format::encode_request(CHAT, &request, &target("m")).unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body["stream_options"]["include_usage"],
            json!(true),
            "{from:?}: {body}"
        );
    }
    let counts = json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12});
    let events = bytes(CHAT, &usage::stream(CHAT, &["Hi."], counts));
    let mut watcher = format::stream_watcher(CHAT, WatchOptions { strip_usage: true });
    let mut forward = SmallVec::new();
    watcher.push(events.into(), &mut forward);
    let told = String::from_utf8(forward.concat()).unwrap();
    assert!(
        !told.contains("prompt_tokens") && told.ends_with("data: [DONE]\n\n"),
        "{told}"
    );
    assert_eq!(watcher.usage().unwrap().output, 3);
}

#[test]
fn null_parameters_are_absent_ones() {
    let nulls = json!({"temperature": null, "top_p": null, "stop": null, "max_tokens": null, "max_completion_tokens": null, "tools": null, "tool_choice": null,
        "response_format": null, "seed": null, "user": null, "stream": null, "stream_options": null, "reasoning_effort": null, "logit_bias": null, "n": null});
    for to in FORMATS {
        let (with, _) = sent(CHAT, to, "m", &question(CHAT, nulls.clone()));
        if to != CHAT {
            let (without, _) = sent(CHAT, to, "m", &question(CHAT, json!({})));
            assert_eq!(with, without, "{to:?}");
        }
    }
}

#[test]
fn structured_answers_do_not_depend_on_the_models_name() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}}, "required": []});
    let request = question(
        CHAT,
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
    );
    let mut closed = schema.clone();
    closed["additionalProperties"] = json!(false);
    for model in ["claude-brand-new-9", "my-alias"] {
        let (body, _) = sent(CHAT, MESSAGES, model, &request);
        assert_eq!(
            body["output_config"]["format"],
            json!({"type": "json_schema", "schema": closed}),
            "{body}"
        );
    }
    let (body, _) = sent(CHAT, GEMINI, "gemini-9", &request);
    holds(
        "Gemini",
        &body,
        &[
            ("/generationConfig/responseMimeType", json!("application/json")),
            ("/generationConfig/responseJsonSchema", schema.clone()),
        ],
    );
    let (body, _) = sent(CHAT, RESPONSES, "gpt", &request);
    assert_eq!(body["text"]["format"]["schema"], schema);
}

#[test]
fn json_mode_is_refused_where_there_is_none() {
    let (field, message) = refused(
        CHAT,
        MESSAGES,
        &question(CHAT, json!({"response_format": {"type": "json_object"}})),
    );
    assert_eq!(field, "response_format");
    assert!(message.contains("json_schema"), "what to do instead: {message}");
}

#[test]
fn native_fields_pass_to_their_own_provider() {
    for (format, more) in [
        (
            GEMINI,
            json!({"cachedContent": "cachedContents/1", "labels": {"team": "a"}, "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}),
        ),
        (
            MESSAGES,
            json!({"context_management": {"edits": []}, "container": "c", "metadata": {"user_id": "u"}, "unheard_of": {"a": []}}),
        ),
        (
            CONVERSE,
            json!({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}, "requestMetadata": {"a": "b"}, "performanceConfig": {"latency": "optimized"}}),
        ),
        (
            CHAT,
            json!({"prompt_cache_key": "k", "safety_identifier": "s", "verbosity": "low", "web_search_options": {}, "unheard_of": [null]}),
        ),
        (
            RESPONSES,
            json!({"include": ["reasoning.encrypted_content"], "truncation": "auto", "unheard_of": {}}),
        ),
        (
            COHERE,
            json!({"safety_mode": "NONE", "citation_options": {"mode": "OFF"}, "unheard_of": {}}),
        ),
    ] {
        let (body, losses) = sent(format, format, "m", &question(format, more.clone()));
        for (name, value) in more.as_object().unwrap() {
            assert_eq!(body.get(name), Some(value), "{format:?}: {body}");
        }
        assert_eq!(losses, [""; 0], "{format:?}");
    }
}

#[test]
fn prompts_in_a_list_are_all_read() {
    let body = json!({"model": "m", "prompt": ["one", "two"], "max_tokens": 5});
    let format = Format::OpenAiCompletions;
    let (sent, _) = sent(format, format, "m", &body);
    assert_eq!(sent["prompt"], body["prompt"]);
}

#[test]
fn the_end_user_is_told_where_there_is_a_field() {
    let (body, _) = sent(CHAT, MESSAGES, "claude", &question(CHAT, json!({"user": "u-1"})));
    assert_eq!(body["metadata"]["user_id"], "u-1");
    let (body, _) = sent(
        MESSAGES,
        CHAT,
        "gpt",
        &question(MESSAGES, json!({"metadata": {"user_id": "u-1"}})),
    );
    assert_eq!(body["user"], "u-1");
}

#[test]
fn background_work_is_refused_by_a_provider_without_it() {
    for to in [CHAT, MESSAGES, GEMINI] {
        let (field, _) = refused(RESPONSES, to, &question(RESPONSES, json!({"background": true})));
        assert_eq!(field, "background");
    }
}

#[test]
fn schemas_are_told_as_each_provider_takes_them() {
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let mut shut = open.clone();
    shut["additionalProperties"] = json!(false);
    let asked =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": open}}});
    let (body, losses) = sent(CHAT, MESSAGES, "claude", &question(CHAT, asked.clone()));
    assert_eq!(body["output_config"]["format"]["schema"], shut);
    assert!(losses.iter().any(|loss| loss.contains("closed")), "{losses:?}");
    let claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let (body, _) = sent(CHAT, CONVERSE, claude, &question(CHAT, asked));
    let schema = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    assert_eq!(
        schema
            .as_str()
            .map(|text| serde_json::from_str::<Value>(text).unwrap()),
        Some(shut)
    );
    // OpenAI cannot be bound to what leaves anything open: told not to be, it follows all the same as well as it can.
    let gemini =
        json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": open}});
    let (body, _) = sent(GEMINI, CHAT, "gpt", &question(GEMINI, gemini.clone()));
    assert_eq!(body["response_format"]["json_schema"]["strict"], json!(false));
    let (body, _) = sent(GEMINI, RESPONSES, "gpt", &question(GEMINI, gemini));
    assert_eq!(body["text"]["format"]["strict"], json!(false));
    let tools = json!({"strict_tools": true, "tools": [{"type": "function", "function": {"name": "f", "parameters": open}}]});
    let (body, _) = sent(COHERE, CHAT, "gpt", &question(COHERE, tools));
    assert_eq!(body["tools"][0]["function"]["strict"], json!(false));
    // A model without strict tools refuses the field even when it says no.
    let loose = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": open, "strict": false}}]});
    let (body, _) = sent(CHAT, MESSAGES, "claude", &question(CHAT, loose));
    assert_eq!(body["tools"][0].get("strict"), None);
}

#[test]
fn claude_is_not_told_a_temperature_and_top_p_at_once() {
    let both = json!({"temperature": 0.5, "top_p": 0.9});
    let (body, losses) = sent(CHAT, MESSAGES, "claude", &question(CHAT, both.clone()));
    assert_eq!((&body["temperature"], body.get("top_p")), (&json!(0.5), None));
    assert!(losses.iter().any(|loss| loss.starts_with("top_p")), "{losses:?}");
    let claude = "anthropic.claude-sonnet-4-5-20250929-v1:0";
    let (body, _) = sent(CHAT, CONVERSE, claude, &question(CHAT, both.clone()));
    assert_eq!(body["inferenceConfig"], json!({"temperature": 0.5}));
    let (body, _) = sent(CHAT, CONVERSE, "amazon.nova-pro-v1:0", &question(CHAT, both));
    assert_eq!(body["inferenceConfig"], json!({"temperature": 0.5, "topP": 0.9}));
    let (body, _) = sent(CHAT, MESSAGES, "claude", &question(CHAT, json!({"top_p": 0.9})));
    assert_eq!(body["top_p"], json!(0.9));
}
