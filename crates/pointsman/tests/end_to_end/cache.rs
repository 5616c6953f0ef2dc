//! The answer cache as clients meet it: whose answers it gives, which it keeps, and who waits for whom.

mod alike;
mod alone;
mod beside;
mod errands;

use std::time::Duration;

use http::Request;
use pointsman_store::{Actor, HolderKind, HolderSpec, NewKey, Store};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, folder, get, key, post, send, store, write};

const PATH: &str = "/v1/chat/completions";

/// A simulated provider, the gateway before it, and the folder that both need.
struct Town {
    sim: SimServer,
    folder: tempfile::TempDir,
    house: House,
}

fn config(sim: &SimServer, rest: &str) -> String {
    format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ], retry: {{ attempts: 1 }} }} }}\n{rest}\n",
        sim.address()
    )
}

/// Makes the organization of a grant, with its team and its user in it, where they are not there yet.
fn settle(store: &Store, grant: &NewKey) {
    let Some(organization) = &grant.organization else {
        return;
    };
    let make = |kind, id: String, organization| {
        if store.holder(kind, &id).unwrap().is_none() {
            let spec = HolderSpec {
                organization,
                ..HolderSpec::default()
            };
            store
                .create_holder(&Actor::local(), kind, Some(id), spec)
                .unwrap();
        }
    };
    make(HolderKind::Organization, organization.as_str().to_owned(), None);
    if let Some(team) = &grant.team {
        make(
            HolderKind::Team,
            team.as_str().to_owned(),
            Some(organization.clone()),
        );
    }
    if let Some(user) = &grant.user {
        make(
            HolderKind::User,
            user.as_str().to_owned(),
            Some(organization.clone()),
        );
    }
}

/// A gateway with this `cache` block, and keys of these grants.
async fn town_of(cache: &str, options: SimOptions, grants: &[NewKey]) -> (Town, Vec<String>) {
    let sim = SimServer::local(options).await.unwrap();
    let folder = folder(&config(&sim, &format!("cache: {cache}")));
    grants
        .iter()
        .for_each(|grant| settle(&store(folder.path()), grant));
    let keys = grants
        .iter()
        .map(|grant| key(folder.path(), grant.clone()))
        .collect();
    let house = House::open(folder.path());
    (Town { sim, folder, house }, keys)
}

/// A gateway with this `cache` block, and a key.
async fn town(cache: &str, options: SimOptions) -> (Town, String) {
    let (town, keys) = town_of(cache, options, &[NewKey::default()]).await;
    (town, keys.into_iter().next().unwrap())
}

