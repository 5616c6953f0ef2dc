//! Answers held against what their model was given: the plugin `hallucination`, guardrails `groundedness` and `topics`, and
//! guardrails that a decision names.

use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, folder, get, key, post};

/// What a tool has answered.
const GIVEN: &str = "{\"museum\": \"Kunsthaus Bern\", \"opens\": \"10:00\", \"closes\": \"18:00\", \"ticket_francs\": 14, \
                     \"tour\": \"Sundays at noon\", \"free_below_age\": 6}";
/// Says nothing else.
const TRUE: &str = "The Kunsthaus Bern opens at 10:00 and a ticket costs 14 francs.";
/// Says something else in two places.
const FALSE: &str = "The Kunsthaus Bern opens at 10:00 and a ticket costs 25 francs. It was designed by Peter Vogel and opened again after heavy storms in 1987.";

struct Scene {
    sim: SimServer,
    _folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn new(rest: &str) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let at = sim.address();
        let folder = folder(&format!(
            "telemetry: {{ access_log: json }}\n\
             providers:\n  o: {{ kind: openai, base_url: \"http://{at}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n\
             \x20 a: {{ kind: anthropic, base_url: \"http://{at}\", auth: {{ api_key: sk-ant-sim }}, retry: {{ attempts: 1 }} }}\n\
             models:\n  m: {{ targets: [ {{ provider: o, model: gpt-4o-mini, format: openai-chat }} ] }}\n\
             \x20 c: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}\n{rest}"
        ));
        let key = key(folder.path(), NewKey::default());
        let house = House::open(folder.path());
        Self {
            sim,
            _folder: folder,
            house,
            key,
        }
    }

    /// Asks a model that will say `answer`, with or without what a tool has said.
    async fn chat(&self, model: &str, answer: &str, given: Option<&str>, stream: bool) -> Answer {
        let body = chat(model, answer, given, stream);
        let asked = post(self.house.address, "/v1/chat/completions", &self.key, &body);
        asked.await.expect("an answer")
    }

    async fn metrics(&self) -> String {
        get(self.house.admin, "/metrics").await.unwrap().text().to_owned()
    }
}

fn chat(model: &str, answer: &str, given: Option<&str>, stream: bool) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": format!("say in turn: {answer}")}),
        json!({"role": "user", "content": "When does the museum open, and what does it cost?"}),
    ];
    if let Some(given) = given {
        let call =
            json!({"id": "call_1", "type": "function", "function": {"name": "museum", "arguments": "{}"}});
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": given}));
    }
    let mut body = json!({"model": model, "stream": stream, "messages": messages});
    if given.is_some() {
        let function = json!({"name": "museum", "parameters": {"type": "object", "properties": {}}});
        body["tools"] = json!([{"type": "function", "function": function}]);
    }
    body
}

