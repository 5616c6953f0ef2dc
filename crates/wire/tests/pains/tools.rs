//! Pains with tools: order, indexes, choices, schemas, results.

use super::*;
use pointsman_wire::form::ChatResponse;

/// Two calls as OpenAI streams them, with their arguments interleaved.
fn two_calls_of_chat() -> Vec<Value> {
    let chunk = |delta: Value, reason: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let call = |index: u32, id: &str, name: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let more = |index: u32, text: &str| json!({"index": index, "function": {"arguments": text}});
    vec![
        chunk(json!({"role": "assistant", "content": null}), Value::Null),
        chunk(json!({"tool_calls": [call(0, "a", "one")]}), Value::Null),
        chunk(json!({"tool_calls": [call(1, "b", "two")]}), Value::Null),
        // Arguments come interleaved.
        chunk(json!({"tool_calls": [more(0, "{\"x\":")]}), Value::Null),
        chunk(json!({"tool_calls": [more(1, "{\"y\":")]}), Value::Null),
        chunk(json!({"tool_calls": [more(0, "1}"), more(1, "2}")]}), Value::Null),
        chunk(json!({}), json!("tool_calls")),
    ]
}

/// The answer of a model that calls two tools side by side, as a stream.
fn two_calls(format: Format) -> Vec<Value> {
    match format {
        CHAT => two_calls_of_chat(),
        MESSAGES => {
            let mut events = vec![
                json!({"type": "message_start", "message": {"id": "c", "type": "message", "role": "assistant",
                "model": "claude", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            ];
            for (index, id, name, argument) in [(0, "a", "one", "{\"x\":1}"), (1, "b", "two", "{\"y\":2}")] {
                let (head, tail) = argument.split_at(5);
                events.extend([
                    json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}}),
                    json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": head}}),
                    json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": tail}}),
                    json!({"type": "content_block_stop", "index": index}),
                ]);
            }
            events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}));
            events.push(json!({"type": "message_stop"}));
            events
        }
        GEMINI => vec![
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"functionCall": {"id": "a", "name": "one", "args": {"x": 1}}},
            {"functionCall": {"id": "b", "name": "two", "args": {"y": 2}}}]}}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 9, "totalTokenCount": 10}, "modelVersion": "gemini", "responseId": "c"}),
        ],
        CONVERSE => {
            let mut events = vec![json!({"messageStart": {"role": "assistant"}})];
            for (index, id, name, argument) in [(0, "a", "one", "{\"x\":1}"), (1, "b", "two", "{\"y\":2}")] {
                events.extend([
                    json!({"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}}}),
                    json!({"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": argument}}}}),
                    json!({"contentBlockStop": {"contentBlockIndex": index}}),
                ]);
            }
            events.push(json!({"messageStop": {"stopReason": "tool_use"}}));
            events.push(
                json!({"metadata": {"usage": {"inputTokens": 1, "outputTokens": 9, "totalTokens": 10}}}),
            );
            events
        }
        COHERE => {
            let mut events = vec![
                json!({"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}),
            ];
            for (index, id, name, argument) in [(0, "a", "one", "{\"x\":1}"), (1, "b", "two", "{\"y\":2}")] {
                events.extend([
                    json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}}}}),
                    json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": {"function": {"arguments": argument}}}}}),
                    json!({"type": "tool-call-end", "index": index}),
                ]);
            }
            events.push(json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {"input_tokens": 1, "output_tokens": 9}}}}));
            events
        }
        _ => panic!("{format:?}"),
    }
}

/// A call as an SDK puts it together: its key in the stream, id, name, arguments.
type Call = (Value, String, String, String);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn grow(calls: &mut [Call], key: &Value, more: &Value) {
    let call = calls
        .iter_mut()
        .find(|call| call.0 == *key)
        .expect("a call that began");
    call.3 += more.as_str().unwrap_or_default();
}

