//! Every rule: when it is applied, and what is written then.

use std::collections::BTreeSet;

use pointsman_wire::format::{self, Format};
use pointsman_wire::rules;
use serde_json::{Value, json};

use super::{CLAUDE, target};

const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const GPT: &str = "openai.gpt-oss-120b-1:0";
const LLAMA: &str = "meta.llama3-3-70b-instruct-v1:0";

/// How the rule about films begins.
const FILMS: &str = "Bedrock takes films";

use Format::{AnthropicMessages as Anthropic, OpenAiChat as OpenAi};

/// What is written, and the notes of what was lost; or the refusal's field and note.
fn write(from: Format, model: &str, body: &Value) -> Result<(Value, Vec<String>), (String, String)> {
    let request = format::decode_request(from, &body.to_string().into())
        .unwrap_or_else(|error| panic!("{error}: {body}"));
    let encoded = format::encode_request(Format::BedrockConverse, &request, &target(model))
        .map_err(|error| (error.field, error.message))?;
    let notes = encoded.losses.iter().map(|loss| loss.note.to_owned()).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), notes))
}

/// A request of OpenAI's with `more` in it.
fn openai(more: Value) -> Value {
    merged(
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
        more,
    )
}

/// A request of OpenAI's with these messages.
fn said(messages: Value) -> Value {
    json!({"model": "m", "messages": messages})
}

/// A request of OpenAI's with this part in it.
fn shown(part: Value) -> Value {
    said(json!([{"role": "user", "content": [{"type": "text", "text": "See"}, part]}]))
}

/// A request of Anthropic's with `more` in it.
fn anthropic(more: Value) -> Value {
    merged(
        json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hi"}]}),
        more,
    )
}

fn blocks(role: &str, blocks: Value) -> Value {
    anthropic(json!({"messages": [{"role": "user", "content": "Hi"}, {"role": role, "content": blocks}]}))
}

fn merged(mut body: Value, more: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn called(id: &str, name: &str, arguments: &str) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
}

