//! Anthropic as a provider: messages and token counting.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::openai::{check_image, cut_whole};
use crate::script::{Answer, End, Question, answer as scripted, count, pieces, prompt_tokens};
use crate::served::{Served, ServedOutcome};
use crate::sim::{Asked, Coding, json as json_response, whole_answer};
use crate::stream::{Body, Event, Telling, tell};

const KNOWN: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "metadata",
    "thinking",
    "output_config",
    "service_tier",
    "container",
    "mcp_servers",
    "context_management",
    "cache_control",
    "betas",
];

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let refuse = |status: u16, kind: &str, message: &str| {
        let body =
            json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_sim"});
        note(
            &asked,
            &Question::default(),
            ServedOutcome::Refused(status),
            (0, 0),
        );
        json_response(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            body.to_string().into_bytes(),
            Coding::None,
        )
    };
    if !asked
        .headers
        .get("x-api-key")
        .is_some_and(|value| value.as_bytes().starts_with(b"sk-"))
    {
        return refuse(401, "authentication_error", "invalid x-api-key");
    }
    if !asked.headers.contains_key("anthropic-version") {
        return refuse(
            400,
            "invalid_request_error",
            "anthropic-version: header is required",
        );
    }
    match asked.fault {
        Some(Fault::RateLimited(seconds)) => {
            let mut response = refuse(
                429,
                "rate_limit_error",
                "This request would exceed your rate limit",
            );
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            return response;
        }
        Some(Fault::Status(529)) => return refuse(529, "overloaded_error", "Overloaded"),
        Some(Fault::Status(status)) => return refuse(status, "api_error", "Internal server error"),
        _ => {}
    }
    let counting = asked.path.ends_with("/count_tokens");
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    match read(&body, counting) {
        Err(message) => refuse(400, "invalid_request_error", &message),
        Ok(question) if counting => {
            let body = json!({"input_tokens": prompt_tokens(&question)});
            json_response(StatusCode::OK, body.to_string().into_bytes(), Coding::None)
        }
        Ok(question) => reply(asked, &question),
    }
}

fn note(asked: &Asked, question: &Question, outcome: ServedOutcome, cached: (u64, u64)) -> usize {
    let headers = asked.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    asked.state.note(Served {
        path: asked.path.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&asked.body).into_owned(),
        model: question.model.clone(),
        input: if outcome == ServedOutcome::Open {
            prompt_tokens(question)
        } else {
            0
        },
        cache_read: cached.0,
        cache_write: cached.1,
        output: 0,
        outcome,
    })
}

fn read(body: &Value, counting: bool) -> Result<Question, String> {
    let fields = body.as_object().ok_or("the body must be an object")?;
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    let max_tokens = fields.get("max_tokens").and_then(Value::as_u64);
    if max_tokens.is_none() && !counting {
        return Err("max_tokens: Field required".to_owned());
    }
    if fields
        .get("temperature")
        .and_then(Value::as_f64)
        .is_some_and(|value| !(0.0..=1.0).contains(&value))
    {
        return Err("temperature: range: 0..1".to_owned());
    }
    let mut question = Question {
        model: fields
            .get("model")
            .and_then(Value::as_str)
            .ok_or("model: Field required")?
            .to_owned(),
        max_tokens,
        stops: body["stop_sequences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        choices: 1,
        stream: fields.get("stream") == Some(&json!(true)),
        schema: body["output_config"]["format"].get("schema").cloned(),
        cache_marker: body.to_string().contains("\"cache_control\""),
        ..Question::default()
    };
    if body["thinking"]["type"] == "enabled" {
        let budget = body["thinking"]["budget_tokens"]
            .as_u64()
            .ok_or("thinking.budget_tokens: Field required")?;
        if budget < 1024 || max_tokens.is_some_and(|most| budget >= most) {
            return Err("thinking.budget_tokens: must be at least 1024 and less than max_tokens".to_owned());
        }
        question.thinking = true;
    }
    read_tools(body, &mut question)?;
    let system = read_content(&body["system"], &mut question)?;
    if !system.is_empty() {
        question.texts.push(system);
    }
    read_messages(body, &mut question)?;
    Ok(question)
}

fn read_tools(body: &Value, question: &mut Question) -> Result<(), String> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["name"].as_str().ok_or("tools.name: Field required")?;
        if tool["input_schema"]["type"] != "object" {
            return Err("tools.input_schema.type: Field required".to_owned());
        }
        question
            .tools
            .push((name.to_owned(), tool["input_schema"].clone()));
    }
    question.forced_tool = match body["tool_choice"]["type"].as_str() {
        Some("any") => Some(None),
        Some("tool") => Some(body["tool_choice"]["name"].as_str().map(str::to_owned)),
        Some("auto" | "none") | None => None,
        Some(other) => return Err(format!("tool_choice.type: unknown {other}")),
    };
    Ok(())
}