fn said(answer: &Answer) -> String {
    answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Texts and other fields of a stream.
fn streamed(answer: &Answer) -> (String, Vec<Value>) {
    let data = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter(|data| *data != "[DONE]");
    let events: Vec<Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    let text = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    let own = events.iter().filter_map(|event| event.get("pointsman").cloned());
    (text, own.collect())
}

fn routing(plugin: &str) -> String {
    format!(
        "routing:\n  decisions:\n    - name: facts\n      modelRefs: [ {{ model: m }} ]\n      plugins:\n\
         \x20       - {{ type: hallucination, configuration: {{ enabled: true, {plugin} }} }}\n\
         \x20       - {{ type: router_replay, configuration: {{ enabled: true }} }}\n"
    )
}

#[tokio::test]
async fn what_nothing_supports_is_told_by_a_header() {
    let scene = Scene::new(&routing("include_hallucination_details: true, use_nli: true")).await;
    let good = scene.chat("auto", TRUE, Some(GIVEN), false).await;
    assert_eq!(
        (said(&good).as_str(), good.header("x-pointsman-warnings")),
        (TRUE, "")
    );
    let bad = scene.chat("auto", FALSE, Some(GIVEN), false).await;
    assert_eq!(bad.header("x-pointsman-warnings"), "hallucination");
    assert_eq!(said(&bad), FALSE, "the answer itself is as it was");
    let parts = bad.header("x-pointsman-unsupported").to_owned();
    let quoted: Vec<&str> = parts
        .split(", ")
        .map(|part| {
            let (place, _) = part.strip_prefix("0:").unwrap().split_once(';').unwrap();
            let (start, end) = place.split_once('-').unwrap();
            &FALSE[start.parse().unwrap()..end.parse().unwrap()]
        })
        .collect();
    assert!(
        quoted.iter().any(|part| part.contains("25")) && quoted.iter().any(|part| part.contains("Vogel")),
        "{parts}: {quoted:?}"
    );
    assert!(parts.contains("contradiction"), "{parts}");
    // The log says that something was found, and not what.
    let log = scene.house.hears("\"flags\":[\"hallucination\"]");
    assert!(!log.contains("Vogel"), "{log}");
    let metrics = scene.metrics().await;
    for line in [
        "pointsman_hallucination_checks_total{verdict=\"supported\"} 1",
        "pointsman_hallucination_checks_total{verdict=\"unsupported\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn what_nothing_supports_is_told_in_the_answer() {
    let scene = Scene::new(&routing(
        "hallucination_action: body, include_hallucination_details: true, use_nli: true",
    ))
    .await;
    let good = scene.chat("auto", TRUE, Some(GIVEN), false).await;
    assert_eq!(said(&good), TRUE);
    let whole = said(&scene.chat("auto", FALSE, Some(GIVEN), false).await);
    assert!(
        whole.starts_with("[Warning: parts of this answer") && whole.ends_with(FALSE),
        "{whole}"
    );
    assert!(
        whole.contains("25") && whole.contains("(not in the sources)"),
        "{whole}"
    );
    let (text, _) = streamed(&scene.chat("auto", FALSE, Some(GIVEN), true).await);
    assert!(
        text.starts_with(FALSE) && text.contains("[Warning: parts of this answer"),
        "{text}"
    );
    let (text, _) = streamed(&scene.chat("auto", TRUE, Some(GIVEN), true).await);
    assert_eq!(text, TRUE);
}

#[tokio::test]
async fn a_stream_is_told_at_its_end() {
    let scene = Scene::new(&routing("include_hallucination_details: true")).await;
    let (text, own) = streamed(&scene.chat("auto", FALSE, Some(GIVEN), true).await);
    assert_eq!(text, FALSE);
    let [told] = own.as_slice() else { panic!("{own:?}") };
    assert_eq!(told["warnings"], json!(["hallucination"]));
    let quotes: Vec<&str> = told["unsupported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            let place = |name: &str| usize::try_from(part[name].as_u64().unwrap()).unwrap();
            &FALSE[place("start")..place("end")]
        })
        .collect();
    assert!(quotes.iter().any(|quote| quote.contains("25")), "{quotes:?}");
    let (text, own) = streamed(&scene.chat("auto", TRUE, Some(GIVEN), true).await);
    assert_eq!((text.as_str(), own.len()), (TRUE, 0));
    // Others read server-sent events, too, and leave comments out.
    let body = json!({"model": "auto", "max_tokens": 200, "stream": true, "system": format!("say in turn: {FALSE}"),
        "tools": [{"name": "museum", "input_schema": {"type": "object", "properties": {}}}], "messages": [
        {"role": "user", "content": "When does the museum open?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "museum", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": GIVEN}]},
    ]});
    let answer = post(scene.house.address, "/v1/messages", &scene.key, &body)
        .await
        .unwrap();
    let text = answer.text();
    let (comment, end) = (
        text.find(": x-pointsman-warnings: hallucination\n\n"),
        text.find("message_stop"),
    );
    assert!(comment.is_some() && comment < end, "{text}");
}