/// Where it comes from, for which model, the request, how the note begins, where to look, and what is there.
type Written = (Format, &'static str, Value, &'static str, &'static str, Value);

fn written() -> Vec<Written> {
    let user = json!({"role": "user", "content": "Hi"});
    let function = json!([{"type": "function", "function": {"name": "f", "strict": true}}]);
    let mut all = vec![
        (
            OpenAi,
            CLAUDE,
            said(json!([{"role": "assistant", "content": "Welcome!"}, user])),
            "Bedrock's conversations begin",
            "/messages/0",
            json!({"role": "user", "content": [{"text": "(begin)"}]}),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([{"role": "system", "content": "s"}])),
            "Bedrock's conversations begin",
            "/messages/0/content/0/text",
            json!("(begin)"),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, {"role": "system", "content": "Now in French"}])),
            "instructions in the middle",
            "/messages/0/content/1/text",
            json!("Now in French"),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([{"role": "user", "name": "Ada", "content": "Hi"}])),
            "Bedrock's format has no names",
            "/messages/0/content",
            json!([{"text": "Hi"}]),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, {"role": "assistant", "content": " \n"}, user])),
            "Bedrock refuses texts",
            "/messages",
            json!([{"role": "user", "content": [{"text": "Hi"}, {"text": "Hi"}]}]),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, called("a b", "f", "{}")])),
            "Bedrock takes letters, digits, _ and - only, at most 64: written",
            "/messages/1/content/0/toolUse/toolUseId",
            json!("a_b-e63f991904833892"),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, called("a", "f", "{\"x\":")])),
            "not a JSON object",
            "/messages/1/content/0/toolUse/input",
            json!({"_raw": "{\"x\":"}),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, {"role": "assistant", "content": "a", "reasoning_content": "hm"}])),
            "reasoning without a signature",
            "/messages/1/content",
            json!([{"text": "a"}]),
        ),
        (
            Anthropic,
            CLAUDE,
            blocks(
                "assistant",
                json!([{"type": "redacted_thinking", "data": "§"}, {"type": "text", "text": "a"}]),
            ),
            "encrypted reasoning",
            "/messages/1/content",
            json!([{"text": "a"}]),
        ),
        (
            Anthropic,
            CLAUDE,
            blocks(
                "user",
                json!([{"type": "text", "text": "t", "citations": [{"type": "char_location"}]}]),
            ),
            "Bedrock knows citations",
            "/messages/0/content/1",
            json!({"text": "t"}),
        ),
        (
            OpenAi,
            CLAUDE,
            shown(
                json!({"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA", "detail": "low"}}),
            ),
            "Bedrock has no hint",
            "/messages/0/content/1/image/format",
            json!("jpeg"),
        ),
        (
            OpenAi,
            CLAUDE,
            shown(
                json!({"type": "file", "file": {"filename": "a/b_c.md", "file_data": "data:text/markdown;base64,AAAA"}}),
            ),
            "Bedrock limits the letters",
            "/messages/0/content/1/document",
            json!({"format": "md", "name": "a-b-c", "source": {"bytes": "AAAA"}}),
        ),
        (
            Anthropic,
            LLAMA,
            anthropic(
                json!({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]}),
            ),
            "of the models on Bedrock only Claude and Nova take",
            "/system",
            json!([{"text": "s"}]),
        ),
        (
            Anthropic,
            CLAUDE,
            blocks(
                "user",
                json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}]}]),
            ),
            "Bedrock has no cache points inside",
            "/messages/0/content/1",
            json!({"cachePoint": {"type": "default"}}),
        ),
        (
            Anthropic,
            NOVA,
            anthropic(json!({"cache_control": {"type": "ephemeral", "ttl": "1h"}})),
            "Bedrock has no cache point for the whole",
            "/messages/0/content/1",
            json!({"cachePoint": {"type": "default", "ttl": "1h"}}),
        ),
        (
            OpenAi,
            CLAUDE,
            said(json!([user, called("a", "f", "{}"), {"role": "tool", "tool_call_id": "a", "content": ""}])),
            "Bedrock demands declarations",
            "/toolConfig",
            json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]}),
        ),
        (
            OpenAi,
            NOVA,
            openai(json!({"tools": function})),
            "of the models on Bedrock only Claude takes strict",
            "/toolConfig/tools/0/toolSpec/strict",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"tools": function, "tool_choice": "none"})),
            "Bedrock cannot forbid tools",
            "/toolConfig",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"tools": function, "parallel_tool_calls": false})),
            "Bedrock cannot forbid parallel",
            "/toolConfig/toolChoice",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"temperature": 1.7})),
            "Bedrock takes at most 1",
            "/inferenceConfig",
            json!({"temperature": 1}),
        ),
        (
            Anthropic,
            GPT,
            anthropic(json!({"top_k": 5})),
            "of the models on Bedrock only Claude and Nova are",
            "/additionalModelRequestFields",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"stop": ["\n", "END"]})),
            "Bedrock refuses stop",
            "/inferenceConfig/stopSequences",
            json!(["END"]),
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"reasoning_effort": "high", "max_tokens": 1000})),
            "the limit of tokens leaves",
            "/additionalModelRequestFields",
            Value::Null,
        ),
        (
            OpenAi,
            LLAMA,
            openai(json!({"reasoning_effort": "high"})),
            "the model's family",
            "/additionalModelRequestFields",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"service_tier": "scale"})),
            "not one of Bedrock's tiers",
            "/serviceTier",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"user": "u"})),
            "Bedrock's format has no end user",
            "/user",
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"store": true})),
            "has no counterpart in the target's",
            "/store",
            Value::Null,
        ),
    ];
    for (name, value) in [
        ("seed", json!(1)),
        ("frequency_penalty", json!(0.5)),
        ("presence_penalty", json!(0.5)),
    ] {
        all.push((
            OpenAi,
            CLAUDE,
            openai(json!({name: value})),
            "Bedrock has no such parameter",
            "/inferenceConfig",
            Value::Null,
        ));
    }
    all.extend(thought());
    all
}