fn calls_of_chat(events: &[Value]) -> Vec<Call> {
    let mut calls = Vec::new();
    let parts = |event: &'_ Value| {
        event
            .pointer("/choices/0/delta/tool_calls")
            .and_then(Value::as_array)
            .cloned()
    };
    for call in events.iter().filter_map(parts).flatten() {
        let function = &call["function"];
        if call.get("id").is_some() {
            assert_eq!(call["type"], "function");
            calls.push((
                call["index"].clone(),
                text(&call["id"]),
                text(&function["name"]),
                String::new(),
            ));
        }
        grow(&mut calls, &call["index"], &function["arguments"]);
    }
    let indexes: Vec<u64> = calls.iter().map(|call| call.0.as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1], "indexes count from zero");
    calls
}

fn calls_of_messages(events: &[Value]) -> Vec<Call> {
    let (mut calls, mut open) = (Vec::new(), None);
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(open.replace(event["index"].clone()), None, "one block at a time");
                let block = &event["content_block"];
                assert_eq!(block["input"], json!({}));
                calls.push((
                    event["index"].clone(),
                    text(&block["id"]),
                    text(&block["name"]),
                    String::new(),
                ));
            }
            "content_block_delta" => {
                assert_eq!(open.as_ref(), Some(&event["index"]));
                grow(&mut calls, &event["index"], &event["delta"]["partial_json"]);
            }
            "content_block_stop" => assert_eq!(open.take().as_ref(), Some(&event["index"])),
            _ => {}
        }
    }
    calls
}

fn calls_of_responses(events: &[Value]) -> Vec<Call> {
    let mut calls = Vec::new();
    for event in events {
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                let item = &event["item"];
                assert_eq!(item["type"], "function_call");
                calls.push((
                    event["output_index"].clone(),
                    text(&item["call_id"]),
                    text(&item["name"]),
                    String::new(),
                ));
            }
            "response.function_call_arguments.delta" => {
                grow(&mut calls, &event["output_index"], &event["delta"]);
            }
            _ => {}
        }
    }
    calls
}

fn calls_of_gemini(events: &[Value]) -> Vec<Call> {
    let parts = |event: &'_ Value| {
        event
            .pointer("/candidates/0/content/parts")
            .and_then(Value::as_array)
            .cloned()
    };
    let parts = events.iter().filter_map(parts).flatten();
    let call = |part: Value| {
        let call = part.get("functionCall")?;
        Some((
            Value::Null,
            text(&call["id"]),
            text(&call["name"]),
            call["args"].to_string(),
        ))
    };
    parts.filter_map(call).collect()
}

#[test]
fn parallel_tool_calls_keep_their_indexes() {
    let expected = [("a", "one", json!({"x": 1})), ("b", "two", json!({"y": 2}))];
    for provider in [CHAT, MESSAGES, GEMINI, CONVERSE, COHERE] {
        for (client, calls_of) in [
            (CHAT, calls_of_chat as fn(&[Value]) -> Vec<Call>),
            (MESSAGES, calls_of_messages),
            (RESPONSES, calls_of_responses),
            (GEMINI, calls_of_gemini),
        ] {
            let calls = calls_of(&streamed(provider, client, &two_calls(provider)));
            assert_eq!(calls.len(), 2, "{provider:?} to {client:?}: {calls:?}");
            for ((_, id, name, arguments), expected) in calls.iter().zip(&expected) {
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                assert_eq!(
                    (id.as_str(), name.as_str(), arguments),
                    *expected,
                    "{provider:?} to {client:?}"
                );
            }
        }
    }
}

#[test]
fn a_streamed_call_ends_with_the_reason_of_calls() {
    for provider in [CHAT, MESSAGES, GEMINI, CONVERSE, COHERE] {
        let chat = streamed(provider, CHAT, &two_calls(provider));
        let reason = |event: &Value| {
            event
                .pointer("/choices/0/finish_reason")
                .cloned()
                .filter(|reason| !reason.is_null())
        };
        let reasons: Vec<Value> = chat.iter().filter_map(reason).collect();
        assert_eq!(reasons, ["tool_calls"], "{provider:?}");
        let messages = streamed(provider, MESSAGES, &two_calls(provider));
        let stop = messages
            .iter()
            .find(|event| event["type"] == "message_delta")
            .unwrap();
        assert_eq!(stop["delta"]["stop_reason"], "tool_use", "{provider:?}");
    }
}

