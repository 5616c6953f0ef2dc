//! One text at every place of every format that can hold it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Formats of clients, each with a model behind a provider that speaks the same, and `chat` for what crosses.
pub const CLIENTS: [&str; 7] = [
    "chat",
    "responses",
    "claude",
    "gemini",
    "converse",
    "invoke",
    "cohere",
];

/// Where in a request the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    User,
    System,
    History,
    Arguments,
    Result,
    Document,
    Definition,
}

pub const PLACES: [Place; 7] = [
    Place::User,
    Place::System,
    Place::History,
    Place::Arguments,
    Place::Result,
    Place::Document,
    Place::Definition,
];

/// What an answer shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A text.
    Text,
    /// Three of them.
    Three,
    /// A call of a tool.
    Call,
}

/// What is asked: the question, and what stands at which place.
pub struct Asked<'a> {
    pub question: &'a str,
    pub planted: Option<(Place, &'a str)>,
    pub wanted: Wanted,
    pub stream: bool,
}

/// Path and body; none where the format has no such place.
pub fn request(client: &str, model: &str, asked: &Asked<'_>) -> Option<(String, Value)> {
    let at = |place: Place| {
        asked
            .planted
            .filter(|(where_, _)| *where_ == place)
            .map(|(_, text)| text)
    };
    let path = path(client, model, asked.stream);
    let body = match client {
        "chat" => chat(model, asked, at),
        "responses" => responses(model, asked, at),
        "claude" | "invoke" => claude(client, model, asked, at),
        "gemini" => gemini(asked, at),
        "converse" => converse(asked, at),
        _ => cohere(model, asked, at),
    };
    Some((path, body?))
}

fn path(client: &str, model: &str, stream: bool) -> String {
    match (client, stream) {
        ("chat", _) => "/v1/chat/completions".to_owned(),
        ("responses", _) => "/v1/responses".to_owned(),
        ("claude", _) => "/v1/messages".to_owned(),
        ("gemini", false) => format!("/v1beta/models/{model}:generateContent"),
        ("gemini", true) => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        ("converse", false) => format!("/model/{model}/converse"),
        ("converse", true) => format!("/model/{model}/converse-stream"),
        ("invoke", false) => format!("/model/{model}/invoke"),
        ("invoke", true) => format!("/model/{model}/invoke-with-response-stream"),
        _ => "/v2/chat".to_owned(),
    }
}

/// Whether the conversation has a call of a tool in it.
fn has_call(asked: &Asked<'_>) -> bool {
    matches!(asked.planted, Some((Place::Arguments | Place::Result, _)))
}

fn has_tool(asked: &Asked<'_>) -> bool {
    has_call(asked) || asked.wanted == Wanted::Call || matches!(asked.planted, Some((Place::Definition, _)))
}

fn arguments(text: Option<&str>) -> Value {
    json!({ "note": text.unwrap_or("nothing") })
}

const SCHEMA: &str = r#"{"type":"object","properties":{"note":{"type":"string"}},"required":["note"]}"#;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn chat<'a>(model: &str, asked: &Asked<'a>, at: impl Fn(Place) -> Option<&'a str>) -> Option<Value> {
    let mut messages = Vec::new();
    if let Some(text) = at(Place::System) {
        messages.push(json!({ "role": "system", "content": text }));
    }
    if let Some(text) = at(Place::History) {
        messages.push(json!({ "role": "user", "content": "hello" }));
        messages.push(json!({ "role": "assistant", "content": text }));
    }
    let mut content = vec![json!({ "type": "text", "text": asked.question })];
    if let Some(text) = at(Place::User) {
        content.push(json!({ "type": "text", "text": text }));
    }
    if let Some(text) = at(Place::Document) {
        let data = format!("data:text/plain;base64,{}", STANDARD.encode(text));
        content.push(json!({ "type": "file", "file": { "filename": "a.txt", "file_data": data } }));
    }
    messages.push(json!({ "role": "user", "content": content }));
    if has_call(asked) {
        let arguments = arguments(at(Place::Arguments)).to_string();
        let call = json!({ "id": "call_1", "type": "function", "function": { "name": "keep", "arguments": arguments } });
        messages.push(json!({ "role": "assistant", "tool_calls": [call] }));
        let result = at(Place::Result).unwrap_or("done");
        messages.push(json!({ "role": "tool", "tool_call_id": "call_1", "content": result }));
    }
    let mut body = json!({ "model": model, "messages": messages, "stream": asked.stream, "max_completion_tokens": 4000 });
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["tools"] = json!([{ "type": "function", "function": { "name": "keep", "description": described, "parameters": schema() } }]);
    }
    match asked.wanted {
        Wanted::Text => {}
        Wanted::Three => body["n"] = json!(3),
        Wanted::Call => body["tool_choice"] = json!("required"),
    }
    Some(body)
}