/// The table of families, applied.
fn thought() -> Vec<Written> {
    const FIELDS: &str = "/additionalModelRequestFields";
    let note = "written as the nearest thing";
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let effort = |effort: &str, max: u64| openai(json!({"reasoning_effort": effort, "max_tokens": max}));
    let level = |effort: &str| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}});
    vec![
        (OpenAi, CLAUDE, effort("low", 9_000), note, FIELDS, budget(2_048)),
        (OpenAi, CLAUDE, effort("high", 9_000), note, FIELDS, budget(8_999)),
        (
            OpenAi,
            CLAUDE,
            effort("minimal", 9_000),
            note,
            FIELDS,
            Value::Null,
        ),
        (
            OpenAi,
            CLAUDE,
            openai(json!({"reasoning_effort": "medium"})),
            note,
            FIELDS,
            budget(8_192),
        ),
        (
            OpenAi,
            NOVA,
            openai(json!({"reasoning_effort": "xhigh"})),
            note,
            FIELDS,
            level("high"),
        ),
        (OpenAi, NOVA, effort("high", 9_000), note, FIELDS, level("medium")),
        (
            Anthropic,
            GPT,
            anthropic(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
            note,
            FIELDS,
            json!({"reasoning_effort": "low"}),
        ),
        (
            OpenAi,
            GPT,
            openai(json!({"reasoning_effort": "max"})),
            note,
            FIELDS,
            json!({"reasoning_effort": "high"}),
        ),
    ]
}

/// Where it comes from, the request, the field that is named, and how the refusal begins.
fn refused() -> Vec<(Format, Value, &'static str, &'static str)> {
    let image = |url: &str| shown(json!({"type": "image_url", "image_url": {"url": url}}));
    let tool = json!([{"type": "function", "function": {"name": "my.tool"}}]);
    vec![
        (
            OpenAi,
            image("https://example.com/a.png"),
            "messages[0].content[1]",
            "Bedrock takes images as base64 or from S3",
        ),
        (
            OpenAi,
            image("data:image/heic;base64,AAAA"),
            "messages[0].content[1]",
            "Bedrock takes images as png",
        ),
        (
            OpenAi,
            shown(
                json!({"type": "file", "file": {"filename": "a.zip", "file_data": "data:application/zip;base64,AAAA"}}),
            ),
            "messages[0].content[1]",
            "Bedrock takes documents as pdf",
        ),
        (
            OpenAi,
            shown(json!({"type": "file", "file": {"file_id": "file-1"}})),
            "messages[0].content[1]",
            "Bedrock takes documents as base64",
        ),
        (
            OpenAi,
            shown(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}})),
            "messages[0].content[1]",
            "Bedrock takes sound",
        ),
        (
            OpenAi,
            said(
                json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]),
            ),
            "system[0]",
            "Bedrock takes instructions as text",
        ),
        (
            Anthropic,
            blocks(
                "user",
                json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "thinking", "thinking": "h", "signature": "s"}]}]),
            ),
            "messages[0].content[0][0]",
            "Bedrock takes text, images",
        ),
        (
            OpenAi,
            shown(json!({"type": "hologram"})),
            "messages[0].content[1] of type hologram",
            "a part that only its own format",
        ),
        (
            OpenAi,
            openai(json!({"tools": tool})),
            "tools[0].function.name \"my.tool\"",
            "Bedrock takes letters, digits, _ and - only in a tool's name",
        ),
        (
            Anthropic,
            anthropic(json!({"tools": [{"type": "web_search_20250305", "name": "w"}]})),
            "tools[0].type web_search_20250305",
            "a tool that only its own format",
        ),
        (
            OpenAi,
            openai(
                json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}),
            ),
            "tool_choice",
            "has no counterpart in Bedrock's",
        ),
        (OpenAi, openai(json!({"n": 2})), "n", "Bedrock gives one answer"),
        (
            OpenAi,
            openai(json!({"logprobs": true})),
            "logprobs",
            "Bedrock has no log probabilities",
        ),
        (
            OpenAi,
            openai(json!({"logit_bias": {"1": 2}})),
            "logit_bias",
            "Bedrock has no logit bias",
        ),
        (
            OpenAi,
            openai(json!({"response_format": {"type": "json_object"}})),
            "response_format",
            "Bedrock has no json_object",
        ),
        (
            OpenAi,
            openai(json!({"response_format": {"type": "grammar"}})),
            "response_format",
            "has no counterpart in Bedrock's",
        ),
    ]
}

