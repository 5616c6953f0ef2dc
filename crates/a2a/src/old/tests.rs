//! Versions 0.3 of HTTP+JSON and gRPC: names, both ways, and what no name leads around.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;
use crate::version::Version;

fn raw(value: &Value) -> Raw {
    json::raw(value)
}

fn value(raw: &Raw) -> Value {
    serde_json::from_str(raw.get()).unwrap()
}

/// A message as JSON-RPC of 0.3 has it, and as `a2a.v1` does.
fn message() -> (Value, Value) {
    let rpc = json!({ "kind": "message", "messageId": "m", "contextId": "c", "role": "user", "parts": [
        { "kind": "text", "text": "hello" },
        { "kind": "file", "file": { "uri": "https://a/b.png", "mimeType": "image/png", "name": "b.png" } },
        { "kind": "file", "file": { "bytes": "dGNr", "mimeType": "text/plain" } },
        { "kind": "data", "data": { "n": 1.5 } },
    ] });
    let own = json!({ "messageId": "m", "contextId": "c", "role": "ROLE_USER", "content": [
        { "text": "hello" },
        { "file": { "fileWithUri": "https://a/b.png", "mimeType": "image/png", "name": "b.png" } },
        { "file": { "fileWithBytes": "ZEdOcg==", "mimeType": "text/plain" } },
        { "data": { "data": { "n": 1.5 } } },
    ] });
    (rpc, own)
}

#[test]
fn parameters_are_the_same_both_ways_and_over_grpc() {
    let (rpc, own) = message();
    for (operation, rpc, own) in [
        (
            Operation::Send,
            json!({ "message": rpc, "configuration": { "blocking": true, "pushNotificationConfig": { "id": "p", "url": "https://a", "authentication": { "schemes": ["Bearer"] } } } }),
            json!({ "message": own, "configuration": { "blocking": true, "pushNotification": { "id": "p", "url": "https://a", "authentication": { "schemes": ["Bearer"] } } } }),
        ),
        (
            Operation::Get,
            json!({ "id": "t", "historyLength": 3 }),
            json!({ "name": "tasks/t", "historyLength": 3 }),
        ),
        (
            Operation::Cancel,
            json!({ "id": "t" }),
            json!({ "name": "tasks/t" }),
        ),
        (
            Operation::Subscribe,
            json!({ "id": "t" }),
            json!({ "name": "tasks/t" }),
        ),
        (
            Operation::GetPush,
            json!({ "id": "t", "pushNotificationConfigId": "p" }),
            json!({ "name": "tasks/t/pushNotificationConfigs/p" }),
        ),
        (
            Operation::ListPush,
            json!({ "id": "t" }),
            json!({ "parent": "tasks/t" }),
        ),
        (
            Operation::CreatePush,
            json!({ "taskId": "t", "pushNotificationConfig": { "id": "p", "url": "https://a" } }),
            json!({ "parent": "tasks/t", "configId": "p", "config": { "name": "tasks/t/pushNotificationConfigs/p", "pushNotificationConfig": { "id": "p", "url": "https://a" } } }),
        ),
    ] {
        let mut params = Object::of(&raw(&rpc)).unwrap();
        params_down(operation, &mut params);
        assert_eq!(value(&params.raw()), own, "{operation:?}");
        let sent = proto::encode(schema::of(operation).0, &own).unwrap();
        assert_eq!(
            value(&asked(operation, &sent).unwrap().raw()),
            rpc,
            "{operation:?}"
        );
    }
}

#[test]
fn names_of_these_messages_that_were_there_before_are_not_written() {
    let said = json!({
        "message": { "messageId": "m", "role": "user", "content": [{ "text": "smuggled" }], "parts": [
            { "kind": "file", "file": { "uri": "https://a/b.png", "fileWithBytes": "smuggled" } },
        ] },
        "request": { "messageId": "smuggled" },
        "configuration": {
            "pushNotification": { "url": "http://smuggled" },
            "push_notification": { "url": "http://smuggled" },
        },
    });
    let mut sealed = said.clone();
    sealed["configuration"]["pushNotificationConfig"] = json!({ "url": "https://sealed" });
    for (said, push) in [(said, Value::Null), (sealed, json!({ "url": "https://sealed" }))] {
        for operation in [Operation::Send, Operation::Stream] {
            let params = Object::of(&raw(&said)).unwrap();
            let body = rest::write(operation, &params).unwrap().body.unwrap();
            let mut down = params;
            params_down(operation, &mut down);
            let question = schema::of(operation).0;
            let sent = proto::encode(question, &value(&down.raw())).unwrap();
            let sent = proto::decode(question, &sent).unwrap();
            for written in [value(&body), sent] {
                assert!(!written.to_string().contains("smuggled"), "{written}");
                assert_eq!(written["configuration"]["pushNotification"]["url"], push["url"]);
                let file = &written["message"]["content"][0]["file"];
                assert_eq!(file["fileWithUri"], "https://a/b.png");
            }
        }
    }
}

