//! Pains with metering: what was used is counted once, whole, in streams too.

use super::*;

/// A prompt of 1000 tokens, 700 of them read from and 100 written to the cache, and an answer of 50, 30 of them
/// reasoning, as each format tells it.
fn told(format: Format) -> Value {
    match format {
        CHAT => json!({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 100}, "completion_tokens_details": {"reasoning_tokens": 30}}),
        RESPONSES => json!({"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050,
            "input_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 100}, "output_tokens_details": {"reasoning_tokens": 30}}),
        MESSAGES => {
            json!({"input_tokens": 200, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 100, "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 30}})
        }
        GEMINI => {
            json!({"promptTokenCount": 1000, "cachedContentTokenCount": 700, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 1050})
        }
        CONVERSE => {
            json!({"inputTokens": 200, "cacheReadInputTokens": 700, "cacheWriteInputTokens": 100, "outputTokens": 50, "totalTokens": 1050})
        }
        _ => json!({"tokens": {"input_tokens": 1000, "output_tokens": 50}, "cached_tokens": 700}),
    }
}

/// An answer of one text, with this usage.
pub(super) fn answer(format: Format, usage: Value) -> Value {
    match format {
        CHAT => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}),
        RESPONSES => {
            json!({"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt", "usage": usage,
            "output": [{"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": []}]}]})
        }
        MESSAGES => {
            json!({"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": "Hi."}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage})
        }
        GEMINI => {
            json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"text": "Hi."}]}}],
            "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r"})
        }
        CONVERSE => {
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hi."}]}}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}})
        }
        _ => {
            json!({"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}, "usage": usage})
        }
    }
}

fn used(format: Format, usage: Value) -> Usage {
    format::decode_response(format, &Bytes::from(answer(format, usage).to_string()))
        .unwrap()
        .usage
        .unwrap()
}

#[test]
fn cached_tokens_are_part_of_the_prompt_in_every_format() {
    for format in FORMATS {
        let usage = used(format, told(format));
        assert_eq!(
            (usage.input, usage.output, usage.cache_read),
            (1000, 50, 700),
            "{format:?}"
        );
        let written = if matches!(format, GEMINI | COHERE) { 0 } else { 100 };
        assert_eq!(usage.cache_write + usage.cache_write_1h, written, "{format:?}");
        let reasoning = if matches!(format, CONVERSE | COHERE) {
            0
        } else {
            30
        };
        assert_eq!(usage.reasoning, reasoning, "{format:?}");
    }
}

#[test]
fn details_of_usage_survive_every_translation() {
    for from in FORMATS {
        for to in FORMATS {
            let body = answered(from, to, &answer(from, told(from)));
            let usage = format::decode_response(to, &Bytes::from(body.to_string()))
                .unwrap()
                .usage
                .unwrap();
            assert_eq!(
                (usage.input, usage.output, usage.cache_read),
                (1000, 50, 700),
                "{from:?} to {to:?}: {body}"
            );
        }
    }
}