#[test]
fn what_has_a_near_counterpart_is_written_and_told() {
    for (from, model, body, note, pointer, expected) in written() {
        let (encoded, notes) = write(from, model, &body).unwrap_or_else(|error| panic!("{error:?}: {body}"));
        assert!(
            notes.iter().any(|told| told.starts_with(note)),
            "{note}: {notes:?}"
        );
        assert_eq!(
            *encoded.pointer(pointer).unwrap_or(&Value::Null),
            expected,
            "{note}: {encoded}"
        );
    }
}

#[test]
fn what_has_none_is_refused_by_name() {
    for (from, body, field, note) in refused() {
        let (named, told) = write(from, CLAUDE, &body).expect_err(note);
        assert_eq!(named, field, "{note}");
        assert!(told.starts_with(note), "{told}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let notes: BTreeSet<&str> = written()
        .iter()
        .map(|case| case.3)
        .chain(refused().iter().map(|case| case.3))
        .collect();
    for rule in rules::of(Format::BedrockConverse) {
        let tested = notes.iter().any(|note| rule.note.starts_with(note)) || rule.note.starts_with(FILMS);
        assert!(tested, "{}: {}", rule.field, rule.note);
    }
}

/// Of the formats here only Bedrock's own has films: one is taken for another format's.
#[test]
fn a_film_that_bedrock_does_not_take_is_refused() {
    let film = |format: &str| {
        let body = json!({"messages": [{"role": "user", "content": [{"video": {"format": format, "source": {"bytes": "AAAA"}}}]}]});
        let mut request = format::decode_request(Format::BedrockConverse, &body.to_string().into()).unwrap();
        request.format = Format::GeminiGenerate;
        format::encode_request(Format::BedrockConverse, &request, &target(NOVA))
    };
    assert!(film("mp4").is_ok());
    let refusal = film("avi").unwrap_err();
    assert_eq!(refusal.field, "messages[0].content[0]");
    assert!(refusal.message.starts_with(FILMS), "{}", refusal.message);
}

#[test]
fn nothing_is_told_where_nothing_is_lost() {
    let function =
        json!({"type": "function", "function": {"name": "f", "description": "", "parameters": null}});
    let cases = [
        (
            CLAUDE,
            openai(
                json!({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": "x", "service_tier": "auto"}),
            ),
        ),
        (
            CLAUDE,
            openai(
                json!({"tools": [function], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            ),
        ),
        (CLAUDE, openai(json!({"top_k": 7, "reasoning_effort": "none"}))),
        (NOVA, openai(json!({"top_k": 7, "reasoning_effort": "low"}))),
        (GPT, openai(json!({"reasoning_effort": "medium"}))),
        (
            CLAUDE,
            shown(json!({"type": "image_url", "image_url": {"url": "s3://bucket/a.webp"}})),
        ),
        (
            CLAUDE,
            shown(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}})),
        ),
        (
            CLAUDE,
            said(json!([{"role": "user", "content": ""}, {"role": "user", "content": "Hi"}])),
        ),
    ];
    for (model, body) in cases {
        let (encoded, notes) = write(OpenAi, model, &body).unwrap();
        assert!(notes.is_empty(), "{notes:?}: {encoded}");
    }
}

#[test]
fn nova_takes_its_parameters_where_it_wants_them() {
    let (encoded, _) = write(
        OpenAi,
        NOVA,
        &openai(json!({"top_k": 7, "reasoning_effort": "none"})),
    )
    .unwrap();
    let expected = json!({"inferenceConfig": {"topK": 7}, "reasoningConfig": {"type": "disabled"}});
    assert_eq!(encoded["additionalModelRequestFields"], expected);
}

#[test]
fn what_anthropic_clients_say_of_thinking_reaches_claude_unchanged() {
    let body = anthropic(
        json!({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}}),
    );
    let (encoded, notes) = write(Anthropic, CLAUDE, &body).unwrap();
    assert_eq!(
        encoded["additionalModelRequestFields"],
        json!({"thinking": {"type": "adaptive", "display": "omitted"}})
    );
    assert_eq!(encoded["outputConfig"], json!({"effort": "max"}));
    assert!(notes.is_empty(), "{notes:?}");
}

/// All results of a round stand in one turn, in front of what the user says with them.
#[test]
fn results_come_first_in_one_turn() {
    let body = said(json!([
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "Hurry"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]));
    let (encoded, _) = write(OpenAi, CLAUDE, &body).unwrap();
    let expected = json!([
        {"role": "user", "content": [{"text": "Go"}]},
        {"role": "assistant", "content": [
            {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}},
            {"toolUse": {"toolUseId": "b", "name": "g", "input": {}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}},
            {"toolResult": {"toolUseId": "b", "content": [{"text": "2"}]}},
            {"text": "Hurry"}]},
    ]);
    assert_eq!(encoded["messages"], expected);
    let declared: Vec<&str> = encoded["toolConfig"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["toolSpec"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(declared, ["f", "g"]);
}

#[test]
fn every_reason_has_its_name_both_ways() {
    for (reason, openai, anthropic) in [
        ("end_turn", "stop", "end_turn"),
        ("tool_use", "tool_calls", "tool_use"),
        ("max_tokens", "length", "max_tokens"),
        ("stop_sequence", "stop", "stop_sequence"),
        ("guardrail_intervened", "content_filter", "refusal"),
        ("content_filtered", "content_filter", "refusal"),
        (
            "malformed_model_output",
            "malformed_model_output",
            "malformed_model_output",
        ),
        ("malformed_tool_use", "malformed_tool_use", "malformed_tool_use"),
        (
            "model_context_window_exceeded",
            "length",
            "model_context_window_exceeded",
        ),
    ] {
        let answer = json!({"output": {"message": {"role": "assistant", "content": [{"text": "t"}]}}, "stopReason": reason});
        let read = format::decode_response(Format::BedrockConverse, &answer.to_string().into()).unwrap();
        let to =
            |format| -> Value { serde_json::from_slice(&format::encode_response(format, &read)).unwrap() };
        assert_eq!(to(Format::BedrockConverse), answer);
        assert_eq!(to(OpenAi)["choices"][0]["finish_reason"], openai);
        assert_eq!(to(Anthropic)["stop_reason"], anthropic);
    }
    for (openai, reason) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filtered"),
        ("eos", "end_turn"),
    ] {
        let answer = json!({"id": "i", "choices": [{"index": 0, "message": {"content": "t"}, "finish_reason": openai}]});
        let read = format::decode_response(OpenAi, &answer.to_string().into()).unwrap();
        let written: Value =
            serde_json::from_slice(&format::encode_response(Format::BedrockConverse, &read)).unwrap();
        assert_eq!(written["stopReason"], reason);
    }
}
