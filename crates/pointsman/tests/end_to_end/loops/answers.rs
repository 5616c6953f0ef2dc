//! Every loop, whole and streamed, for every client.

use http::Request;
use pointsman_store::NewKey;
use serde_json::json;

use super::{Scene, checked, chunks, text_of};
use crate::harness::{post, send};
use crate::matrix::{MODELS, is_whole, question};

const CASCADE: &str = "algorithm: { type: confidence, confidence: { confidence_method: hybrid, threshold: 0.72, escalation_order: small_to_large, on_error: skip } }";
const ASKED: &str = "algorithm: { type: confidence, confidence: { confidence_method: self_verify } }";
const RATINGS: &str = "algorithm: { type: ratings, ratings: { max_concurrent: 2, on_error: skip } }";
const REMOM: &str = "algorithm: { type: remom, remom: { breadth_schedule: [2], model_distribution: round_robin, synthesis_model: large, temperature: 0.7, max_completion_tokens: 90, include_intermediate_responses: true } }";
const FUSION: &str = "algorithm: { type: fusion, fusion: { model: large, max_completion_tokens: 90, analysis_overrides: [ { model: middle, temperature: 0.1 } ] } }";
const STEPS: &str = "output_contract: One word., algorithm: { type: workflows, workflows: { mode: static, roles: [ { name: solver, models: [small, middle] }, { name: verifier, models: [middle], access_list: [solver] } ], final: { model: large } } }";
const PLANNED: &str = "algorithm: { type: workflows, workflows: { mode: dynamic, planner: { model: planner, max_completion_tokens: 60 }, on_error: skip, include_intermediate_responses: false } }";

