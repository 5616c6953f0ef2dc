//! Models as agents: a message becomes a chat completion, and its answer a message. There are no tasks, and each message
//! stands alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::call::Call;
use crate::card::Card;
use crate::config::ModelAgent;
use crate::error::{A2aError, Kind};
use crate::json::{self, Object, Raw};
use crate::operation::Operation;
use crate::version::Version;

/// Most bytes of an id that the gateway gives.
const ID: usize = 16;

/// The card of a model: what it says of itself is the operator's word.
///
/// # Errors
/// What is wrong with it.
pub fn card(name: &str, model: &ModelAgent) -> Result<Card, String> {
    let title = model.title.as_deref().unwrap_or(name);
    let usual = format!("Answers messages by the model {}.", model.name);
    let description = model.description.as_deref().unwrap_or(&usual);
    let card = json!({
        "name": title,
        "description": description,
        "version": "1.0",
        // Clients see the gateway's own.
        "supportedInterfaces": [{ "url": "http://localhost/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": true, "pushNotifications": false },
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "chat", "name": title, "description": description, "tags": ["chat"] }],
    });
    Card::of(Object::of(&json::raw(&card)).unwrap_or_default())
}

/// The body of a chat completion that a message asks for.
///
/// # Errors
/// When a part is none that a chat has, or the operation is about tasks.
pub fn asked(call: &Call, model: &ModelAgent) -> Result<Value, A2aError> {
    match call.operation {
        Operation::Send | Operation::Stream => {}
        Operation::Get | Operation::Cancel | Operation::Subscribe => return Err(A2aError::no_task()),
        Operation::CreatePush | Operation::GetPush | Operation::ListPush | Operation::DeletePush => {
            let message = "a model has no tasks whose events could be told";
            return Err(A2aError::new(Kind::PushNotSupported, message));
        }
        Operation::List => {
            return Err(A2aError::new(Kind::Unsupported, "a model has no tasks"));
        }
        Operation::ExtendedCard => {
            let message = "there is no other card of a model";
            return Err(A2aError::new(Kind::ExtendedCardNotConfigured, message));
        }
    }
    let call = call.clone().translated(Version::V10);
    if call.task().is_some() {
        return Err(A2aError::no_task());
    }
    let configuration = call.params.object("configuration").unwrap_or_default();
    if configuration.get("taskPushNotificationConfig").is_some() {
        let message = "a model has no tasks whose events could be told";
        return Err(A2aError::new(Kind::PushNotSupported, message));
    }
    let message = call.params.object("message").unwrap_or_default();
    let parts = message.list("parts").unwrap_or_default();
    let parts: Vec<Value> = parts.iter().map(part).collect::<Result<_, _>>()?;
    let mut messages = Vec::new();
    if let Some(instructions) = &model.instructions {
        messages.push(json!({ "role": "system", "content": instructions }));
    }
    messages.push(json!({ "role": "user", "content": parts }));
    Ok(json!({ "model": model.name, "messages": messages }))
}

/// A part as chats have it: texts as they are, data as the text that they are.
fn part(part: &Raw) -> Result<Value, A2aError> {
    let part = Object::of(part).unwrap_or_default();
    let text = match (part.text("text"), part.get("data")) {
        (Some(text), _) => text,
        (None, Some(data)) => data.get().to_owned(),
        (None, None) => {
            let message = "a model takes texts and data, and no files (`message.parts`)";
            return Err(A2aError::new(Kind::ContentType, message));
        }
    };
    Ok(json!({ "type": "text", "text": text }))
}