#[test]
fn answers_are_the_same_both_ways_and_over_grpc() {
    let (rpc, own) = message();
    let task = json!({ "kind": "task", "id": "t", "contextId": "c", "history": [rpc],
        "status": { "state": "canceled", "message": rpc, "timestamp": "2026-01-02T03:04:05Z" },
        "artifacts": [{ "artifactId": "a", "parts": [{ "kind": "text", "text": "x" }] }] });
    let own_task = json!({ "id": "t", "contextId": "c", "history": [own],
        "status": { "state": "TASK_STATE_CANCELLED", "message": own, "timestamp": "2026-01-02T03:04:05Z" },
        "artifacts": [{ "artifactId": "a", "parts": [{ "text": "x" }] }] });
    let update = json!({ "kind": "status-update", "taskId": "t", "contextId": "c", "final": true, "status": { "state": "input-required" } });
    let own_update = json!({ "statusUpdate": { "taskId": "t", "contextId": "c", "final": true, "status": { "state": "TASK_STATE_INPUT_REQUIRED" } } });
    let piece = json!({ "kind": "artifact-update", "taskId": "t", "contextId": "c", "append": true, "artifact": { "artifactId": "a", "parts": [{ "kind": "text", "text": "x" }] } });
    let own_piece = json!({ "artifactUpdate": { "taskId": "t", "contextId": "c", "append": true, "artifact": { "artifactId": "a", "parts": [{ "text": "x" }] } } });
    let push = json!({ "taskId": "t", "pushNotificationConfig": { "id": "p", "url": "https://a" } });
    let own_push = json!({ "name": "tasks/t/pushNotificationConfigs/p", "pushNotificationConfig": { "id": "p", "url": "https://a" } });
    for (operation, rpc, own) in [
        (Operation::Send, rpc, json!({ "message": own })),
        (Operation::Send, task.clone(), json!({ "task": own_task })),
        (Operation::Stream, update, own_update),
        (Operation::Subscribe, piece, own_piece),
        (Operation::Get, task.clone(), own_task.clone()),
        (Operation::Cancel, task, own_task),
        (Operation::GetPush, push.clone(), own_push.clone()),
        (
            Operation::ListPush,
            json!([push]),
            json!({ "configs": [own_push] }),
        ),
        (Operation::DeletePush, json!(null), json!({})),
    ] {
        let down = told(operation, &raw(&rpc));
        assert_eq!(value(&down), own, "{operation:?}");
        let message = schema::of(operation).1;
        let sent = proto::encode(message, &own).unwrap();
        let got = proto::decode(message, &sent).unwrap();
        assert_eq!(value(&heard(operation, &raw(&got))), rpc, "{operation:?}");
    }
}

#[test]
fn a_card_is_told_over_grpc_and_understood() {
    let card = json!({ "name": "n", "description": "d", "url": "https://a", "version": "1", "protocolVersion": "0.3.0",
        "preferredTransport": "GRPC", "additionalInterfaces": [{ "url": "https://a", "transport": "GRPC" }],
        "capabilities": { "streaming": true }, "supportsAuthenticatedExtendedCard": true,
        "securitySchemes": { "b": { "type": "http", "scheme": "Bearer" } }, "security": [{ "b": [] }],
        "skills": [{ "id": "s", "name": "s", "description": "s", "tags": ["x"] }] });
    let operation = Operation::ExtendedCard;
    let own = value(&told(operation, &raw(&card)));
    assert_eq!(
        own["securitySchemes"]["b"]["httpAuthSecurityScheme"]["scheme"],
        "Bearer"
    );
    assert_eq!(own["security"][0]["schemes"]["b"]["list"], json!([]));
    let message = schema::of(operation).1;
    let got = proto::decode(message, &proto::encode(message, &own).unwrap()).unwrap();
    assert_eq!(value(&heard(operation, &raw(&got))), card);
}

