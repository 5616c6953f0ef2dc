//! What is understood of prompts, asked of the built binary: surfaces, limits, overload, reload.

mod commands;
mod hub;

use std::time::{Duration, Instant};

use pointsman_catalog::Money;
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};

use crate::harness::{Answer, House, entry, folder, get, key, post, write};

const PROOF: &str = "Prove that the sum of two even integers is even";
const MAIL: &str = "Zoë here. Write to ann.lee@example.com about the invoice.";

/// A gateway with nothing but the shipped model.
fn house(rest: &str) -> (tempfile::TempDir, House, String) {
    let folder = folder(rest);
    let key = key(folder.path(), NewKey::default());
    let house = House::open(folder.path());
    (folder, house, key)
}

fn good(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn is_probability(value: &Value) -> bool {
    value.as_f64().is_some_and(|value| (0.0..=1.0).contains(&value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_surface_answers_in_the_semantic_routers_shapes() {
    let (folder, house, key) = house("");
    let ask = async |path: &str, body: Value| post(house.address, path, &key, &body).await.unwrap();

    let answer = ask(
        "/api/v1/classify/intent",
        json!({"text": PROOF, "options": {"return_probabilities": true}}),
    )
    .await;
    let intent = good(&answer);
    let category = intent["classification"]["category"].as_str().unwrap();
    let all = intent["probabilities"].as_object().unwrap();
    assert_eq!(all.len(), 14, "{intent}");
    assert!(all.values().all(is_probability) && all.contains_key(category));
    let sum: f64 = all.values().map(|value| value.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    assert!(intent["classification"]["processing_time_ms"].is_u64());
    // It is in the ledger, free, answered by this machine.
    let told = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!((told.cost, told.status), (Money::ZERO, 200));
    assert_eq!(told.provider.as_deref(), Some("pointsman"));
    assert_eq!(answer.header("x-pointsman-model"), "pointsman-understand");

    // A conversation is judged by what its user said last.
    let messages = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": PROOF},
    ]);
    let same = good(&ask("/api/v1/classify/intent", json!({"messages": messages})).await);
    assert_eq!(same["classification"]["category"], category);

    let security = good(
        &ask(
            "/api/v1/classify/security",
            json!({"text": PROOF, "options": {"sensitivity": "low", "include_reasoning": true}}),
        )
        .await,
    );
    assert!(security["is_jailbreak"].is_boolean() && is_probability(&security["risk_score"]));
    let blocks = security["is_jailbreak"].as_bool().unwrap();
    assert_eq!(security["recommendation"], if blocks { "block" } else { "allow" });
    assert_eq!(security["operating_point"], "fpr_0.1pct");
    assert!(security["reasoning"].is_string() && security["patterns_detected"].is_array());

    let facts = good(&ask("/api/v1/classify/fact-check", json!({"text": PROOF})).await);
    let needed = facts["needs_fact_check"].as_bool().unwrap();
    let label = if needed {
        "FACT_CHECK_NEEDED"
    } else {
        "NO_FACT_CHECK_NEEDED"
    };
    assert_eq!(facts["label"], label);
    let feedback = good(&ask("/api/v1/classify/user-feedback", json!({"text": "that is wrong"})).await);
    assert_eq!(feedback["label"], feedback["feedback_type"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_things_and_several_texts_are_asked_at_once() {
    let (_folder, house, key) = house("");
    let ask = async |path: &str, body: Value| post(house.address, path, &key, &body).await.unwrap();
    let intent = good(&ask("/api/v1/classify/intent", json!({"text": PROOF})).await);
    let category = intent["classification"]["category"].as_str().unwrap();
    let combined = good(&ask("/api/v1/classify/combined", json!({"text": PROOF})).await);
    assert_eq!(combined["intent"]["classification"]["category"], category);
    assert!(combined["pii"]["has_pii"].is_boolean() && combined["security"]["is_jailbreak"].is_boolean());
    assert!(combined.get("fact_check").is_none());

    let batch = good(
        &ask(
            "/api/v1/classify/batch",
            json!({"texts": [PROOF, "hello", PROOF], "options": {"return_probabilities": true}}),
        )
        .await,
    );
    assert_eq!(batch["total_count"], 3);
    assert_eq!(batch["results"][0]["category"], category);
    assert_eq!(
        batch["results"][0]["probabilities"],
        batch["results"][2]["probabilities"]
    );
    let counts = batch["statistics"]["category_distribution"].as_object().unwrap();
    assert_eq!(
        counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>(),
        3
    );

    let eval = good(&ask("/api/v1/eval", json!({"text": PROOF})).await);
    let heads = eval["understanding"]["heads"].as_array().unwrap();
    assert!(
        heads
            .iter()
            .any(|head| head["head"] == "domain" && head["label"] == category)
    );
    assert_eq!(eval["routing_decision"], Value::Null);

    let metrics = get(house.admin, "/metrics").await.unwrap();
    for line in [
        "pointsman_understanding_answers_total{head=\"domain\",stage=\"",
        "pointsman_understanding_seconds_count ",
        "pointsman_understanding_queue 0\n",
    ] {
        assert!(metrics.text().contains(line), "{line}: {}", metrics.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn personal_data_is_told_in_characters_and_masked() {
    let (_folder, house, key) = house("");
    let options = json!({"return_positions": true, "mask_entities": true, "reveal_entity_text": true});
    let body = json!({"text": MAIL, "options": options});
    let answer = post(house.address, "/api/v1/classify/pii", &key, &body)
        .await
        .unwrap();
    let told = good(&answer);
    let letters: Vec<char> = MAIL.chars().collect();
    let entities = told["entities"].as_array().unwrap();
    assert_eq!(told["has_pii"], !entities.is_empty());
    for entity in entities {
        let place = |name: &str| usize::try_from(entity[name].as_u64().unwrap()).unwrap();
        let text: String = letters[place("start_position")..place("end_position")]
            .iter()
            .collect();
        assert_eq!(entity["value"], text.as_str());
        assert!(is_probability(&entity["confidence"]));
        let mask = entity["masked_value"].as_str().unwrap();
        assert!(told["masked_text"].as_str().unwrap().contains(mask), "{told}");
    }
    // What is not asked to be revealed is not.
    let body = json!({"text": MAIL, "options": {"entity_types": ["ALL"]}});
    let told = good(
        &post(house.address, "/api/v1/classify/pii", &key, &body)
            .await
            .unwrap(),
    );
    assert!(!told.to_string().contains("ann.lee"), "{told}");
    assert!(told.get("masked_text").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_come_in_every_shape_and_count_as_tokens() {
    let (folder, house, key) = house("");
    let body = json!({"model": "pointsman-understand", "input": [PROOF, "hello", PROOF]});
    let answer = post(house.address, "/v1/embeddings", &key, &body).await.unwrap();
    let told = good(&answer);
    let vector = |place: usize| -> Vec<f64> {
        serde_json::from_value(told["data"][place]["embedding"].clone()).unwrap()
    };
    let first = vector(0);
    assert_eq!(
        (first.len(), told["model"].as_str()),
        (384, Some("pointsman-understand"))
    );
    assert!((first.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-3);
    assert_eq!(first, vector(2));
    assert_ne!(first, vector(1));
    let used = told["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(used > 10, "{told}");
    let entry = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!((entry.usage.input, entry.cost), (used, Money::ZERO));
    assert_eq!(answer.header("x-pointsman-cost-usd").parse::<f64>().unwrap(), 0.0);

    let one = async |path: &str, body: Value| good(&post(house.address, path, &key, &body).await.unwrap());
    let base64 = one(
        "/v1/embeddings",
        json!({"model": "pointsman-understand", "input": PROOF, "encoding_format": "base64"}),
    )
    .await;
    assert!(base64["data"][0]["embedding"].is_string());
    let short = one(
        "/v1/embeddings",
        json!({"model": "pointsman-understand", "input": PROOF, "dimensions": 64}),
    )
    .await;
    assert_eq!(short["data"][0]["embedding"].as_array().unwrap().len(), 64);
    let many = json!({"model": "pointsman-understand", "input": PROOF, "dimensions": 4096});
    let refused = post(house.address, "/v1/embeddings", &key, &many).await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("4096 dimensions"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_other_formats_get_vectors_and_texts_are_compared() {
    let (_folder, house, key) = house("");
    let one = async |path: &str, body: Value| good(&post(house.address, path, &key, &body).await.unwrap());
    let cohere = one(
        "/v2/embed",
        json!({"model": "pointsman-understand", "texts": [PROOF], "input_type": "search_query", "embedding_types": ["float"]}),
    )
    .await;
    assert_eq!(cohere["embeddings"]["float"][0].as_array().unwrap().len(), 384);
    let gemini = one(
        "/v1beta/models/pointsman-understand:embedContent",
        json!({"content": {"parts": [{"text": PROOF}]}}),
    )
    .await;
    assert_eq!(gemini["embedding"]["values"].as_array().unwrap().len(), 384);

    let router = one("/api/v1/embeddings", json!({"texts": [PROOF], "model": "auto"})).await;
    assert_eq!(
        (&router["total_count"], &router["embeddings"][0]["dimension"]),
        (&json!(1), &json!(384))
    );
    let alike = one("/api/v1/similarity", json!({"text1": PROOF, "text2": PROOF})).await;
    assert!(alike["similarity"].as_f64().unwrap() > 0.999 && alike["method"] == "cosine");
    let ranked = one(
        "/api/v1/similarity/batch",
        json!({"query": PROOF, "candidates": ["bananas are yellow", PROOF, "hello"], "top_k": 2}),
    )
    .await;
    assert_eq!(
        (&ranked["total_candidates"], &ranked["matches"][0]["index"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(ranked["matches"].as_array().unwrap().len(), 2);

    let models = crate::harness::ask(house.address, http::Method::GET, "/v1/models", &key)
        .await
        .unwrap();
    assert!(
        models.text().contains("\"pointsman-understand\""),
        "{}",
        models.text()
    );
}

/// What makes no sense, with the status and words that it gets.
fn nonsense() -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
        (
            "/api/v1/classify/intent",
            json!({"text": " "}),
            400,
            "text cannot be empty",
        ),
        ("/api/v1/classify/intent", json!({"text": 7}), 400, "invalid type"),
        (
            "/api/v1/classify/batch",
            json!({"texts": []}),
            400,
            "cannot be empty",
        ),
        (
            "/api/v1/classify/batch",
            json!({"texts": ["a"], "task_type": "chess"}),
            400,
            "there is no task",
        ),
        (
            "/api/v1/classify/security",
            json!({"text": "a", "options": {"sensitivity": "huge"}}),
            400,
            "none of low, medium and high",
        ),
        (
            "/api/v1/classify/combined",
            json!({"text": "a", "tasks": ["chess"]}),
            400,
            "there is no task",
        ),
        (
            "/api/v1/embeddings",
            json!({"texts": ["a"], "model": "nobody"}),
            404,
            "no embedding model",
        ),
        (
            "/api/v1/embeddings",
            json!({"texts": ["a"], "images": ["x"]}),
            400,
            "images",
        ),
        ("/api/v1/similarity", json!({"text1": "a"}), 400, "text2"),
        (
            "/v1/embeddings",
            json!({"model": "pointsman-understand", "input": [1, 2]}),
            400,
            "texts alone",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_in_openais_words() {
    let (_folder, house, key) = house("");
    for (path, body, status, said) in nonsense() {
        let answer = post(house.address, path, &key, &body).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(said), "{path} {body}: {message}");
        let nobody = post(house.address, path, "pm-nobody", &body).await.unwrap();
        assert_eq!(nobody.status, 401, "{path}");
    }
    let long = json!({"text": "word ".repeat(1_000_000)});
    let answer = post(house.address, "/api/v1/classify/intent", &key, &long)
        .await
        .unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_have_the_limits_that_they_have_elsewhere() {
    let folder = folder("");
    let grant = NewKey {
        requests_per_minute: Some(2),
        models: vec!["gpt-5".to_owned()],
        ..NewKey::default()
    };
    let limited = key(folder.path(), grant);
    let house = House::open(folder.path());
    let intent = json!({"text": PROOF});
    for _ in 0..2 {
        good(
            &post(house.address, "/api/v1/classify/intent", &limited, &intent)
                .await
                .unwrap(),
        );
    }
    let third = post(house.address, "/api/v1/classify/intent", &limited, &intent)
        .await
        .unwrap();
    assert_eq!(third.status, 429, "{}", third.text());
    assert!(!third.header("retry-after").is_empty());
    let vectors = json!({"model": "pointsman-understand", "input": "a"});
    let other = post(house.address, "/v1/embeddings", &limited, &vectors)
        .await
        .unwrap();
    assert_eq!(other.status, 403, "{}", other.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn too_many_are_told_to_come_back() {
    let (_folder, house, key) = house("understanding: { threads: 1, queue: 1, deadline: 100ms }\n");
    // Loaded before: what takes long from here on is reading.
    good(
        &post(house.address, "/api/v1/classify/pii", &key, &json!({"text": "a"}))
            .await
            .unwrap(),
    );
    let all: Vec<_> = (0..24)
        .map(|number| {
            let (address, key) = (house.address, key.clone());
            tokio::spawn(async move {
                let text = format!("{number} {}", "all work and no play ".repeat(4_000));
                post(address, "/api/v1/classify/pii", &key, &json!({"text": text}))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut busy = 0;
    for one in all {
        let answer = one.await.unwrap();
        match answer.status.as_u16() {
            200 | 504 => {}
            503 => {
                busy += 1;
                assert_eq!(answer.header("retry-after"), "1");
                assert_eq!(answer.json()["error"]["code"], "understanding_overloaded");
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(busy > 0, "24 long texts at once, and none had to come back");
    // Afterwards all is well, for those who come back.
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let intent = json!({"text": PROOF});
        let answer = post(house.address, "/api/v1/classify/intent", &key, &intent)
            .await
            .unwrap();
        if answer.status == 200 {
            break;
        }
        assert!(Instant::now() < until, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_what_was_loaded() {
    let (folder, house, key) = house("");
    let intent = json!({"text": PROOF});
    good(
        &post(house.address, "/api/v1/classify/intent", &key, &intent)
            .await
            .unwrap(),
    );
    let times = || house.said().matches(" loaded ").count();
    // What is said comes through a pipe, after the answer perhaps.
    house.hears(" loaded ");
    let before = times();
    write(folder.path(), "server: { default_completion_tokens: 77 }\n");
    house.hears("the new configuration is in force");
    good(
        &post(
            house.address,
            "/api/v1/classify/intent",
            &key,
            &json!({"text": "other"}),
        )
        .await
        .unwrap(),
    );
    assert_eq!(times(), before, "{}", house.said());
    // Other settings are another engine.
    write(folder.path(), "understanding: { threads: 1, queue: 3 }\n");
    let until = Instant::now() + Duration::from_secs(20);
    while house.said().matches("the new configuration is in force").count() < 2 {
        assert!(Instant::now() < until, "{}", house.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    good(
        &post(house.address, "/api/v1/classify/intent", &key, &intent)
            .await
            .unwrap(),
    );
    while times() <= before {
        assert!(Instant::now() < until, "{}", house.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(times(), before + 1, "{}", house.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_models_answer_for_heads_and_give_vectors() {
    let parity = concat!(env!("CARGO_MANIFEST_DIR"), "/../semantics/tests/parity");
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let (folder, house, key) = house(&format!(
        "providers: {{ fleet: {{ kind: vllm, endpoints: [ {{ url: \"http://{}/v1\" }} ], auth: {{ api_key: sk-sim }} }} }}\n\
         understanding:\n  models:\n    \
         topics: {{ role: texts, path: {parity}/bert, head: domain }}\n    \
         small: {{ role: embedding, path: {parity}/bert-plain, weights: floats }}\n    \
         far: {{ role: embedding, provider: fleet, model: text-embedding-3-small }}\n",
        sim.address()
    ));
    let one = async |path: &str, body: Value| good(&post(house.address, path, &key, &body).await.unwrap());
    let intent = one(
        "/api/v1/classify/intent",
        json!({"text": "abc", "options": {"return_probabilities": true}}),
    )
    .await;
    assert_eq!(intent["stage"], "model");
    let names: Vec<&String> = intent["probabilities"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["class-0", "class-1", "class-2"]);
    let small = one("/v1/embeddings", json!({"model": "small", "input": "abc"})).await;
    assert_eq!(small["data"][0]["embedding"].as_array().unwrap().len(), 32);
    // One at a provider is asked there, under the name that it has here, by whoever needs it.
    let far = one("/v1/embeddings", json!({"model": "far", "input": ["abc", "def"]})).await;
    assert_eq!(far["data"].as_array().unwrap().len(), 2);
    let answer = post(
        house.address,
        "/api/v1/similarity",
        &key,
        &json!({"text1": "abc", "text2": "abc", "model": "far"}),
    )
    .await
    .unwrap();
    let alike = good(&answer);
    assert!(alike["similarity"].as_f64().unwrap() > 0.999, "{alike}");
    assert_eq!(answer.header("x-pointsman-provider"), "fleet");
    assert!(
        sim.served()
            .iter()
            .any(|request| request.path.contains("embeddings"))
    );
    let told = entry(folder.path(), answer.header("x-request-id"));
    assert_eq!(told.provider.as_deref(), Some("fleet"));
}