/// Two rounds of calls, the first with two side by side.
fn rounds() -> Value {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    json!({"model": "m", "messages": [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": null, "tool_calls": [call("a", "one", "{\"x\":1}"), call("b", "two", "{}")]},
        {"role": "tool", "tool_call_id": "b", "content": "second"},
        {"role": "tool", "tool_call_id": "a", "content": "first"},
        {"role": "assistant", "tool_calls": [call("c", "one", "{}")]},
        {"role": "tool", "tool_call_id": "c", "content": "third"}],
        "tools": [{"type": "function", "function": {"name": "one", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": "two", "parameters": {"type": "object"}}}]})
}

#[test]
fn results_of_parallel_calls_are_one_turn() {
    check(vec![
        Case {
            name: "Anthropic",
            from: CHAT,
            to: MESSAGES,
            model: "claude",
            request: rounds(),
            holds: vec![
                (
                    "/messages/1/content/0",
                    json!({"type": "tool_use", "id": "a", "name": "one", "input": {"x": 1}}),
                ),
                ("/messages/2/role", json!("user")),
                ("/messages/2/content/0/tool_use_id", json!("b")),
                ("/messages/2/content/1/tool_use_id", json!("a")),
                ("/messages/3/content/0/id", json!("c")),
                ("/messages/4/content/0/tool_use_id", json!("c")),
                ("/messages/5", Value::Null),
            ],
        },
        Case {
            name: "Gemini, by the names of the functions",
            from: CHAT,
            to: GEMINI,
            model: "gemini-2.5-pro",
            request: rounds(),
            holds: vec![
                ("/contents/2/parts/0/functionResponse/name", json!("two")),
                ("/contents/2/parts/1/functionResponse/name", json!("one")),
                ("/contents/4/parts/0/functionResponse/name", json!("one")),
                ("/contents/5", Value::Null),
            ],
        },
        Case {
            name: "Bedrock",
            from: CHAT,
            to: CONVERSE,
            model: "amazon.nova-pro-v1:0",
            request: rounds(),
            holds: vec![
                ("/messages/2/content/0/toolResult/toolUseId", json!("b")),
                ("/messages/2/content/1/toolResult/toolUseId", json!("a")),
                ("/messages/4/content/0/toolResult/toolUseId", json!("c")),
                ("/messages/5", Value::Null),
            ],
        },
        Case {
            name: "Cohere",
            from: CHAT,
            to: COHERE,
            model: "command",
            request: rounds(),
            holds: vec![
                ("/messages/2/tool_call_id", json!("b")),
                ("/messages/3/tool_call_id", json!("a")),
                ("/messages/5/tool_call_id", json!("c")),
            ],
        },
    ]);
}

#[test]
fn a_tool_result_without_its_call_is_told_by_name() {
    let orphan = json!({"model": "m", "messages": [{"role": "user", "content": "Go."}, {"role": "tool", "tool_call_id": "lost", "content": "x"}]});
    let (body, losses) = sent(CHAT, GEMINI, "gemini-2.5-pro", &orphan);
    assert!(
        losses
            .iter()
            .any(|loss| loss.starts_with("messages[].tool_call_id: ")),
        "{losses:?}"
    );
    assert!(body.to_string().contains("\"lost\""), "{body}");
}

/// A format, where it has the choice, the choice as OpenAI has it, and as it is there.
fn choices() -> Vec<(Format, &'static str, Value, Value)> {
    let named = json!({"type": "function", "function": {"name": "f"}});
    vec![
        (MESSAGES, "/tool_choice", json!("auto"), json!({"type": "auto"})),
        (
            MESSAGES,
            "/tool_choice",
            json!("required"),
            json!({"type": "any"}),
        ),
        (MESSAGES, "/tool_choice", json!("none"), json!({"type": "none"})),
        (
            MESSAGES,
            "/tool_choice",
            named.clone(),
            json!({"type": "tool", "name": "f"}),
        ),
        (
            GEMINI,
            "/toolConfig/functionCallingConfig/mode",
            json!("auto"),
            json!("AUTO"),
        ),
        (
            GEMINI,
            "/toolConfig/functionCallingConfig/mode",
            json!("required"),
            json!("ANY"),
        ),
        (
            GEMINI,
            "/toolConfig/functionCallingConfig/mode",
            json!("none"),
            json!("NONE"),
        ),
        (
            GEMINI,
            "/toolConfig/functionCallingConfig/allowedFunctionNames",
            named.clone(),
            json!(["f"]),
        ),
        (
            CONVERSE,
            "/toolConfig/toolChoice",
            json!("required"),
            json!({"any": {}}),
        ),
        (
            CONVERSE,
            "/toolConfig/toolChoice",
            named.clone(),
            json!({"tool": {"name": "f"}}),
        ),
        (CONVERSE, "/toolConfig", json!("none"), Value::Null),
        (COHERE, "/tool_choice", json!("required"), json!("REQUIRED")),
        (COHERE, "/tool_choice", json!("none"), json!("NONE")),
        (
            RESPONSES,
            "/tool_choice",
            named,
            json!({"type": "function", "name": "f"}),
        ),
    ]
}

#[test]
fn choices_of_tools_are_converted_for_every_provider() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for (to, at, choice, expected) in choices() {
        let asked = question(CHAT, json!({"tools": tools, "tool_choice": choice}));
        let (body, _) = sent(CHAT, to, "m", &asked);
        holds(&format!("{to:?} {choice}"), &body, &[(at, expected)]);
    }
}

#[test]
fn one_call_at_a_time_is_said_the_other_way_round() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let (body, _) = sent(
        CHAT,
        MESSAGES,
        "claude",
        &question(CHAT, json!({"tools": tools, "parallel_tool_calls": false})),
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    let back = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": body["tool_choice"]});
    let (body, _) = sent(MESSAGES, CHAT, "gpt", &question(MESSAGES, back));
    assert_eq!(body["parallel_tool_calls"], json!(false));
}

#[test]
fn a_tool_only_one_provider_runs_is_refused_by_name_and_never_dropped() {
    let run = json!({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]});
    for to in [CHAT, GEMINI, CONVERSE, COHERE, RESPONSES] {
        let (field, message) = refused(MESSAGES, to, &question(MESSAGES, run.clone()));
        assert!(field.starts_with("tools[0]"), "{to:?}: {field}: {message}");
    }
    let search = json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "web_search"}});
    for to in [CHAT, CONVERSE, COHERE] {
        let (field, message) = refused(MESSAGES, to, &question(MESSAGES, search.clone()));
        assert!(field.starts_with("tools[0]"), "{to:?}: {field}: {message}");
    }
    let (body, _) = sent(MESSAGES, MESSAGES, "claude", &question(MESSAGES, search.clone()));
    assert_eq!(
        (&body["tools"], &body["tool_choice"]),
        (&search["tools"], &search["tool_choice"])
    );
}

