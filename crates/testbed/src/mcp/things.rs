//! What the simulated server has: tools, resources, templates and prompts.

use serde_json::{Value, json};

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

fn tool(name: &str, properties: &Value) -> Value {
    let schema = json!({ "type": "object", "properties": properties });
    json!({ "name": name, "description": format!("Tests {name}."), "inputSchema": schema })
}

/// The tools; the one that changes says `description` of itself.
pub fn tools(description: &str) -> Vec<Value> {
    let nothing = json!({});
    let text = |name: &str| json!({ name: { "type": "string" } });
    let mut tools: Vec<Value> = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_error_handling",
        "test_tool_with_progress",
        "test_tool_with_logging",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "test_slow",
        "delete_everything",
    ]
    .iter()
    .map(|name| tool(name, &nothing))
    .collect();
    tools.push(tool("test_sampling", &text("prompt")));
    tools.push(tool("test_elicitation", &text("message")));
    tools.push(tool("test_roots", &nothing));
    let mut echo = tool(
        "test_echo",
        &json!({ "text": { "type": "string" }, "times": { "type": "integer", "minimum": 1, "maximum": 100_000 } }),
    );
    echo["inputSchema"]["required"] = json!(["text"]);
    echo["inputSchema"]["additionalProperties"] = json!(false);
    tools.push(echo);
    tools.push(tool(
        "test_count",
        &json!({ "to": { "type": "integer" }, "pause_ms": { "type": "integer" }, "rest_ms": { "type": "integer" }, "key": { "type": "string" } }),
    ));
    let mut changing = tool("test_changing", &nothing);
    changing["description"] = json!(description);
    tools.push(changing);
    tools.push(json!({
        "name": "test_custom_header", "description": "Repeats a parameter in a header.",
        "inputSchema": { "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } },
    }));
    tools.push(json!({
        "name": "json_schema_2020_12_tool", "description": "Only listed.", "_meta": { "example.com/kept": 12345678901234567890_u64 },
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "$defs": { "address": { "type": "object", "properties": { "street": { "type": "string" }, "city": { "type": "string" } } } },
            "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" } },
            "additionalProperties": false,
        },
    }));
    tools
}

/// The answer of a tool that needs nobody; none for one that is not there.
pub fn call(name: &str) -> Option<Value> {
    let text = |text: &str| json!({ "type": "text", "text": text });
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    let content = match name {
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![image],
        "test_audio_content" => vec![json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })],
        "test_embedded_resource" => vec![embedded(
            "test://embedded-resource",
            "This is an embedded resource content.",
        )],
        "test_multiple_content_types" => vec![
            text("Multiple content types test:"),
            image,
            embedded(
                "test://mixed-content-resource",
                "{\"test\":\"data\",\"value\":123}",
            ),
        ],
        "test_error_handling" => {
            let content = [text("This tool intentionally returns an error for testing")];
            return Some(json!({ "content": content, "isError": true }));
        }
        "test_changing" | "test_custom_header" | "delete_everything" => vec![text("done")],
        _ => return None,
    };
    Some(json!({ "content": content }))
}

/// What a tool says that repeats what it is told, in words and as data.
pub fn echo(arguments: &Value) -> Value {
    let times = arguments["times"].as_u64().unwrap_or(1);
    let said = arguments["text"]
        .as_str()
        .unwrap_or_default()
        .repeat(usize::try_from(times).unwrap_or(1));
    json!({ "content": [{ "type": "text", "text": said }], "structuredContent": { "said": said } })
}

fn embedded(uri: &str, text: &str) -> Value {
    let kind = if text.starts_with('{') {
        "application/json"
    } else {
        "text/plain"
    };
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": text } })
}

/// The resources.
pub fn resources() -> Vec<Value> {
    [
        "test://static-text",
        "test://static-binary",
        "test://watched-resource",
    ]
    .iter()
    .map(|uri| json!({ "uri": uri, "name": uri.trim_start_matches("test://"), "mimeType": kind_of(uri) }))
    .collect()
}

fn kind_of(uri: &str) -> &'static str {
    match uri {
        "test://static-binary" => "image/png",
        uri if uri.ends_with("/data") => "application/json",
        _ => "text/plain",
    }
}

/// The templates.
pub fn templates() -> Vec<Value> {
    vec![
        json!({ "uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json" }),
    ]
}

/// What is in a resource.
pub fn read(uri: &str) -> Option<Value> {
    let kind = kind_of(uri);
    let content = match uri {
        "test://static-text" => {
            json!({ "uri": uri, "mimeType": kind, "text": "This is the content of the static text resource." })
        }
        "test://static-binary" => json!({ "uri": uri, "mimeType": kind, "blob": PNG }),
        "test://watched-resource" => {
            json!({ "uri": uri, "mimeType": kind, "text": "Watched resource content." })
        }
        uri => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            json!({ "uri": uri, "mimeType": kind, "text": text.to_string() })
        }
    };
    Some(json!({ "contents": [content] }))
}

/// The prompts.
pub fn prompts() -> Vec<Value> {
    let argument = |name: &str| json!({ "name": name, "description": name, "required": true });
    vec![
        json!({ "name": "test_simple_prompt", "description": "A simple prompt." }),
        json!({ "name": "test_prompt_with_arguments", "description": "With arguments.", "arguments": [argument("arg1"), argument("arg2")] }),
        json!({ "name": "test_prompt_with_embedded_resource", "description": "With a resource.", "arguments": [argument("resourceUri")] }),
        json!({ "name": "test_prompt_with_image", "description": "With an image." }),
    ]
}

/// A prompt, filled in.
pub fn prompt(name: &str, arguments: &Value) -> Option<Value> {
    let said = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let text = |text: String| json!({ "role": "user", "content": { "type": "text", "text": text } });
    let messages = match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            vec![text(format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                said("arg1"),
                said("arg2")
            ))]
        }
        "test_prompt_with_embedded_resource" => vec![
            json!({ "role": "user", "content": embedded(&said("resourceUri"), "Embedded resource content for testing.") }),
            text("Please process the embedded resource above.".to_owned()),
        ],
        "test_prompt_with_image" => vec![
            json!({ "role": "user", "content": { "type": "image", "data": PNG, "mimeType": "image/png" } }),
            text("Please analyze the image above.".to_owned()),
        ],
        _ => return None,
    };
    Some(json!({ "messages": messages }))
}

/// Values that an argument could have.
pub fn complete(params: &Value) -> Value {
    let so_far = params["argument"]["value"].as_str().unwrap_or_default();
    let values: Vec<&str> = ["paris", "park", "party"]
        .into_iter()
        .filter(|value| value.starts_with(so_far))
        .collect();
    json!({ "completion": { "values": values, "total": values.len(), "hasMore": false } })
}

/// A question for a user, with defaults of every sort.
pub fn defaults() -> Value {
    json!({ "type": "object", "properties": {
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true },
    }, "required": [] })
}

/// A question for a user, with choices of every sort.
pub fn choices() -> Value {
    let titled = json!([
        { "const": "value1", "title": "First Option" },
        { "const": "value2", "title": "Second Option" },
        { "const": "value3", "title": "Third Option" },
    ]);
    json!({ "type": "object", "properties": {
        "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
        "titledSingle": { "type": "string", "oneOf": titled },
        "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"] },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled } },
    }, "required": [] })
}
