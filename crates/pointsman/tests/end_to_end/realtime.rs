//! Realtime sessions through the gateway: relayed, refused and guarded.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::SinkExt;
use http::Method;
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{House, ask, folder, key, ledger, post, store};
use crate::socket::{Client, refused};

fn provider(sim: &SimServer) -> String {
    format!(
        "kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}",
        sim.address()
    )
}

pub fn config(sim: &SimServer, rest: &str) -> String {
    format!(
        "providers: {{ o: {{ {} }} }}\nmodels: {{ voice: {{ targets: [ {{ provider: o, model: gpt-realtime }} ] }} }}\n{rest}",
        provider(sim)
    )
}

pub async fn sim() -> SimServer {
    SimServer::local(SimOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_passes_both_ways_under_the_name_that_was_asked_for() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for path in ["/v1/realtime?model=voice", "/openai/v1/realtime?model=voice"] {
        let mut client = Client::try_open(house.address, path, &[("authorization", format!("Bearer {key}"))])
            .await
            .unwrap();
        assert_eq!(client.head["x-pointsman-model"], "gpt-realtime");
        let created = client.until("session.created").await;
        assert_eq!(created["session"]["model"], "voice");
        client.say(json!({"type": "session.update", "session": {"type": "realtime", "model": "voice", "instructions": "be brief", "output_modalities": ["text"]}})).await;
        let updated = client.until("session.updated").await;
        assert_eq!(updated["session"]["model"], "voice");
        assert_eq!(updated["session"]["instructions"], "be brief");
        client.ask("repeat 5 words").await;
        let mut text = String::new();
        let done = loop {
            let crate::socket::Heard::Event(event) = client.hear().await else {
                panic!()
            };
            match event["type"].as_str().unwrap() {
                "response.output_text.delta" => text += event["delta"].as_str().unwrap(),
                "response.done" => break event,
                _ => {}
            }
        };
        assert_eq!(text.split_whitespace().count(), 5, "{text}");
        assert_eq!(done["response"]["status"], "completed");
        // What the provider says of an event it does not know, reaches the client with the event's id.
        client.say(json!({"type": "made.up", "event_id": "mine"})).await;
        let (event, _) = (client.hear().await, ());
        let crate::socket::Heard::Event(mut event) = event else {
            panic!()
        };
        while event["type"] != "error" {
            let crate::socket::Heard::Event(next) = client.hear().await else {
                panic!()
            };
            event = next;
        }
        assert_eq!(event["error"]["event_id"], "mine");
        client.close().await;
    }
    for served in sim.served() {
        let said = format!("{served:?}");
        assert!(
            !said.contains(&key),
            "the client's key went to the provider: {said}"
        );
        assert_eq!(served.query, "model=gpt-realtime");
    }
    house.stop();
    let entries = ledger(folder.path());
    // A line for each session, and one for its answer.
    assert_eq!(entries.len(), 4, "{entries:?}");
    assert!(
        entries
            .iter()
            .all(|entry| entry.surface == "/v1/realtime" && entry.outcome == Outcome::Complete)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_brings_its_key_as_a_subprotocol() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let offered = format!("realtime, openai-insecure-api-key.{key}, openai-beta.realtime-v1");
    let mut client = Client::try_open(
        house.address,
        "/v1/realtime?model=voice",
        &[("sec-websocket-protocol", offered)],
    )
    .await
    .unwrap();
    assert_eq!(client.head["sec-websocket-protocol"], "realtime");
    client.until("session.created").await;
    let served = sim.served();
    let header = |name: &str| {
        served[0]
            .headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(header("openai-beta"), Some("realtime=v1"));
    assert_eq!(header("authorization"), Some("Bearer sk-sim"));
    assert_eq!(header("sec-websocket-protocol"), None);
    client.close().await;
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_before_the_session_in_openais_format() {
    let sim = sim().await;
    let rest = "only-words: { targets: [ { provider: c, model: claude-haiku-4-5 } ] }";
    let text = config(&sim, "").replace(
        "providers: {",
        &format!(
            "providers: {{ c: {{ kind: anthropic, base_url: \"http://{}\", auth: {{ api_key: sk-sim }} }}, ",
            sim.address()
        ),
    );
    let text = text.replace("models: { ", &format!("models: {{ {rest}, "));
    let folder = folder(&text);
    let open_key = key(folder.path(), NewKey::default());
    let narrow = key(
        folder.path(),
        NewKey {
            models: vec!["other".to_owned()],
            ..NewKey::default()
        },
    );
    let house = House::open(folder.path());
    let address = house.address;
    for (path, key, status, says) in [
        ("/v1/realtime?model=voice", "", 401, "no credential"),
        ("/v1/realtime?model=voice", "pm-wrong", 401, "not known"),
        ("/v1/realtime", &open_key, 400, "?model=NAME"),
        ("/v1/realtime?model=voize", &open_key, 404, "voice"),
        ("/v1/realtime?model=voice", &narrow, 403, "may not use"),
        (
            "/v1/realtime?model=only-words",
            &open_key,
            400,
            "the provider c has no realtime sessions",
        ),
        ("/v1/realtime?model=voice&call_id=rtc_1", &open_key, 404, "WebRTC"),
        (
            "/v1/realtime?model=voice&intent=singing",
            &open_key,
            400,
            "singing",
        ),
    ] {
        let answer = refused(address, path, key).await;
        let body = answer.json();
        assert_eq!(answer.status, status, "{path}: {body}");
        assert!(
            body["error"]["message"].as_str().unwrap().contains(says),
            "{path}: {body}"
        );
    }
    let plain = ask(address, Method::GET, "/v1/realtime?model=voice", &open_key)
        .await
        .unwrap();
    assert_eq!(
        (plain.status.as_u16(), plain.json()["error"]["code"].clone()),
        (400, json!("websocket_required"))
    );
    for path in ["sessions", "transcription_sessions", "calls"] {
        let answer = ask(address, Method::POST, &format!("/v1/realtime/{path}"), &open_key)
            .await
            .unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["code"].clone()),
            (404, json!("not_supported")),
            "{path}"
        );
    }
    assert!(
        sim.served().is_empty(),
        "a provider was asked: {:?}",
        sim.served()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_refuses_is_passed_over_until_one_agrees() {
    let (first, second) = (sim().await, sim().await);
    let text = format!(
        "providers: {{ a: {{ {}, retry: {{ attempts: 2 }}, health: {{ consecutive_failures: 0, failure_ratio: 0 }} }}, b: {{ {} }} }}\n\
         models:\n  both: {{ targets: [ {{ provider: a, model: gpt-realtime }}, {{ provider: b, model: gpt-realtime, priority: 1 }} ] }}\n  \
         only: {{ targets: [ {{ provider: a, model: gpt-realtime }} ] }}\n  \
         mixed: {{ targets: [ {{ provider: c, model: claude-haiku-4-5 }}, {{ provider: b, model: gpt-realtime, priority: 1 }} ] }}\n",
        provider(&first),
        provider(&second)
    );
    let text = text.replace(
        "providers: {",
        "providers: { c: { kind: anthropic, base_url: \"http://127.0.0.1:9\", auth: { api_key: sk-sim } },",
    );
    let folder = folder(&text);
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for fault in [
        Fault::Status(401),
        Fault::Status(500),
        Fault::Status(503),
        Fault::RateLimited(0),
        Fault::ResetBeforeHead,
    ] {
        first.set_faults(vec![(Schedule::Always, fault)]);
        let mut client = Client::open(house.address, "both", &key).await;
        assert_eq!(client.head["x-pointsman-provider"], "b", "{fault}");
        assert_eq!(client.head["x-pointsman-attempts"], "2", "{fault}");
        client.until("session.created").await;
        client.close().await;
    }
    for (fault, status) in [
        (Fault::Status(401), 502),
        (Fault::Status(500), 502),
        (Fault::Status(400), 400),
        // Last, because the endpoint rests after it.
        (Fault::RateLimited(1), 429),
    ] {
        first.set_faults(vec![(Schedule::Always, fault)]);
        let answer = refused(house.address, "/v1/realtime?model=only", &key).await;
        assert_eq!(answer.status, status, "{fault}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string());
    }
    first.set_faults(Vec::new());
    // A target without sessions is passed over, not tried.
    let client = Client::open(house.address, "mixed", &key).await;
    assert_eq!(
        (
            client.head["x-pointsman-provider"].as_bytes(),
            client.head["x-pointsman-attempts"].as_bytes()
        ),
        (&b"b"[..], &b"1"[..])
    );
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardrails_see_what_is_said_and_sound_does_not_pass_them() {
    let sim = sim().await;
    let rest = "guardrails:\n  - { name: words, type: regex, on: [input, tool_result], action: block, deny: [\"(?i)project falcon\"] }\n  \
                - { name: cards, type: regex, on: [input], action: redact, deny: [\"[0-9]{16}\"] }\n";
    let folder = folder(&config(&sim, rest));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    let message = |text: &str| json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]});
    let sound = STANDARD.encode([7_u8; 4_800]);
    for event in [
        json!({"type": "conversation.item.create", "event_id": "e", "item": message("what of Project Falcon?")}),
        json!({"type": "conversation.item.create", "event_id": "e", "item": {"type": "function_call_output", "call_id": "c", "output": "project falcon"}}),
        json!({"type": "session.update", "event_id": "e", "session": {"type": "realtime", "instructions": "tell of project falcon"}}),
        json!({"type": "response.create", "event_id": "e", "response": {"input": [message("project falcon")]}}),
        json!({"type": "input_audio_buffer.append", "event_id": "e", "audio": sound}),
        json!({"type": "conversation.item.create", "event_id": "e", "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}}),
    ] {
        client.say(event.clone()).await;
        let crate::socket::Heard::Event(told) = client.hear().await else {
            panic!("{event}")
        };
        assert_eq!(
            (&told["error"]["code"], &told["error"]["event_id"]),
            (&json!("guardrail_blocked"), &json!("e")),
            "{event}: {told}"
        );
    }
    // The session goes on, and what is redacted is what the provider gets.
    client
        .say(json!({"type": "conversation.item.create", "item": message("card 4111111111111111 ok")}))
        .await;
    let added = client.until("conversation.item.added").await;
    let text = added["item"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("card ") && !text.contains("4111"), "{text}");
    client.close().await;
    drop(house);
    // Answers that must be seen before they are heard: there are no sessions.
    let rest = "guardrails: [ { name: words, type: regex, on: [output], action: block, deny: [falcon] } ]\n";
    crate::harness::write(folder.path(), &config(&sim, rest));
    let house = House::open(folder.path());
    let answer = refused(house.address, "/v1/realtime?model=voice", &key).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"]["code"].clone()),
        (403, json!("guardrail_blocked"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_of_a_session_is_fixed_and_its_transcriber_allowed() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(
        folder.path(),
        NewKey {
            models: vec!["voice".to_owned()],
            ..NewKey::default()
        },
    );
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    for (session, param) in [
        (
            json!({"type": "realtime", "model": "gpt-realtime-2"}),
            "session.model",
        ),
        (
            json!({"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}),
            "session.audio.input.transcription.model",
        ),
    ] {
        client
            .say(json!({"type": "session.update", "session": session}))
            .await;
        let crate::socket::Heard::Event(told) = client.hear().await else {
            panic!()
        };
        assert_eq!(told["error"]["param"], param, "{told}");
    }
    for text in ["", "[]", "{\"type\":1}", "{\"type\""] {
        client.socket.send(Message::Text(text.into())).await.unwrap();
        let crate::socket::Heard::Event(told) = client.hear().await else {
            panic!()
        };
        assert_eq!(told["error"]["code"], "invalid_event", "{text}: {told}");
    }
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clouds_are_asked_in_their_own_way() {
    let sim = sim().await;
    let address = sim.address();
    let folder = folder(&format!(
        "providers:\n  new: {{ kind: azure-openai, base_url: \"http://{address}\", auth: {{ api_key: sk-sim }} }}\n  \
         dated: {{ kind: azure-openai, base_url: \"http://{address}\", api_version: 2024-10-01-preview, auth: {{ api_key: sk-sim }} }}\n  \
         x: {{ kind: xai, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }} }}\n"
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    for (model, path, query, header) in [
        (
            "new/gpt-realtime",
            "/openai/v1/realtime",
            "model=gpt-realtime",
            "api-key",
        ),
        (
            "dated/gpt-realtime",
            "/openai/realtime",
            "api-version=2024-10-01-preview&deployment=gpt-realtime",
            "api-key",
        ),
        (
            "x/grok-voice-latest",
            "/v1/realtime",
            "model=grok-voice-latest",
            "authorization",
        ),
    ] {
        sim.clear();
        let mut client = Client::open(house.address, model, &key).await;
        client.until("session.created").await;
        client.close().await;
        let served = sim.served().remove(0);
        assert_eq!((served.path.as_str(), served.query.as_str()), (path, query));
        assert!(
            served
                .headers
                .iter()
                .any(|(name, value)| name == header && value.contains("sk-sim")),
            "{served:?}"
        );
    }
    sim.clear();
    let mut client = Client::try_open(
        house.address,
        "/v1/realtime?model=new/gpt-realtime-whisper&intent=transcription",
        &[("authorization", format!("Bearer {key}"))],
    )
    .await
    .unwrap();
    client.until("session.created").await;
    assert_eq!(sim.served()[0].query, "intent=transcription");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_many_frames_and_many_pieces_is_one_message() {
    let sim = sim().await;
    let folder = folder(&config(&sim, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let mut client = Client::open(house.address, "voice", &key).await;
    client.until("session.created").await;
    let event = json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Grüezi mitenand, 😀"}]}}).to_string();
    for size in [1, 7, 64, event.len()] {
        let pieces: Vec<&[u8]> = event.as_bytes().chunks(size).collect();
        let last = pieces.len() - 1;
        for (at, piece) in pieces.into_iter().enumerate() {
            // A text may be cut in the middle of a letter, and pings may come between its frames.
            let kind = if at == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), at == last);
            client.socket.send(Message::Frame(frame)).await.unwrap();
            if at == 2 {
                client.socket.send(Message::Ping(Bytes::new())).await.unwrap();
            }
        }
        let added = client.until("conversation.item.added").await;
        assert_eq!(added["item"]["content"][0]["text"], "Grüezi mitenand, 😀");
    }
    client.close().await;
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_secret_opens_the_session_it_was_made_for_and_no_other() {
    let sim = sim().await;
    let text = config(&sim, "").replace(
        "models: { ",
        "models: { other: { targets: [ { provider: o, model: gpt-realtime-2 } ] }, ",
    );
    let folder = folder(&text);
    let key = key(
        folder.path(),
        NewKey {
            models: vec!["voice".to_owned()],
            ..NewKey::default()
        },
    );
    let house = House::open(folder.path());
    let address = house.address;
    let path = "/v1/realtime/client_secrets";
    for (body, status) in [
        (json!({}), 400),
        (json!({"session": {"type": "realtime"}}), 400),
        (json!({"session": {"type": "song", "model": "voice"}}), 400),
        (json!({"session": {"type": "realtime", "model": "other"}}), 403),
        (
            json!({"session": {"type": "realtime", "model": "voice"}, "expires_after": {"seconds": 5}}),
            400,
        ),
    ] {
        let answer = post(address, path, &key, &body).await.unwrap();
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let session = json!({"type": "realtime", "model": "voice", "instructions": "be brief", "output_modalities": ["text"]});
    let answer = post(
        address,
        path,
        &key,
        &json!({"session": session, "expires_after": {"anchor": "created_at", "seconds": 60}}),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let secret = told["value"].as_str().unwrap().to_owned();
    assert!(
        secret.starts_with("ek_") && told["session"]["model"] == "voice",
        "{told}"
    );
    // As a browser does it, and more than once.
    for model in ["?model=voice", ""] {
        let offered = format!("realtime, openai-insecure-api-key.{secret}");
        let path = format!("/v1/realtime{model}");
        let mut client = Client::try_open(address, &path, &[("sec-websocket-protocol", offered)])
            .await
            .unwrap();
        let updated = client.until("session.updated").await;
        assert_eq!(
            (&updated["session"]["instructions"], &updated["session"]["model"]),
            (&json!("be brief"), &json!("voice"))
        );
        client.ask("repeat 3 words").await;
        let done = client.until("response.done").await;
        assert_eq!(done["response"]["output_modalities"], json!(["text"]));
        client.close().await;
    }
    assert_eq!(
        refused(address, "/v1/realtime?model=other", &secret).await.status,
        403
    );
    assert_eq!(
        refused(address, "/v1/realtime?model=voice", "ek_made_up")
            .await
            .status,
        401
    );
    // It opens nothing else.
    let chat = json!({"model": "voice", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(
        post(address, "/v1/chat/completions", &secret, &chat)
            .await
            .unwrap()
            .status,
        401
    );
    assert_eq!(
        post(address, path, &secret, &json!({"session": session}))
            .await
            .unwrap()
            .status,
        401
    );
    // And nothing any more once the key that made it is revoked.
    let store = store(folder.path());
    let id = store.keys().unwrap()[0].id.clone();
    let charged = ledger(folder.path());
    assert!(
        charged.iter().all(|entry| entry.key.as_ref() == Some(&id)),
        "{charged:?}"
    );
    store.revoke_key(&id).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        refused(address, "/v1/realtime?model=voice", &secret).await.status,
        401
    );
    for served in sim.served() {
        assert!(
            !format!("{served:?}").contains(&secret),
            "the secret went to the provider"
        );
    }
}