#[test]
fn a_search_becomes_the_search_of_the_provider_that_is_asked() {
    let place = json!({"type": "approximate", "city": "Bern", "country": "CH"});
    let openai = json!({"tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.ch"]}, "user_location": place, "search_context_size": "low"}],
        "tool_choice": {"type": "web_search"}});
    let (body, losses) = sent(RESPONSES, MESSAGES, "claude", &question(RESPONSES, openai));
    let claude = json!({"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.ch"], "user_location": place});
    holds(
        "to Claude",
        &body,
        &[
            ("/tools/0", claude.clone()),
            ("/tool_choice", json!({"type": "tool", "name": "web_search"})),
        ],
    );
    assert!(losses.iter().any(|loss| loss.contains("hints")), "{losses:?}");
    // And back; what it may not read cannot be told to OpenAI, nor where it may look to Google.
    let asked = json!({"tools": [claude], "tool_choice": {"type": "tool", "name": "web_search"}});
    let (body, _) = sent(MESSAGES, RESPONSES, "gpt-5", &question(MESSAGES, asked.clone()));
    let back =
        json!({"type": "web_search", "filters": {"allowed_domains": ["a.ch"]}, "user_location": place});
    holds(
        "to OpenAI",
        &body,
        &[
            ("/tools/0", back),
            ("/tool_choice", json!({"type": "web_search"})),
        ],
    );
    refused(MESSAGES, GEMINI, &question(MESSAGES, asked));
    let blocked = json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["b.ch"]}]});
    refused(MESSAGES, RESPONSES, &question(MESSAGES, blocked));
    let plain = json!({"tools": [{"type": "web_search"}]});
    let (body, _) = sent(RESPONSES, GEMINI, "gemini-2.5-flash", &question(RESPONSES, plain));
    assert_eq!(body["tools"], json!([{"googleSearch": {}}]));
    let (body, _) = sent(
        GEMINI,
        MESSAGES,
        "claude",
        &question(GEMINI, json!({"tools": [{"googleSearch": {}}]})),
    );
    assert_eq!(body["tools"][0]["type"], "web_search_20250305");
    // Gemini searches or calls functions, not both.
    let both = json!({"tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}]});
    refused(RESPONSES, GEMINI, &question(RESPONSES, both));
    // Who may not go online gets no search that does.
    let offline = json!({"tools": [{"type": "web_search", "external_web_access": false}]});
    for to in [MESSAGES, GEMINI, CHAT, CONVERSE] {
        let (body, losses) = sent(RESPONSES, to, "m", &question(RESPONSES, offline.clone()));
        assert!(
            body["tools"].as_array().is_none_or(Vec::is_empty),
            "{to:?}: {body}"
        );
        assert!(
            losses.iter().any(|loss| loss.contains("external_web_access")),
            "{to:?}: {losses:?}"
        );
    }
}

/// An answer of Claude's as a client of responses gets it, whole and as the end of a stream.
fn whole_and_streamed(response: &ChatResponse, request: &ChatRequest) -> [Value; 2] {
    let whole: Value = serde_json::from_slice(&format::encode_answer(RESPONSES, response, request)).unwrap();
    let options = StreamEncoderOptions {
        model: "m".into(),
        include_usage: true,
    };
    let mut encoder = format::stream_encoder(RESPONSES, options).answering(request, MESSAGES);
    let mut out = BytesMut::new();
    for event in pointsman_wire::replay::events(response) {
        encoder.encode(&event, &mut out);
    }
    let streamed = data(&out).last().unwrap()["response"].clone();
    [whole, streamed]
}

#[test]
fn functions_in_namespaces_reach_every_provider_and_come_back_in_theirs() {
    let function = |name: &str| json!({"type": "function", "name": name, "description": "d", "strict": false, "parameters": {"type": "object", "properties": {}}});
    let long = "x".repeat(70);
    let tools = json!([{"type": "namespace", "name": "mcp__files__", "description": "Files.", "tools": [function("read"), function(&long)]}, function("read")]);
    let body = json!({"model": "m", "tools": tools, "input": [{"role": "user", "content": "Go."},
        {"type": "function_call", "call_id": "a", "namespace": "mcp__files__", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "ok"}]});
    for (to, tool, call) in [
        (MESSAGES, "/tools/0/name", "/messages/1/content/0/name"),
        (
            CHAT,
            "/tools/0/function/name",
            "/messages/1/tool_calls/0/function/name",
        ),
        (
            GEMINI,
            "/tools/0/functionDeclarations/0/name",
            "/contents/1/parts/0/functionCall/name",
        ),
        (
            CONVERSE,
            "/toolConfig/tools/0/toolSpec/name",
            "/messages/1/content/0/toolUse/name",
        ),
        (
            COHERE,
            "/tools/0/function/name",
            "/messages/1/tool_calls/0/function/name",
        ),
    ] {
        let (sent, losses) = sent(RESPONSES, to, "m", &body);
        let name = json!("mcp__files__read");
        holds(&format!("{to:?}"), &sent, &[(tool, name.clone()), (call, name)]);
        assert!(losses.iter().any(|loss| loss.contains("namespace")), "{losses:?}");
    }
    let (sent, _) = sent(RESPONSES, MESSAGES, "m", &body);
    let cut = sent["tools"][1]["name"].as_str().unwrap();
    assert_eq!(cut.len(), 64, "{cut}");
    assert_eq!(sent["tools"][2]["name"], "read");
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "tool_use", "id": "b", "name": "mcp__files__read", "input": {}}, {"type": "tool_use", "id": "c", "name": cut, "input": {}},
            {"type": "tool_use", "id": "d", "name": "read", "input": {}}],
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let request = read(RESPONSES, &body);
    let response = format::decode_response(MESSAGES, &Bytes::from(answer.to_string())).unwrap();
    for said in whole_and_streamed(&response, &request) {
        let named = |at: usize| {
            (
                said["output"][at]["namespace"].clone(),
                said["output"][at]["name"].clone(),
            )
        };
        assert_eq!(named(0), (json!("mcp__files__"), json!("read")));
        assert_eq!(named(1), (json!("mcp__files__"), json!(long)));
        assert_eq!(named(2), (Value::Null, json!("read")));
    }
}

