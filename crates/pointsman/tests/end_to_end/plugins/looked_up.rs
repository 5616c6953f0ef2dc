//! `rag`: what is looked up for the prompt, from where, for whom, and what is done where nothing can be.

use std::sync::{Arc, Mutex};

use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{PATH, Scene, decision, routing};
use crate::harness::{key, post, store};

/// Somebody who answers every request with the same JSON, and notes what was asked.
pub(super) struct Shelf {
    pub(super) address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Shelf {
    pub(super) async fn open(answer: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut all = Vec::new();
                let mut piece = [0; 4_096];
                let body = loop {
                    let count = stream.read(&mut piece).await.unwrap_or(0);
                    all.extend_from_slice(&piece[..count]);
                    let text = String::from_utf8_lossy(&all).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        assert!(count > 0, "half a request");
                        continue;
                    };
                    let length = head.lines().find_map(|line| {
                        let (name, value) = line.split_once(':')?;
                        name.eq_ignore_ascii_case("content-length")
                            .then(|| value.trim().parse::<usize>().unwrap())
                    });
                    if body.len() >= length.unwrap_or(0) {
                        let path = head.split(' ').nth(1).unwrap().to_owned();
                        noted
                            .lock()
                            .unwrap()
                            .push((path, serde_json::from_str(body).unwrap()));
                        break answer.to_string();
                    }
                };
                let reply = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn rag(settings: Value) -> Value {
    let mut all =
        json!({"enabled": true, "injection_mode": "system_prompt", "on_failure": "block", "top_k": 2});
    all.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    json!([{"type": "rag", "configuration": all}])
}

fn ask(decision: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": format!("{decision}: how long is the warranty?")}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn findings_of_every_backend_come_into_the_request() {
    let qdrant = Shelf::open(json!({"result": {"points": [
        {"id": 1, "score": 0.9, "payload": {"content": "The warranty is two years."}},
        {"id": 2, "score": 0.7, "payload": {"content": "Batteries have one year."}},
        {"id": 3, "score": 0.6, "payload": {"content": "a third one"}}]}}))
    .await;
    let files = Shelf::open(json!({"object": "list", "data": [{"file_id": "f", "score": 0.8, "content": [{"type": "text", "text": "Three years, says the file."}]}]})).await;
    let milvus = Shelf::open(
        json!({"code": 0, "data": [{"id": 1, "distance": 0.9, "body": "Five years, says Milvus."}]}),
    )
    .await;
    let own = Shelf::open(json!({"results": [{"content": "Four years; mail boss@example.com.", "score": 0.9}, {"content": "too far off", "score": 0.1}]})).await;
    let shelf = |name: &str, at: &Shelf| {
        format!(
            "  {name}: {{ kind: openai-compatible, base_url: \"http://{}\", auth: {{ api_key: key-{name} }} }}\n",
            at.address
        )
    };
    let scene = Scene::with_providers(
        &routing(vec![
            decision("vectors", rag(json!({"backend": "qdrant", "backend_config": {"provider": "qdrant", "collection": "docs"}}))),
            decision("files", rag(json!({"backend": "openai", "injection_mode": "tool_role", "backend_config": {"provider": "files", "vector_store_id": "vs_1"}}))),
            decision("columns", rag(json!({"backend": "milvus", "backend_config": {"provider": "milvus", "collection": "docs", "content_field": "body", "filter_expression": "lang == 'en'", "access": {"team": "team_id"}}}))),
            decision("own", rag(json!({"backend": "external_api", "similarity_threshold": 0.5, "backend_config": {"provider": "own", "path": "/find"}}))),
        ]),
        &(shelf("qdrant", &qdrant) + &shelf("files", &files) + &shelf("milvus", &milvus) + &shelf("own", &own)),
        "guardrails: [ { name: mail, type: pii, on: [tool_result], action: redact, entities: [EMAIL_ADDRESS], model: never } ]",
    )
    .await;
    let answer = scene.ask(&ask("vectors")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = &scene.served()[0]["messages"];
    assert_eq!(sent[0]["content"], "Be brief.");
    let found = sent[1]["content"].as_str().unwrap();
    assert!(
        found.contains("two years") && found.contains("Batteries") && !found.contains("third"),
        "{found}"
    );
    let (path, body) = qdrant.asked().remove(0);
    assert_eq!(path, "/collections/docs/points/query");
    assert!(
        body["query"].as_array().unwrap().len() > 100 && body["limit"] == 2 && body.get("filter").is_none(),
        "{body}"
    );
    scene.ask(&ask("files")).await;
    let sent = scene.served().remove(0);
    assert_eq!(
        sent["messages"][2]["tool_calls"][0]["function"]["name"],
        "look_up"
    );
    assert_eq!(
        (&sent["messages"][3]["role"], &sent["messages"][3]["content"]),
        (&json!("tool"), &json!("Three years, says the file."))
    );
    assert_eq!(sent["tool_choice"], "none");
    assert_eq!(files.asked()[0].0, "/vector_stores/vs_1/search");
    scene.ask(&ask("columns")).await;
    let sent = scene.served().remove(0);
    let found = sent["messages"][1]["content"].as_str().unwrap();
    assert!(found.contains("Five years"), "{found}");
    let (path, body) = milvus.asked().remove(0);
    assert_eq!(path, "/v2/vectordb/entities/search");
    assert_eq!(
        (&body["collectionName"], &body["outputFields"], &body["filter"]),
        (
            &json!("docs"),
            &json!(["body"]),
            &json!("(lang == 'en') and (team_id in [])")
        )
    );
    assert!(body["data"][0].as_array().unwrap().len() > 100);
    scene.ask(&ask("own")).await;
    let sent = scene.served().remove(0);
    let found = sent["messages"][1]["content"].as_str().unwrap();
    assert!(
        found.contains("Four years") && !found.contains("boss@example.com") && !found.contains("too far off"),
        "{found}"
    );
    assert_eq!(
        own.asked(),
        [(
            "/find".to_owned(),
            json!({"query": "own: how long is the warranty?", "top_k": 2})
        )]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn callers_see_what_is_theirs_and_failures_do_as_written() {
    let qdrant = Shelf::open(
        json!({"result": {"points": [{"id": 1, "score": 0.9, "payload": {"content": "Only for us."}}]}}),
    )
    .await;
    let providers = format!(
        "  qdrant: {{ kind: openai-compatible, base_url: \"http://{}\", auth: {{ api_key: k }} }}\n  \
         gone: {{ kind: openai-compatible, base_url: \"http://127.0.0.1:9\", auth: {{ api_key: k }}, retry: {{ attempts: 1 }} }}\n",
        qdrant.address
    );
    let gone = |on_failure: &str| {
        rag(
            json!({"backend": "qdrant", "on_failure": on_failure, "backend_config": {"provider": "gone", "collection": "docs"}}),
        )
    };
    let cached = json!({"type": "response_cache", "configuration": {"enabled": true, "mode": "exact", "scope": "global"}});
    let mut ours = rag(
        json!({"backend": "qdrant", "backend_config": {"provider": "qdrant", "collection": "docs", "access": {"team": "team_id"}}}),
    );
    ours.as_array_mut().unwrap().push(cached);
    let scene = Scene::with_providers(
        &routing(vec![
            decision("ours", ours),
            decision("softly", gone("skip")),
            decision("strictly", gone("block")),
        ]),
        &providers,
        "",
    )
    .await;
    let spec = HolderSpec::default();
    store(scene.folder.path())
        .create_holder(&Actor::local(), HolderKind::Team, Some("red".to_owned()), spec)
        .unwrap();
    let team = NewKey {
        team: Some("red".into()),
        ..NewKey::default()
    };
    let theirs = key(scene.folder.path(), team);
    for _ in 0..200 {
        let answer = post(scene.house.address, PATH, &theirs, &ask("plain"))
            .await
            .unwrap();
        if answer.status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for (key, any) in [(&theirs, json!(["red"])), (&scene.key, json!([]))] {
        let answer = post(scene.house.address, PATH, key, &ask("ours")).await.unwrap();
        // What not everybody may see is not remembered.
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-pointsman-cache")),
            (200, "bypass"),
            "{}",
            answer.text()
        );
        let (_, body) = qdrant.asked().remove(0);
        assert_eq!(
            body["filter"],
            json!({"must": [{"should": [{"key": "team_id", "match": {"any": any}}]}]})
        );
    }
    scene.sim.clear();
    assert_eq!(scene.ask(&ask("softly")).await.status, 200);
    assert_eq!(scene.served()[0]["messages"].as_array().unwrap().len(), 2);
    let refused = scene.ask(&ask("strictly")).await;
    assert_eq!(
        (refused.status.as_u16(), scene.served().len()),
        (503, 0),
        "{}",
        refused.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_facts_are_asked_for_nothing_is_looked_up() {
    let shelf = Shelf::open(json!({"results": [{"content": "It ended in 1945.", "score": 0.9}]})).await;
    let settings = json!({"backend": "external_api", "min_confidence_threshold": 0.5, "backend_config": {"provider": "own"}});
    let scene = Scene::with_providers(
        &routing(vec![decision("sure", rag(settings))]),
        &format!(
            "  own: {{ kind: openai-compatible, base_url: \"http://{}\", auth: {{ api_key: k }} }}\n",
            shelf.address
        ),
        "",
    )
    .await;
    let ask = |text: &str| json!({"model": "auto", "messages": [{"role": "user", "content": format!("{text} (sure)")}]});
    let facts = scene
        .ask(&ask("In which year did the Second World War end?"))
        .await;
    assert_eq!(facts.status, 200, "{}", facts.text());
    assert_eq!(shelf.asked().len(), 1);
    let poem = scene
        .ask(&ask("Write me a short poem about a cat that likes the rain."))
        .await;
    assert_eq!(poem.status, 200, "{}", poem.text());
    assert_eq!(shelf.asked().len(), 0);
}
