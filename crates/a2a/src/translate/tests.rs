//! Golden pairs: the same thing in both versions, one made of the other, both ways.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn made(value: &Value) -> Raw {
    json::raw(value)
}

fn read(raw: &Raw) -> Value {
    serde_json::from_str(raw.get()).unwrap()
}

fn message() -> (Value, Value) {
    let old = json!({
        "messageId": "m", "role": "user", "contextId": "c", "taskId": "t", "referenceTaskIds": ["r"],
        "parts": [
            { "text": "hello", "metadata": { "a": 1 }, "kind": "text" },
            { "file": { "bytes": "AAAA", "mimeType": "image/png", "name": "a.png" }, "kind": "file" },
            { "file": { "uri": "https://x.example.com/y", "mimeType": "text/plain" }, "kind": "file" },
            { "data": { "k": [1, 2] }, "kind": "data" },
            { "metadata": { "data_part_compat": true }, "data": { "value": [1] }, "kind": "data" },
        ],
        "metadata": { "x": null }, "extensions": ["https://e.example.com"], "news": { "deep": 1 }, "kind": "message",
    });
    let new = json!({
        "messageId": "m", "role": "ROLE_USER", "contextId": "c", "taskId": "t", "referenceTaskIds": ["r"],
        "parts": [
            { "text": "hello", "metadata": { "a": 1 } },
            { "raw": "AAAA", "mediaType": "image/png", "filename": "a.png" },
            { "url": "https://x.example.com/y", "mediaType": "text/plain" },
            { "data": { "k": [1, 2] } },
            { "data": [1] },
        ],
        "metadata": { "x": null }, "extensions": ["https://e.example.com"], "news": { "deep": 1 },
    });
    (old, new)
}

fn task() -> (Value, Value) {
    let (old, new) = message();
    let both = |message: Value, state: &str, part: Value| {
        json!({
            "id": "t", "contextId": "c",
            "status": { "state": state, "message": message, "timestamp": "2026-01-01T00:00:00Z" },
            "history": [message], "metadata": {},
            "artifacts": [{ "artifactId": "a", "name": "n", "parts": [part] }],
        })
    };
    let mut old = both(old, "input-required", json!({ "text": "out", "kind": "text" }));
    old["kind"] = json!("task");
    (
        old,
        both(new, "TASK_STATE_INPUT_REQUIRED", json!({ "text": "out" })),
    )
}

/// Both directions.
fn same(operation: Operation, old: &Value, new: &Value) {
    assert_eq!(
        read(&result(operation, &made(old), Version::V10)),
        *new,
        "{operation:?} up"
    );
    assert_eq!(
        read(&result(operation, &made(new), Version::V03)),
        *old,
        "{operation:?} down"
    );
}

fn same_params(operation: Operation, old: &Value, new: &Value) {
    for (from, expected, to) in [(old, new, Version::V10), (new, old, Version::V03)] {
        let mut said = Object::of(&made(from)).unwrap();
        params(operation, &mut said, to);
        assert_eq!(read(&said.raw()), *expected, "{operation:?} {to:?}");
    }
}

#[test]
fn answers_are_the_same_in_both_versions() {
    let ((old_message, new_message), (old_task, new_task)) = (message(), task());
    same(Operation::Get, &old_task, &new_task);
    same(Operation::Send, &old_task, &json!({ "task": new_task }));
    same(Operation::Send, &old_message, &json!({ "message": new_message }));
    same(
        Operation::Stream,
        &json!({ "taskId": "t", "contextId": "c", "status": { "state": "completed" }, "kind": "status-update", "final": true }),
        &json!({ "statusUpdate": { "taskId": "t", "contextId": "c", "status": { "state": "TASK_STATE_COMPLETED" } } }),
    );
    same(
        Operation::Subscribe,
        &json!({ "taskId": "t", "contextId": "c", "artifact": { "artifactId": "a", "parts": [{ "text": "x", "kind": "text" }] }, "append": true, "lastChunk": false, "kind": "artifact-update" }),
        &json!({ "artifactUpdate": { "taskId": "t", "contextId": "c", "artifact": { "artifactId": "a", "parts": [{ "text": "x" }] }, "append": true, "lastChunk": false } }),
    );
    let old = json!({ "taskId": "t", "pushNotificationConfig": { "id": "p", "url": "https://h.example.com", "token": "k", "authentication": { "credentials": "s", "schemes": ["Bearer"] } } });
    let new = json!({ "taskId": "t", "id": "p", "url": "https://h.example.com", "token": "k", "authentication": { "credentials": "s", "scheme": "Bearer" } });
    same(Operation::CreatePush, &old, &new);
    same(Operation::ListPush, &json!([old]), &json!({ "configs": [new] }));
    same(Operation::DeletePush, &json!(null), &json!({}));
}

