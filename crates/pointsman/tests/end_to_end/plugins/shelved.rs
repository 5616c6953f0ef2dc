//! Collections of documents that are kept here: filled, searched, shared, and looked up in for a prompt (`rag`).

use http::{Method, Request};
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey};
use pointsman_testbed::mcp::{McpEra, McpServer};
use serde_json::{Value, json};

use super::{PATH, Scene, decision, routing};
use crate::harness::{Answer, ask, key, ledger, post, send, store, upload};

const HANDBOOK: &str = "# Handbook\n\nThe warranty of all drills is two years. Batteries have one year.\n\n\
    Goods that do not please are taken back within thirty days, and the money is paid back at once.\n\n\
    The drill XR-471 turns at 3200 revolutions. The drill XR-472 turns at 1100 revolutions.\n";
const CANTEEN: &str = "On Fridays the canteen serves fish. The coffee machine stands on the third floor.\n";

async fn call(scene: &Scene, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .body(body.to_string())
        .unwrap();
    send(scene.house.address, request).await.unwrap()
}

async fn kept(scene: &Scene, key: &str, text: &str) -> String {
    let kept = upload(
        scene.house.address,
        key,
        &[("purpose", "assistants")],
        text.as_bytes(),
    )
    .await;
    let kept = kept.unwrap();
    assert_eq!(kept.status, 200, "{}", kept.text());
    kept.json()["id"].as_str().unwrap().to_owned()
}

fn texts(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let found = told["data"].as_array().unwrap().iter();
    found
        .map(|one| one["content"][0]["text"].as_str().unwrap().to_owned())
        .collect()
}

