//! What A2A agents and their clients say, and what is made of it.

use bytes::Bytes;
use http::{Method, StatusCode};
use pointsman_a2a::agent::Binding;
use pointsman_a2a::card::{Card, Face, GRPC};
use pointsman_a2a::error::A2aError;
use pointsman_a2a::event::Event;
use pointsman_a2a::json::Object;
use pointsman_a2a::link::Decoder;
use pointsman_a2a::operation::Operation;
use pointsman_a2a::proto::{self, schema};
use pointsman_a2a::version::Version;
use pointsman_a2a::{rest, rpc, spelling, translate};

pub const MESSAGES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"t"},{"raw":"AAAA","mediaType":"a/b","filename":"f"},{"data":[1]}]},"configuration":{"returnImmediately":true,"taskPushNotificationConfig":{"url":"https://a","authentication":{"scheme":"Bearer"}}}}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"message/send","params":{"message":{"kind":"message","messageId":"m","role":"user","parts":[{"kind":"file","file":{"bytes":"AA","mimeType":"a/b"}},{"kind":"data","data":{"value":1},"metadata":{"data_part_compat":true}}]},"configuration":{"blocking":false,"historyLength":0}}}"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"tasks/pushNotificationConfig/set","params":{"taskId":"t","pushNotificationConfig":{"url":"https://a","authentication":{"schemes":["Basic"]}}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"ListTasks","params":{"pageSize":5,"includeArtifacts":true}}"#,
];

pub const TOLD: &[&str] = &[
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"task\":{\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_WORKING\",\"message\":{\"parts\":[{\"text\":\"x\"}]}}}}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{\"state\":\"completed\"},\"final\":true}}\r\n\r\n",
    "event: error\ndata: {\"error\":{\"code\":404,\"message\":\"m\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"TASK_NOT_FOUND\",\"domain\":\"a2a-protocol.org\"}]}}\n\ndata: {\"artifactUpdate\":{\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"data\":{\"a\":[\"x\"]}}]},\"append\":true}}\n\n",
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32001,\"message\":\"gone\",\"data\":[1]}}\n\n",
];

pub const CARDS: &[&str] = &[
    r#"{"name":"n","supportedInterfaces":[{"url":"https://a","protocolBinding":"JSONRPC","protocolVersion":"1.0","tenant":"t"}],"capabilities":{"streaming":true},"securitySchemes":{"k":{"apiKeySecurityScheme":{"location":"header","name":"x"}}},"securityRequirements":[{"schemes":{"k":{"list":[]}}}],"skills":[{"id":"s"}],"signatures":[{}]}"#,
    r#"{"name":"n","url":"https://a","preferredTransport":"HTTP+JSON","protocolVersion":"0.3.0","additionalInterfaces":[{"url":"https://b","transport":"GRPC"}],"security":[{"k":["s"]}],"securitySchemes":{"k":{"type":"http","scheme":"Bearer"}},"supportsAuthenticatedExtendedCard":true}"#,
];

const VERSIONS: [Version; 2] = [Version::V03, Version::V10];

/// Requests of clients.
pub fn requests(input: &[u8]) {
    if let Ok(request) = rpc::decode(input) {
        let text = rpc::request(&request.id, &request.method, &request.params);
        let Ok(again) = rpc::decode(text.as_bytes()) else {
            panic!("{text} is no request any more");
        };
        assert_eq!(again.params.raw().get(), request.params.raw().get());
        let mut straight = request.params.clone();
        if spelling::straighten(&mut straight).is_ok() {
            let once = straight.raw();
            assert!(spelling::straighten(&mut straight).is_ok());
            assert_eq!(straight.raw().get(), once.get());
        }
        if let Some((operation, _)) = Operation::named(&request.method) {
            for version in VERSIONS {
                translate::params(operation, &mut request.params.clone(), version);
            }
            let _ = rest::write(operation, &request.params);
        }
    }
    let text = String::from_utf8_lossy(input);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        if let Ok(call) = rest::read(&method, path, Some(query), input) {
            let _ = rest::write(call.operation, &call.params);
        }
    }
}

/// What agents tell, cut into pieces.
pub fn told(input: &[u8]) {
    for binding in [Binding::Rpc, Binding::Rest, Binding::Grpc] {
        let (mut whole, mut cut) = (Decoder::new(binding, 1 << 20), Decoder::new(binding, 1 << 20));
        let pushed = whole.push(&Bytes::copy_from_slice(input));
        let pieces = input
            .chunks(3)
            .try_for_each(|piece| cut.push(&Bytes::copy_from_slice(piece)));
        assert_eq!(pushed.is_ok(), pieces.is_ok());
        if pushed.is_err() {
            continue;
        }
        while let Some(event) = whole.next() {
            let same = cut.next();
            match (event, same) {
                (Ok(one), Some(Ok(other))) => {
                    assert_eq!(one.get(), other.get());
                    for version in VERSIONS {
                        let _ = translate::event(&one, version);
                        if let Some(mut event) = Event::open(&one, version) {
                            event.rewrite(&mut |text| Some(text.to_uppercase()));
                            let _ = (event.task_id(), event.is_last(), event.close());
                        }
                    }
                }
                (Err(one), Some(Err(other))) => {
                    assert_eq!(one.message, other.message);
                    for version in VERSIONS {
                        let _ = A2aError::from_rpc(&one.rpc(version));
                    }
                    let _ = A2aError::from_rest(StatusCode::OK, one.rest().get(), true);
                }
                _ => panic!("events are cut otherwise"),
            }
        }
        assert!(cut.next().is_none());
    }
}

/// Cards of agents: nothing that leads to the agent is shown.
pub fn cards(input: &[u8]) {
    let Ok(card) = Card::read(input) else { return };
    let face = Face {
        url: "https://gateway.example.com/a2a/x",
        needs_key: true,
        pushes: true,
        is_both: true,
        is_default: false,
        hidden: &["a*"],
    };
    let shown = card.shown(&face);
    assert!(shown.get("signatures").is_none());
    let again = Card::read(shown.raw().get().as_bytes());
    let again = again.unwrap_or_else(|why| panic!("{} is no card any more: {why}", shown.raw()));
    assert!(
        again
            .interfaces
            .iter()
            .all(|one| one.url == face.url || one.binding == GRPC && one.url == "gateway.example.com:443")
    );
    let _ = Object::read(input);
}

/// Messages of gRPC: the first byte says which.
pub fn calls(input: &[u8]) {
    const ALL: [Operation; 5] = [
        Operation::Send,
        Operation::Stream,
        Operation::List,
        Operation::CreatePush,
        Operation::ExtendedCard,
    ];
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let (question, answer) = schema::of(ALL[usize::from(*first) % ALL.len()]);
    for message in [question, answer] {
        let Ok(value) = proto::decode(message, bytes) else {
            continue;
        };
        if let Ok(once) = proto::encode(message, &value) {
            let again = proto::decode(message, &once)
                .unwrap_or_else(|why| panic!("{value} is no message any more: {why}"));
            assert_eq!(proto::encode(message, &again).ok(), Some(once));
        }
    }
}

pub const CALLS: &[&str] = &[
    "\0\x12\x10\n\x01m \x01*\t\n\x01t2\x04\n\x02\n\0",
    "\x01\n\x10\n\x01t\x1a\x0b\x08\x02\x1a\x07\x08\x01\x10\x02",
];
