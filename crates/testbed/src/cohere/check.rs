//! What Cohere refuses of a conversation, and what is asked by one it takes.

use serde_json::{Value, json};

use super::shapes;
use crate::exchange::Refusal;
use crate::media::{Kind, Media, data_url, image};
use crate::openai::schema::is_name;
use crate::script::{Choice, Question};
use crate::shape::{Problem, What, check, type_of};
use crate::tokens::Caching;

/// What is said of a problem.
pub(super) fn said(problem: &Problem) -> Refusal {
    let path = problem.bracketed();
    let found = &*problem.found;
    Refusal::bad(match &problem.what {
        What::Unknown => format!("unknown field: parameter '{path}' is not a valid field"),
        What::Missing if path == "model" => "invalid request: model is required".to_owned(),
        What::Missing => format!("invalid request: missing required field {path}"),
        What::Type(kind) => format!(
            "invalid type: parameter {path} is of type {} but should be of type {kind}.",
            type_of(found)
        ),
        What::Choice(words) => format!("invalid request: {path} must be one of [{}]", words.join(", ")),
        What::Tag(tag, words) => format!(
            "invalid request: {path}.{tag} {found} must be one of [{}]",
            words.join(", ")
        ),
        What::Below(least) => format!("invalid request: {path} must be at least {least}, got {found}"),
        What::Above(most) => format!("invalid request: {path} must be at most {most}, got {found}"),
        What::NotBase64 => format!("invalid request: {path} is not valid base64"),
        What::Union => format!("invalid request: {path} must have exactly one field"),
    })
}

/// Reads a conversation.
pub(super) fn read(body: &Value) -> Result<Question, Refusal> {
    check(body, &shapes::CHAT).map_err(|problem| said(&problem))?;
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let stops = list("stop_sequences");
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let mut question = Question {
        format: "cohere",
        stream: body["stream"] == true,
        max_tokens: body["max_tokens"].as_u64(),
        choices: 1,
        stops: stops
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        // Models that reason do so unless they are told not to.
        thinking: body["thinking"]["type"] == "enabled"
            || (model.contains("reasoning") && body["thinking"]["type"] != "disabled"),
        caching: Caching::Automatic,
        model,
        ..Question::default()
    };
    if question.stops.len() > 5 {
        return Err(Refusal::bad(
            "invalid request: stop_sequences must contain at most 5 items",
        ));
    }
    let format = &body["response_format"];
    if format["type"] == "json_object" {
        if !list("tools").is_empty() || !list("documents").is_empty() {
            return Err(Refusal::bad(
                "invalid request: response_format is not supported with tools or documents",
            ));
        }
        let schema = format.get("json_schema").or(format.get("schema"));
        if let Some(schema) = schema {
            schema_rules(schema)?;
        }
        let free = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
        question.schema = Some(schema.cloned().unwrap_or(free));
    }
    tools(body, &mut question)?;
    for document in list("documents") {
        question.texts.push(document.to_string());
    }
    messages(body, &mut question)?;
    Ok(question)
}

/// What Cohere asks of the schema of an answer.
fn schema_rules(schema: &Value) -> Result<(), Refusal> {
    if schema["type"] != "object" {
        return Err(Refusal::bad(
            "invalid request: schema: top level type must be object",
        ));
    }
    let required = schema["required"].as_array().is_some_and(|all| !all.is_empty());
    if !required {
        return Err(Refusal::bad(
            "invalid request: schema: at least one field must be required",
        ));
    }
    Ok(())
}

fn tools(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        if !is_name(name, 256) {
            return Err(Refusal::bad(format!(
                "invalid request: tool name '{name}' may only contain letters, digits, underscores and dashes"
            )));
        }
        let parameters = &tool["function"]["parameters"];
        if parameters["type"] != "object" {
            return Err(Refusal::bad(format!(
                "invalid request: tool '{name}': parameters must be of type object"
            )));
        }
        question.tools.offered.push((name.to_owned(), parameters.clone()));
    }
    let choice = body["tool_choice"].as_str();
    if choice.is_some() && question.tools.offered.is_empty() {
        return Err(Refusal::bad(
            "invalid request: tool_choice is only supported when tools are specified",
        ));
    }
    question.tools.choice = match choice {
        Some("REQUIRED") => Choice::Any,
        Some("NONE") => Choice::None,
        _ => Choice::Auto,
    };
    Ok(())
}