fn small_passages() -> Value {
    json!({"type": "static", "static": {"max_chunk_size_tokens": 50, "chunk_overlap_tokens": 0}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn documents_are_searched_by_meaning_and_words_and_changed_by_their_owner_alone() {
    let scene = Scene::new(&routing(Vec::new())).await;
    let other = key(scene.folder.path(), NewKey::default());
    let (handbook, canteen) = (
        kept(&scene, &scene.key, HANDBOOK).await,
        kept(&scene, &scene.key, CANTEEN).await,
    );
    let making = json!({"name": "ours", "file_ids": [handbook, canteen], "metadata": {"of": "shop"},
        "chunking_strategy": small_passages()});
    let made = call(&scene, "POST", "/v1/vector_stores", &scene.key, &making).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["object"], &made["file_counts"]["completed"]),
        (&json!("vector_store"), &json!(2))
    );
    assert_eq!(
        (&made["metadata"], &made["status"]),
        (&json!({"of": "shop"}), &json!("completed"))
    );
    let id = made["id"].as_str().unwrap();
    let path = format!("/v1/vector_stores/{id}");
    let search = format!("{path}/search");
    // In other words, and by a number that only words tell apart.
    let found = call(
        &scene,
        "POST",
        &search,
        &scene.key,
        &json!({"query": "Can I get a refund?", "max_num_results": 1}),
    )
    .await;
    assert!(texts(&found)[0].contains("paid back"), "{}", found.text());
    for (query, turns) in [
        ("How fast is the XR-471?", "3200"),
        ("How fast is the XR-472?", "1100"),
    ] {
        let weights = json!({"hybrid_search": {"embedding_weight": 0.5, "text_weight": 0.5}});
        let asked = json!({"query": query, "max_num_results": 2, "ranking_options": weights});
        let found = call(&scene, "POST", &search, &scene.key, &asked).await;
        assert!(texts(&found)[0].contains(turns), "{query}: {}", found.text());
    }
    let found = call(
        &scene,
        "POST",
        &search,
        &scene.key,
        &json!({"query": "fish on Fridays", "max_num_results": 1}),
    )
    .await;
    let hit = found.json()["data"][0].clone();
    assert_eq!(
        (&hit["file_id"], &hit["filename"]),
        (&json!(canteen), &json!("in.jsonl"))
    );
    let far = json!({"query": "quantum chromodynamics", "ranking_options": {"score_threshold": 0.9}});
    assert!(texts(&call(&scene, "POST", &search, &scene.key, &far).await).is_empty());
    // To another key it is not there; once it is named, it reads and changes nothing.
    let question = json!({"query": "warranty"});
    // It was made when the gateway had read its keys; in a moment they are read again.
    for _ in 0..100 {
        if call(&scene, "POST", &search, &other, &question).await.status != 401 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(call(&scene, "POST", &search, &other, &question).await.status, 404);
    let id_of = |key: &str| {
        let store = store(scene.folder.path());
        let hash = pointsman_store::hash_key(key);
        store
            .keys()
            .unwrap()
            .into_iter()
            .find(|known| known.hash == hash)
            .unwrap()
            .id
    };
    let access = json!({"access": {"keys": [id_of(&other).as_str()]}});
    let changed = call(&scene, "POST", &path, &scene.key, &access).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["access"]),
        (200, &access["access"]),
        "{}",
        changed.text()
    );
    assert!(!texts(&call(&scene, "POST", &search, &other, &question).await).is_empty());
    let seen = call(&scene, "GET", &path, &other, &json!({})).await.json();
    assert_eq!((&seen["id"], seen.get("access")), (&json!(id), None));
    for (method, path) in [
        ("DELETE", path.clone()),
        ("POST", path.clone()),
        ("GET", format!("{path}/files")),
    ] {
        assert_eq!(
            call(&scene, method, &path, &other, &json!({})).await.status,
            403,
            "{method} {path}"
        );
    }
    let mine = call(&scene, "GET", "/v1/vector_stores", &other, &json!({}))
        .await
        .json();
    assert_eq!(mine["data"], json!([]));
    // A file that goes is not found any more; one that is no text is refused.
    let file = format!("{path}/files/{canteen}");
    assert_eq!(
        call(&scene, "GET", &file, &scene.key, &json!({})).await.json()["status"],
        "completed"
    );
    assert_eq!(
        call(&scene, "DELETE", &file, &scene.key, &json!({})).await.json()["deleted"],
        true
    );
    let found = call(
        &scene,
        "POST",
        &search,
        &scene.key,
        &json!({"query": "fish on Fridays"}),
    )
    .await;
    assert!(
        !texts(&found).iter().any(|text| text.contains("fish")),
        "{}",
        found.text()
    );
    let listed = call(&scene, "GET", &format!("{path}/files"), &scene.key, &json!({}))
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let fields = [("purpose", "assistants")];
    let binary = upload(scene.house.address, &scene.key, &fields, b"%PDF\0\xff")
        .await
        .unwrap()
        .json();
    let refused = call(
        &scene,
        "POST",
        &format!("{path}/files"),
        &scene.key,
        &json!({"file_id": binary["id"]}),
    )
    .await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["code"]),
        (400, &json!("unsupported_file"))
    );
    let strange = call(
        &scene,
        "POST",
        &format!("{path}/files"),
        &scene.key,
        &json!({"file_id": "file-none"}),
    )
    .await;
    assert_eq!(strange.status, 404, "{}", strange.text());
    assert_eq!(
        call(&scene, "DELETE", &path, &scene.key, &json!({})).await.json()["deleted"],
        true
    );
    assert_eq!(
        ask(scene.house.address, Method::GET, &path, &scene.key)
            .await
            .unwrap()
            .status,
        404
    );
}

