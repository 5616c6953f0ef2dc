//! What Bedrock refuses of a conversation, and what is asked by one it takes.

use serde_json::Value;

use super::messages::messages;
use super::shapes;
use crate::exchange::Refusal;
use crate::openai::schema::is_name;
use crate::script::{Choice, Question};
use crate::shape::{Problem, Step, What, check};
use crate::tokens::Caching;

/// The path as AWS writes it: elements count from one.
fn place(problem: &Problem) -> String {
    let steps = problem.path.iter().map(|step| match step {
        Step::Field(name) => name.clone(),
        Step::Index(index) => format!("{}.member", index + 1),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// A constraint that is not met.
pub(super) fn constraint(path: &str, found: &str, rule: &str) -> Refusal {
    Refusal::bad(format!(
        "1 validation error detected: Value {found} at '{path}' failed to satisfy constraint: {rule}"
    ))
}

/// What is said of a problem.
pub(super) fn said(problem: &Problem) -> Refusal {
    let path = place(problem);
    let found = format!(
        "'{}'",
        problem
            .found
            .as_str()
            .map_or_else(|| problem.found.to_string(), str::to_owned)
    );
    match &problem.what {
        What::Unknown => Refusal::bad(format!(
            "Malformed input request: #/{}: extraneous key [{}] is not permitted, please reformat your input and try again.",
            path.trim_end_matches(problem.name())
                .trim_end_matches('.')
                .replace('.', "/"),
            problem.name()
        )),
        What::Missing => constraint(&path, "null", "Member must not be null"),
        What::Choice(words) => constraint(
            &path,
            &found,
            &format!("Member must satisfy enum value set: [{}]", words.join(", ")),
        ),
        What::Below(least) => constraint(
            &path,
            &found,
            &format!("Member must have value greater than or equal to {least}"),
        ),
        What::Above(most) => constraint(
            &path,
            &found,
            &format!("Member must have value less than or equal to {most}"),
        ),
        What::Union => Refusal::bad(format!(
            "The model returned the following errors: exactly one member of the union at '{path}' must be set"
        )),
        What::Type(_) | What::Tag(..) | What::NotBase64 => {
            Refusal::new(400, format!("Unexpected token at '{path}'")).coded("SerializationException")
        }
    }
}

/// Reads a conversation.
pub(super) fn read(body: &Value, model: &str, stream: bool) -> Result<Question, Refusal> {
    check(body, &shapes::CONVERSE).map_err(|problem| said(&problem))?;
    let config = &body["inferenceConfig"];
    let extra = &body["additionalModelRequestFields"];
    let mut question = Question {
        format: "bedrock",
        model: model.to_owned(),
        stream,
        choices: 1,
        max_tokens: config["maxTokens"].as_u64(),
        stops: config["stopSequences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        thinking: matches!(extra["thinking"]["type"].as_str(), Some("enabled" | "adaptive")),
        caching: if body.to_string().contains("\"cachePoint\"") {
            Caching::Marked
        } else {
            Caching::Off
        },
        ..Question::default()
    };
    stops(&question.stops)?;
    thinking(config, extra, &question)?;
    tools(&body["toolConfig"], &mut question)?;
    let format = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    if let Some(text) = format["schema"].as_str() {
        let schema = serde_json::from_str(text)
            .map_err(|_| Refusal::bad("The JSON schema of outputConfig.textFormat is not valid JSON."))?;
        question.schema = Some(schema);
    }
    messages(body, &mut question)?;
    Ok(question)
}

fn stops(stops: &[String]) -> Result<(), Refusal> {
    let path = "inferenceConfig.stopSequences";
    if stops.len() > 2500 {
        return Err(constraint(
            path,
            "list",
            "Member must have length less than or equal to 2500",
        ));
    }
    match stops.iter().position(String::is_empty) {
        Some(at) => Err(constraint(
            &format!("{path}.{}.member", at + 1),
            "''",
            "Member must have length greater than or equal to 1",
        )),
        None if stops.iter().any(|stop| stop.trim().is_empty()) => Err(Refusal::bad(
            "stop_sequences: each stop sequence must contain non-whitespace",
        )),
        None => Ok(()),
    }
}

fn thinking(config: &Value, extra: &Value, question: &Question) -> Result<(), Refusal> {
    let said = &extra["thinking"];
    if said["type"] == "enabled" {
        let budget = said["budget_tokens"].as_u64();
        let Some(budget) = budget.filter(|budget| *budget >= 1024) else {
            return Err(Refusal::bad(
                "The model returned the following errors: thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        };
        if question.max_tokens.is_some_and(|most| budget >= most) {
            return Err(Refusal::bad(
                "The model returned the following errors: `max_tokens` must be greater than `thinking.budget_tokens`.",
            ));
        }
    }
    if question.thinking && config["temperature"].as_f64().is_some_and(|value| value < 1.0) {
        return Err(Refusal::bad(
            "The model returned the following errors: `temperature` may only be set to 1 when thinking is enabled.",
        ));
    }
    Ok(())
}

fn tools(config: &Value, question: &mut Question) -> Result<(), Refusal> {
    let all = config["tools"].as_array();
    if all.is_some_and(Vec::is_empty) {
        return Err(constraint(
            "toolConfig.tools",
            "'[]'",
            "Member must have length greater than or equal to 1",
        ));
    }
    for (at, tool) in all.into_iter().flatten().enumerate() {
        let spec = &tool["toolSpec"];
        let Some(name) = spec["name"].as_str() else {
            continue;
        };
        let path = format!("toolConfig.tools.{}.member.toolSpec", at + 1);
        if !is_name(name, 64) {
            return Err(constraint(
                &format!("{path}.name"),
                &format!("'{name}'"),
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            ));
        }
        if spec["description"] == "" {
            return Err(constraint(
                &format!("{path}.description"),
                "''",
                "Member must have length greater than or equal to 1",
            ));
        }
        let schema = &spec["inputSchema"]["json"];
        if schema["type"] != "object" {
            return Err(Refusal::bad(format!(
                "The value at {path}.inputSchema.json.type must be one of the following: object."
            )));
        }
        if question.tools.offered.iter().any(|(known, _)| known == name) {
            return Err(Refusal::bad(format!(
                "The toolConfig field contains duplicate tool names: {name}"
            )));
        }
        question.tools.offered.push((name.to_owned(), schema.clone()));
    }
    let choice = &config["toolChoice"];
    question.tools.choice = if !choice["any"].is_null() {
        Choice::Any
    } else if let Some(name) = choice["tool"]["name"].as_str() {
        if !question.tools.offered.iter().any(|(known, _)| known == name) {
            return Err(Refusal::bad(format!(
                "The model returned the following errors: Tool '{name}' not found in provided tools"
            )));
        }
        Choice::Of(vec![name.to_owned()])
    } else {
        Choice::Auto
    };
    if question.thinking && question.tools.choice != Choice::Auto {
        return Err(Refusal::bad(
            "The model returned the following errors: Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    Ok(())
}