#[test]
fn an_hour_in_the_cache_is_told_from_five_minutes() {
    let usage = used(
        MESSAGES,
        json!({"input_tokens": 1, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 0, "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60}}),
    );
    assert_eq!(
        (usage.input, usage.cache_write, usage.cache_write_1h),
        (101, 40, 60)
    );
}

/// A stream of Anthropic's with these counts at its start and its end.
fn anthropic(start: Value, end: Value) -> Vec<Value> {
    vec![
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "usage": start}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi."}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": end}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn usage_of_anthropic_streams_is_cumulative_and_counted_once() {
    let start = json!({"input_tokens": 200, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 100, "output_tokens": 4});
    for end in [
        json!({"output_tokens": 50}),
        json!({"input_tokens": 200, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 100, "output_tokens": 50}),
    ] {
        let events = anthropic(start.clone(), end);
        for usage in [metered(MESSAGES, &events), last_usage(MESSAGES, &events)] {
            assert_eq!(
                (usage.input, usage.output, usage.cache_read, usage.cache_write),
                (1000, 50, 700, 100)
            );
        }
    }
}

#[test]
fn compaction_is_counted_with_the_message_it_makes_room_for() {
    let end = json!({"input_tokens": 20, "output_tokens": 5, "iterations": [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 300, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 0},
        {"type": "message", "input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}]});
    let expected = (1030, 305, 10);
    let usage = used(MESSAGES, end.clone());
    assert_eq!((usage.input, usage.output, usage.cache_read), expected);
    let events = anthropic(json!({"input_tokens": 20, "output_tokens": 1}), end);
    for usage in [metered(MESSAGES, &events), last_usage(MESSAGES, &events)] {
        assert_eq!((usage.input, usage.output, usage.cache_read), expected);
    }
}

#[test]
fn another_models_advice_is_not_counted_as_compaction() {
    let usage = used(
        MESSAGES,
        json!({"input_tokens": 20, "output_tokens": 5, "iterations": [
        {"type": "message", "input_tokens": 20, "output_tokens": 5},
        {"type": "advisor_message", "model": "other", "input_tokens": 900, "output_tokens": 80}]}),
    );
    assert_eq!((usage.input, usage.output), (20, 5));
}

fn chat_chunk(choices: Value, usage: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": choices, "usage": usage})
}

#[test]
fn running_totals_in_every_chunk_are_not_summed() {
    let total =
        |output: u64| json!({"prompt_tokens": 9, "completion_tokens": output, "total_tokens": 9 + output});
    let delta = |text: &str, reason: Value| json!([{"index": 0, "delta": {"content": text}, "finish_reason": reason}]);
    let chat = [
        chat_chunk(delta("a", Value::Null), total(1)),
        chat_chunk(delta("b", Value::Null), total(2)),
        chat_chunk(delta("c", json!("stop")), total(3)),
    ];
    let gemini: Vec<Value> = (1..4)
        .map(|output| {
            let mut piece = answer(
                GEMINI,
                json!({"promptTokenCount": 9, "candidatesTokenCount": output, "totalTokenCount": 9 + output}),
            );
            if output < 3 {
                piece["candidates"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("finishReason");
            }
            piece
        })
        .collect();
    for (format, events) in [(CHAT, chat.to_vec()), (GEMINI, gemini)] {
        for usage in [metered(format, &events), last_usage(format, &events)] {
            assert_eq!((usage.input, usage.output), (9, 3), "{format:?}");
        }
    }
}

#[test]
fn a_count_in_an_early_chunk_is_not_wiped_by_null() {
    let delta = |reason: Value| json!([{"index": 0, "delta": {"content": "a"}, "finish_reason": reason}]);
    let events = [
        chat_chunk(
            delta(json!("stop")),
            json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}),
        ),
        chat_chunk(json!([]), Value::Null),
    ];
    for usage in [metered(CHAT, &events), last_usage(CHAT, &events)] {
        assert_eq!((usage.input, usage.output), (9, 3));
    }
}

/// The stream of one text, with this usage at its end.
pub(super) fn stream(format: Format, pieces: &[&str], usage: Value) -> Vec<Value> {
    let mut events = Vec::new();
    match format {
        CHAT => {
            let chunk = |choices: Value| chat_chunk(choices, Value::Null);
            events.push(chunk(
                json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
            ));
            events.extend(pieces.iter().map(|piece| {
                chunk(json!([{"index": 0, "delta": {"content": piece}, "finish_reason": null}]))
            }));
            events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])));
            events.push(chat_chunk(json!([]), usage));
        }
        MESSAGES => {
            events = anthropic(json!({"input_tokens": 1, "output_tokens": 1}), usage);
            let deltas = pieces.iter().map(|piece| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}));
            events.splice(2..3, deltas);
        }
        GEMINI => {
            let piece = |text: &&str| json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}], "modelVersion": "gemini", "responseId": "r"});
            events.extend(pieces.iter().map(piece));
            events.push(json!({"candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r"}));
        }
        CONVERSE => {
            events.push(json!({"messageStart": {"role": "assistant"}}));
            events.extend(pieces.iter().map(
                |piece| json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": piece}}}),
            ));
            events.extend([
                json!({"contentBlockStop": {"contentBlockIndex": 0}}),
                json!({"messageStop": {"stopReason": "end_turn"}}),
                json!({"metadata": {"usage": usage}}),
            ]);
        }
        _ => {
            events.push(
                json!({"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}),
            );
            events.push(json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}));
            events.extend(pieces.iter().map(|piece| json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}})));
            events.push(json!({"type": "content-end", "index": 0}));
            events
                .push(json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}));
        }
    }
    events
}