fn rag(store: &str, more: Value) -> Value {
    let mut all = json!({"enabled": true, "backend": "vectorstore", "injection_mode": "system_prompt", "on_failure": "block",
        "top_k": 1, "backend_config": {"vector_store_id": store}});
    all.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!([{"type": "rag", "configuration": all}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, from beginning to end")]
async fn what_is_kept_here_comes_into_requests_of_those_who_may_read_it() {
    let scene = Scene::new(&routing(Vec::new())).await;
    let spec = HolderSpec::default();
    let team = |name: &str| NewKey {
        team: Some(name.into()),
        ..NewKey::default()
    };
    for name in ["support", "sales"] {
        store(scene.folder.path())
            .create_holder(
                &Actor::local(),
                HolderKind::Team,
                Some(name.to_owned()),
                spec.clone(),
            )
            .unwrap();
    }
    let (support, sales) = (
        key(scene.folder.path(), team("support")),
        key(scene.folder.path(), team("sales")),
    );
    let file = kept(&scene, &scene.key, HANDBOOK).await;
    let making =
        json!({"file_ids": [file], "access": {"teams": ["support"]}, "chunking_strategy": small_passages()});
    let made = call(&scene, "POST", "/v1/vector_stores", &scene.key, &making).await;
    let id = made.json()["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", made.text()))
        .to_owned();
    let Scene {
        sim, folder, house, ..
    } = scene;
    drop((sim, house));
    // It is there after a restart, for whoever it names.
    let ranker = json!({"rerank": {"model": "o/ranker", "candidates": 5}, "top_k": 1});
    let blocks = routing(vec![
        decision("plainly", rag(&id, json!({}))),
        decision("ranked", rag(&id, ranker)),
        decision("nowhere", rag("vs_none", json!({}))),
    ]);
    let scene = Scene::in_folder(folder, &blocks, ("", ""), &[]).await;
    let ask = |word: &str| json!({"model": "auto", "messages": [{"role": "user", "content": format!("{word}: how long is the warranty of drills?")}]});
    for (key, may) in [(&support, true), (&sales, false), (&scene.key, false)] {
        scene.sim.clear();
        let answer = post(scene.house.address, PATH, key, &ask("plainly"))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = scene.served().remove(0).to_string();
        assert_eq!(sent.contains("two years"), may, "{sent}");
        assert!(!sent.contains("revolutions"), "one passage was wanted: {sent}");
    }
    // Findings in the order of a model, which is charged to the request.
    scene.sim.clear();
    let answer = post(scene.house.address, PATH, &support, &ask("ranked"))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let served = scene.served();
    assert_eq!(served.len(), 2, "{served:?}");
    assert_eq!(served[0]["model"], "ranker");
    assert!(served[0]["documents"].as_array().unwrap().len() > 1, "{served:?}");
    assert!(served[1].to_string().contains("What was looked up"), "{served:?}");
    let request = answer.header("x-request-id").to_owned();
    crate::harness::entry(scene.folder.path(), &request);
    let row = ledger(scene.folder.path())
        .into_iter()
        .find(|row| row.id.as_str() == request)
        .unwrap();
    let ranked = served[0]["documents"].to_string().len() as u64 / 8;
    assert!(row.attempts == 2 && row.usage.input > ranked, "{row:?}");
    // What was asked beside the answer and the answer itself count, both.
    let bounded = NewKey {
        tokens_per_minute: Some(3_000),
        ..team("support")
    };
    let bounded = key(scene.folder.path(), bounded);
    let mut codes = Vec::new();
    let mut long = ask("ranked: repeat 300 words");
    long["max_tokens"] = json!(300);
    for _ in 0..40 {
        let answer = post(scene.house.address, PATH, &bounded, &long).await.unwrap();
        codes.push(answer.status.as_u16());
        match codes.last() {
            Some(200) => {}
            // A key is known within a third of a second.
            Some(401) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            _ => break,
        }
    }
    let answered = codes.iter().filter(|code| **code == 200).count();
    assert!(
        codes.last() == Some(&429) && (2..=8).contains(&answered),
        "{codes:?}"
    );
    // A collection that is not there.
    let refused = post(scene.house.address, PATH, &support, &ask("nowhere"))
        .await
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("vs_none"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_of_an_mcp_server_says_what_is_looked_up() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let settings = |tool: &str, on_failure: &str| {
        json!([{"type": "rag", "configuration": {"enabled": true, "backend": "mcp", "injection_mode": "system_prompt",
            "on_failure": on_failure, "backend_config": {"server_name": "docs", "tool_name": tool,
            "tool_arguments": {"text": "$${decision_name} wants $${user_content}"}}}}])
    };
    let scene = Scene::with_providers(
        &routing(vec![
            decision("asked", settings("test_echo", "block")),
            decision("missing", settings("no_such_tool", "block")),
            decision("softly", settings("no_such_tool", "skip")),
        ]),
        "",
        &format!(
            "mcp: {{ servers: {{ docs: {{ url: \"http://{}/mcp\" }} }} }}\n",
            server.address()
        ),
    )
    .await;
    let say = |text: &str| json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
    let answer = scene.ask(&say("asked: what is the word?")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = scene.served().remove(0)["messages"][0]["content"].to_string();
    assert!(sent.contains("asked wants asked: what is the word?"), "{sent}");
    let refused = scene.ask(&say("missing: what is the word?")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(scene.ask(&say("softly: what is the word?")).await.status, 200);
}
