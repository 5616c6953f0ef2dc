//! Agents as tools: each skill of a card is a tool, its arguments become a message, and what the agent tells becomes a
//! result.
//!
//! These are functions over data; who calls an agent is not known here.

mod heard;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::card::Card;
use crate::json::Object;

pub use heard::{Gathered, TooLarge};

/// What the only tool of an agent is called whose card names no skills.
const WHOLE: &str = "ask";
/// Most characters of a name.
const MAX_NAME: usize = 128;
/// Most characters of what is said of a tool.
const MAX_WORDS: usize = 4_000;
/// Most examples that are told.
const MAX_EXAMPLES: usize = 5;
/// Most tools of an agent.
const MAX_TOOLS: usize = 256;
/// Most files of a message.
const MAX_FILES: usize = 64;

/// A tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// What it is called.
    pub name: String,
    /// The skill that it is; none where it is the agent as a whole.
    pub skill: Option<String>,
    /// As it is listed.
    pub definition: Value,
}

/// The tools of an agent: one for each skill, or one for all of it.
#[must_use]
pub fn tools(card: &Card) -> Vec<Tool> {
    let (title, about) = card.title();
    let (mut tools, mut taken) = (Vec::new(), HashSet::new());
    for skill in card.skills().iter().take(MAX_TOOLS) {
        let Some(id) = skill.filled("id") else { continue };
        let name = free(&id, &mut taken);
        let title = skill.filled("name").unwrap_or_else(|| id.clone());
        let definition = define(&name, &title, &words(skill, &about));
        tools.push(Tool {
            name,
            skill: Some(id),
            definition,
        });
    }
    if tools.is_empty() {
        tools.push(Tool {
            name: WHOLE.to_owned(),
            skill: None,
            definition: define(WHOLE, &title, &about),
        });
    }
    tools
}

/// The skill that a tool of this name is.
#[must_use]
pub fn skill(card: &Card, name: &str) -> Option<String> {
    let mut taken = HashSet::new();
    let skills = card.skills().into_iter().take(MAX_TOOLS);
    let mut ids = skills.filter_map(|skill| skill.filled("id"));
    ids.find(|id| free(id, &mut taken) == name)
}

/// A name that tools may have (2025-11-25, "Tool Names"), and that none before has.
fn free(id: &str, taken: &mut HashSet<String>) -> String {
    let fits = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.');
    // Room for a number.
    let plain: String = id
        .chars()
        .take(MAX_NAME - 8)
        .map(|one| if fits(one) { one } else { '_' })
        .collect();
    let mut name = plain.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{plain}-{number}");
        number += 1;
    }
    name
}

/// What is said of a skill.
fn words(skill: &Object, about: &str) -> String {
    let mut words = skill.filled("description").unwrap_or_else(|| about.to_owned());
    let examples = skill.list("examples").unwrap_or_default();
    let examples: Vec<String> = examples
        .iter()
        .take(MAX_EXAMPLES)
        .filter_map(|example| serde_json::from_str(example.get()).ok())
        .collect();
    if !examples.is_empty() {
        words = format!("{words}\n\nFor example: {}", examples.join(" | "));
    }
    words.chars().take(MAX_WORDS).collect()
}

fn define(name: &str, title: &str, words: &str) -> Value {
    json!({
        "name": name,
        "title": title,
        "description": words,
        "inputSchema": takes(),
        "outputSchema": gives(),
        // What an agent does is not known here.
        "annotations": { "title": title, "openWorldHint": true },
    })
}

fn takes() -> Value {
    json!({
        "type": "object",
        "properties": {
            "message": { "type": "string", "minLength": 1, "description": "What the agent is told." },
            "data": { "type": "object", "description": "Structured data for the agent, beside the message." },
            "files": {
                "type": "array",
                "maxItems": MAX_FILES,
                "description": "Files for the agent: each with its bytes, or with its address.",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" },
                        "mediaType": { "type": "string" },
                        "bytes": { "type": "string", "description": "The file, in base64." },
                        "url": { "type": "string" },
                    },
                    "additionalProperties": false,
                },
            },
            "contextId": { "type": "string", "description": "The conversation that this goes on with, as an earlier result names it." },
            "taskId": { "type": "string", "description": "The task that waits for this, as an earlier result names it." },
        },
        "required": ["message"],
        "additionalProperties": false,
    })
}

fn gives() -> Value {
    json!({
        "type": "object",
        "properties": {
            "text": { "type": "string", "description": "What the agent says." },
            "state": { "type": "string", "description": "What became of the task: completed, input-required, auth-required, failed, rejected, canceled, or working." },
            "contextId": { "type": "string" },
            "taskId": { "type": "string" },
            "artifacts": { "type": "array", "items": { "type": "object" } },
        },
        "required": ["text", "state"],
    })
}

