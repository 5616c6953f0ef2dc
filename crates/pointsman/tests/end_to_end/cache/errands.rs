//! What is remembered beside conversations: vectors one by one, rankings; refusals; and answers past their time.

use std::time::Duration;

use http::Request;
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};

use super::{Town, hit, say, town};
use crate::harness::{Answer, House, entry, folder, key, post, send};

const EMBED: &str = "/v1/embeddings";

fn vectors(answer: &Answer) -> Vec<Value> {
    let data = answer.json()["data"].as_array().unwrap().clone();
    for (place, one) in data.iter().enumerate() {
        assert_eq!(one["index"], place, "{}", answer.text());
    }
    data.into_iter().map(|one| one["embedding"].clone()).collect()
}

fn texts(inputs: &[&str]) -> Value {
    json!({ "model": "o/text-embedding-3-small", "input": inputs })
}

/// What the provider was asked to embed.
fn asked(town: &Town) -> Vec<Value> {
    let served = town.sim.served();
    let body = |body: &str| serde_json::from_str::<Value>(body).unwrap()["input"].clone();
    served.iter().map(|served| body(&served.body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_are_remembered_one_by_one() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let ask = async |body: Value| post(town.house.address, EMBED, &key, &body).await.unwrap();
    let first = ask(texts(&["red", "green", "blue"])).await;
    assert_eq!(hit(&first), "miss");
    let known = vectors(&first);
    let again = ask(texts(&["blue", "red"])).await;
    assert_eq!(hit(&again), "exact");
    assert_eq!(vectors(&again), [known[2].clone(), known[0].clone()]);
    assert!(!again.header("age").is_empty());
    assert_eq!(again.json()["model"], first.json()["model"]);
    let told = entry(town.folder.path(), again.header("x-request-id"));
    assert_eq!((told.outcome, told.cost.nanodollars()), (Outcome::Cached, 0));
    assert!(told.usage.input > 0);
    // Only what is new is asked for and paid, and stands where it belongs.
    let mixed = ask(texts(&["green", "yellow", "red", "black"])).await;
    assert_eq!(hit(&mixed), "miss");
    let all = vectors(&mixed);
    assert_eq!([&all[0], &all[2]], [&known[1], &known[0]]);
    assert_eq!(
        asked(&town),
        [json!(["red", "green", "blue"]), json!(["yellow", "black"])]
    );
    assert!(mixed.header("x-pointsman-saved-usd").parse::<f64>().unwrap() > 0.0);
    let alone = ask(json!({ "model": "o/text-embedding-3-small", "input": "yellow" })).await;
    assert_eq!(hit(&alone), "exact");
    assert_eq!(vectors(&alone), [all[1].clone()]);
    // What changes the vector has one of its own.
    for (field, value) in [
        ("dimensions", json!(64)),
        ("encoding_format", json!("base64")),
        ("user", json!("somebody")),
    ] {
        let mut other = texts(&["red"]);
        other[field] = value;
        assert_eq!(hit(&ask(other.clone()).await), "miss", "{field}");
        assert_eq!(hit(&ask(other).await), "exact", "{field}");
    }
    let stranger = town.known(NewKey::default()).await;
    let theirs = post(town.house.address, EMBED, &stranger, &texts(&["red"]))
        .await
        .unwrap();
    assert_eq!(hit(&theirs), "miss", "another key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_count_for_vectors_as_for_conversations() {
    let (town, key) = town("{ exact: { ttl: 1h } }", SimOptions::default()).await;
    let wish = async |wish: &str, body: Value| {
        let request = Request::post(EMBED)
            .header("authorization", format!("Bearer {key}"))
            .header("x-pointsman-cache-control", wish)
            .body(body.to_string())
            .unwrap();
        send(town.house.address, request).await.unwrap()
    };
    assert_eq!(hit(&wish("max-age=60", texts(&["red"])).await), "miss");
    assert_eq!(hit(&wish("only-if-cached", texts(&["red"])).await), "exact");
    assert_eq!(hit(&wish("no-cache", texts(&["red"])).await), "bypass");
    assert_eq!(wish("only-if-cached", texts(&["red", "white"])).await.status, 504);
    assert_eq!(hit(&wish("no-store", texts(&["white"])).await), "miss");
    assert_eq!(hit(&wish("no-store", texts(&["white"])).await), "miss");
    assert_eq!(wish("nonsense", texts(&["white"])).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_different_models_are_not_put_into_one_answer() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let other = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers:\n  o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n  \
         p: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n\
         models: {{ vec: {{ targets: [ {{ provider: o, model: text-embedding-3-small }}, {{ provider: p, model: text-embedding-3-large }} ] }} }}\n\
         cache: {{ exact: {{ ttl: 1h }} }}\n",
        sim.address(),
        other.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |inputs: &[&str]| {
        let body = json!({ "model": "vec", "input": inputs });
        post(house.address, EMBED, &key, &body).await.unwrap()
    };
    sim.set_faults(vec![(Schedule::Always, Fault::Status(503))]);
    let first = ask(&["red"]).await;
    assert_eq!(
        first.header("x-pointsman-model"),
        "text-embedding-3-large",
        "{}",
        first.text()
    );
    sim.set_faults(Vec::new());
    // The provider that has failed rests for a moment. Once it answers, it is asked for both: what is remembered of the first
    // is another's.
    for number in 0..200 {
        let text = format!("blue {number}");
        let mixed = ask(&["red", &text]).await;
        if mixed.header("x-pointsman-model") == "text-embedding-3-large" {
            assert_eq!(vectors(&mixed)[0], vectors(&first)[0]);
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let served = sim.served();
        let body: Value = serde_json::from_str(&served.last().unwrap().body).unwrap();
        assert_eq!(body["input"], json!(["red", text]));
        return;
    }
    panic!("the first provider is never asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rankings_are_remembered() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ c: {{ kind: cohere, base_url: \"http://{}\", auth: {{ api_key: co-sim }} }} }}\n\
         models: {{ rank: {{ targets: [ {{ provider: c, model: rerank-v3.5 }} ] }} }}\n\
         cache: {{ exact: {{ ttl: 1h }} }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |path: &str, query: &str, top: u32| {
        let body = json!({ "model": "rank", "query": query, "documents": ["a red hat", "a blue coat"], "top_n": top });
        post(house.address, path, &key, &body).await.unwrap()
    };
    let first = ask("/v2/rerank", "hat", 2).await;
    assert_eq!(hit(&first), "miss");
    let again = ask("/v2/rerank", "hat", 2).await;
    assert_eq!((hit(&again).as_str(), &again.body), ("exact", &first.body));
    assert_eq!(
        again.header("x-pointsman-saved-usd"),
        first.header("x-pointsman-cost-usd")
    );
    for (path, query, top) in [
        ("/v2/rerank", "coat", 2),
        ("/v2/rerank", "hat", 1),
        ("/v1/rerank", "hat", 2),
    ] {
        assert_eq!(hit(&ask(path, query, top).await), "miss", "{path} {query} {top}");
    }
    assert_eq!(sim.served().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_remembered_for_their_time_and_failures_are_not() {
    let (town, key) = town("{ exact: { ttl: 1h, errors: 2s } }", SimOptions::default()).await;
    let body = say("What is wrong with this?");
    town.sim.set_faults(vec![(Schedule::Always, Fault::Status(400))]);
    let first = town.ask(&key, &body).await;
    assert_eq!(first.status, 400, "{}", first.text());
    let again = town.ask(&key, &body).await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(again.header("x-pointsman-cache"), "exact");
    assert_eq!(town.sim.served().len(), 1);
    assert_eq!(town.ask(&key, &say("And with this?")).await.status, 400);
    assert_eq!(town.sim.served().len(), 2, "another request is asked");
    let bypassed = town.wish(&key, "no-cache", &body).await;
    assert_eq!((bypassed.status.as_u16(), town.sim.served().len()), (400, 3));
    town.sim.set_faults(Vec::new());
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(hit(&town.ask(&key, &body).await), "miss");
    for status in [500, 503] {
        let body = say(&format!("Who fails with {status}?"));
        town.sim
            .set_faults(vec![(Schedule::Always, Fault::Status(status))]);
        assert!(town.ask(&key, &body).await.status.as_u16() >= 400);
        town.sim.set_faults(Vec::new());
        // A provider that has failed may rest for a moment.
        let mut good = false;
        for _ in 0..100 {
            good = town.ask(&key, &body).await.status == 200;
            if good {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(good, "{status} is not remembered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_past_its_time_is_given_while_it_is_asked_for_anew() {
    let (town, key) = town("{ exact: { ttl: 1s, stale: 1h } }", SimOptions::default()).await;
    let body = say("repeat 20 words");
    assert_eq!(hit(&town.ask(&key, &body).await), "miss");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    // The provider takes its time; nobody waits for it, and one call is made for all.
    town.sim
        .set_faults(vec![(Schedule::Always, Fault::SlowFirstToken(4_000))]);
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let stale = town.ask(&key, &body).await;
        assert_eq!(hit(&stale), "exact");
        assert_ne!(stale.header("age"), "0");
    }
    assert!(
        began.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        began.elapsed()
    );
    let mut fresh = false;
    for _ in 0..300 {
        fresh = town.ask(&key, &body).await.header("age") == "0";
        if fresh {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(fresh, "it is never asked for anew");
    assert_eq!(town.sim.served().len(), 2);
    assert!(
        town.metric("pointsman_cache_lookups_total{result=\"stale\"}")
            .await
            >= 20
    );
    // A provider that fails leaves what there is.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    town.sim.set_faults(vec![(Schedule::Always, Fault::Status(500))]);
    for _ in 0..2 {
        assert_eq!(hit(&town.ask(&key, &body).await), "exact");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Whoever sets an age gets nothing older.
    town.sim.set_faults(Vec::new());
    assert_eq!(hit(&town.wish(&key, "max-age=0", &body).await), "miss");
}