#[test]
fn questions_are_the_same_in_both_versions() {
    let (old, new) = message();
    same_params(
        Operation::Send,
        &json!({ "message": old, "configuration": { "acceptedOutputModes": ["text/plain"], "historyLength": 2, "blocking": false, "pushNotificationConfig": { "url": "https://h.example.com", "authentication": { "schemes": ["Basic"] } } }, "metadata": { "m": 1 } }),
        &json!({ "message": new, "configuration": { "acceptedOutputModes": ["text/plain"], "historyLength": 2, "returnImmediately": true, "taskPushNotificationConfig": { "url": "https://h.example.com", "authentication": { "scheme": "Basic" } } }, "metadata": { "m": 1 } }),
    );
    same_params(
        Operation::GetPush,
        &json!({ "id": "t", "pushNotificationConfigId": "p" }),
        &json!({ "taskId": "t", "id": "p" }),
    );
    same_params(
        Operation::ListPush,
        &json!({ "id": "t" }),
        &json!({ "taskId": "t" }),
    );
    same_params(Operation::Cancel, &json!({ "id": "t" }), &json!({ "id": "t" }));
}

#[test]
fn a_history_of_no_length_is_without_limit_in_the_old_version() {
    let mut said = Object::read(br#"{"id":"t","historyLength":0}"#).unwrap();
    params(Operation::Get, &mut said, Version::V10);
    assert_eq!(said.raw().get(), r#"{"id":"t"}"#);
}

#[test]
fn cards_are_the_same_in_both_versions() {
    let old = json!({
        "name": "n", "description": "d", "version": "1", "capabilities": { "streaming": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "s", "name": "s", "description": "s", "tags": [], "security": [{ "k": ["read"] }] }],
        "securitySchemes": { "k": { "name": "x-key", "in": "header", "type": "apiKey" }, "m": { "type": "mutualTLS" } },
        "url": "https://a.example.com/rpc", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0",
        "additionalInterfaces": [{ "url": "https://a.example.com/rpc", "transport": "JSONRPC" }, { "url": "https://a.example.com/rest", "transport": "HTTP+JSON" }],
        "supportsAuthenticatedExtendedCard": true, "security": [{ "k": [] }],
    });
    let new = json!({
        "name": "n", "description": "d", "version": "1", "capabilities": { "streaming": true, "extendedAgentCard": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "s", "name": "s", "description": "s", "tags": [], "securityRequirements": [{ "schemes": { "k": { "list": ["read"] } } }] }],
        "securitySchemes": { "k": { "apiKeySecurityScheme": { "name": "x-key", "location": "header" } }, "m": { "mtlsSecurityScheme": {} } },
        "supportedInterfaces": [
            { "url": "https://a.example.com/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "0.3.0" },
            { "url": "https://a.example.com/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "0.3.0" },
        ],
        "securityRequirements": [{ "schemes": { "k": { "list": [] } } }],
    });
    same(Operation::ExtendedCard, &old, &new);
}

#[test]
fn what_is_not_known_passes() {
    let odd = json!({ "anything": [1, { "kind": "poem" }] });
    for operation in [Operation::Send, Operation::Stream] {
        for version in [Version::V03, Version::V10] {
            assert_eq!(read(&result(operation, &made(&odd), version)), odd);
        }
    }
    let big = r#"{"kind":"task","id":"t","metadata":{"n":123456789012345678901234567890,"f":1.0}}"#;
    let raw: Raw = serde_json::from_str(big).unwrap();
    let up = event(&raw, Version::V10);
    assert!(
        up.get().contains("123456789012345678901234567890,\"f\":1.0"),
        "{up}"
    );
}

proptest! {
    #[test]
    fn no_document_breaks_it(text in r#"(\{|\[|\}|\]|"kind":|"task"|"parts":|"status":|"file":|,|1|null){0,20}"#) {
        if let Ok(raw) = serde_json::from_str::<Raw>(&text) {
            for operation in [Operation::Send, Operation::Get, Operation::List, Operation::ListPush, Operation::ExtendedCard] {
                let there = result(operation, &raw, Version::V10);
                let _ = result(operation, &there, Version::V03);
            }
        }
    }
}
