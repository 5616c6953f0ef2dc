//! What OpenAI refuses of chat completions and completions, and what is asked by those it takes.

use serde_json::{Value, json};

use super::error::said;
use super::{media, schema, shapes};
use crate::exchange::Refusal;
use crate::script::{Choice, Question};
use crate::shape::check;
use crate::tokens::Caching;

/// Whether a model is one of OpenAI's own: other servers know more fields.
fn is_own(model: &str) -> bool {
    ["gpt-", "o1", "o3", "o4", "chatgpt-"]
        .iter()
        .any(|start| model.starts_with(start))
}

/// Reads a request; `text` says that it is for a completion.
pub(crate) fn read(body: &Value, text: bool) -> Result<Question, Refusal> {
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let mut known = body.clone();
    if let Some(fields) = known.as_object_mut().filter(|_| !is_own(&model)) {
        fields.retain(|name, _| !shapes::OF_SERVERS.contains(&name.as_str()));
    }
    let shape = if text { &shapes::COMPLETION } else { &shapes::CHAT };
    check(&known, shape).map_err(|problem| said(&problem, true))?;
    let limit = &body["max_completion_tokens"];
    let mut question = Question {
        format: "openai",
        max_tokens: limit.as_u64().or(body["max_tokens"].as_u64()),
        choices: body["n"].as_u64().unwrap_or(1),
        stream: body["stream"] == true,
        caching: Caching::Automatic,
        stops: stops(&body["stop"])?,
        thinking: model.contains("reason")
            && body["reasoning_effort"]
                .as_str()
                .is_some_and(|effort| effort != "none"),
        model,
        ..Question::default()
    };
    together(body, &question)?;
    if text {
        let prompt = &body["prompt"];
        let prompt = prompt.as_str().or(prompt[0].as_str()).unwrap_or_default();
        prompt.clone_into(&mut question.last_text);
        question.texts = vec![question.last_text.clone()];
        return Ok(question);
    }
    let told = body["logprobs"] == true;
    question.logprobs = told.then(|| body["top_logprobs"].as_u64().unwrap_or(0));
    tools(body, &mut question)?;
    messages(body, &mut question)?;
    question.schema = answer_schema(body, &question)?;
    Ok(question)
}

/// Fields that exclude or need each other.
fn together(body: &Value, question: &Question) -> Result<(), Refusal> {
    let has = |name: &str| !body[name].is_null();
    if has("stream_options") && !question.stream {
        return Err(
            Refusal::bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
                .at("stream_options"),
        );
    }
    if has("max_tokens") && has("max_completion_tokens") {
        return Err(Refusal::bad(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        )
        .coded("invalid_parameter_combination"));
    }
    if has("top_logprobs") && body["logprobs"] != true {
        return Err(
            Refusal::bad("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
                .at("top_logprobs"),
        );
    }
    if body["metadata"].as_object().is_some_and(|all| all.len() > 16) {
        return Err(Refusal::bad(
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties.",
        )
        .at("metadata")
        .coded("object_above_max_properties"));
    }
    // Models that always reason take less.
    let reasons = ["o1", "o3", "o4"]
        .iter()
        .any(|start| question.model.starts_with(start));
    if reasons {
        if has("max_tokens") {
            return Err(Refusal::bad("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.").at("max_tokens").coded("unsupported_parameter"));
        }
        let fixed = ["temperature", "top_p"];
        if let Some(name) = fixed
            .into_iter()
            .find(|name| has(name) && body[*name].as_f64() != Some(1.0))
        {
            return Err(Refusal::bad(format!(
                "Unsupported value: '{name}' does not support {} with this model. Only the default (1) value is supported.",
                body[name]
            ))
            .at(name)
            .coded("unsupported_value"));
        }
    }
    Ok(())
}

fn stops(stop: &Value) -> Result<Vec<String>, Refusal> {
    let stops: Vec<String> = match stop {
        Value::String(stop) => vec![stop.clone()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if stops.len() > 4 {
        return Err(Refusal::bad(format!(
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} instead.",
            stops.len()
        ))
        .at("stop")
        .coded("array_above_max_length"));
    }
    Ok(stops)
}

fn tools(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let all = body["tools"].as_array();
    if all.is_some_and(Vec::is_empty) {
        return Err(Refusal::bad(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
        .at("tools")
        .coded("empty_array"));
    }
    for (at, tool) in all.into_iter().flatten().enumerate() {
        let function = &tool["function"];
        let Some(name) = function["name"].as_str() else {
            continue;
        };
        schema::name(name, &format!("tools[{at}].function.name"))?;
        if let Some(parameters) = function.get("parameters").filter(|value| !value.is_null()) {
            let path = format!("tools[{at}].function.parameters");
            let strict = function["strict"] == true;
            schema::schema(parameters, strict, &format!("function '{name}'"), &path)?;
        }
        question
            .tools
            .offered
            .push((name.to_owned(), function["parameters"].clone()));
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if !body[name].is_null() && all.is_none() {
            return Err(
                Refusal::bad(format!("'{name}' is only allowed when 'tools' are specified.")).at(name),
            );
        }
    }
    question.tools.single = body["parallel_tool_calls"] == false;
    question.tools.choice = choice(&body["tool_choice"])?;
    if let Choice::Of(names) = &question.tools.choice {
        let offered = |name: &String| question.tools.offered.iter().any(|(known, _)| known == name);
        if let Some(name) = names.iter().find(|name| !offered(name)) {
            return Err(Refusal::bad(format!(
                "Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter."
            ))
            .at("tool_choice"));
        }
    }
    Ok(())
}

fn choice(choice: &Value) -> Result<Choice, Refusal> {
    let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
    Ok(match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Any,
            other => {
                return Err(Refusal::bad(format!(
                    "Invalid value: '{other}'. Supported values are: 'none', 'auto' and 'required'."
                ))
                .at("tool_choice")
                .coded("invalid_value"));
            }
        },
        Value::Object(fields) if fields.contains_key("allowed_tools") => {
            let allowed = &choice["allowed_tools"];
            let names = allowed["tools"].as_array().into_iter().flatten().filter_map(name);
            if allowed["mode"] == "required" {
                Choice::Of(names.collect())
            } else {
                Choice::Auto
            }
        }
        Value::Object(_) => Choice::Of(name(choice).into_iter().collect()),
        _ => Choice::Auto,
    })
}

fn messages(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    if messages.is_empty() {
        return Err(Refusal::bad(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        )
        .at("messages")
        .coded("empty_array"));
    }
    let mut open: Vec<String> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" {
            all_answered(&open)?;
        }
        if role == "user" {
            question.last_media = question.media.len();
        }
        let text = content(&message["content"], at, question)?;
        match role {
            "user" => {
                question.last_text.clone_from(&text);
                question.tool_results.clear();
            }
            "assistant" => open = called(message, at, question)?,
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let Some(found) = open.iter().position(|open| open == id) else {
                    return Err(Refusal::bad("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
                        .at(format!("messages.[{at}].role")));
                };
                open.remove(found);
                question.tool_results.push(text.clone());
            }
            _ => {}
        }
        question.texts.push(text);
    }
    all_answered(&open)
}

