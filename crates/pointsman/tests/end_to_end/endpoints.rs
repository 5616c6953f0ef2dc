//! What there is beside chat: every surface before every kind of provider, and what is charged for it.

use http::{HeaderMap, Method, Request, header};
use pointsman_store::{LedgerEntry, NewKey};
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, exchange, folder, key, send};

struct Scene {
    sim: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

const EMBEDDERS: [&str; 8] = [
    "on-openai",
    "on-cohere",
    "on-gemini",
    "on-titan",
    "on-bedrock-cohere",
    "on-vertex",
    "on-vllm",
    "on-tei",
];

impl Scene {
    async fn set(rest: &str) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            r#"
providers:
  o: {{ kind: openai, base_url: "http://{at}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  g: {{ kind: gemini, base_url: "http://{at}", auth: {{ api_key: AIza-sim }}, retry: {{ attempts: 1 }} }}
  b: {{ kind: aws-bedrock, base_url: "http://{at}", region: eu-west-1, auth: {{ api_key: bedrock-api-key-sim }}, retry: {{ attempts: 1 }} }}
  c: {{ kind: cohere, base_url: "http://{at}", auth: {{ api_key: co-sim }}, retry: {{ attempts: 1 }} }}
  v: {{ kind: gcp-vertex, base_url: "http://{at}", project: p, location: us-central1, auth: {{ api_key: ya29.sim }}, retry: {{ attempts: 1 }} }}
  l: {{ kind: vllm, base_url: "http://{at}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  t: {{ kind: tei, base_url: "http://{at}", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
models:
  on-openai: {{ targets: [ {{ provider: o, model: text-embedding-3-small }} ] }}
  on-cohere: {{ targets: [ {{ provider: c, model: embed-v4.0 }} ] }}
  on-gemini: {{ targets: [ {{ provider: g, model: gemini-embedding-001 }} ] }}
  on-titan: {{ targets: [ {{ provider: b, model: "amazon.titan-embed-text-v2:0" }} ] }}
  on-bedrock-cohere: {{ targets: [ {{ provider: b, model: cohere.embed-english-v3 }} ] }}
  on-vertex: {{ targets: [ {{ provider: v, model: text-embedding-005 }} ] }}
  on-vllm: {{ targets: [ {{ provider: l, model: bge }} ], price: {{ input: 1, output: 0 }} }}
  on-tei: {{ targets: [ {{ provider: t, model: bge }} ], price: {{ input: 1, output: 0 }} }}
  rank-cohere: {{ targets: [ {{ provider: c, model: rerank-v3.5 }} ] }}
  rank-vllm: {{ targets: [ {{ provider: l, model: ranker }} ], price: {{ input: 2, output: 0 }} }}
  rank-tei: {{ targets: [ {{ provider: t, model: ranker }} ], price: {{ input: 2, output: 0 }} }}
  rank-bedrock: {{ targets: [ {{ provider: b, model: "amazon.rerank-v1:0" }} ] }}
  gpt: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }}
  claude: {{ targets: [ {{ provider: b, model: "anthropic.claude-haiku-4-5-20251001-v1:0" }} ] }}
{rest}"#
        ));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            house,
            key,
        }
    }

    async fn ask(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", self.key))
            .body(body.to_string())
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    /// A form with one file.
    async fn send_form(&self, path: &str, fields: &[(&str, &str)], (name, file): (&str, &[u8])) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
            );
        }
        let (field, file_name) = name.split_once(':').unwrap();
        body.extend(
            format!(
                "--xx\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\n\r\n"
            )
            .bytes(),
        );
        body.extend(file);
        body.extend(b"\r\n--xx--\r\n");
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {}", self.key).parse().unwrap(),
        );
        headers.insert(
            header::CONTENT_TYPE,
            "multipart/form-data; boundary=xx".parse().unwrap(),
        );
        exchange(self.house.address, Method::POST, path, headers, body.into())
            .await
            .unwrap()
    }

    fn entry(&self, answer: &Answer) -> LedgerEntry {
        entry(self.folder.path(), answer.header("x-request-id"))
    }

    /// Prompt and answer tokens, as the providers say.
    fn served(&self) -> (u64, u64) {
        let served = self.sim.served();
        served
            .iter()
            .fold((0, 0), |all, one| (all.0 + one.input, all.1 + one.output))
    }
}

