//! JSON to the wire and back; bytes written by the official library.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::operation::Operation;

const ALL: [Operation; 11] = [
    Operation::Send,
    Operation::Stream,
    Operation::Get,
    Operation::List,
    Operation::Cancel,
    Operation::Subscribe,
    Operation::CreatePush,
    Operation::GetPush,
    Operation::ListPush,
    Operation::DeletePush,
    Operation::ExtendedCard,
];

#[test]
fn messages_come_back_as_they_were() {
    let message = json!({
        "messageId": "m", "contextId": "c", "role": "ROLE_USER", "referenceTaskIds": ["a", "b"],
        "parts": [
            { "text": "" }, { "raw": "AAE=", "mediaType": "a/b", "filename": "f" }, { "url": "https://a" },
            { "data": { "a": [1, 2.5, null, true, "x", {}], "n": -3 } }, { "data": null }, { "data": [] },
        ],
        "metadata": { "k": { "deep": [1] } },
    });
    let task = json!({
        "id": "t", "contextId": "c", "history": [message], "metadata": {},
        "status": { "state": "TASK_STATE_WORKING", "timestamp": "2026-01-02T03:04:05.678Z", "message": message },
        "artifacts": [{ "artifactId": "a", "parts": [{ "text": "x" }] }],
    });
    for (operation, asked, answered) in [
        (
            Operation::Send,
            json!({ "message": message, "configuration": { "historyLength": 0, "returnImmediately": true, "taskPushNotificationConfig": { "url": "u", "authentication": { "scheme": "Bearer" } } } }),
            json!({ "task": task }),
        ),
        (
            Operation::Stream,
            json!({ "message": message }),
            json!({ "artifactUpdate": { "taskId": "t", "contextId": "c", "append": true, "artifact": { "artifactId": "a", "parts": [{ "text": "y" }] } } }),
        ),
        (
            Operation::List,
            json!({ "pageSize": 5, "status": "TASK_STATE_COMPLETED", "includeArtifacts": false, "statusTimestampAfter": "1969-12-31T23:59:59.5Z" }),
            json!({ "tasks": [task], "pageSize": 5, "totalSize": 1 }),
        ),
        (
            Operation::ExtendedCard,
            json!({}),
            json!({ "name": "n", "capabilities": { "streaming": false, "extensions": [{ "uri": "u", "params": { "a": 1 } }] }, "securitySchemes": { "k": { "httpAuthSecurityScheme": { "scheme": "Bearer" } }, "m": { "mtlsSecurityScheme": {} } }, "securityRequirements": [{ "schemes": { "k": { "list": ["s"] }, "m": {} } }] }),
        ),
    ] {
        let (question, answer) = schema::of(operation);
        for (message, value) in [(question, asked), (answer, answered)] {
            let bytes = encode(message, &value).unwrap();
            assert_eq!(decode(message, &bytes).unwrap(), value, "{operation:?}");
        }
    }
}

#[test]
fn what_is_usual_is_not_written() {
    let (question, _) = schema::of(Operation::Get);
    assert!(
        encode(question, &json!({ "tenant": "", "id": null, "unknown": [1] }))
            .unwrap()
            .is_empty()
    );
    // A length of nothing is something.
    assert_eq!(
        encode(question, &json!({ "historyLength": 0 })).unwrap(),
        [0x18, 0]
    );
    // Names as the proto has them are read, too.
    assert_eq!(
        encode(question, &json!({ "history_length": 7 })).unwrap(),
        [0x18, 7]
    );
}

#[test]
fn what_is_something_else_is_refused() {
    let (question, _) = schema::of(Operation::Send);
    for wrong in [
        json!([]),
        json!({ "message": 5 }),
        json!({ "message": { "parts": {} } }),
        json!({ "message": { "role": "ROLE_KING" } }),
        json!({ "message": { "parts": [{ "raw": "*" }] } }),
        json!({ "configuration": { "historyLength": "x" } }),
        json!({ "metadata": [] }),
    ] {
        assert!(
            matches!(encode(question, &wrong), Err(ProtoError::Wrong(_))),
            "{wrong}"
        );
    }
}

#[test]
fn nested_values_have_a_bound() {
    let (question, _) = schema::of(Operation::Cancel);
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        let mut list = Vec::new();
        write_bytes(1, &bytes, &mut list);
        bytes.clear();
        write_bytes(6, &list, &mut bytes);
        if bytes.len() > 60_000 {
            break;
        }
    }
    let (mut entry, mut fields, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    write_bytes(1, b"k", &mut entry);
    write_bytes(2, &bytes, &mut entry);
    write_bytes(1, &entry, &mut fields);
    write_bytes(3, &fields, &mut whole);
    assert_eq!(decode(question, &whole), Err(ProtoError::Deep));
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for operation in ALL {
            let (question, answer) = schema::of(operation);
            for message in [question, answer] {
                let once = decode(message, &bytes).ok().and_then(|value| encode(message, &value).ok());
                if let Some(once) = once {
                    let again = decode(message, &once).unwrap();
                    prop_assert_eq!(encode(message, &again).unwrap(), once);
                }
            }
        }
    }
}