/// The message that arguments are.
///
/// # Errors
/// What is wrong with them.
pub fn message(tool: &Tool, arguments: &Map<String, Value>, id: &str) -> Result<Value, String> {
    let text = |name: &str| match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{name}` must be a text")),
    };
    let said = text("message")?.ok_or("`message` must say something")?;
    let mut parts = vec![json!({ "text": said })];
    match arguments.get("data") {
        None | Some(Value::Null) => {}
        Some(data @ Value::Object(_)) => parts.push(json!({ "data": data })),
        Some(_) => return Err("`data` must be an object".to_owned()),
    }
    match arguments.get("files") {
        None | Some(Value::Null) => {}
        Some(Value::Array(files)) if files.len() <= MAX_FILES => {
            for file in files {
                parts.push(part(file)?);
            }
        }
        Some(_) => return Err(format!("`files` must be a list of {MAX_FILES} at most")),
    }
    let mut message = json!({ "messageId": id, "role": "ROLE_USER", "parts": parts });
    for name in ["contextId", "taskId"] {
        if let Some(said) = text(name)? {
            message[name] = said.into();
        }
    }
    if let Some(skill) = &tool.skill {
        message["metadata"] = json!({ "skillId": skill });
    }
    Ok(message)
}

/// A file as a part of a message.
fn part(file: &Value) -> Result<Value, String> {
    let text = |name: &str| file.get(name).and_then(Value::as_str);
    let mut part = match (text("bytes"), text("url")) {
        (Some(bytes), None) => json!({ "raw": bytes }),
        (None, Some(url)) => json!({ "url": url }),
        _ => return Err("a file has either `bytes` or a `url`".to_owned()),
    };
    if let Some(kind) = text("mediaType") {
        part["mediaType"] = kind.into();
    }
    if let Some(name) = text("name") {
        part["filename"] = name.into();
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn card(skills: &Value) -> Card {
        let card = json!({
            "name": "Planner", "description": "Plans trips.", "skills": skills,
            "supportedInterfaces": [{ "url": "http://a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        });
        Card::of(Object::of(&json::raw(&card)).unwrap()).unwrap()
    }

    #[test]
    fn each_skill_is_a_tool_with_a_name_of_its_own() {
        let skills = json!([
            { "id": "plan trip", "name": "Plan", "description": "Plans one.", "examples": ["Oslo", "Rome"] },
            { "id": "plan/trip" },
            { "name": "nameless" },
            { "id": "plan_trip" },
        ]);
        let tools = tools(&card(&skills));
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["plan_trip", "plan_trip-2", "plan_trip-3"]);
        assert_eq!(tools[1].skill.as_deref(), Some("plan/trip"));
        for tool in &tools {
            assert_eq!(skill(&card(&skills), &tool.name), tool.skill);
        }
        assert_eq!(tools[0].definition["title"], "Plan");
        assert_eq!(
            tools[0].definition["description"],
            "Plans one.\n\nFor example: Oslo | Rome"
        );
        assert_eq!(tools[1].definition["description"], "Plans trips.");
    }

    #[test]
    fn an_agent_without_skills_is_one_tool() {
        let tools = tools(&card(&json!([])));
        assert_eq!(tools.len(), 1);
        assert_eq!((tools[0].name.as_str(), &tools[0].skill), ("ask", &None));
    }

    #[test]
    fn arguments_are_a_message() {
        let tools = tools(&card(&json!([{ "id": "plan" }])));
        let arguments = json!({
            "message": "To Oslo", "data": { "days": 3 }, "contextId": "c", "taskId": "",
            "files": [{ "name": "map", "mediaType": "image/png", "bytes": "AAAA" }, { "url": "https://a/b" }],
        });
        let said = message(&tools[0], arguments.as_object().unwrap(), "m").unwrap();
        assert_eq!(
            said,
            json!({
                "messageId": "m", "role": "ROLE_USER", "contextId": "c", "metadata": { "skillId": "plan" },
                "parts": [
                    { "text": "To Oslo" }, { "data": { "days": 3 } },
                    { "raw": "AAAA", "mediaType": "image/png", "filename": "map" }, { "url": "https://a/b" },
                ],
            })
        );
        for wrong in [
            json!({}),
            json!({ "message": "" }),
            json!({ "message": 1 }),
            json!({ "message": "a", "data": [] }),
            json!({ "message": "a", "files": [{}] }),
            json!({ "message": "a", "files": [{ "bytes": "AA", "url": "https://a" }] }),
            json!({ "message": "a", "taskId": {} }),
        ] {
            assert!(
                message(&tools[0], wrong.as_object().unwrap(), "m").is_err(),
                "{wrong}"
            );
        }
    }
}
