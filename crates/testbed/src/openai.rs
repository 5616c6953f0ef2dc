//! OpenAI as a provider: chat completions, completions, embeddings, models.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::script::{Answer, End, Question, answer as scripted, count, pieces, prompt_tokens};
use crate::served::{Served, ServedOutcome};
use crate::sim::{Asked, Coding, json as json_response, whole_answer};
use crate::stream::{Body, Event, Telling, tell};

const KNOWN: &[&str] = &[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "response_format",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "service_tier",
    "store",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "audio",
    "prediction",
    "safety_identifier",
    "prompt_cache_key",
    "web_search_options",
    "prompt",
    "echo",
    "suffix",
    "best_of",
    "chat_template_kwargs",
    "top_k",
];

/// Answers a request.
pub(crate) fn answer(asked: Asked) -> Response<Body> {
    let refuse = |status: u16, kind: &str, code: Value, message: &str| {
        let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        record(&asked, &Question::default(), ServedOutcome::Refused(status));
        json_response(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            body.to_string().into_bytes(),
            Coding::None,
        )
    };
    let authorized = asked
        .headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"Bearer sk-"));
    if !authorized {
        return refuse(
            401,
            "invalid_request_error",
            json!("invalid_api_key"),
            "Incorrect API key provided: sk-wrong-key-0123456789.",
        );
    }
    match asked.fault {
        Some(Fault::RateLimited(seconds)) => {
            let mut response = refuse(
                429,
                "requests",
                json!("rate_limit_exceeded"),
                "Rate limit reached",
            );
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            return response;
        }
        Some(Fault::Status(status)) => {
            return refuse(status, "server_error", Value::Null, "The server had an error");
        }
        _ => {}
    }
    if asked.path.ends_with("/models") {
        let body = json!({"object": "list", "data": [{"id": "gpt-sim", "object": "model", "created": 1, "owned_by": "sim"}]});
        return json_response(StatusCode::OK, body.to_string().into_bytes(), Coding::None);
    }
    let body: Value = match serde_json::from_slice(&asked.body) {
        Ok(body) => body,
        Err(error) => {
            return refuse(
                400,
                "invalid_request_error",
                Value::Null,
                &format!("not JSON: {error}"),
            );
        }
    };
    if asked.path.ends_with("/embeddings") {
        return embed(&asked, &body);
    }
    let text = asked.path.ends_with("/completions") && !asked.path.ends_with("/chat/completions");
    match read(&body, text) {
        Ok(question) => reply(asked, &question, text),
        Err(message) => refuse(400, "invalid_request_error", Value::Null, &message),
    }
}

fn record(asked: &Asked, question: &Question, outcome: ServedOutcome) -> usize {
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
        cache_read: 0,
        cache_write: 0,
        output: 0,
        outcome,
    })
}

fn embed(asked: &Asked, body: &Value) -> Response<Body> {
    let texts: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all
            .iter()
            .map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    let tokens: u64 = texts.iter().map(|text| count(text)).sum();
    let base64 = body["encoding_format"] == "base64";
    let vector = |text: &String| {
        // Eight dimensions that depend on the text; as base64 little-endian floats where that is asked for.
        let numbers: Vec<f32> = (0..8_u8)
            .map(|at| f32::from(text.bytes().fold(at, u8::wrapping_add)) / 255.0)
            .collect();
        if base64 {
            json!(encode(&numbers))
        } else {
            json!(numbers)
        }
    };
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    let number = record(
        asked,
        &Question {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            texts,
            ..Question::default()
        },
        ServedOutcome::Open,
    );
    asked.state.ended(number, ServedOutcome::Complete, 0);
    let reply = json!({"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": tokens, "total_tokens": tokens}});
    whole_answer(asked, reply.to_string().into_bytes()).0
}

fn encode(numbers: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let all =
            chunk.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { letter as char } else { '=' });
        }
    }
    out
}