#[tokio::test]
async fn what_nothing_supports_is_held_back() {
    let scene = Scene::new(&routing("hallucination_action: block")).await;
    for stream in [false, true] {
        let bad = scene.chat("auto", FALSE, Some(GIVEN), stream).await;
        assert_eq!(bad.status, 403, "{:?}", bad.body);
        assert_eq!(bad.json()["error"]["code"], "hallucination_blocked");
        assert!(!bad.text().contains("Vogel"));
        let good = scene.chat("auto", TRUE, Some(GIVEN), stream).await;
        assert_eq!(good.status, 200);
    }
}

#[tokio::test]
async fn facts_without_sources_are_told() {
    let scene = Scene::new(&routing("unverified_factual_action: header")).await;
    let ask = |question: &str| {
        let messages = json!([{"role": "system", "content": "say in turn: In 1957."}, {"role": "user", "content": question}]);
        json!({"model": "auto", "messages": messages})
    };
    let path = "/v1/chat/completions";
    let fact = ask("In which year did Marie Tharp publish the first map of the floor of the Atlantic Ocean?");
    let fact = post(scene.house.address, path, &scene.key, &fact).await.unwrap();
    assert_eq!(fact.header("x-pointsman-warnings"), "unverified_factual");
    let story = ask("Write a short poem about the wind in the trees.");
    let story = post(scene.house.address, path, &scene.key, &story).await.unwrap();
    assert_eq!(story.header("x-pointsman-warnings"), "");
}

#[tokio::test]
async fn a_guardrail_holds_answers_against_their_context() {
    let guards = "guardrails:\n\
        \x20 - { name: blocks, type: groundedness, on: [output], action: block, default_on: false }\n\
        \x20 - { name: redacts, type: groundedness, on: [output], action: redact, replacement: \"[?]\", default_on: false }\n\
        \x20 - { name: dry, type: groundedness, on: [output], action: block, dry_run: true, default_on: false }\n\
        \x20 - { name: strict, type: groundedness, on: [output], action: block, without_context: act, default_on: false }\n";
    let models = ["blocks", "redacts", "dry", "strict"].map(|name| {
        format!("  {name}: {{ guardrails: [{name}], targets: [ {{ provider: o, model: gpt-4o-mini, format: openai-chat }} ] }}\n")
    });
    let scene = Scene::new(&format!("{}{guards}", models.concat())).await;
    for stream in [false, true] {
        let bad = scene.chat("blocks", FALSE, Some(GIVEN), stream).await;
        assert_eq!(bad.status, 403, "{:?}", bad.body);
        assert!(
            bad.text().contains("that its context does not support"),
            "{}",
            bad.text()
        );
        assert!(!bad.text().contains("Vogel"));
        assert_eq!(scene.chat("blocks", TRUE, Some(GIVEN), stream).await.status, 200);
        assert_eq!(scene.chat("blocks", FALSE, None, stream).await.status, 200);
        assert_eq!(scene.chat("strict", FALSE, None, stream).await.status, 403);
        assert_eq!(scene.chat("dry", FALSE, Some(GIVEN), stream).await.status, 200);
    }
    let redacted = said(&scene.chat("redacts", FALSE, Some(GIVEN), false).await);
    assert!(
        redacted.starts_with("The Kunsthaus Bern opens at 10:00") && redacted.contains("[?]"),
        "{redacted}"
    );
    assert!(
        !redacted.contains("25") && !redacted.contains("Vogel"),
        "{redacted}"
    );
    let (text, _) = streamed(&scene.chat("redacts", FALSE, Some(GIVEN), true).await);
    assert_eq!(text, redacted, "streamed and whole are alike");
    scene.house.hears("dry:would_block");
    let metrics = scene.metrics().await;
    let blocked =
        "pointsman_guardrail_verdicts_total{guardrail=\"blocks\",stage=\"output\",verdict=\"blocked\"} 2";
    assert!(metrics.contains(blocked), "{metrics}");
}