/// The result that a chat completion is, in the words of a version.
///
/// # Errors
/// When it has no text.
pub fn answered(call: &Call, completion: &[u8], version: Version) -> Result<Raw, A2aError> {
    let broken = |why: &str| A2aError::new(Kind::InvalidAgentResponse, format!("the model's answer {why}"));
    let completion: Value = serde_json::from_slice(completion).map_err(|_| broken("is no JSON"))?;
    let message = &completion["choices"][0]["message"];
    let said = message["content"]
        .as_str()
        .or_else(|| message["refusal"].as_str());
    let said = said.ok_or_else(|| broken("has no text"))?;
    let asked = call.params.object("message");
    let context = match asked.and_then(|message| message.filled("contextId")) {
        Some(context) => context,
        None => id()?,
    };
    let result = json::raw(&json!({ "message": {
        "messageId": id()?,
        "contextId": context,
        "role": "ROLE_AGENT",
        "parts": [{ "text": said }],
    }}));
    Ok(crate::call::result(
        call.operation,
        &result,
        Version::V10,
        version,
    ))
}

fn id() -> Result<String, A2aError> {
    let mut bytes = [0; ID];
    getrandom::fill(&mut bytes)
        .map_err(|_| A2aError::new(Kind::Internal, "there is no chance to draw from"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelAgent {
        serde_json::from_value(json!({ "name": "fast", "instructions": "Be brief." })).unwrap()
    }

    fn call(operation: Operation, version: Version, params: &Value) -> Call {
        Call {
            operation,
            version,
            params: Object::of(&json::raw(params)).unwrap(),
        }
    }

    #[test]
    fn a_message_of_either_version_is_a_chat() {
        let new = json!({ "message": { "messageId": "1", "role": "ROLE_USER", "parts": [{ "text": "hi" }, { "data": { "a": 1 } }] } });
        let old = json!({ "message": { "kind": "message", "messageId": "1", "role": "user",
            "parts": [{ "kind": "text", "text": "hi" }, { "kind": "data", "data": { "a": 1 } }] } });
        for (version, params) in [(Version::V10, new), (Version::V03, old)] {
            let body = asked(&call(Operation::Send, version, &params), &model()).unwrap();
            assert_eq!(body["model"], "fast");
            assert_eq!(body["messages"][0]["content"], "Be brief.");
            assert_eq!(body["messages"][1]["content"][0]["text"], "hi");
            assert_eq!(body["messages"][1]["content"][1]["text"], r#"{"a":1}"#);
        }
    }

    #[test]
    fn what_a_model_does_not_have_is_refused_by_its_kind() {
        let message = |part: Value| json!({ "message": { "messageId": "1", "parts": [part] } });
        for (operation, params, kind) in [
            (Operation::Get, json!({ "id": "t" }), Kind::TaskNotFound),
            (Operation::CreatePush, json!({}), Kind::PushNotSupported),
            (
                Operation::Send,
                message(json!({ "url": "https://x/y.png" })),
                Kind::ContentType,
            ),
            (
                Operation::Send,
                json!({ "message": { "messageId": "1", "taskId": "t", "parts": [{ "text": "x" }] } }),
                Kind::TaskNotFound,
            ),
        ] {
            let error = asked(&call(operation, Version::V10, &params), &model()).unwrap_err();
            assert_eq!(error.kind, kind, "{operation:?}");
        }
    }

    #[test]
    fn an_answer_is_a_message_of_the_clients_version() {
        let asked = call(
            Operation::Send,
            Version::V10,
            &json!({ "message": { "contextId": "c", "parts": [] } }),
        );
        let completion = br#"{"choices":[{"message":{"role":"assistant","content":"hello"}}]}"#;
        let new: Value =
            serde_json::from_str(answered(&asked, completion, Version::V10).unwrap().get()).unwrap();
        assert_eq!(new["message"]["parts"][0]["text"], "hello");
        assert_eq!(new["message"]["contextId"], "c");
        let old: Value =
            serde_json::from_str(answered(&asked, completion, Version::V03).unwrap().get()).unwrap();
        assert_eq!((&old["kind"], &old["role"]), (&json!("message"), &json!("agent")));
        assert!(answered(&asked, b"{}", Version::V10).is_err());
        assert!(card("writer", &model()).unwrap().streams);
    }
}