fn read(body: &Value, text: bool) -> Result<Question, String> {
    let fields = body.as_object().ok_or("the body must be an object")?;
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("Unrecognized request argument supplied: {unknown}"));
    }
    let mut question = Question {
        model: fields
            .get("model")
            .and_then(Value::as_str)
            .ok_or("you must provide a model parameter")?
            .to_owned(),
        max_tokens: fields
            .get("max_completion_tokens")
            .or(fields.get("max_tokens"))
            .and_then(Value::as_u64),
        choices: fields.get("n").and_then(Value::as_u64).unwrap_or(1),
        stream: fields.get("stream") == Some(&json!(true)),
        include_usage: body["stream_options"]["include_usage"] == true,
        schema: body["response_format"]["json_schema"].get("schema").cloned(),
        ..Question::default()
    };
    if fields
        .get("temperature")
        .and_then(Value::as_f64)
        .is_some_and(|value| !(0.0..=2.0).contains(&value))
    {
        return Err("temperature must be between 0 and 2".to_owned());
    }
    question.stops = match &body["stop"] {
        Value::String(stop) => vec![stop.clone()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    question.thinking = question.model.contains("reason") && fields.contains_key("reasoning_effort");
    if text {
        question.last_text = body["prompt"].as_str().map_or_else(
            || body["prompt"][0].as_str().unwrap_or_default().to_owned(),
            str::to_owned,
        );
        question.texts = vec![question.last_text.clone()];
        return Ok(question);
    }
    read_tools(body, &mut question)?;
    read_messages(fields, &mut question)?;
    Ok(question)
}

fn read_tools(body: &Value, question: &mut Question) -> Result<(), String> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        let name = function["name"].as_str().ok_or("tools need function.name")?;
        question
            .tools
            .push((name.to_owned(), function["parameters"].clone()));
    }
    question.forced_tool = match &body["tool_choice"] {
        Value::String(choice) if choice == "required" => Some(None),
        Value::Object(choice) => Some(
            choice
                .get("function")
                .and_then(|function| Some(function["name"].as_str()?.to_owned())),
        ),
        _ => None,
    };
    Ok(())
}

fn read_messages(fields: &Map<String, Value>, question: &mut Question) -> Result<(), String> {
    let messages = fields
        .get("messages")
        .and_then(Value::as_array)
        .ok_or("'messages' is a required property")?;
    if messages.is_empty() {
        return Err("[] is too short - 'messages'".to_owned());
    }
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        let role = message["role"].as_str().ok_or("messages need a role")?;
        if role != "tool" && !open.is_empty() {
            return Err("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.".to_owned());
        }
        question.images.clear();
        match role {
            "system" | "developer" | "user" => {
                let text = read_content(&message["content"], question)?;
                if role == "user" {
                    question.last_text.clone_from(&text);
                    question.tool_results.clear();
                }
                question.texts.push(text);
            }
            "assistant" => {
                let text = read_content(&message["content"], question)?;
                question.texts.push(text);
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let id = call["id"].as_str().ok_or("tool calls need an id")?;
                    call["function"]["arguments"]
                        .as_str()
                        .ok_or("arguments must be a string")?;
                    open.push(id.to_owned());
                }
            }
            "tool" => {
                let id = message["tool_call_id"]
                    .as_str()
                    .ok_or("tool messages need tool_call_id")?;
                let at = open.iter().position(|open| open == id);
                open.remove(at.ok_or(
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                )?);
                let text = read_content(&message["content"], question)?;
                question.texts.push(text.clone());
                question.tool_results.push(text);
            }
            other => {
                return Err(format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'tool', 'developer'."
                ));
            }
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("tool calls without their results".to_owned())
    }
}

fn read_content(content: &Value, question: &mut Question) -> Result<String, String> {
    let parts = match content {
        Value::Null => return Ok(String::new()),
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        _ => return Err("content must be a string or a list of parts".to_owned()),
    };
    let mut all = String::new();
    for part in parts {
        match part["type"].as_str() {
            Some("text") => all.push_str(part["text"].as_str().ok_or("text parts need text")?),
            Some("image_url") => {
                let url = part["image_url"]["url"].as_str().ok_or("image_url needs url")?;
                let (kind, size) = image(url)?;
                question.images.push((kind, size));
            }
            Some("file" | "input_audio" | "refusal") => {}
            other => return Err(format!("Invalid content type {other:?}")),
        }
    }
    Ok(all)
}

/// Media type and size of an image.
pub(crate) fn image(url: &str) -> Result<(String, usize), String> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(("url".to_owned(), url.len()));
    };
    let (kind, data) = data.split_once(";base64,").ok_or("images must be base64")?;
    check_image(kind, data)
}