fn read_messages(body: &Value, question: &mut Question) -> Result<(), String> {
    let messages = body["messages"].as_array().ok_or("messages: Field required")?;
    if messages.first().is_none_or(|first| first["role"] != "user") {
        return Err("messages: first message must use the \"user\" role".to_owned());
    }
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        question.images.clear();
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        let results: Vec<&Value> = blocks
            .iter()
            .filter(|block| block["type"] == "tool_result")
            .collect();
        if !open.is_empty() {
            for id in &open {
                if !results.iter().any(|result| result["tool_use_id"] == id.as_str()) {
                    return Err(format!(
                        "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
                    ));
                }
            }
        }
        if results
            .iter()
            .any(|result| !open.iter().any(|id| result["tool_use_id"] == id.as_str()))
        {
            return Err("messages: unexpected `tool_use_id` found in `tool_result` blocks".to_owned());
        }
        open.clear();
        let text = read_content(&message["content"], question)?;
        match message["role"].as_str() {
            Some("user") => {
                question.tool_results.clear();
                for result in results {
                    let mut ignored = Question::default();
                    let said = read_content(&result["content"], &mut ignored)?;
                    question.texts.push(said.clone());
                    question.tool_results.push(said);
                }
                question.last_text.clone_from(&text);
            }
            Some("assistant") => {
                open = blocks
                    .iter()
                    .filter(|block| block["type"] == "tool_use")
                    .filter_map(|block| Some(block["id"].as_str()?.to_owned()))
                    .collect();
            }
            other => return Err(format!("messages.role: unexpected {other:?}")),
        }
        question.texts.push(text);
    }
    Ok(())
}

fn read_content(content: &Value, question: &mut Question) -> Result<String, String> {
    let blocks = match content {
        Value::Null => return Ok(String::new()),
        Value::String(text) => return Ok(text.clone()),
        Value::Array(blocks) => blocks,
        _ => return Err("content: expected a string or a list".to_owned()),
    };
    let mut all = String::new();
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => match block["text"].as_str() {
                Some("") | None => return Err("messages: text content blocks must be non-empty".to_owned()),
                Some(text) => all.push_str(text),
            },
            Some("image") => {
                let source = &block["source"];
                question.images.push(match source["type"].as_str() {
                    Some("base64") => check_image(
                        source["media_type"].as_str().unwrap_or_default(),
                        source["data"].as_str().unwrap_or_default(),
                    )?,
                    Some("url") => ("url".to_owned(), source["url"].as_str().map_or(0, str::len)),
                    other => return Err(format!("image.source.type: unknown {other:?}")),
                });
            }
            Some("thinking") => {
                let thinking = block["thinking"].as_str().unwrap_or_default();
                if block["signature"].as_str() != Some(&sign(thinking)) {
                    return Err("messages: Invalid `signature` in `thinking` block".to_owned());
                }
            }
            Some("tool_use") if !block["input"].is_object() => {
                return Err("tool_use.input: must be an object".to_owned());
            }
            Some("document" | "tool_use" | "tool_result" | "redacted_thinking") => {}
            other => return Err(format!("content.type: unknown {other:?}")),
        }
    }
    Ok(all)
}

/// A signature of thinking: enough to notice a change.
fn sign(thinking: &str) -> String {
    let sum = thinking
        .bytes()
        .fold(14_695_981_039_346_656_037_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        });
    format!("sig{sum:016x}")
}

/// Tokens read from and written to the cache: a prompt with a marker is written the first time, read after that.
fn cached(asked: &Asked, question: &Question) -> (u64, u64) {
    if !question.cache_marker {
        return (0, 0);
    }
    let prefix = question.texts.first().cloned().unwrap_or_default();
    let tokens = count(&prefix);
    if asked.state.cached.lock().insert(prefix) {
        (0, tokens)
    } else {
        (tokens, 0)
    }
}