fn all_answered(open: &[String]) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    ))
    .at("messages"))
}

/// The calls of an assistant's message, which says something if it calls nothing.
fn called(message: &Value, at: usize, question: &mut Question) -> Result<Vec<String>, Refusal> {
    let mut ids: Vec<String> = Vec::new();
    let calls = message["tool_calls"].as_array();
    let silent = message["content"].is_null() && message["refusal"].is_null() && message["audio"].is_null();
    if calls.is_none_or(Vec::is_empty) && silent && message["function_call"].is_null() {
        return Err(Refusal::bad(format!(
            "Invalid value for 'content': expected a string, got null. messages[{at}] has neither content nor tool_calls."
        ))
        .at(format!("messages.[{at}].content")));
    }
    if calls.is_some_and(Vec::is_empty) {
        return Err(Refusal::bad(format!("Invalid 'messages[{at}].tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead."))
            .at(format!("messages[{at}].tool_calls"))
            .coded("empty_array"));
    }
    for (number, call) in calls.into_iter().flatten().enumerate() {
        let path = format!("messages[{at}].tool_calls[{number}]");
        let id = call["id"].as_str().unwrap_or_default();
        if id.len() > 40 {
            return Err(Refusal::bad(format!("Invalid '{path}.id': string too long. Expected a string with maximum length 40, but got a string with length {} instead.", id.len()))
                .at(format!("{path}.id"))
                .coded("string_above_max_length"));
        }
        if ids.iter().any(|known| known == id) {
            return Err(Refusal::bad(format!("Duplicate value for 'tool_call_id' of '{id}'")).at(path));
        }
        if let Some(name) = call["function"]["name"].as_str() {
            schema::name(name, &format!("{path}.function.name"))?;
        }
        let said = call["function"]["arguments"].as_str();
        question.texts.push(said.unwrap_or_default().to_owned());
        ids.push(id.to_owned());
    }
    Ok(ids)
}

fn content(content: &Value, message: usize, question: &mut Question) -> Result<String, Refusal> {
    let mut all = content.as_str().unwrap_or_default().to_owned();
    for (at, part) in content.as_array().into_iter().flatten().enumerate() {
        let path = format!("messages[{message}].content[{at}]");
        match part["type"].as_str() {
            Some("image_url") => {
                let url = part["image_url"]["url"].as_str().unwrap_or_default();
                let image = media::image(url, &format!("{path}.image_url.url"))?;
                question.media.push(image);
            }
            Some("input_audio") => question.media.push(media::audio(&part["input_audio"])),
            Some("file") => question
                .media
                .push(media::file(&part["file"], &format!("{path}.file"))?),
            _ => all.push_str(part["text"].as_str().unwrap_or_default()),
        }
    }
    Ok(all)
}

fn answer_schema(body: &Value, question: &Question) -> Result<Option<Value>, Refusal> {
    let format = &body["response_format"];
    match format["type"].as_str() {
        Some("json_schema") => {
            let said = &format["json_schema"];
            let name = said["name"].as_str().unwrap_or_default();
            schema::name(name, "response_format.json_schema.name")?;
            let given = said.get("schema").filter(|schema| !schema.is_null());
            if let Some(given) = given {
                let place = format!("response_format '{name}'");
                schema::schema(given, said["strict"] == true, &place, "response_format")?;
            }
            Ok(given.cloned())
        }
        Some("json_object") => {
            let told = question
                .texts
                .iter()
                .any(|text| text.to_lowercase().contains("json"));
            if !told {
                return Err(Refusal::bad("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.").at("messages"));
            }
            Ok(Some(
                json!({"type": "object", "properties": {"answer": {"type": "string"}}}),
            ))
        }
        _ => Ok(None),
    }
}