fn loops() -> [(&'static str, &'static str, &'static str); 7] {
    [
        ("cascade", "large small middle", CASCADE),
        ("asked", "small middle", ASKED),
        ("ratings", "small middle large", RATINGS),
        ("remom", "small middle large", REMOM),
        ("fusion", "small middle", FUSION),
        ("steps", "small middle large", STEPS),
        ("planned", "small middle", PLANNED),
    ]
}

/// What each model says where it is told so.
const SAY: &str =
    "say as small-unsure: one ;; say as middle: two ;; say as large: three ;; say as planner: four ;;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cascade_climbs_until_a_model_is_sure() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let answer = scene.ask("cascade", SAY, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "two");
    assert!(
        body["choices"][0]["logprobs"].is_null(),
        "nobody asked for them: {body}"
    );
    assert_eq!(
        [
            "x-pointsman-loop",
            "x-pointsman-loop-models",
            "x-pointsman-loop-calls"
        ]
        .map(|name| answer.header(name)),
        ["confidence", "small, middle", "2"]
    );
    let calls = checked(&scene, &answer, &["small-unsure", "middle"]);
    let sum: i64 = calls.iter().map(|call| call.cost.nanodollars()).sum();
    let told: f64 = answer.header("x-pointsman-cost-usd").parse().unwrap();
    assert!(
        (told * 1e9 - sum as f64).abs() < 0.5,
        "{told} is told and {sum} charged"
    );
    let served = scene.served();
    let usage = (
        body["usage"]["prompt_tokens"].as_u64(),
        body["usage"]["completion_tokens"].as_u64(),
    );
    assert_eq!(
        usage,
        (
            Some(served.iter().map(|one| one.input).sum()),
            Some(served.iter().map(|one| one.output).sum())
        )
    );
    assert!(
        served[0].body.contains("\"top_logprobs\":2"),
        "{}",
        served[0].body
    );

    let streamed = scene.ask("cascade", SAY, json!({ "stream": true })).await;
    assert_eq!(text_of(&chunks(&streamed), 0), "two");
    checked(&scene, &streamed, &["small-unsure", "middle"]);

    let asked = scene
        .ask(
            "asked",
            "say as small-unsure: 0.2 ;; say as middle: 0.9 ;;",
            json!({}),
        )
        .await;
    assert_eq!(asked.json()["choices"][0]["message"]["content"], "0.9");
    checked(
        &scene,
        &asked,
        &["small-unsure", "small-unsure", "middle", "middle"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ratings_give_every_answer() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let answer = scene.ask("ratings", SAY, json!({})).await;
    let body = answer.json();
    let told: Vec<_> = body["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| {
            (
                choice["model"].as_str().unwrap(),
                choice["message"]["content"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("small", "one"), ("middle", "two"), ("large", "three")]);
    assert_eq!(body["model"], "small,middle,large");
    let (_, calls) = scene.rows(answer.header("x-request-id"), 3);
    assert_eq!(calls.len(), 3);
    let streamed = chunks(&scene.ask("ratings", SAY, json!({ "stream": true })).await);
    assert_eq!(
        [0, 1, 2].map(|choice| text_of(&streamed, choice)),
        ["one", "two", "three"]
    );
    let message =
        json!({ "model": "l-ratings", "max_tokens": 50, "messages": [ { "role": "user", "content": SAY } ] });
    let answer = post(scene.house.address, "/v1/messages", &scene.key, &message)
        .await
        .unwrap();
    let text = answer.json()["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        "**[small]:**\none\n\n---\n\n**[middle]:**\ntwo\n\n---\n\n**[large]:**\nthree"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_are_made_of_rounds() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let answer = scene.ask("remom", SAY, json!({})).await;
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "three", "{body}");
    let round = &body["reasoning_mom_responses"][0];
    assert_eq!((&round["round"], &round["breadth"]), (&json!(1), &json!(2)));
    let mut said: Vec<&str> = round["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["content"].as_str().unwrap())
        .collect();
    said.sort_unstable();
    assert_eq!(said, ["one", "two"]);
    let last = scene
        .served()
        .into_iter()
        .find(|one| one.model == "large")
        .unwrap();
    let last: serde_json::Value = serde_json::from_str(&last.body).unwrap();
    let asked = last["messages"][0]["content"].as_str().unwrap();
    assert!(
        asked.contains("Answer 1 (") && asked.contains("\none\n") && asked.contains("\ntwo\n"),
        "{asked}"
    );
    assert_eq!(
        (&last["temperature"], &last["max_tokens"]),
        (&json!(0.7), &json!(90))
    );
    let streamed = scene
        .ask(
            "remom",
            SAY,
            json!({ "stream": true, "stream_options": { "include_usage": true } }),
        )
        .await;
    let told = chunks(&streamed);
    assert_eq!(text_of(&told, 0), "three");
    assert!(
        told.iter()
            .any(|chunk| chunk["reasoning_mom_responses"][0]["responses"][1].is_object()),
        "{told:?}"
    );
    let served = scene.served();
    assert!(
        served
            .iter()
            .any(|one| one.model == "large" && one.body.contains("\"stream\":true")),
        "the last answer is streamed"
    );
    let usage = &told.last().unwrap()["usage"];
    assert_eq!(
        usage["prompt_tokens"].as_u64(),
        Some(served.iter().map(|one| one.input).sum()),
        "all calls are told"
    );
    let (own, calls) = scene.rows(streamed.header("x-request-id"), 3);
    assert_eq!(
        (own.cost.nanodollars(), own.streamed, calls[2].streamed),
        (0, true, true)
    );
    let sum: i64 = calls.iter().map(|call| call.cost.nanodollars()).sum();
    assert_eq!(sum, served.iter().map(super::cost).sum::<i64>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panel_is_judged() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let say = r#"say as small-unsure: one ;; say as middle: two ;; say as large: {"consensus": ["it is a number"]} ;;"#;
    let answer = scene.ask("fusion", say, json!({})).await;
    let body = answer.json();
    assert_eq!(
        body["choices"][0]["message"]["content"], r#"{"consensus": ["it is a number"]}"#,
        "{body}"
    );
    assert_eq!(body["fusion"]["analysis"]["consensus"][0], "it is a number");
    assert_eq!(body["fusion"]["responses"][1]["content"], "two");
    assert_eq!(
        (&body["fusion"]["judge_model"], &body["fusion"]["prompt_version"]),
        (&json!("large"), &json!("fusion-v1"))
    );
    assert_eq!(answer.header("x-pointsman-loop-models"), "small, middle, large");
    let (_, calls) = scene.rows(answer.header("x-request-id"), 4);
    assert_eq!(calls[3].model.as_deref(), Some("large"));
    let served = scene.served();
    let of_middle = served.iter().find(|one| one.model == "middle").unwrap();
    assert!(
        of_middle.body.contains("\"temperature\":0.1"),
        "{}",
        of_middle.body
    );
    let last = &served.last().unwrap().body;
    assert!(
        last.contains("it is a number") && last.contains("Answer 2 (middle)"),
        "{last}"
    );
    let streamed = scene.ask("fusion", say, json!({ "stream": true })).await;
    let told = chunks(&streamed);
    assert_eq!(text_of(&told, 0), r#"{"consensus": ["it is a number"]}"#);
    assert!(
        told.iter()
            .any(|chunk| chunk["fusion"]["analysis_models"] == json!(["small", "middle"])),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_follow_their_plan() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let answer = scene.ask("steps", SAY, json!({})).await;
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "three", "{body}");
    assert_eq!(
        (&body["flow"]["mode"], &body["flow"]["steps"][0]["id"]),
        (&json!("static"), &json!("solver"))
    );
    assert_eq!(
        body["flow"]["steps"][1]["responses"][0]["agent_id"],
        "verifier:0:middle"
    );
    let served = scene.served();
    assert_eq!(served.len(), 4);
    let last = &served.last().unwrap().body;
    assert!(
        last.contains("verifier:0:middle: two") && last.contains("The answer must keep to this:\\nOne word."),
        "{last}"
    );
    scene.rows(answer.header("x-request-id"), 4);

    let plan =
        r#"{"steps": [{"id": "go", "models": ["middle"], "prompt": "Count."}], "final": {"model": "small"}}"#;
    let say = format!("say as small-unsure: one ;; say as middle: two ;; say as planner: {plan} ;;");
    let answer = scene.ask("planned", &say, json!({ "stream": true })).await;
    assert_eq!(text_of(&chunks(&answer), 0), "one");
    checked(&scene, &answer, &["planner", "middle", "small-unsure"]);
    let planner = &scene.served()[0].body;
    assert!(
        planner.contains("json_object") && planner.contains(":60"),
        "{planner}"
    );
    let answer = scene.ask("planned", SAY, json!({})).await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "four",
        "a plan that is none: all work, and who plans answers"
    );
    assert!(answer.json().get("flow").is_none(), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_every_loop() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    // Short enough to end before the bounds that the loops set.
    let short =
        "say as small-unsure: 0.2 ;; say as middle: 0.9 ;; say as large: three ;; say as planner: four ;;";
    let mut wrong = Vec::new();
    for (name, ..) in loops() {
        for client in MODELS {
            for stream in [false, true] {
                let (path, body) = question(client, &format!("l-{name}"), short, stream);
                let request = Request::post(path)
                    .header("authorization", format!("Bearer {}", scene.key))
                    .body(body.to_string())
                    .unwrap();
                let answer = send(scene.house.address, request).await.unwrap();
                let told = answer.header("x-pointsman-loop-calls");
                if answer.status != 200 || stream && !is_whole(client, &answer) || told.is_empty() {
                    let said =
                        String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
                    wrong.push(format!(
                        "{client} -> {name} (stream: {stream}): {} {said}",
                        answer.status
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_is_explained_without_asking_anybody() {
    let scene = Scene::new(&loops(), NewKey::default()).await;
    let asked = json!({ "model": "l-fusion", "text": "how many?" });
    let told = post(scene.house.address, "/api/v1/eval", &scene.key, &asked)
        .await
        .unwrap()
        .json();
    assert_eq!(
        (&told["selection_method"], &told["loop"]["kind"]),
        (&json!("fusion"), &json!("fusion"))
    );
    assert_eq!(told["loop"]["most_calls"], 4);
    assert_eq!(
        told["loop"]["stages"][0],
        json!({ "name": "panel", "models": ["small", "middle"], "at_once": 2, "enough": 2 })
    );
    let asked = json!({ "model": "l-cascade", "text": "how many?" });
    let told = post(scene.house.address, "/api/v1/eval", &scene.key, &asked)
        .await
        .unwrap()
        .json();
    let rungs: Vec<_> = told["loop"]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["models"][0].clone())
        .collect();
    assert_eq!(rungs, ["small", "middle", "large"], "by their size");
    assert!(scene.served().is_empty());
}