#[test]
fn empty_lists_and_objects_in_schemas_are_told_apart() {
    let schema = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    for (from, tool) in [
        (
            CHAT,
            json!({"type": "function", "function": {"name": "f", "parameters": schema}}),
        ),
        (MESSAGES, json!({"name": "f", "input_schema": schema})),
    ] {
        for (to, at) in [
            (CHAT, "/tools/0/function/parameters"),
            (RESPONSES, "/tools/0/parameters"),
            (MESSAGES, "/tools/0/input_schema"),
            (GEMINI, "/tools/0/functionDeclarations/0/parametersJsonSchema"),
            (CONVERSE, "/toolConfig/tools/0/toolSpec/inputSchema/json"),
            (COHERE, "/tools/0/function/parameters"),
        ] {
            let (body, _) = sent(from, to, "m", &question(from, json!({"tools": [tool]})));
            holds(&format!("{from:?} to {to:?}"), &body, &[(at, schema.clone())]);
        }
    }
}

#[test]
fn arguments_that_are_no_json_are_kept_and_told() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Go."}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "ok"}]});
    for (to, at) in [
        (MESSAGES, "/messages/1/content/0/input"),
        (GEMINI, "/contents/1/parts/0/functionCall/args"),
        (CONVERSE, "/messages/1/content/0/toolUse/input"),
    ] {
        let (body, losses) = sent(CHAT, to, "m", &body);
        holds(&format!("{to:?}"), &body, &[(at, json!({"_raw": "{\"x\": 1"}))]);
        assert!(
            losses.iter().any(|loss| loss.contains("not a JSON object")),
            "{losses:?}"
        );
    }
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let chat = answered(MESSAGES, CHAT, &answer);
    assert_eq!(
        chat["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "{}"
    );
    let mut answer = answered(MESSAGES, CHAT, &answer);
    answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = json!("");
    assert_eq!(
        answered(CHAT, MESSAGES, &answer)["content"][0]["input"],
        json!({})
    );
}

#[test]
fn calls_without_ids_get_stable_ones() {
    let answer = json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
        {"functionCall": {"name": "one", "args": {}}}, {"functionCall": {"name": "one", "args": {}}}]}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}, "modelVersion": "gemini", "responseId": "r"});
    let chat = answered(GEMINI, CHAT, &answer);
    let ids: Vec<&str> = (0..2)
        .map(|index| {
            chat["choices"][0]["message"]["tool_calls"][index]["id"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert!(!ids[0].is_empty() && ids[0] != ids[1], "{ids:?}");
    assert_eq!(
        chat,
        answered(GEMINI, CHAT, &answer),
        "the same answer, the same ids"
    );
}
