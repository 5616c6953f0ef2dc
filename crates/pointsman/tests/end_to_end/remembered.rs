//! Answers that are given again: what they save, and what they do not cost.

use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::json;

use crate::harness::{House, entry, folder, get, key, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remembered_answer_costs_nothing_and_what_it_saves_is_told() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }} }}\n\
         cache: {{ exact: {{ ttl: 1h }}, scope: key }}\n",
        sim.address()
    ));
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    let ask = async |stream: bool| {
        let body = json!({ "model": "fast", "stream": stream, "messages": [ { "role": "user", "content": "repeat 9 words" } ] });
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    };
    let first = ask(false).await;
    let cost = first.header("x-pointsman-cost-usd").to_owned();
    assert!(cost.parse::<f64>().unwrap() > 0.0, "{cost}");
    assert_eq!(first.header("x-pointsman-saved-usd"), "");
    for stream in [false, true] {
        let again = ask(stream).await;
        assert_eq!(again.header("x-pointsman-cache"), "exact");
        assert_eq!(again.header("x-pointsman-saved-usd"), cost);
        let told = entry(folder.path(), again.header("x-request-id"));
        assert_eq!((told.outcome, told.cost.nanodollars()), (Outcome::Cached, 0));
        assert_eq!(told.saved.usd_decimal(), cost);
        assert!(told.usage.total() > 0, "what it says is known all the same");
        assert!(told.ttft_us.is_some(), "the time to its first token is known");
    }
    let metrics = get(house.admin, "/metrics").await.unwrap();
    let saved: f64 = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with("pointsman_saved_usd_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!(
        (saved - 2.0 * cost.parse::<f64>().unwrap()).abs() < 1e-12,
        "{saved}"
    );
    assert_eq!(sim.served().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn remembered_answers_do_not_count_against_limits_of_tokens_and_money() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let folder = folder(&format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ fast: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-chat }} ] }} }}\n\
         cache: {{ exact: {{ ttl: 1h }}, scope: key }}\n",
        sim.address()
    ));
    let grant = NewKey {
        tokens_per_minute: Some(400),
        ..NewKey::default()
    };
    let key = key(folder.path(), grant);
    let house = House::open(folder.path());
    let body = json!({ "model": "fast", "max_completion_tokens": 100, "messages": [ { "role": "user", "content": "repeat 30 words" } ] });
    for _ in 0..30 {
        let answer = post(house.address, "/v1/chat/completions", &key, &body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(sim.served().len(), 1);
}