/// The formats whose streams [`stream`] writes.
pub(super) const PROVIDERS: [Format; 5] = [CHAT, MESSAGES, GEMINI, CONVERSE, COHERE];

#[test]
fn no_translated_stream_has_zero_usage() {
    for from in PROVIDERS {
        let events = stream(from, &["Hi", "."], told(from));
        let usage = metered(from, &events);
        assert_eq!(
            (usage.input, usage.output, usage.cache_read),
            (1000, 50, 700),
            "{from:?}"
        );
        let read = decoded(from, &bytes(from, &events)).unwrap();
        for to in FORMATS {
            let written = encoded(from, to, &read);
            let told = decoded(to, &written)
                .unwrap()
                .into_iter()
                .filter_map(|event| match event {
                    StreamEvent::Usage(usage) => Some(usage),
                    _ => None,
                });
            let usage = told.last().unwrap_or_default();
            assert_eq!(
                (usage.input, usage.output, usage.cache_read),
                (1000, 50, 700),
                "{from:?} to {to:?}"
            );
        }
    }
}

#[test]
fn the_tier_that_was_served_is_known_in_every_format_that_tells_it() {
    for format in [CHAT, RESPONSES, MESSAGES, CONVERSE] {
        let mut body = answer(format, told(format));
        let mut events = match format {
            RESPONSES => vec![json!({"type": "response.created", "response": {"id": "r", "model": "gpt"}})],
            _ => stream(format, &["Hi"], told(format)),
        };
        match format {
            MESSAGES => {
                body["usage"]["service_tier"] = json!("priority");
                events[0]["message"]["usage"]["service_tier"] = json!("priority");
            }
            CONVERSE => {
                body["serviceTier"] = json!({"type": "priority"});
                let last = events.last_mut().unwrap();
                last["metadata"]["serviceTier"] = json!({"type": "priority"});
            }
            RESPONSES => {
                body["service_tier"] = json!("priority");
                events.push(json!({"type": "response.completed", "response": body}));
            }
            _ => {
                body["service_tier"] = json!("priority");
                events
                    .iter_mut()
                    .for_each(|chunk| chunk["service_tier"] = json!("priority"));
            }
        }
        let response = format::decode_response(format, &Bytes::from(body.to_string())).unwrap();
        assert_eq!(response.service_tier.as_deref(), Some("priority"), "{format:?}");
        let bytes = bytes(format, &events);
        let told = decoded(format, &bytes).unwrap();
        let tier = StreamEvent::Tier("priority".into());
        assert!(told.contains(&tier), "{format:?}: {told:?}");
        let mut watcher = format::stream_watcher(format, WatchOptions::default());
        watcher.push(bytes.into(), &mut SmallVec::new());
        assert_eq!(watcher.tier(), Some("priority"), "{format:?}");
    }
}

#[test]
fn searches_that_the_provider_ran_are_counted() {
    let mut told_by_claude = told(MESSAGES);
    told_by_claude["server_tool_use"] = json!({"web_search_requests": 3, "web_fetch_requests": 1});
    assert_eq!(used(MESSAGES, told_by_claude.clone()).searches, 3);
    let events = stream(MESSAGES, &["Hi"], told_by_claude);
    assert_eq!(metered(MESSAGES, &events).searches, 3);
    assert_eq!(last_usage(MESSAGES, &events).searches, 3);
    // OpenAI bills each search; to open a page that was found is no search.
    let mut body = answer(RESPONSES, told(RESPONSES));
    let call = |action: &str| json!({"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": action}});
    let output = body["output"].as_array_mut().unwrap();
    output.extend(["search", "open_page", "search"].map(call));
    let usage = format::decode_response(RESPONSES, &Bytes::from(body.to_string()))
        .unwrap()
        .usage
        .unwrap();
    assert_eq!(usage.searches, 2);
    let events = [
        json!({"type": "response.created", "response": {"id": "r", "model": "gpt"}}),
        json!({"type": "response.completed", "response": body}),
    ];
    assert_eq!(metered(RESPONSES, &events).searches, 2);
    assert_eq!(last_usage(RESPONSES, &events).searches, 2);
}
