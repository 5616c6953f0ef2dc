//! Every rule: when it is applied, and what is written then.

use pointsman_wire::format::{self, Format};
use pointsman_wire::rules;
use serde_json::{Value, json};

use super::{CLAUDE, folder, read, target};

const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const GPT: &str = "openai.gpt-oss-120b-1:0";

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

fn merged(mut body: Value, more: Value) -> Value {
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

/// The cases of rules that write something else, or that refuse.
fn cases(sort: &str) -> Vec<Value> {
    let all = read(&folder("golden/bedrock/rules.json"));
    all[sort].as_array().unwrap().clone()
}

fn text<'v>(case: &'v Value, name: &str) -> &'v str {
    case[name].as_str().unwrap_or_else(|| panic!("{name} in {case}"))
}

fn from(case: &Value) -> Format {
    Format::from_name(text(case, "from")).unwrap()
}

#[test]
fn what_has_a_near_counterpart_is_written_and_told() {
    for case in cases("written") {
        let (encoded, notes) = write(from(&case), text(&case, "model"), &case["request"])
            .unwrap_or_else(|error| panic!("{error:?}: {case}"));
        let note = text(&case, "note");
        assert!(
            notes.iter().any(|told| told.starts_with(note)),
            "{note}: {notes:?}"
        );
        let there = encoded.pointer(text(&case, "at")).unwrap_or(&Value::Null);
        assert_eq!(*there, case["is"], "{note}: {encoded}");
    }
}

#[test]
fn what_has_none_is_refused_by_name() {
    for case in cases("refused") {
        let (named, told) = write(from(&case), CLAUDE, &case["request"]).expect_err(text(&case, "note"));
        assert_eq!(named, text(&case, "field"), "{case}");
        assert!(told.starts_with(text(&case, "note")), "{told}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases = [cases("written"), cases("refused")].concat();
    for rule in rules::of(Format::BedrockConverse) {
        let tested = cases.iter().any(|case| rule.note.starts_with(text(case, "note")));
        assert!(
            tested || rule.note.starts_with(FILMS),
            "{}: {}",
            rule.field,
            rule.note
        );
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
            openai(json!({"max_tokens": 5, "temperature": 0.5, "stop": "x", "service_tier": "auto"})),
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
