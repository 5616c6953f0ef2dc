//! What Gemini refuses of a request, and what is asked by one it takes.

use serde_json::{Value, json};

use super::contents::contents;
use super::error::{camel, said};
use crate::exchange::Refusal;
use crate::script::{Choice, Question};
use crate::shape::{Kind, check, respell};
use crate::tokens::Caching;

/// The JSON of a body, spelled as JSON is, and checked.
pub(super) fn body(bytes: &[u8], kind: &'static Kind) -> Result<Value, Refusal> {
    let mut body: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad(format!("Invalid JSON payload received. {error}")))?;
    respell(&mut body, kind, camel);
    check(&body, kind).map_err(|problem| said(&problem))?;
    Ok(body)
}

/// Reads a request for content.
pub(super) fn read(body: &Value, model: &str, stream: bool) -> Result<Question, Refusal> {
    let config = &body["generationConfig"];
    let list = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let thinking = &config["thinkingConfig"];
    let mut question = Question {
        format: "gemini",
        model: model.to_owned(),
        stream,
        max_tokens: config["maxOutputTokens"].as_u64(),
        stops: list(&config["stopSequences"]),
        choices: config["candidateCount"].as_u64().unwrap_or(1),
        thinking: thinks(model, thinking),
        caching: Caching::Automatic,
        ..Question::default()
    };
    if question.stops.len() > 5 {
        return Err(Refusal::bad(
            "* GenerateContentRequest.generation_config.stop_sequences: the number of stop sequences must not exceed 5",
        ));
    }
    if !thinking["thinkingBudget"].is_null() && !thinking["thinkingLevel"].is_null() {
        return Err(Refusal::bad(
            "You can only set only one of thinking budget and thinking level.",
        ));
    }
    if model.contains("gemini-2") && !thinking["thinkingLevel"].is_null() {
        return Err(Refusal::bad("Thinking level is not supported for this model."));
    }
    question.schema = schema(config)?;
    tools(body, &mut question)?;
    if question.schema.is_some() && !question.tools.offered.is_empty() && !model.starts_with("gemini-3") {
        return Err(Refusal::bad(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    contents(body, &mut question)?;
    Ok(question)
}

/// Models of the third generation think unless they are told not to.
fn thinks(model: &str, config: &Value) -> bool {
    if config["thinkingBudget"] == 0 {
        return false;
    }
    model.starts_with("gemini-3")
        || !config["thinkingBudget"].is_null()
        || !config["thinkingLevel"].is_null()
        || config["includeThoughts"] == true
}

fn schema(config: &Value) -> Result<Option<Value>, Refusal> {
    let mime = config["responseMimeType"].as_str().unwrap_or("text/plain");
    if !["text/plain", "application/json", "text/x.enum"].contains(&mime) {
        return Err(Refusal::bad(format!(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`. Got {mime}."
        )));
    }
    let (own, general) = (&config["responseSchema"], &config["responseJsonSchema"]);
    let given = if own.is_null() { general } else { own };
    if !own.is_null() && !general.is_null() {
        return Err(Refusal::bad(
            "Only one of response_schema and response_json_schema can be set.",
        ));
    }
    if given.is_null() {
        let free = json!({"type": "object", "properties": {"answer": {"type": "string"}}});
        return Ok((mime == "application/json").then_some(free));
    }
    if mime == "text/plain" {
        return Err(Refusal::bad(
            "* GenerateContentRequest.generation_config.response_mime_type: must be application/json when response_schema is set",
        ));
    }
    if !own.is_null() {
        types(own, "generation_config.response_schema")?;
    }
    Ok(Some(given.clone()))
}

/// What the types of Google's schemas ask for.
fn types(schema: &Value, path: &str) -> Result<(), Refusal> {
    let kind = schema["type"].as_str().unwrap_or_default().to_uppercase();
    let bad = |text: String| Err(Refusal::bad(format!("* GenerateContentRequest.{path}{text}")));
    if kind.is_empty() && schema["anyOf"].is_null() {
        return bad(".type: must be specified".to_owned());
    }
    if kind == "ARRAY" && schema["items"].is_null() {
        return bad(".items: missing field.".to_owned());
    }
    if kind == "OBJECT"
        && schema["properties"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    {
        return bad(".properties: should be non-empty for OBJECT type".to_owned());
    }
    if !schema["properties"].is_null() && kind != "OBJECT" {
        return bad(".properties: only allowed for OBJECT type".to_owned());
    }
    if !schema["enum"].is_null() && kind != "STRING" {
        return bad(".enum: only allowed for STRING type".to_owned());
    }
    if let Some(format) = schema["format"].as_str().filter(|_| kind == "STRING")
        && !["enum", "date-time"].contains(&format)
    {
        return bad(format!(
            ".format: only 'enum' and 'date-time' are supported for STRING type, got {format}"
        ));
    }
    for (at, name) in schema["required"].as_array().into_iter().flatten().enumerate() {
        let known = name
            .as_str()
            .is_some_and(|name| !schema["properties"][name].is_null());
        if !known {
            return bad(format!(".required[{at}]: property is not defined"));
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        types(inner, &format!("{path}.properties[{name}]"))?;
    }
    for (at, inner) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        types(inner, &format!("{path}.any_of[{at}]"))?;
    }
    if schema["items"].is_null() {
        return Ok(());
    }
    types(&schema["items"], &format!("{path}.items"))
}

/// Whether a function's name has the form that Google asks for.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    let first = name.bytes().next();
    name.len() <= 64
        && first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(letter)
}

fn tools(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        for (number, function) in tool["functionDeclarations"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let path = format!("tools[{at}].function_declarations[{number}]");
            let name = function["name"].as_str().unwrap_or_default();
            if !is_name(name) {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{path}.name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:) or dashes (-), with a maximum length of 64."
                )));
            }
            if question.tools.offered.iter().any(|(known, _)| known == name) {
                return Err(Refusal::bad(format!(
                    "Duplicate function declaration found: {name}"
                )));
            }
            let (own, general) = (&function["parameters"], &function["parametersJsonSchema"]);
            if !own.is_null() && !general.is_null() {
                return Err(Refusal::bad(format!(
                    "* GenerateContentRequest.{path}: only one of parameters and parameters_json_schema can be set"
                )));
            }
            if !own.is_null() {
                types(own, &format!("{path}.parameters"))?;
            }
            let schema = if own.is_null() { general } else { own };
            question.tools.offered.push((name.to_owned(), schema.clone()));
        }
    }
    let config = &body["toolConfig"]["functionCallingConfig"];
    let allowed = config["allowedFunctionNames"].as_array();
    let mode = config["mode"].as_str().unwrap_or("AUTO");
    if allowed.is_some_and(|all| !all.is_empty()) && !["ANY", "VALIDATED"].contains(&mode) {
        return Err(Refusal::bad(
            "Invalid value at 'tool_config.function_calling_config': allowed_function_names should only be set when the Function Calling mode is ANY.",
        ));
    }
    let names: Vec<String> = allowed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let offered = |name: &String| question.tools.offered.iter().any(|(known, _)| known == name);
    if let Some(name) = names.iter().find(|name| !offered(name)) {
        return Err(Refusal::bad(format!(
            "allowed_function_names contains a function that is not declared: {name}"
        )));
    }
    question.tools.choice = match mode {
        "ANY" if names.is_empty() => Choice::Any,
        "ANY" => Choice::Of(names),
        "NONE" => Choice::None,
        _ => Choice::Auto,
    };
    if question.tools.choice == Choice::Any && question.tools.offered.is_empty() {
        return Err(Refusal::bad(
            "Function calling config is set without function_declarations.",
        ));
    }
    Ok(())
}
