//! Selection that learns from what really happens, through the built binary: feedback, failures, times, sessions; after a
//! restart, and by two replicas of one database.

use std::path::Path;
use std::time::{Duration, Instant};

use http::{Method, Request, header};
use pointsman_store::NewKey;
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, ask, folder, key, post, send};

/// A provider with two models, and a decision between them.
fn house_of(address: std::net::SocketAddr, decision: &str, learning: &str) -> String {
    format!(
        "providers: {{ fleet: {{ kind: openai-compatible, base_url: \"http://{address}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models:\n  a: {{ targets: [ {{ provider: fleet, model: m-a }} ] }}\n  b: {{ targets: [ {{ provider: fleet, model: m-b }} ] }}\n\
         routing:\n  learning: {{ {learning} }}\n  decisions:\n    - name: pick\n      modelRefs: [ {{ model: a }}, {{ model: b }} ]\n      {decision}\n"
    )
}

fn asks(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

/// Asks `auto`; with headers.
async fn said(house: &House, key: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut request =
        Request::post("/v1/chat/completions").header(header::AUTHORIZATION, format!("Bearer {key}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = send(house.address, request.body(body.to_string()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Asks until the model is this one.
async fn becomes(house: &House, key: &str, model: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = said(house, key, &asks("hello"), &[]).await;
        if answer.header("x-pointsman-model") == model {
            return;
        }
        assert!(Instant::now() < until, "{model} is never asked: {}", house.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn judge(house: &House, key: &str, body: Value) -> Answer {
    post(house.address, "/api/v1/feedback", key, &body).await.unwrap()
}

/// Another replica: a folder of its own, the database of the first.
fn replica(first: &Path) -> TempDir {
    let text = std::fs::read_to_string(first.join("pointsman.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = text.replace(
        &format!("blobs: \"file://{}\"", first.display()),
        &format!("blobs: \"file://{}\"", folder.path().display()),
    );
    assert_ne!(text, own);
    std::fs::write(folder.path().join("pointsman.yaml"), own).unwrap();
    folder
}

const EXACT: &str = "algorithm: { type: thompson, thompson: { max_exploration: 0 } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
async fn what_users_say_moves_the_choice_everywhere_and_outlasts_a_restart() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&house_of(sim.address(), EXACT, ""));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let other_folder = replica(folder.path());
    let other = House::open(other_folder.path());
    for _ in 0..3 {
        let answer = said(&house, &key, &asks("hello"), &[]).await;
        assert_eq!(answer.header("x-pointsman-model"), "m-a");
        let judged = judge(
            &house,
            &key,
            json!({"request_id": answer.header("x-request-id"), "rating": -1}),
        )
        .await;
        let told = judged.json();
        assert_eq!(
            (
                judged.status.as_u16(),
                &told["success"],
                &told["decision"],
                &told["model"]
            ),
            (200, &json!(true), &json!("pick"), &json!("a")),
            "{told}"
        );
        if said(&house, &key, &asks("hello"), &[])
            .await
            .header("x-pointsman-model")
            == "m-b"
        {
            break;
        }
    }
    becomes(&house, &key, "m-b").await;
    // The other replica has judged nothing.
    becomes(&other, &key, "m-b").await;
    house.stop();
    let house = House::open(folder.path());
    let first = said(&house, &key, &asks("hello"), &[]).await;
    assert_eq!(first.header("x-pointsman-model"), "m-b");
    // What two replicas learn at once adds up: both are told that b is bad, neither would be enough.
    for replica in [&house, &other] {
        for _ in 0..3 {
            let answer = said(replica, &key, &asks("hello"), &[]).await;
            if answer.header("x-pointsman-model") == "m-b" {
                let body = json!({"request_id": answer.header("x-request-id"), "thumbs": "down"});
                assert_eq!(judge(replica, &key, body).await.status, 200);
            }
        }
    }
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut known = Vec::new();
        for replica in [&house, &other] {
            let ratings = ask(
                replica.address,
                Method::GET,
                "/api/v1/ratings?category=pick",
                &key,
            )
            .await
            .unwrap()
            .json();
            let rounded = ratings["ratings"].as_array().unwrap().iter().map(|rating| {
                let number = |name: &str| (rating[name].as_f64().unwrap_or(0.0) * 100.0).round();
                (
                    rating["model"].to_string(),
                    number("mean_reward"),
                    number("rating"),
                )
            });
            known.push(rounded.collect::<Vec<_>>());
        }
        if known[0] == known[1] && known[0].len() == 2 {
            break;
        }
        assert!(Instant::now() < until, "the replicas never agree: {known:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn judgements_are_of_ones_own_requests_once_and_in_the_published_shapes() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let elo = "algorithm: { type: elo, elo: { min_comparisons: 2 } }";
    let folder = folder(&house_of(sim.address(), elo, ""));
    let (own, foreign) = (
        key(folder.path(), NewKey::default()),
        key(folder.path(), NewKey::default()),
    );
    let house = House::open(folder.path());
    let answer = said(&house, &own, &asks("hello"), &[]).await;
    let id = answer.header("x-request-id");
    let body = json!({"request_id": id, "score": 0.9});
    assert_eq!(judge(&house, &foreign, body.clone()).await.status, 404);
    let first = judge(&house, &own, body.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(judge(&house, &own, body).await.json()["duplicate"], true);
    for (body, status) in [
        (json!({"request_id": "req_0", "score": 1}), 404),
        (json!({"request_id": id}), 400),
        (json!({"request_id": id, "score": 7}), 400),
        (json!({"request_id": id, "stars": 5}), 400),
        (json!({"winner_model": "b", "loser_model": "a"}), 400),
        (json!([]), 400),
    ] {
        let judged = judge(&house, &own, body.clone()).await;
        assert_eq!(judged.status, status, "{body}: {}", judged.text());
    }
    // What came of a request, as the semantic router takes it.
    let answer = said(&house, &own, &asks("hello"), &[]).await;
    let outcome = |verdict: &str, target: &str| {
        json!({"replay_id": answer.header("x-request-id"), "source": "user", "target": target, "verdict": verdict,
               "reason": "too short", "metadata": {"ticket": "7"}})
    };
    let told = |body: Value| {
        let (address, own) = (house.address, own.clone());
        async move {
            let told = post(address, "/v1/router/outcomes", &own, &body).await.unwrap();
            (told.status.as_u16(), told.json())
        }
    };
    assert_eq!(told(outcome("good_fit", "route")).await.1["updated"], 0);
    let (status, learned) = told(outcome("underpowered", "model")).await;
    assert_eq!(
        (status, &learned["updated"], &learned["recorded"]),
        (200, &json!(1), &json!(true))
    );
    assert_eq!(told(outcome("underpowered", "model")).await.1["duplicate"], true);
    assert_eq!(told(outcome("wonderful", "model")).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_compared_where_that_is_allowed_and_nothing_is_learned_where_it_is_frozen() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let elo = "algorithm: { type: elo, elo: { min_comparisons: 2 } }";
    let folder = folder(&house_of(sim.address(), elo, "feedback: any"));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let preferred =
        json!({"query": "what", "winner_model": "b", "loser_model": "a", "decision_name": "pick"});
    let mut rating = 0.0;
    for _ in 0..4 {
        let told = judge(&house, &key, preferred.clone()).await;
        assert_eq!(told.status, 200, "{}", told.text());
        let told = told.json();
        let (winner, loser) = (
            told["winner_rating"].as_f64().unwrap(),
            told["loser_rating"].as_f64().unwrap(),
        );
        assert!(winner > loser && winner > rating, "{told}");
        rating = winner;
    }
    becomes(&house, &key, "m-b").await;
    let unknown = json!({"winner_model": "b", "loser_model": "nobody"});
    assert_eq!(judge(&house, &key, unknown).await.status, 404);
    let tie = json!({"winner_model": "b", "loser_model": "a", "tie": true, "category": "maths"});
    assert_eq!(judge(&house, &key, tie).await.status, 200);
    let ratings = ask(house.address, Method::GET, "/api/v1/ratings?category=maths", &key)
        .await
        .unwrap()
        .json();
    assert_eq!(ratings["ratings"].as_array().unwrap().len(), 2, "{ratings}");
    // Frozen, what was learned is gone by and nothing more is.
    crate::harness::write(
        folder.path(),
        &house_of(sim.address(), elo, "feedback: any, frozen: true"),
    );
    house.hears("the new configuration is in force");
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let told = judge(&house, &key, preferred.clone()).await;
        if told.status == 400 {
            assert!(told.text().contains("frozen"), "{}", told.text());
            break;
        }
        assert!(Instant::now() < until, "{}", told.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    becomes(&house, &key, "m-b").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_fails_is_asked_less() {
    let (good, bad) = (
        SimServer::local(SimOptions::default()).await.unwrap(),
        SimServer::local(SimOptions::default()).await.unwrap(),
    );
    bad.set_faults(vec![(Schedule::Always, Fault::Status(500))]);
    let text = format!(
        "providers:\n  \
         bad: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, health: {{ consecutive_failures: 1000, failure_ratio: 0 }} }}\n  \
         good: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n\
         models:\n  a: {{ targets: [ {{ provider: bad, model: m-a }} ] }}\n  b: {{ targets: [ {{ provider: good, model: m-b }} ] }}\n\
         routing:\n  decisions:\n    - name: pick\n      modelRefs: [ {{ model: a }}, {{ model: b }} ]\n      {EXACT}\n",
        bad.address(),
        good.address()
    );
    let folder = folder(&text);
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    // The first is asked, fails, and the second takes over.
    let first = said(&house, &key, &asks("hello"), &[]).await;
    assert_eq!(
        (
            first.header("x-pointsman-model"),
            first.header("x-pointsman-attempts")
        ),
        ("m-b", "2")
    );
    let until = Instant::now() + Duration::from_secs(20);
    while said(&house, &key, &asks("hello"), &[])
        .await
        .header("x-pointsman-attempts")
        != "1"
    {
        assert!(
            Instant::now() < until,
            "the model that fails is always asked first"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_faster_of_two_models_is_found() {
    let slow = SimServer::local(SimOptions {
        first_token: Duration::from_millis(150),
        // What a whole answer takes counts: of one that is made at once, each token's time would be chance.
        token_delay: Duration::from_millis(10),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let fast = SimServer::local(SimOptions::default()).await.unwrap();
    for algorithm in [
        "{ type: latency_aware, latency_aware: { ttft_percentile: 50 } }",
        "{ type: multi_factor, multi_factor: { weights: { latency: 1 }, latency_percentile: 50 } }",
    ] {
        let text = format!(
            "providers:\n  slow: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n  \
             fast: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n\
             models:\n  a: {{ targets: [ {{ provider: slow, model: m-a }} ] }}\n  b: {{ targets: [ {{ provider: fast, model: m-b }} ] }}\n\
             routing:\n  decisions:\n    - name: pick\n      modelRefs: [ {{ model: a }}, {{ model: b }} ]\n      algorithm: {algorithm}\n",
            slow.address(),
            fast.address()
        );
        let folder = folder(&text);
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        // Both are known once each was asked.
        let mut body = asks("hello");
        body["stream"] = json!(true);
        for model in ["a", "b"] {
            body["model"] = json!(model);
            said(&house, &key, &body, &[]).await;
        }
        let mut asked = Vec::new();
        for _ in 0..6 {
            let answer = said(&house, &key, &asks("hello"), &[]).await;
            asked.push(answer.header("x-pointsman-model").to_owned());
        }
        assert!(asked.iter().all(|model| model == "m-b"), "{algorithm}: {asked:?}");
        let told = post(house.address, "/api/v1/eval", &key, &json!({"text": "hello"}))
            .await
            .unwrap()
            .json();
        assert_eq!(told["selected_model"]["model"], "b", "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_stay_with_their_model_also_on_another_replica() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&house_of(
        sim.address(),
        "algorithm: { type: weighted, session: {} }",
        "",
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let other_folder = replica(folder.path());
    let other = House::open(other_folder.path());
    let mut models = std::collections::BTreeSet::new();
    for session in 0..12 {
        let name = format!("s-{session}");
        let headers = [("x-session-id", name.as_str())];
        let first = said(&house, &key, &asks("hello"), &headers).await;
        let model = first.header("x-pointsman-model").to_owned();
        for _ in 0..4 {
            let next = said(&house, &key, &asks("and then?"), &headers).await;
            assert_eq!(next.header("x-pointsman-model"), model, "{name}");
        }
        models.insert(model);
    }
    assert_eq!(models.len(), 2, "without a session, chance decides");
    // The other replica hears of turns within a second or two.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for session in 0..12 {
        let name = format!("s-{session}");
        let headers = [("x-session-id", name.as_str())];
        let here = said(&house, &key, &asks("hello"), &headers).await;
        let there = said(&other, &key, &asks("hello"), &headers).await;
        assert_eq!(
            here.header("x-pointsman-model"),
            there.header("x-pointsman-model"),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_next_turn_says_of_an_answer_is_learned() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let text = house_of(sim.address(), EXACT, "").replace(
        "  decisions:\n",
        "  signals: { user_feedbacks: [ { name: wrong_answer } ] }\n  decisions:\n    \
         - { name: again, priority: 9, rules: { type: user_feedback, name: wrong_answer }, modelRefs: [ { model: b } ] }\n",
    );
    let folder = folder(&text);
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let headers = [("x-conversation-id", "c-1")];
    let question = json!({"role": "user", "content": "What is the capital of Australia?"});
    let first = said(
        &house,
        &key,
        &json!({"model": "auto", "messages": [question.clone()]}),
        &headers,
    )
    .await;
    assert_eq!(first.header("x-pointsman-model"), "m-a");
    let turn = json!({"model": "auto", "messages": [question, {"role": "assistant", "content": "Sydney."},
        {"role": "user", "content": "No, that is wrong. That is not the capital."}]});
    let second = said(&house, &key, &turn, &headers).await;
    assert_eq!(second.header("x-pointsman-decision"), "again");
    // Of the two models of the first decision, the other is now better.
    becomes(&house, &key, "m-b").await;
    let id = json!({"request_id": first.header("x-request-id"), "rating": 1});
    assert_eq!(judge(&house, &key, id).await.json()["duplicate"], true);
}