/// What is asked over HTTP+JSON: method, path, query and body.
fn asked_by_http() -> [(Method, &'static str, &'static str, &'static str, Operation); 10] {
    [
        (
            Method::POST,
            "/v1/message:send",
            "",
            r#"{"request":{"message_id":"m","role":"ROLE_USER","content":[{"text":"x"}]},"configuration":{"blocking":true}}"#,
            Operation::Send,
        ),
        (
            Method::POST,
            "/v1/message:stream",
            "",
            r#"{"message":{"messageId":"m","role":"ROLE_USER","content":[{"text":"x"}]}}"#,
            Operation::Stream,
        ),
        (
            Method::GET,
            "/v1/tasks/a%2Fb",
            "historyLength=3",
            "",
            Operation::Get,
        ),
        (Method::POST, "/v1/tasks/a:cancel", "", "{}", Operation::Cancel),
        (Method::GET, "/v1/tasks/a:subscribe", "", "", Operation::Subscribe),
        (
            Method::POST,
            "/v1/tasks/a/pushNotificationConfigs",
            "",
            r#"{"parent":"tasks/a","config_id":"p","config":{"push_notification_config":{"url":"https://a"}}}"#,
            Operation::CreatePush,
        ),
        (
            Method::GET,
            "/v1/tasks/a/pushNotificationConfigs",
            "",
            "",
            Operation::ListPush,
        ),
        (
            Method::GET,
            "/v1/tasks/a/pushNotificationConfigs/p",
            "",
            "",
            Operation::GetPush,
        ),
        (
            Method::DELETE,
            "/v1/tasks/a/pushNotificationConfigs/p",
            "",
            "",
            Operation::DeletePush,
        ),
        (Method::GET, "/v1/card", "", "", Operation::ExtendedCard),
    ]
}

#[test]
fn paths_of_http_lead_to_operations_and_back() {
    for (method, path, query, body, operation) in asked_by_http() {
        let call = rest::read(&method, path, Some(query), body.as_bytes()).unwrap();
        assert_eq!(
            (call.operation, call.version),
            (operation, Version::V03),
            "{path}"
        );
        let mut checked = call.clone();
        checked.check().unwrap();
        let written = rest::write(operation, &call.params).unwrap();
        assert_eq!(written.method, method, "{path}");
        let (path, query) = written.path.split_once('?').unwrap_or((&written.path, ""));
        let body = written.body.map(|body| body.get().to_owned()).unwrap_or_default();
        let again = rest::read(&written.method, path, Some(query), body.as_bytes()).unwrap();
        assert_eq!(value(&again.params.raw()), value(&call.params.raw()), "{path}");
    }
}

#[test]
fn who_writes_as_json_rpc_does_is_understood() {
    let body = r#"{"message":{"kind":"message","messageId":"m","role":"user","parts":[{"kind":"text","text":"x"}]}}"#;
    let call = rest::read(&Method::POST, "/v1/message:send", None, body.as_bytes()).unwrap();
    assert_eq!(call.params.raw().get(), body);
}

#[test]
fn what_0_3_does_not_have_is_told_so() {
    for (method, path, kind) in [
        (Method::GET, "/v1/tasks", Kind::Method),
        (Method::POST, "/message:send", Kind::VersionNotSupported),
        (Method::POST, "/v1", Kind::VersionNotSupported),
        (Method::PUT, "/v1/message:send", Kind::Method),
    ] {
        assert_eq!(
            rest::read(&method, path, None, b"{}").unwrap_err().kind,
            kind,
            "{path}"
        );
    }
    let wrong = br#"{"message":{"messageId":7}}"#;
    let error = rest::read(&Method::POST, "/v1/message:send", None, wrong).unwrap_err();
    assert_eq!(error.kind, Kind::Params);
    assert!(rest::write(Operation::List, &Object::default()).is_err());
    assert_eq!(path(Operation::List), None);
    assert_eq!(
        operation("/a2a.v1.A2AService/TaskSubscription"),
        Some(Operation::Subscribe)
    );
    assert_eq!(operation("/lf.a2a.v1.A2AService/GetTask"), None);
}

#[test]
fn errors_are_told_by_their_names() {
    let error = A2aError::new(Kind::TaskNotCancelable, "it has ended");
    let told = error.rest_named();
    assert_eq!(value(&told)["type"], "TaskNotCancelableError");
    let alone = r#"{"type":"TaskNotCancelableError","message":"it has ended"}"#;
    let back = A2aError::from_rest(http::StatusCode::CONFLICT, alone, true);
    assert_eq!(
        (back.kind, back.message.as_str()),
        (Kind::TaskNotCancelable, "it has ended")
    );
    let named = error.named();
    assert_eq!(named.message, "TaskNotCancelableError: it has ended");
    let back = A2aError::from_named(Kind::Internal, &named.message);
    assert_eq!(
        (back.kind, back.message.as_str()),
        (Kind::TaskNotCancelable, "it has ended")
    );
    let other = A2aError::from_named(Kind::Params, "Note: nothing");
    assert_eq!(
        (other.kind, other.message.as_str()),
        (Kind::Params, "Note: nothing")
    );
}