fn reply(asked: Asked, question: &Question) -> Response<Body> {
    let answer = scripted(question);
    let cached = cached(&asked, question);
    let number = note(&asked, question, ServedOutcome::Open, cached);
    let model = question
        .model
        .split("+fault=")
        .next()
        .unwrap_or_default()
        .to_owned();
    if !question.stream {
        let body = whole(&answer, question, &model, cached);
        let (response, good) = whole_answer(&asked, body.to_string().into_bytes());
        return cut_whole(&asked, response, good, (number, answer.output), body);
    }
    if let Some(Fault::TruncatedJson | Fault::HtmlPage | Fault::EmptyBody) = asked.fault {
        asked.state.ended(number, ServedOutcome::Faulted, 0);
        return whole_answer(&asked, b"{\"id\":\"half\"".to_vec()).0;
    }
    let state = Arc::clone(&asked.state);
    let options = asked.state.options.clone();
    let coding = options.coding;
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let mut response = Response::new(tell(Telling {
        events: events(&answer, question, &model, cached),
        fault: asked.fault,
        error_event: format!("event: error\ndata: {error}\n\n"),
        options,
        reset: asked.reset,
        done: Box::new(move |outcome, tokens| state.ended(number, outcome, tokens)),
    }));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    if let Some(name) = coding.name() {
        headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static(name));
    }
    response
}

fn usage(question: &Question, cached: (u64, u64), output: u64) -> Value {
    json!({"input_tokens": prompt_tokens(question) - cached.0 - cached.1, "cache_read_input_tokens": cached.0,
           "cache_creation_input_tokens": cached.1, "output_tokens": output})
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.end {
        End::Stop => "end_turn",
        End::StopSequence => "stop_sequence",
        End::Length => "max_tokens",
        End::Tools => "tool_use",
        End::Refusal => "refusal",
    }
}

fn whole(answer: &Answer, question: &Question, model: &str, cached: (u64, u64)) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": sign(thinking)}));
    }
    if !answer.text.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    for (id, name, input) in &answer.calls {
        content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
    let stop = if answer.end == End::StopSequence {
        json!(question.stops.first())
    } else {
        Value::Null
    };
    json!({"id": "msg_sim", "type": "message", "role": "assistant", "model": model, "content": content,
           "stop_reason": stop_reason(answer), "stop_sequence": stop, "usage": usage(question, cached, answer.output)})
}

#[expect(
    clippy::too_many_lines,
    reason = "a stream is told in the order in which it is sent"
)]
fn events(answer: &Answer, question: &Question, model: &str, cached: (u64, u64)) -> Vec<Event> {
    let event = |kind: &str, mut data: Value, tokens: u64| {
        data["type"] = json!(kind);
        Event {
            text: format!("event: {kind}\ndata: {data}\n\n"),
            tokens,
        }
    };
    let mut all = vec![
        event(
            "message_start",
            json!({"message": {"id": "msg_sim", "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage(question, cached, 1)}}),
            0,
        ),
        event("ping", json!({}), 0),
    ];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<(Value, u64)>, all: &mut Vec<Event>| {
        all.push(event(
            "content_block_start",
            json!({"index": index, "content_block": start}),
            0,
        ));
        for (delta, tokens) in deltas {
            all.push(event(
                "content_block_delta",
                json!({"index": index, "delta": delta}),
                tokens,
            ));
        }
        all.push(event("content_block_stop", json!({"index": index}), 0));
        index += 1;
    };
    if let Some(thinking) = &answer.thinking {
        let mut deltas: Vec<(Value, u64)> = pieces(thinking)
            .into_iter()
            .map(|piece| (json!({"type": "thinking_delta", "thinking": piece}), 1))
            .collect();
        deltas.push((json!({"type": "signature_delta", "signature": sign(thinking)}), 0));
        block(
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            deltas,
            &mut all,
        );
    }
    if !answer.text.is_empty() {
        let deltas = pieces(&answer.text)
            .into_iter()
            .map(|piece| (json!({"type": "text_delta", "text": piece}), 1))
            .collect();
        block(json!({"type": "text", "text": ""}), deltas, &mut all);
    }
    for (id, name, input) in &answer.calls {
        let mut deltas = vec![(
            json!({"type": "input_json_delta", "partial_json": ""}),
            count(name),
        )];
        deltas.extend(
            pieces(&input.to_string())
                .into_iter()
                .map(|piece| (json!({"type": "input_json_delta", "partial_json": piece}), 1)),
        );
        block(
            json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
            deltas,
            &mut all,
        );
    }
    let stop = if answer.end == End::StopSequence {
        json!(question.stops.first())
    } else {
        Value::Null
    };
    all.push(event(
        "message_delta",
        json!({"delta": {"stop_reason": stop_reason(answer), "stop_sequence": stop},
        "usage": usage(question, cached, answer.output)}),
        0,
    ));
    all.push(event("message_stop", json!({}), 0));
    all
}
