//! Names of a key's own for models: whatever is asked, it is the model behind the name, and no more than that is allowed.

use http::Method;
use pointsman_store::{BudgetWindow, Counted, NewKey, Quota};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::admin::Site;
use crate::batches::{Site as Batches, line};
use crate::harness::{House, ask, entry, folder, key, post};
use crate::realtime;
use crate::socket::Client;

fn grant(aliases: &[(&str, &str)]) -> NewKey {
    let aliases = aliases
        .iter()
        .map(|(name, model)| ((*name).to_owned(), (*model).to_owned()));
    NewKey {
        aliases: aliases.collect(),
        ..NewKey::default()
    }
}

fn chat(model: &str) -> Value {
    json!({"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "repeat 3 words"}]})
}

fn config(sim: &SimServer) -> String {
    format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         identity: {{ aliases: {{ house: gpt-5-mini, fast: gpt-5 }} }}\n",
        sim.address()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_surface_asks_the_model_behind_the_name() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let key = key(
        folder.path(),
        NewKey {
            models: vec!["gpt-5-mini".to_owned(), "text-embedding-3-small".to_owned()],
            ..grant(&[("fast", "gpt-5-mini"), ("vectors", "text-embedding-3-small")])
        },
    );
    let house = House::open(folder.path());
    let streamed = {
        let mut body = chat("fast");
        body["stream"] = true.into();
        body
    };
    let said = json!({"contents": [{"role": "user", "parts": [{"text": "repeat 3 words"}]}]});
    let responses = json!({"model": "fast", "input": "hi", "max_output_tokens": 16});
    for (path, body, model) in [
        ("/v1/chat/completions", chat("fast"), "gpt-5-mini"),
        ("/v1/chat/completions", streamed, "gpt-5-mini"),
        // The configuration's own names hold for all, behind those of the key.
        ("/v1/chat/completions", chat("house"), "gpt-5-mini"),
        ("/v1/messages", chat("fast"), "gpt-5-mini"),
        ("/v1/responses", responses, "gpt-5-mini"),
        ("/v1beta/models/fast:generateContent", said, "gpt-5-mini"),
        (
            "/v1/embeddings",
            json!({"model": "vectors", "input": "hi"}),
            "text-embedding-3-small",
        ),
    ] {
        let before = sim.served().len();
        let answer = post(house.address, path, &key, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        let served = sim.served();
        let sent: Value = serde_json::from_str(&served[before].body).unwrap();
        assert_eq!(sent["model"], model, "{path}");
        let entry = entry(folder.path(), answer.header("x-request-id"));
        assert_eq!(entry.model_requested, model, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_opens_nothing_that_its_model_does_not() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&config(&sim));
    let narrow = key(
        folder.path(),
        NewKey {
            models: vec!["gpt-5-mini".to_owned(), "open*".to_owned(), "gpt-4o".to_owned()],
            quotas: vec![Quota {
                of: Counted::Requests,
                amount: 1,
                window: BudgetWindow::Total,
                zone: None,
                models: vec!["gpt-5-mini".to_owned()],
                providers: Vec::new(),
                cel: None,
                unit: None,
            }],
            ..grant(&[("open", "gpt-5"), ("gpt-4o", "gpt-5"), ("fast", "gpt-5-mini")])
        },
    );
    let plain = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let asks = async |key: &str, model: &str| {
        let answer = post(house.address, "/v1/chat/completions", key, &chat(model)).await;
        answer.unwrap().status.as_u16()
    };
    // Names that are allowed, of a model that is not.
    for name in ["open", "gpt-4o"] {
        assert_eq!(asks(&narrow, name).await, 403, "{name}");
    }
    assert!(sim.served().is_empty());
    assert_eq!(asks(&narrow, "fast").await, 200);
    assert_eq!(
        asks(&narrow, "fast").await,
        429,
        "it counts as the model that it is"
    );
    // What one key calls a model is nothing to another; what the configuration does is.
    assert_eq!(asks(&plain, "open").await, 404);
    assert_eq!(asks(&plain, "fast").await, 200);
    let sent: Value = serde_json::from_str(&sim.served().last().unwrap().body).unwrap();
    assert_eq!(sent["model"], "gpt-5");
    // The list has what can be asked for, under its names.
    let models = ask(house.address, Method::GET, "/v1/models", &narrow)
        .await
        .unwrap();
    let models = models.json();
    let ids: Vec<_> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert!(
        ids.contains(&&json!("fast")) && ids.contains(&&json!("house")),
        "{ids:?}"
    );
    assert!(
        !ids.contains(&&json!("open")) && !ids.contains(&&json!("gpt-4o")),
        "{ids:?}"
    );
    for (name, status) in [("fast", 200), ("open", 404)] {
        let path = format!("/v1/models/{name}");
        let one = ask(house.address, Method::GET, &path, &narrow).await.unwrap();
        assert_eq!(one.status, status, "{name}");
        if status == 200 {
            assert_eq!(one.json()["id"], name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_realtime_session_knows_its_model_by_its_name() {
    let sim = realtime::sim().await;
    let folder = folder(&realtime::config(&sim, ""));
    let key = key(folder.path(), grant(&[("ears", "voice")]));
    let house = House::open(folder.path());
    let credential = [("authorization", format!("Bearer {key}"))];
    let mut client = Client::try_open(house.address, "/v1/realtime?model=ears", &credential)
        .await
        .unwrap();
    assert_eq!(client.until("session.created").await["session"]["model"], "voice");
    client
        .say(json!({"type": "session.update", "session": {"type": "realtime", "model": "ears", "instructions": "brief"}}))
        .await;
    let updated = client.until("session.updated").await;
    assert_eq!(updated["session"]["instructions"], "brief");
}

#[tokio::test]
async fn lines_of_a_batch_go_to_the_model_behind_the_name() {
    let owner = grant(&[("fast", "o/gpt-5-mini")]);
    let site = Batches::open(SimOptions::default(), owner, "batches: { mode: auto }\n").await;
    let batch = site
        .create(&[line("one", "fast"), line("two", "o/gpt-5-mini")])
        .await;
    let done = site.ended(&batch).await;
    assert_eq!(
        done["metadata"]["pointsman_run_by"],
        "o",
        "{done}\n{}",
        site.house.said()
    );
    assert_eq!(done["request_counts"]["completed"], 2, "{done}");
    let served = site.sim.served();
    let file = served.iter().find(|one| one.path == "/v1/files").unwrap();
    assert!(!file.body.contains("fast"), "{}", file.body);
    let one = |entry: &pointsman_store::LedgerEntry| entry.model_requested.clone();
    let entries = crate::batches_handed::entries(&site, 2).await;
    assert_eq!(entries.iter().map(one).collect::<Vec<_>>(), ["o/gpt-5-mini"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_and_scripts_give_keys_their_names() {
    let site = Site::open().await;
    let made = site
        .does(Method::POST, "/key/generate", json!({"aliases": {"fast": "m"}}))
        .await;
    assert_eq!(made["aliases"], json!({"fast": "m"}));
    let secret = made["key"].as_str().unwrap();
    assert_eq!(site.chat(secret, "fast").await.status, 200);
    let update = json!({"key": secret, "aliases": {"slow": "m"}});
    site.does(Method::POST, "/key/update", update).await;
    assert_eq!(site.chat(secret, "fast").await.status, 404);
    assert_eq!(site.chat(secret, "slow").await.status, 200);
    let own = site
        .does(Method::POST, "/admin/v1/keys", json!({"aliases": {"fast": "m"}}))
        .await;
    assert_eq!(
        site.chat(own["secret"].as_str().unwrap(), "fast").await.status,
        200
    );
    let path = format!("/admin/v1/keys/{}", own["id"].as_str().unwrap());
    let changed = site
        .does(
            Method::PATCH,
            &path,
            json!({"aliases": {"fast": null, "other": "both"}}),
        )
        .await;
    assert_eq!(changed["aliases"], json!({"other": "both"}));
    for wrong in [
        json!({"aliases": {"a": "a"}}),
        json!({"aliases": {"a": "b", "b": "m"}}),
        json!({"aliases": {"a": ""}}),
        json!({"aliases": ["a"]}),
    ] {
        let answer = site.call(Method::PATCH, &path, wrong).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let run = |arguments: &[&str]| crate::priorities::command(site.folder.path(), arguments);
    let (ok, _) = run(&["key", "create", "--name", "k", "--alias", "fast=m"]);
    assert!(ok);
    let (ok, said) = run(&["key", "create", "--alias", "fast"]);
    assert!(!ok && said.contains("fast=gpt-5-mini"), "{said}");
    let keys = site.does(Method::GET, "/admin/v1/keys?name=k", Value::Null).await;
    assert_eq!(keys["data"][0]["aliases"], json!({"fast": "m"}));
}