/// Checks what both providers check of an image.
pub(crate) fn check_image(kind: &str, data: &str) -> Result<(String, usize), String> {
    if !["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&kind) {
        return Err(format!("unsupported image type {kind}"));
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if data.is_empty() || !data.bytes().all(valid) || !data.len().is_multiple_of(4) {
        return Err("invalid base64 image".to_owned());
    }
    Ok((
        kind.to_owned(),
        data.len() / 4 * 3 - data.bytes().rev().take_while(|byte| *byte == b'=').count(),
    ))
}

fn reply(asked: Asked, question: &Question, text: bool) -> Response<Body> {
    let answer = scripted(question);
    let number = record(&asked, question, ServedOutcome::Open);
    let usage = usage(question, &answer);
    let model = question
        .model
        .split("+fault=")
        .next()
        .unwrap_or_default()
        .to_owned();
    if !question.stream {
        let body = whole(&answer, question, &model, &usage, text);
        let (response, good) = whole_answer(&asked, body.to_string().into_bytes());
        return cut_whole(
            &asked,
            response,
            good,
            (number, answer.output * question.choices),
            body,
        );
    }
    if let Some(Fault::TruncatedJson | Fault::HtmlPage | Fault::EmptyBody) = asked.fault {
        asked.state.ended(number, ServedOutcome::Faulted, 0);
        return whole_answer(&asked, b"{\"id\":\"half\"".to_vec()).0;
    }
    let state = Arc::clone(&asked.state);
    let options = asked.state.options.clone();
    let coding = options.coding;
    let mut response = Response::new(tell(Telling {
        events: events(&answer, question, &model, &usage, text),
        fault: asked.fault,
        error_event: "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n".to_owned(),
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

/// Faults of the body that whole answers share with streams: half of it, then the end.
#[expect(
    clippy::too_many_lines,
    reason = "a stream is told in the order in which it is sent"
)]
pub(crate) fn cut_whole(
    asked: &Asked,
    response: Response<Body>,
    good: bool,
    noted: (usize, u64),
    body: Value,
) -> Response<Body> {
    let (number, output) = noted;
    let broken = matches!(
        asked.fault,
        Some(
            Fault::StallAfterHead
                | Fault::StallMidStream
                | Fault::CutClean
                | Fault::CutAbort
                | Fault::ResetMidStream
                | Fault::MalformedEvent
                | Fault::SlowFirstToken(_)
        )
    );
    if let Some(Fault::ErrorEvent) = asked.fault {
        asked.state.ended(number, ServedOutcome::Faulted, 0);
        return json_response(StatusCode::OK, b"{\"type\":\"error\",\"error\":{\"message\":\"The server had an error\",\"type\":\"api_error\"}}".to_vec(), Coding::None);
    }
    if !broken {
        let outcome = if good {
            ServedOutcome::Complete
        } else {
            ServedOutcome::Faulted
        };
        asked.state.ended(number, outcome, if good { output } else { 0 });
        return response;
    }
    let text = body.to_string();
    let half = text.len() / 2;
    let half = (half..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let slow = matches!(asked.fault, Some(Fault::SlowFirstToken(_)));
    let rest = if asked.fault == Some(Fault::MalformedEvent) {
        "}}}}"
    } else {
        &text[half..]
    };
    let events = vec![
        Event {
            text: text[..half].to_owned(),
            tokens: 0,
        },
        Event {
            text: rest.to_owned(),
            tokens: output,
        },
    ];
    let state = Arc::clone(&asked.state);
    let fault = asked.fault.filter(|fault| *fault != Fault::MalformedEvent);
    let mut options = asked.state.options.clone();
    options.coding = Coding::None;
    let mut whole = Response::new(tell(Telling {
        events,
        fault,
        error_event: String::new(),
        options,
        reset: Arc::clone(&asked.reset),
        done: Box::new(move |outcome, tokens| {
            state.ended(
                number,
                if slow { outcome } else { ServedOutcome::Faulted },
                tokens,
            );
        }),
    }));
    whole.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    whole
}

fn usage(question: &Question, answer: &Answer) -> Value {
    let input = prompt_tokens(question);
    let output = answer.output * question.choices;
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.thinking.as_deref().map_or(0, count), "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    })
}

fn finish(answer: &Answer) -> &'static str {
    match answer.end {
        End::Length => "length",
        End::Tools => "tool_calls",
        End::Stop | End::StopSequence | End::Refusal => "stop",
    }
}

fn calls(answer: &Answer) -> Vec<Value> {
    let call = |(id, name, arguments): &(String, String, Value)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
    answer.calls.iter().map(call).collect()
}

fn whole(answer: &Answer, question: &Question, model: &str, usage: &Value, text: bool) -> Value {
    let choice = |index: u64| {
        if text {
            return json!({"index": index, "text": answer.text, "logprobs": null, "finish_reason": finish(answer)});
        }
        let content = if answer.refusal || !answer.calls.is_empty() {
            Value::Null
        } else {
            json!(answer.text)
        };
        let refusal = if answer.refusal {
            json!(answer.text)
        } else {
            Value::Null
        };
        let mut message =
            json!({"role": "assistant", "content": content, "refusal": refusal, "annotations": []});
        if !answer.calls.is_empty() {
            message["tool_calls"] = json!(calls(answer));
        }
        if let Some(thinking) = &answer.thinking {
            message["reasoning_content"] = json!(thinking);
        }
        json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish(answer)})
    };
    let choices: Vec<Value> = (0..question.choices).map(choice).collect();
    let kind = if text {
        "text_completion"
    } else {
        "chat.completion"
    };
    json!({"id": "chatcmpl-sim", "object": kind, "created": 1_700_000_000, "model": model, "choices": choices,
           "usage": usage, "service_tier": "default", "system_fingerprint": "fp_sim"})
}

#[expect(
    clippy::too_many_lines,
    reason = "a stream is told in the order in which it is sent"
)]
fn events(answer: &Answer, question: &Question, model: &str, usage: &Value, text: bool) -> Vec<Event> {
    let kind = if text {
        "text_completion"
    } else {
        "chat.completion.chunk"
    };
    let event = |choices: Value, tokens: u64, usage: Option<&Value>| {
        let mut chunk = json!({"id": "chatcmpl-sim", "object": kind, "created": 1_700_000_000, "model": model,
                               "system_fingerprint": "fp_sim", "choices": choices});
        if question.include_usage {
            chunk["usage"] = usage.cloned().unwrap_or(Value::Null);
        }
        Event {
            text: format!("data: {chunk}\n\n"),
            tokens,
        }
    };
    let delta = |index: u64, delta: Value, tokens: u64| {
        event(
            json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]),
            tokens,
            None,
        )
    };
    let mut all = Vec::new();
    for index in 0..question.choices {
        if text {
            for piece in pieces(&answer.text) {
                all.push(event(
                    json!([{"index": index, "text": piece, "logprobs": null, "finish_reason": null}]),
                    1,
                    None,
                ));
            }
            all.push(event(
                json!([{"index": index, "text": "", "logprobs": null, "finish_reason": finish(answer)}]),
                0,
                None,
            ));
            continue;
        }
        all.push(delta(
            index,
            json!({"role": "assistant", "content": "", "refusal": null}),
            0,
        ));
        for piece in answer.thinking.iter().flat_map(|thinking| pieces(thinking)) {
            all.push(delta(index, json!({"reasoning_content": piece}), 1));
        }
        let field = if answer.refusal { "refusal" } else { "content" };
        for piece in pieces(&answer.text) {
            all.push(delta(index, json!({field: piece}), 1));
        }
        for (at, call) in calls(answer).into_iter().enumerate() {
            let mut start = call.clone();
            start["index"] = json!(at);
            start["function"]["arguments"] = json!("");
            all.push(delta(
                index,
                json!({"tool_calls": [start]}),
                count(call["function"]["name"].as_str().unwrap_or_default()),
            ));
        }
        // Arguments of parallel calls interleave.
        let mut rests: Vec<Vec<String>> = calls(answer)
            .iter()
            .map(|call| pieces(call["function"]["arguments"].as_str().unwrap_or_default()))
            .collect();
        while rests.iter().any(|rest| !rest.is_empty()) {
            for (at, rest) in rests.iter_mut().enumerate().filter(|(_, rest)| !rest.is_empty()) {
                let piece = rest.remove(0);
                all.push(delta(
                    index,
                    json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}),
                    1,
                ));
            }
        }
        all.push(event(
            json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": finish(answer)}]),
            0,
            None,
        ));
    }
    if question.include_usage {
        all.push(event(json!([]), 0, Some(usage)));
    }
    all.push(Event {
        text: "data: [DONE]\n\n".to_owned(),
        tokens: 0,
    });
    all
}