impl Town {
    /// A new key, once it is known: keys are looked for every second or so.
    async fn known(&self, grant: NewKey) -> String {
        let key = key(self.folder.path(), grant);
        for _ in 0..200 {
            let listed = crate::harness::ask(self.house.address, http::Method::GET, "/v1/models", &key).await;
            if listed.unwrap().status == 200 {
                return key;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the key is not known");
    }

    async fn ask(&self, key: &str, body: &Value) -> Answer {
        post(self.house.address, PATH, key, body).await.unwrap()
    }

    async fn wish(&self, key: &str, wish: &str, body: &Value) -> Answer {
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {key}"))
            .header("x-pointsman-cache-control", wish)
            .body(body.to_string())
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    /// What a metric says, its labels included in `name`.
    async fn metric(&self, name: &str) -> u64 {
        let metrics = get(self.house.admin, "/metrics").await.unwrap();
        let line = metrics.text().lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no metric {name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn say(text: &str) -> Value {
    json!({"model": "fast", "messages": [{"role": "user", "content": text}]})
}

fn hit(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-pointsman-cache").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_the_answer_has_an_answer_of_its_own() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let picture = json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}}]);
    let plain = say("What is a pointsman?");
    let with = |field: &str, value: Value| {
        let mut body = plain.clone();
        body[field] = value;
        body
    };
    let system = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a pointsman?"}]);
    let history = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "What is a pointsman?"}]);
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]);
    let bodies = [
        plain.clone(),
        say("What is a pointsman? "),
        with("messages", system),
        with("messages", history),
        with("messages", json!([{"role": "user", "content": picture}])),
        with("tools", tool),
        with("temperature", json!(0.1)),
        with("temperature", json!(0.2)),
        with("seed", json!(7)),
        with("max_completion_tokens", json!(9_999)),
        with("n", json!(2)),
        with("stop", json!(["never said"])),
        with("response_format", json!({"type": "text"})),
        with("reasoning_effort", json!("low")),
        with("logit_bias", json!({"7": 1})),
        with("metadata", json!({"a": "b"})),
        with("user", json!("somebody")),
    ];
    for body in &bodies {
        assert_eq!(hit(&town.ask(&key, body).await), "miss", "{body}");
    }
    for body in &bodies {
        assert_eq!(hit(&town.ask(&key, body).await), "exact", "{body}");
    }
    // How it is told changes nothing.
    assert_eq!(hit(&town.ask(&key, &with("stream", json!(true))).await), "exact");
    assert_eq!(town.sim.served().len(), bodies.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_say_what_they_want_of_the_cache_and_are_told_the_age() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let body = say("What is a pointsman?");
    assert_eq!(town.wish(&key, "only-if-cached", &body).await.status, 504);
    assert_eq!(hit(&town.wish(&key, "no-store", &body).await), "miss");
    assert_eq!(
        hit(&town.wish(&key, "no-store, max-age=60", &body).await),
        "miss",
        "it was not stored"
    );
    let first = town.ask(&key, &body).await;
    assert_eq!((hit(&first).as_str(), first.header("age")), ("miss", ""));
    let again = town.wish(&key, "only-if-cached", &body).await;
    assert_eq!((hit(&again).as_str(), again.header("age")), ("exact", "0"));
    assert_eq!(again.header("x-pointsman-cache-similarity"), "");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let aged = town.ask(&key, &body).await;
    assert_eq!((hit(&aged).as_str(), aged.header("age")), ("exact", "1"));
    assert_eq!(hit(&town.wish(&key, "max-age=9", &body).await), "exact");
    assert_eq!(hit(&town.wish(&key, "max-age=0", &body).await), "miss");
    assert_eq!(hit(&town.wish(&key, "no-cache", &body).await), "bypass");
    assert_eq!(
        town.ask(&key, &body).await.header("age"),
        "0",
        "no-cache has refreshed it"
    );
    // A time to live of its own.
    let short = say("For a second");
    assert_eq!(hit(&town.wish(&key, "ttl=1", &short).await), "miss");
    assert_eq!(hit(&town.ask(&key, &short).await), "exact");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(hit(&town.ask(&key, &short).await), "miss");
    let nonsense = town.wish(&key, "max-age=soon", &body).await;
    assert_eq!(nonsense.status, 400);
    assert!(nonsense.text().contains("max-age=SECONDS"), "{}", nonsense.text());
    // HTTP's own header means other caches.
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {key}"))
        .header("cache-control", "no-cache, no-store")
        .body(body.to_string())
        .unwrap();
    assert_eq!(hit(&send(town.house.address, request).await.unwrap()), "exact");
    assert!(
        town.metric("pointsman_cache_bypassed_total{reason=\"no_cache\"}")
            .await
            >= 1
    );
    assert!(town.metric("pointsman_cache_entries{kind=\"exact\"}").await >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_cut_declined_or_broken_are_not_kept() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    for stream in [false, true] {
        let mut cut = say("repeat 90 words");
        cut["max_completion_tokens"] = json!(10);
        cut["stream"] = json!(stream);
        for body in [
            cut,
            json!({"model": "fast", "stream": stream, "messages": [{"role": "user", "content": "please refuse"}]}),
        ] {
            for _ in 0..2 {
                assert_eq!(hit(&town.ask(&key, &body).await), "miss", "{body}");
            }
        }
    }
    let faults = [
        (Fault::Status(500), false),
        (Fault::TruncatedJson, false),
        (Fault::EmptyBody, false),
        (Fault::CutClean, true),
        (Fault::ErrorEvent, true),
    ];
    for (number, (fault, stream)) in faults.into_iter().enumerate() {
        let mut body = say("Who broke it? repeat 30 words");
        body["stream"] = json!(stream);
        body["seed"] = json!(number);
        town.sim.set_faults(vec![(Schedule::Always, fault)]);
        // What a broken stream is told as, others test.
        drop(post(town.house.address, PATH, &key, &body).await);
        town.sim.set_faults(Vec::new());
        assert_eq!(hit(&town.ask(&key, &body).await), "miss", "{fault}");
        assert_eq!(hit(&town.ask(&key, &body).await), "exact", "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remembered_answer_streams_in_natural_pieces_and_whole() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let whole = town.ask(&key, &say("repeat 60 words")).await;
    let text = whole.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut body = say("repeat 60 words");
    body["stream"] = json!(true);
    let streamed = town.ask(&key, &body).await;
    assert_eq!(hit(&streamed), "exact");
    let events: Vec<Value> = streamed
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let deltas: Vec<&str> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .filter(|delta| !delta.is_empty())
        .collect();
    assert!(deltas.len() > 5, "{deltas:?}");
    assert!(deltas.iter().all(|delta| delta.len() < 64), "{deltas:?}");
    assert_eq!(deltas.concat(), text);
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_configuration_that_changes_answers_forgets_them_and_others_do_not() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let body = say("What is a pointsman?");
    assert_eq!(hit(&town.ask(&key, &body).await), "miss");
    assert_eq!(hit(&town.ask(&key, &body).await), "exact");
    let more = |rest: &str| config(&town.sim, &format!("cache: {{ exact: {{ ttl: 1h }} }}\n{rest}"));
    write(
        town.folder.path(),
        &more("limits: { default: { requests_per_minute: 5000 } }"),
    );
    let mut limited = String::new();
    for _ in 0..100 {
        let answer = town.ask(&key, &body).await;
        assert_eq!(hit(&answer), "exact", "limits change no answer");
        limited = answer.header("x-ratelimit-limit-requests").to_owned();
        if limited == "5000" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(limited, "5000");
    write(
        town.folder.path(),
        &more(
            "guardrails: [ { name: words, type: regex, on: [output], action: block, deny: [\"(?i)never said at all\"] } ]",
        ),
    );
    let mut missed = false;
    for _ in 0..100 {
        if hit(&town.ask(&key, &body).await) == "miss" {
            missed = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(missed, "what older guardrails let through is not given");
}
