//! What Anthropic refuses of a request, and what is asked by one it takes.

use serde_json::Value;

use super::messages::messages;
use super::{schema, shapes};
use crate::exchange::Refusal;
use crate::script::{Choice, Question};
use crate::shape::{Problem, What, check};
use crate::tokens::Caching;

/// The older version, which lets the client choose how a model samples.
pub(super) const OLD: &str = "2023-06-01";

/// What is said of a problem.
fn said(problem: &Problem) -> Refusal {
    let path = problem.dotted();
    let either = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    };
    let text = match &problem.what {
        What::Unknown => "Extra inputs are not permitted".to_owned(),
        What::Missing => "Field required".to_owned(),
        What::Type("array") => "Input should be a valid list".to_owned(),
        What::Type("object") => "Input should be a valid dictionary".to_owned(),
        What::Type(kind) => format!("Input should be a valid {kind}"),
        What::Choice(words) => format!("Input should be {}", either(words)),
        What::Tag(tag, words) => format!(
            "Input tag {} found using '{tag}' does not match any of the expected tags: {}",
            problem.found.to_string().replace('"', "'"),
            words
                .iter()
                .map(|word| format!("'{word}'"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        What::Below(least) => format!("Input should be greater than or equal to {least}"),
        What::Above(most) => format!("Input should be less than or equal to {most}"),
        What::NotBase64 => "Invalid base64 data".to_owned(),
        What::Union => "Exactly one field is expected".to_owned(),
    };
    Refusal::bad(format!("{path}: {text}"))
}

/// Reads a request of a version.
pub(crate) fn read(body: &Value, version: &str, counting: bool) -> Result<Question, Refusal> {
    let shape = match (counting, version) {
        (true, _) => &shapes::COUNT,
        (false, OLD) => &shapes::REQUEST,
        (false, _) => &shapes::LATER_REQUEST,
    };
    check(body, shape).map_err(|problem| said(&problem))?;
    let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
    let marked = body.to_string().matches("\"cache_control\":{").count();
    let mut question = Question {
        format: "anthropic",
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        max_tokens: body["max_tokens"].as_u64(),
        stops: list("stop_sequences")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        choices: 1,
        stream: body["stream"] == true,
        caching: if marked > 0 { Caching::Marked } else { Caching::Off },
        ..Question::default()
    };
    if marked > 4 {
        return Err(Refusal::bad(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {marked}."
        )));
    }
    if question.stops.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Refusal::bad(
            "stop_sequences: each stop sequence must contain non-whitespace",
        ));
    }
    thinking(body, &mut question)?;
    sampling(body, &question)?;
    tools(body, &mut question)?;
    if let Some(schema) = body["output_config"]["format"].get("schema") {
        schema::of_answer(schema)?;
        question.schema = Some(schema.clone());
    }
    messages(body, version, &mut question)?;
    Ok(question)
}

fn thinking(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let thinking = &body["thinking"];
    let kind = thinking["type"].as_str();
    question.thinking = matches!(kind, Some("enabled" | "adaptive" | "between_tools"));
    let budget = thinking["budget_tokens"].as_u64();
    if budget
        .zip(question.max_tokens)
        .is_some_and(|(budget, most)| budget >= most)
    {
        return Err(Refusal::bad(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
        ));
    }
    if question.thinking && matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
        return Err(Refusal::bad(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    Ok(())
}

fn sampling(body: &Value, question: &Question) -> Result<(), Refusal> {
    let number = |name: &str| body[name].as_f64();
    if question.thinking {
        if number("temperature").is_some_and(|value| value < 1.0) {
            return Err(Refusal::bad(
                "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking",
            ));
        }
        if number("top_p").is_some_and(|value| value < 0.95) {
            return Err(Refusal::bad(
                "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
            ));
        }
        if number("top_k").is_some() {
            return Err(Refusal::bad("`top_k` must be unset when thinking is enabled."));
        }
    }
    // Newer models take one of them.
    let newer = ["opus-4-1", "opus-4-5", "sonnet-4-5", "haiku-4-5"]
        .iter()
        .any(|name| question.model.contains(name));
    if newer && number("temperature").is_some() && number("top_p").is_some() {
        return Err(Refusal::bad(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ));
    }
    Ok(())
}

fn tools(body: &Value, question: &mut Question) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        let name = tool["name"].as_str().unwrap_or_default();
        if !crate::openai::schema::is_name(name, 128) {
            return Err(Refusal::bad(format!(
                "tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )));
        }
        if seen.contains(&name) {
            return Err(Refusal::bad("tools: Tool names must be unique."));
        }
        seen.push(name);
        if tool["type"] == "web_search_20250305" {
            // Its own: nobody searches here.
            continue;
        }
        if tool["input_schema"].is_null() {
            return Err(Refusal::bad(format!(
                "tools.{at}.custom.input_schema: Field required"
            )));
        }
        schema::of_tool(&tool["input_schema"], tool["strict"] == true, at)?;
        question
            .tools
            .offered
            .push((name.to_owned(), tool["input_schema"].clone()));
    }
    let choice = &body["tool_choice"];
    if !choice.is_null() && seen.is_empty() && choice["type"] != "none" {
        return Err(Refusal::bad(
            "tool_choice: tool_choice may only be specified while providing tools.",
        ));
    }
    question.tools.single = choice["disable_parallel_tool_use"] == true;
    question.tools.choice = match choice["type"].as_str() {
        Some("any") => Choice::Any,
        Some("none") => Choice::None,
        Some("tool") => {
            let name = choice["name"].as_str().unwrap_or_default();
            if !seen.contains(&name) {
                return Err(Refusal::bad(format!(
                    "tool_choice: Tool '{name}' not found in provided tools"
                )));
            }
            Choice::Of(vec![name.to_owned()])
        }
        _ => Choice::Auto,
    };
    Ok(())
}