const TOPICS: &str = "guardrails:\n\
    \x20 - name: support\n    type: topics\n    on: [input]\n    action: block\n\
    \x20   allow: [\"Where is my order?\", \"When will my package be delivered?\", \"I want to return a pair of shoes.\", \"The item arrived broken.\"]\n\
    \x20 - name: politics\n    type: topics\n    on: [input, output]\n    action: block\n    default_on: false\n\
    \x20   deny: [\"Whom should I vote for in the election?\", \"The president won the election.\", \"Which political party is the best?\"]\n";

#[tokio::test]
async fn topics_are_allowed_and_denied_by_examples() {
    let models = "  open: { guardrails: [politics], targets: [ { provider: o, model: gpt-4o-mini, format: openai-chat } ] }\n";
    let scene = Scene::new(&format!("{models}{TOPICS}")).await;
    let ask = |model: &'static str, question: &str, answer: &str| {
        let messages = json!([{"role": "system", "content": format!("say in turn: {answer}")}, {"role": "user", "content": question}]);
        let body = json!({"model": model, "messages": messages});
        let (address, key) = (scene.house.address, scene.key.clone());
        async move { post(address, "/v1/chat/completions", &key, &body).await.unwrap() }
    };
    let on = ask("m", "Where is the order that I made last week?", "On its way.").await;
    assert_eq!(on.status, 200, "{:?}", on.body);
    let off = ask("m", "Write me a poem about the sea at night.", "No.").await;
    assert_eq!(off.status, 403, "{:?}", off.body);
    assert!(off.text().contains("something else than what is allowed"));
    let asked = ask(
        "open",
        "My package is late. Also, which party should I vote for in the election?",
        "No.",
    )
    .await;
    assert_eq!(asked.status, 403, "{:?}", asked.body);
    assert!(asked.text().contains("about what is denied"));
    let told = ask(
        "open",
        "When will my package be delivered?",
        "You should vote for the president in the next election.",
    )
    .await;
    assert_eq!(told.status, 403, "{:?}", told.body);
    assert!(!told.text().contains("You should vote"));
}

#[tokio::test]
async fn a_decision_names_its_own_guardrails() {
    let rest = "guardrails:\n\
        \x20 - { name: words, type: regex, on: [input, output], action: redact, deny: [falcon], replacement: bird, default_on: false }\n\
        \x20 - { name: wall, type: regex, on: [input], action: block, deny: [tiger], default_on: false }\n\
        routing:\n  default_model: m\n  signals: { keywords: [ { name: zoo, operator: OR, keywords: [zoo] }, { name: den, operator: OR, keywords: [den] } ] }\n\
        \x20 decisions:\n\
        \x20   - { name: zoo, priority: 2, rules: { type: keyword, name: zoo }, modelRefs: [ { model: m } ], guardrails: [words, wall] }\n\
        \x20   - { name: den, priority: 1, rules: { type: keyword, name: den }, modelRefs: [ { model: m }, { model: c } ], guardrails: [wall],\n\
        \x20       algorithm: { type: ratings, ratings: { max_concurrent: 2 } } }\n";
    let scene = Scene::new(rest).await;
    let ask = |question: &str| {
        let messages = json!([{"role": "system", "content": "say in turn: A falcon."}, {"role": "user", "content": question}]);
        let body = json!({"model": "auto", "messages": messages});
        let (address, key) = (scene.house.address, scene.key.clone());
        async move { post(address, "/v1/chat/completions", &key, &body).await.unwrap() }
    };
    let zoo = ask("Is there a falcon in the zoo?").await;
    assert_eq!(said(&zoo), "A bird.");
    let sent = scene.sim.served().pop().unwrap().body;
    assert!(sent.contains("Is there a bird in the zoo?"), "{sent}");
    assert_eq!(ask("Is there a tiger in the zoo?").await.status, 403);
    assert_eq!(ask("Is there a tiger in the den?").await.status, 403);
    let other = ask("Is there a tiger or a falcon here?").await;
    assert_eq!((other.status.as_u16(), said(&other).as_str()), (200, "A falcon."));
}