fn responses<'a>(model: &str, asked: &Asked<'a>, at: impl Fn(Place) -> Option<&'a str>) -> Option<Value> {
    if asked.wanted == Wanted::Three {
        return None;
    }
    let mut input = Vec::new();
    if let Some(text) = at(Place::History) {
        input.push(json!({ "role": "user", "content": "hello" }));
        input.push(json!({ "role": "assistant", "content": text }));
    }
    let mut content = vec![json!({ "type": "input_text", "text": asked.question })];
    if let Some(text) = at(Place::User) {
        content.push(json!({ "type": "input_text", "text": text }));
    }
    if let Some(text) = at(Place::Document) {
        let data = format!("data:text/plain;base64,{}", STANDARD.encode(text));
        content.push(json!({ "type": "input_file", "filename": "a.txt", "file_data": data }));
    }
    input.push(json!({ "role": "user", "content": content }));
    if has_call(asked) {
        let arguments = arguments(at(Place::Arguments)).to_string();
        input.push(
            json!({ "type": "function_call", "call_id": "call_1", "name": "keep", "arguments": arguments }),
        );
        let result = at(Place::Result).unwrap_or("done");
        input.push(json!({ "type": "function_call_output", "call_id": "call_1", "output": result }));
    }
    let mut body = json!({ "model": model, "input": input, "stream": asked.stream, "store": false });
    if let Some(text) = at(Place::System) {
        body["instructions"] = json!(text);
    }
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["tools"] = json!([{ "type": "function", "name": "keep", "description": described, "parameters": schema(), "strict": false }]);
    }
    if asked.wanted == Wanted::Call {
        body["tool_choice"] = json!("required");
    }
    Some(body)
}

fn claude<'a>(
    client: &str,
    model: &str,
    asked: &Asked<'a>,
    at: impl Fn(Place) -> Option<&'a str>,
) -> Option<Value> {
    if asked.wanted == Wanted::Three {
        return None;
    }
    let mut messages = Vec::new();
    if let Some(text) = at(Place::History) {
        messages.push(json!({ "role": "user", "content": "hello" }));
        messages.push(json!({ "role": "assistant", "content": text }));
    }
    let mut content = vec![json!({ "type": "text", "text": asked.question })];
    if let Some(text) = at(Place::User) {
        content.push(json!({ "type": "text", "text": text }));
    }
    if let Some(text) = at(Place::Document) {
        content.push(json!({ "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": text } }));
    }
    messages.push(json!({ "role": "user", "content": content }));
    if has_call(asked) {
        let call = json!({ "type": "tool_use", "id": "toolu_1", "name": "keep", "input": arguments(at(Place::Arguments)) });
        messages.push(json!({ "role": "assistant", "content": [call] }));
        let result = json!({ "type": "tool_result", "tool_use_id": "toolu_1", "content": at(Place::Result).unwrap_or("done") });
        messages.push(json!({ "role": "user", "content": [result] }));
    }
    let mut body = json!({ "messages": messages, "max_tokens": 4000 });
    if client == "claude" {
        body["model"] = json!(model);
        body["stream"] = json!(asked.stream);
    } else {
        body["anthropic_version"] = json!("bedrock-2023-05-31");
    }
    if let Some(text) = at(Place::System) {
        body["system"] = json!(text);
    }
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["tools"] = json!([{ "name": "keep", "description": described, "input_schema": schema() }]);
    }
    if asked.wanted == Wanted::Call {
        body["tool_choice"] = json!({ "type": "any" });
    }
    Some(body)
}