fn messages(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let all = body["messages"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        return Err(Refusal::bad(
            "invalid request: messages must contain at least one message",
        ));
    }
    let mut open: Vec<String> = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(unanswered(&open));
        }
        if role == "user" {
            question.last_media = question.media.len();
            question.tool_results.clear();
        }
        let text = content(&message["content"], at, question)?;
        match role {
            "user" => {
                if text.is_empty() && question.media.len() == question.last_media {
                    return Err(Refusal::bad(format!(
                        "invalid request: messages[{at}]: user message must have non-empty content"
                    )));
                }
                question.last_text.clone_from(&text);
            }
            "assistant" => open = called(message, &text, at, question)?,
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let found = open.iter().position(|open| open == id);
                open.remove(found.ok_or_else(|| {
                    Refusal::bad(format!(
                        "invalid request: messages[{at}]: tool_call_id '{id}' does not match a tool call of the last assistant message"
                    ))
                })?);
                question.tool_results.push(text.clone());
            }
            _ => {}
        }
        question.texts.push(text);
    }
    let last = all.last().map_or(&Value::Null, |last| &last["role"]);
    if !open.is_empty() {
        return Err(unanswered(&open));
    }
    if last != "user" && last != "tool" {
        return Err(Refusal::bad(
            "invalid request: the last message must be from the user or a tool",
        ));
    }
    Ok(())
}

fn unanswered(open: &[String]) -> Refusal {
    Refusal::bad(format!(
        "invalid request: all tool calls must be followed by a tool message with their result: {}",
        open.join(", ")
    ))
}

fn called(message: &Value, text: &str, at: usize, question: &mut Question) -> Result<Vec<String>, Refusal> {
    let mut ids: Vec<String> = Vec::new();
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let id = call["id"].as_str().unwrap_or_default();
        if id.is_empty() || ids.iter().any(|known| known == id) {
            return Err(Refusal::bad(format!(
                "invalid request: messages[{at}]: tool call ids must be unique and not empty"
            )));
        }
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        if serde_json::from_str::<Value>(arguments).is_err() {
            return Err(Refusal::bad(format!(
                "invalid request: messages[{at}]: arguments of tool call '{id}' are not valid JSON"
            )));
        }
        question.texts.push(arguments.to_owned());
        ids.push(id.to_owned());
    }
    let plan = message["tool_plan"].as_str().unwrap_or_default();
    if ids.is_empty() && text.is_empty() && plan.is_empty() {
        return Err(Refusal::bad(format!(
            "invalid request: messages[{at}]: assistant message must have non-empty content or tool calls"
        )));
    }
    question.texts.push(plan.to_owned());
    Ok(ids)
}

fn content(content: &Value, message: usize, question: &mut Question) -> Result<String, Refusal> {
    let mut all = content.as_str().unwrap_or_default().to_owned();
    for (at, part) in content.as_array().into_iter().flatten().enumerate() {
        if let Some(url) = part["image_url"]["url"].as_str() {
            let media = match data_url(url) {
                Some((mime, data)) => image(mime, data).map_err(|problem| {
                    Refusal::bad(format!(
                        "invalid request: messages[{message}].content[{at}]: invalid image: {problem:?}"
                    ))
                })?,
                None => Media::linked(Kind::Image, url),
            };
            question.media.push(media);
        }
        all.push_str(part["text"].as_str().unwrap_or_default());
        if !part["document"].is_null() {
            let data = &part["document"]["data"];
            let plain = ["output", "text", "content"]
                .iter()
                .find_map(|key| data[*key].as_str());
            all.push_str(&plain.map_or_else(|| data.to_string(), str::to_owned));
        }
    }
    Ok(all)
}