/// A request of each embedding surface, for two texts where it takes two.
fn embeds(client: &str, model: &str, texts: &[String]) -> (String, Value) {
    let part = |text: &String| json!({ "model": format!("models/{model}"), "content": { "parts": [ { "text": text } ] } });
    match client {
        "openai" => ("/v1/embeddings".into(), json!({ "model": model, "input": texts })),
        "base64" => (
            "/v1/embeddings".into(),
            json!({ "model": model, "input": texts, "encoding_format": "base64" }),
        ),
        "cohere" => (
            "/v2/embed".into(),
            json!({ "model": model, "texts": texts, "input_type": "search_query", "embedding_types": ["float"] }),
        ),
        "cohere-old" => ("/v1/embed".into(), json!({ "model": model, "texts": texts })),
        "gemini" => (
            format!("/v1beta/models/{model}:embedContent"),
            json!({ "content": { "parts": [ { "text": texts[0] } ] } }),
        ),
        _ => (
            format!("/v1beta/models/{model}:batchEmbedContents"),
            json!({ "requests": texts.iter().map(part).collect::<Vec<_>>() }),
        ),
    }
}

/// The vectors of an answer.
fn vectors(client: &str, answer: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let each = |value: &Value, name: &str| list(value).iter().map(|one| one[name].clone()).collect();
    match client {
        "openai" | "base64" => each(&answer["data"], "embedding"),
        "cohere" => list(&answer["embeddings"]["float"]),
        "cohere-old" => list(&answer["embeddings"]),
        "gemini" => vec![answer["embedding"]["values"].clone()],
        _ => each(&answer["embeddings"], "values"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_embedding_client_is_answered_by_every_provider_and_charged_what_it_served() {
    let scene = Scene::set("").await;
    let texts = ["one small text".to_owned(), "another".to_owned()];
    let mut wrong = Vec::new();
    for client in [
        "openai",
        "base64",
        "cohere",
        "cohere-old",
        "gemini",
        "gemini-batch",
    ] {
        for model in EMBEDDERS {
            scene.sim.clear();
            let (path, body) = embeds(client, model, &texts);
            let answer = scene.ask(&path, &body).await;
            if answer.status != 200 {
                wrong.push(format!("{client} on {model}: {}", answer.text()));
                continue;
            }
            let found = vectors(client, &answer.json());
            let expected = if client == "gemini" { 1 } else { 2 };
            let is_good = |vector: &Value| match client {
                // 8 floats of four bytes.
                "base64" => vector.as_str().is_some_and(|text| text.len() == 44),
                _ => vector.as_array().is_some_and(|list| list.len() == 8),
            };
            let entry = scene.entry(&answer);
            let (input, _) = scene.served();
            if found.len() != expected || !found.iter().all(is_good) {
                wrong.push(format!("{client} on {model}: {}", answer.text()));
            }
            if entry.usage.input != input || entry.usage_estimated || entry.cost.nanodollars() == 0 {
                wrong.push(format!("{client} on {model}: {input} served, {entry:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_inputs_are_split_kept_in_order_and_summed() {
    let scene = Scene::set("").await;
    let texts: Vec<String> = (0..230)
        .map(|at| format!("text number {at} {}", "x".repeat(at % 7)))
        .collect();
    let expected = scene
        .ask("/v1/embeddings", &json!({ "model": "on-openai", "input": texts }))
        .await;
    let expected = vectors("openai", &expected.json());
    for (model, calls) in [
        ("on-cohere", 3),
        ("on-gemini", 3),
        ("on-titan", 230),
        ("on-tei", 8),
        ("on-vertex", 1),
    ] {
        scene.sim.clear();
        let answer = scene
            .ask("/v1/embeddings", &json!({ "model": model, "input": texts }))
            .await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        assert_eq!(vectors("openai", &answer.json()), expected, "{model}");
        assert_eq!(scene.sim.served().len(), calls, "{model}");
        let entry = scene.entry(&answer);
        assert_eq!(
            (entry.usage.input, entry.attempts),
            (scene.served().0, 1),
            "{model}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_cannot_embed_is_refused_by_name() {
    let scene = Scene::set("").await;
    for (model, body, field) in [
        ("on-cohere", json!({ "input": [[1, 2]] }), "input"),
        ("on-gemini", json!({ "input": [1, 2] }), "input"),
        (
            "on-bedrock-cohere",
            json!({ "input": "x", "dimensions": 8 }),
            "dimensions",
        ),
        ("claude", json!({ "input": "x" }), "model"),
        ("on-openai", json!({ "input": [] }), "input"),
    ] {
        let mut body = body;
        body["model"] = json!(model);
        let answer = scene.ask("/v1/embeddings", &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["param"]),
            (400, &json!(field)),
            "{}",
            answer.text()
        );
    }
    let bytes = json!({ "model": "on-gemini", "texts": ["x"], "embedding_types": ["int8"], "input_type": "search_query" });
    let answer = scene.ask("/v2/embed", &bytes).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("int8"),
        "{}",
        answer.text()
    );
    // Token ids pass where they are understood.
    let tokens = scene
        .ask(
            "/v1/embeddings",
            &json!({ "model": "on-openai", "input": [[1, 2], [3]] }),
        )
        .await;
    assert_eq!(tokens.status, 200);
    assert!(
        scene
            .sim
            .served()
            .iter()
            .any(|one| one.body.contains("[[1,2],[3]]"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardrails_see_what_is_embedded_and_ranked_and_drawn() {
    let scene = Scene::set(
        "guardrails:\n  - { name: words, type: regex, on: [input], action: block, deny: [forbidden] }\n",
    )
    .await;
    for (path, body) in [
        (
            "/v1/embeddings",
            json!({ "model": "on-cohere", "input": ["fine", "a forbidden text"] }),
        ),
        (
            "/v1/rerank",
            json!({ "model": "rank-vllm", "query": "q", "documents": ["fine", "forbidden"] }),
        ),
        (
            "/v1/images/generations",
            json!({ "model": "gpt-image-1", "prompt": "forbidden things" }),
        ),
        (
            "/v1/moderations",
            json!({ "input": [{ "type": "text", "text": "forbidden" }] }),
        ),
        (
            "/v1/audio/speech",
            json!({ "model": "tts-1", "input": "forbidden", "voice": "alloy" }),
        ),
        (
            "/tokenize",
            json!({ "model": "rank-vllm", "prompt": "forbidden" }),
        ),
    ] {
        let answer = scene.ask(path, &body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    let tokens = scene
        .ask(
            "/v1/embeddings",
            &json!({ "model": "on-openai", "input": [1, 2] }),
        )
        .await;
    assert_eq!(tokens.status, 400, "{}", tokens.text());
    assert!(scene.sim.served().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rankings_of_every_shape_are_the_same_and_are_charged() {
    let scene = Scene::set("").await;
    let documents = ["nothing of it", "a red apple", "an apple"];
    for model in ["rank-cohere", "rank-vllm", "rank-tei", "rank-bedrock"] {
        for (path, field, list) in [
            ("/v2/rerank", "documents", "results"),
            ("/v1/rerank", "documents", "results"),
            ("/rerank", "documents", "results"),
            ("/rerank", "texts", ""),
        ] {
            scene.sim.clear();
            let mut body = json!({ "model": model, "query": "red apple" });
            body[field] = json!(documents);
            if field == "documents" {
                body["top_n"] = json!(2);
            }
            let answer = scene.ask(path, &body).await;
            assert_eq!(answer.status, 200, "{path} {field} {model}: {}", answer.text());
            let told = answer.json();
            let results = if list.is_empty() { &told } else { &told[list] };
            let order: Vec<u64> = results
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["index"].as_u64().unwrap())
                .collect();
            assert_eq!(order[..2], [1, 2], "{path} {model}: {told}");
            let entry = scene.entry(&answer);
            match model {
                "rank-cohere" => {
                    assert_eq!((entry.usage.units.queries, entry.usage_estimated), (1, false));
                    assert_eq!(entry.cost.nanodollars(), 2_000_000);
                }
                "rank-bedrock" => {
                    assert_eq!(
                        (entry.usage.units.queries, entry.cost.nanodollars()),
                        (1, 1_000_000)
                    );
                    assert!(entry.usage_estimated);
                }
                "rank-vllm" => {
                    assert_eq!(
                        (entry.usage.input, entry.usage_estimated),
                        (scene.served().0, false)
                    );
                    assert_eq!(entry.cost.nanodollars(), 2_000 * entry.usage.input as i64);
                }
                _ => assert!(entry.usage_estimated && entry.usage.input > 0),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_and_pooling_are_charged_and_refused_where_nobody_has_them() {
    let scene = Scene::set("").await;
    for path in ["/score", "/v1/score"] {
        let answer = scene
            .ask(
                path,
                &json!({ "model": "rank-vllm", "text_1": "apple", "text_2": ["an apple", "pear"] }),
            )
            .await;
        assert_eq!(answer.json()["data"][0]["score"], 1.0, "{}", answer.text());
        assert!(scene.entry(&answer).usage.input > 0);
    }
    let pooled = scene
        .ask("/pooling", &json!({ "model": "rank-vllm", "input": "apple" }))
        .await;
    assert_eq!(pooled.json()["data"][0]["object"], "pooling", "{}", pooled.text());
    let nowhere = scene
        .ask(
            "/score",
            &json!({ "model": "rank-cohere", "text_1": "a", "text_2": "b" }),
        )
        .await;
    assert_eq!(nowhere.status, 400, "{}", nowhere.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_charged_by_tokens_or_by_quality_and_size() {
    let scene = Scene::set("").await;
    let modern = scene
        .ask(
            "/v1/images/generations",
            &json!({ "model": "gpt-image-1", "prompt": "a cat", "quality": "low", "n": 2 }),
        )
        .await;
    assert_eq!(modern.status, 200, "{}", modern.text());
    let charged = scene.entry(&modern);
    let (input, output) = scene.served();
    assert_eq!(
        (
            charged.usage.input,
            charged.usage.output,
            charged.usage.image_output
        ),
        (input, output, 544)
    );
    assert_eq!(
        (charged.usage.units.images_out, charged.usage_estimated),
        (2, false)
    );
    // 5 dollars a million in, 40 out.
    assert_eq!(charged.cost.nanodollars(), (input * 5_000 + 544 * 40_000) as i64);

    scene.sim.clear();
    let png = b"\x89PNG\r\n\x1a\nrest of it";
    let edited = scene
        .send_form(
            "/v1/images/edits",
            &[("prompt", "blue"), ("model", "gpt-image-1")],
            ("image:a.png", png),
        )
        .await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    let charged = scene.entry(&edited);
    assert_eq!(
        (charged.usage.input, charged.usage.image_input > 0),
        (scene.served().0, true)
    );
    assert_eq!(charged.usage.units.images_in, 1);
    let varied = scene
        .send_form(
            "/v1/images/variations",
            &[("model", "o/dall-e-2"), ("n", "1")],
            ("image:a.png", png),
        )
        .await;
    assert_eq!(varied.status, 200, "{}", varied.text());
    assert_eq!(scene.entry(&varied).usage.units.images_out, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_is_charged_by_characters_or_tokens() {
    let scene = Scene::set("").await;
    let said =
        json!({ "model": "tts-1", "input": "twelve chars", "voice": "alloy", "response_format": "wav" });
    let spoken = scene.ask("/v1/audio/speech", &said).await;
    assert_eq!(
        (spoken.status.as_u16(), spoken.header("content-type")),
        (200, "audio/wav")
    );
    let charged = scene.entry(&spoken);
    assert_eq!(
        (charged.usage.units.characters_in, charged.usage_estimated),
        (12, false)
    );
    assert_eq!(
        (charged.cost.nanodollars(), charged.usage.units.milliseconds_out),
        (12 * 15_000, 100)
    );

    let mut streamed = said.clone();
    streamed["model"] = json!("gpt-4o-mini-tts");
    streamed["stream_format"] = json!("sse");
    scene.sim.clear();
    let streamed = scene.ask("/v1/audio/speech", &streamed).await;
    assert!(
        streamed.text().contains("speech.audio.done"),
        "{}",
        streamed.text()
    );
    let charged = scene.entry(&streamed);
    assert_eq!(
        (charged.usage.input, charged.usage.audio_output, charged.streamed),
        (scene.served().0, scene.served().1, true)
    );
    assert_eq!(
        charged.cost.nanodollars(),
        (charged.usage.input * 600 + charged.usage.output * 12_000) as i64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_is_charged_by_seconds_or_tokens() {
    let scene = Scene::set("").await;
    let said =
        json!({ "model": "tts-1", "input": "twelve chars", "voice": "alloy", "response_format": "wav" });
    let spoken = scene.ask("/v1/audio/speech", &said).await;
    for (format, seconds, estimated) in [
        ("json", 1000, false),
        ("verbose_json", 1000, false),
        ("text", 100, false),
    ] {
        let fields = [("model", "whisper-1"), ("response_format", format)];
        let heard = scene
            .send_form("/v1/audio/transcriptions", &fields, ("file:a.wav", &spoken.body))
            .await;
        assert!(heard.text().contains("twelve chars"), "{}", heard.text());
        let charged = scene.entry(&heard);
        assert_eq!(
            (charged.usage.units.milliseconds_in, charged.usage_estimated),
            (seconds, estimated),
            "{format}"
        );
        assert_eq!(charged.cost.nanodollars(), 100 * seconds as i64, "{format}");
    }
    scene.sim.clear();
    let fields = [("model", "gpt-4o-transcribe"), ("stream", "true")];
    let heard = scene
        .send_form("/v1/audio/transcriptions", &fields, ("file:a.wav", &spoken.body))
        .await;
    assert!(heard.text().contains("transcript.text.done"), "{}", heard.text());
    let charged = scene.entry(&heard);
    assert_eq!((charged.usage.audio_input, charged.usage.output), scene.served());
    assert_eq!(
        charged.cost.nanodollars(),
        (charged.usage.input * 2_500 + charged.usage.output * 10_000) as i64
    );
    let json = scene
        .ask("/v1/audio/transcriptions", &json!({ "model": "whisper-1" }))
        .await;
    assert_eq!(json.status, 400, "{}", json.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_off_ends_with_an_error_and_is_charged_once() {
    let scene = Scene::set("").await;
    let said = json!({ "model": "o/gpt-4o-mini-tts+fault=cut-clean", "input": "some words to be said", "voice": "alloy", "stream_format": "sse" });
    let answer = scene.ask("/v1/audio/speech", &said).await;
    let told = answer.text();
    assert!(
        !told.contains("speech.audio.done") && told.contains("error"),
        "{told}"
    );
    let charged = scene.entry(&answer);
    assert_eq!(charged.outcome.as_str(), "provider_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderations_and_tokens_are_free_and_refused_where_nobody_knows_them() {
    let scene = Scene::set("").await;
    let judged = scene
        .ask("/v1/moderations", &json!({ "input": "I will kill you" }))
        .await;
    assert_eq!(judged.json()["results"][0]["flagged"], true, "{}", judged.text());
    let charged = scene.entry(&judged);
    assert_eq!(
        (charged.model.as_deref(), charged.cost.nanodollars()),
        (Some("omni-moderation-latest"), 0)
    );

    for model in ["rank-vllm", "rank-tei", "gpt"] {
        let split = scene
            .ask(
                "/tokenize",
                &json!({ "model": model, "prompt": "some words here" }),
            )
            .await;
        assert_eq!(split.status, 200, "{model}: {}", split.text());
        let tokens = &split.json()["tokens"];
        assert_eq!(split.json()["count"], tokens.as_array().unwrap().len(), "{model}");
        let joined = scene
            .ask("/detokenize", &json!({ "model": model, "tokens": tokens }))
            .await;
        assert_eq!(
            joined.json()["prompt"],
            "some words here",
            "{model}: {}",
            joined.text()
        );
        assert_eq!(scene.entry(&joined).cost.nanodollars(), 0);
    }
    let unknown = scene
        .ask("/tokenize", &json!({ "model": "claude", "prompt": "x" }))
        .await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("claude"), "{}", unknown.text());
    let wild = scene
        .ask(
            "/detokenize",
            &json!({ "model": "gpt", "tokens": [4_000_000_000_u32] }),
        )
        .await;
    assert_eq!(wild.status, 400, "{}", wild.text());
}