fn gemini<'a>(asked: &Asked<'a>, at: impl Fn(Place) -> Option<&'a str>) -> Option<Value> {
    let mut contents = Vec::new();
    if let Some(text) = at(Place::History) {
        contents.push(json!({ "role": "user", "parts": [{ "text": "hello" }] }));
        contents.push(json!({ "role": "model", "parts": [{ "text": text }] }));
    }
    let mut parts = vec![json!({ "text": asked.question })];
    if let Some(text) = at(Place::User) {
        parts.push(json!({ "text": text }));
    }
    if let Some(text) = at(Place::Document) {
        parts.push(json!({ "inlineData": { "mimeType": "text/plain", "data": STANDARD.encode(text) } }));
    }
    contents.push(json!({ "role": "user", "parts": parts }));
    if has_call(asked) {
        let call = json!({ "functionCall": { "name": "keep", "args": arguments(at(Place::Arguments)) } });
        contents.push(json!({ "role": "model", "parts": [call] }));
        let result = json!({ "functionResponse": { "name": "keep", "response": { "output": at(Place::Result).unwrap_or("done") } } });
        contents.push(json!({ "role": "user", "parts": [result] }));
    }
    let mut body = json!({ "contents": contents, "generationConfig": { "maxOutputTokens": 4000 } });
    if let Some(text) = at(Place::System) {
        body["systemInstruction"] = json!({ "parts": [{ "text": text }] });
    }
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["tools"] = json!([{ "functionDeclarations": [{ "name": "keep", "description": described, "parameters": schema() }] }]);
    }
    match asked.wanted {
        Wanted::Text => {}
        Wanted::Three => body["generationConfig"]["candidateCount"] = json!(3),
        Wanted::Call => body["toolConfig"] = json!({ "functionCallingConfig": { "mode": "ANY" } }),
    }
    Some(body)
}

fn converse<'a>(asked: &Asked<'a>, at: impl Fn(Place) -> Option<&'a str>) -> Option<Value> {
    if asked.wanted == Wanted::Three {
        return None;
    }
    let mut messages = Vec::new();
    if let Some(text) = at(Place::History) {
        messages.push(json!({ "role": "user", "content": [{ "text": "hello" }] }));
        messages.push(json!({ "role": "assistant", "content": [{ "text": text }] }));
    }
    let mut content = vec![json!({ "text": asked.question })];
    if let Some(text) = at(Place::User) {
        content.push(json!({ "text": text }));
    }
    if let Some(text) = at(Place::Document) {
        content.push(json!({ "document": { "name": "a", "format": "txt", "source": { "bytes": STANDARD.encode(text) } } }));
    }
    messages.push(json!({ "role": "user", "content": content }));
    if has_call(asked) {
        let call = json!({ "toolUse": { "toolUseId": "tooluse_1", "name": "keep", "input": arguments(at(Place::Arguments)) } });
        messages.push(json!({ "role": "assistant", "content": [call] }));
        let text = at(Place::Result).unwrap_or("done");
        let result = json!({ "toolResult": { "toolUseId": "tooluse_1", "content": [{ "text": text }] } });
        messages.push(json!({ "role": "user", "content": [result] }));
    }
    let mut body = json!({ "messages": messages, "inferenceConfig": { "maxTokens": 4000 } });
    if let Some(text) = at(Place::System) {
        body["system"] = json!([{ "text": text }]);
    }
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["toolConfig"] = json!({ "tools": [{ "toolSpec": { "name": "keep", "description": described, "inputSchema": { "json": schema() } } }] });
        if asked.wanted == Wanted::Call {
            body["toolConfig"]["toolChoice"] = json!({ "any": {} });
        }
    }
    Some(body)
}

fn cohere<'a>(model: &str, asked: &Asked<'a>, at: impl Fn(Place) -> Option<&'a str>) -> Option<Value> {
    if asked.wanted == Wanted::Three {
        return None;
    }
    let mut messages = Vec::new();
    if let Some(text) = at(Place::System) {
        messages.push(json!({ "role": "system", "content": text }));
    }
    if let Some(text) = at(Place::History) {
        messages.push(json!({ "role": "user", "content": "hello" }));
        messages.push(json!({ "role": "assistant", "content": text }));
    }
    let mut content = vec![json!({ "type": "text", "text": asked.question })];
    if let Some(text) = at(Place::User) {
        content.push(json!({ "type": "text", "text": text }));
    }
    messages.push(json!({ "role": "user", "content": content }));
    if has_call(asked) {
        let arguments = arguments(at(Place::Arguments)).to_string();
        let call = json!({ "id": "keep_1", "type": "function", "function": { "name": "keep", "arguments": arguments } });
        messages.push(json!({ "role": "assistant", "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": "keep_1", "content": at(Place::Result).unwrap_or("done") }));
    }
    let mut body =
        json!({ "model": model, "messages": messages, "stream": asked.stream, "max_tokens": 4000 });
    if let Some(text) = at(Place::Document) {
        body["documents"] = json!([{ "id": "a", "data": { "text": text } }]);
    }
    if has_tool(asked) {
        let described = at(Place::Definition).unwrap_or("Keeps a note.");
        body["tools"] = json!([{ "type": "function", "function": { "name": "keep", "description": described, "parameters": schema() } }]);
    }
    if asked.wanted == Wanted::Call {
        body["tool_choice"] = json!("REQUIRED");
    }
    Some(body)
}
