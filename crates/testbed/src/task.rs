//! An agent's task, in words that its model understands: `Create the file PATH with the content "TEXT".`
//!
//! Real agents offer tools of their own making. The one that is called is found by its parameters: one that takes a
//! path and a content, or else one that runs a command.

use serde_json::{Value, json};

use crate::sample::sample;

const PATHS: [&str; 4] = ["file_path", "path", "filename", "absolute_path"];
const CONTENTS: [&str; 3] = ["content", "contents", "file_text"];
const COMMANDS: [&str; 2] = ["cmd", "command"];

/// The call that does what a text asks for, with one of these tools; none when it asks for nothing of the kind.
pub(crate) fn call(text: &str, offered: &[&(String, Value)]) -> Option<(String, Value)> {
    let (path, content) = asked(text)?;
    offered
        .iter()
        .find_map(|(name, schema)| Some((name.clone(), written(schema, path, content)?)))
        .or_else(|| {
            offered
                .iter()
                .find_map(|(name, schema)| Some((name.clone(), run(schema, path, content)?)))
        })
}

/// The path and the content of the file.
fn asked(text: &str) -> Option<(&str, &str)> {
    let (_, task) = text.rsplit_once("Create the file ")?;
    let (path, rest) = task.split_once(" with the content \"")?;
    Some((path, rest.split_once('"')?.0))
}

fn written(schema: &Value, path: &str, content: &str) -> Option<Value> {
    let (path_name, content_name) = (property(schema, &PATHS)?, property(schema, &CONTENTS)?);
    let mut arguments = least(schema);
    arguments[path_name] = json!(path);
    arguments[content_name] = json!(content);
    Some(arguments)
}

fn run(schema: &Value, path: &str, content: &str) -> Option<Value> {
    let name = property(schema, &COMMANDS)?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let command = format!("printf %s {} > {}", quoted(content), quoted(path));
    let mut arguments = least(schema);
    let is_list = schema["properties"][name]["type"] == "array";
    arguments[name] = if is_list {
        json!(["bash", "-c", command])
    } else {
        json!(command)
    };
    Some(arguments)
}

/// The first of these names that the schema knows.
fn property<'n>(schema: &Value, names: &[&'n str]) -> Option<&'n str> {
    names
        .iter()
        .copied()
        .find(|name| schema["properties"].get(*name).is_some())
}

/// What must be given, and nothing else.
fn least(schema: &Value) -> Value {
    let mut needed = schema.clone();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    if let Some(properties) = needed["properties"].as_object_mut() {
        properties.retain(|name, _| required.iter().any(|one| one == name));
    }
    sample(&needed, "a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str =
        "Be so kind. Create the file /tmp/a b.txt with the content \"Grüezi, d'Welt\". Then stop.";

    #[test]
    fn the_tool_is_found_by_its_parameters() {
        let tool = |name: &str, properties: Value, required: Value| {
            let schema = json!({"type": "object", "properties": properties, "required": required});
            (name.to_owned(), schema)
        };
        let string = json!({"type": "string"});
        let read = tool("Read", json!({"file_path": string}), json!(["file_path"]));
        let shell = tool(
            "exec_command",
            json!({"cmd": string, "login": {"type": "boolean"}, "why": string}),
            json!(["cmd", "why"]),
        );
        let list = tool("shell", json!({"command": {"type": "array"}}), json!(["command"]));
        let write = tool(
            "Write",
            json!({"file_path": string, "content": string}),
            json!([]),
        );
        let command = r"printf %s 'Grüezi, d'\''Welt' > '/tmp/a b.txt'";
        for (offered, expected) in [
            (
                vec![&read, &shell, &write],
                (
                    "Write",
                    json!({"file_path": "/tmp/a b.txt", "content": "Grüezi, d'Welt"}),
                ),
            ),
            (
                vec![&read, &shell],
                ("exec_command", json!({"cmd": command, "why": "a file"})),
            ),
            (
                vec![&list],
                ("shell", json!({"command": ["bash", "-c", command]})),
            ),
        ] {
            let (name, arguments) = call(TASK, &offered).unwrap();
            assert_eq!((name.as_str(), arguments), expected);
        }
        assert_eq!(call(TASK, &[&read]), None);
        assert_eq!(call("Create the file, please.", &[&write]), None);
    }
}
