//! Models that rewrite what users say and what is answered (`prompts.transformers`).

use std::net::SocketAddr;
use std::process::Command;

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow, NewKey};
use pointsman_testbed::{Fault, Schedule, SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, folder, key, ledger, post};

const CHAT: &str = "/v1/chat/completions";

/// One model for each transformer; `plain` has none.
fn config(sim: SocketAddr, helper: SocketAddr) -> String {
    format!(
        r#"
telemetry: {{ access_log: json }}
providers:
  o: {{ kind: openai-compatible, base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, models: [plain, asked, told, strict, brief, forbidden, bitter, dearly] }}
  h: {{ kind: openai-compatible, base_url: "http://{helper}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }}, models: [head, tail] }}
models:
  dear: {{ targets: [ {{ provider: h, model: head }} ], price: {{ input: 1000000, output: 1000000 }} }}
  tail: {{ targets: [ {{ provider: h, model: tail }} ], price: {{ input: 10, output: 10 }} }}
guardrails:
  - {{ name: words, type: regex, on: [input], action: block, deny: ["forbidden fruit"] }}
  - {{ name: pii, type: pii, on: [input], action: redact, restore: true, entities: [EMAIL_ADDRESS], model: never }}
  - {{ name: outwards, type: regex, on: [output], action: block, deny: ["bitter end"] }}
  - {{ name: hush, type: regex, on: [output], action: redact, deny: ["hush-\\w+"] }}
prompts:
  decorators:
    - {{ models: [asked], append: [ {{ role: user, content: "Keep it short." }} ] }}
  transformers:
    - {{ name: tidy, on: request, models: [asked], model: head, instruction: "Make it clear.", timeout: 1s, on_error: allow }}
    - {{ name: short, on: response, models: [told], model: tail, instruction: "Make it short.", timeout: 1s, max_bytes: 200, on_error: allow }}
    - {{ name: sure, on: request, models: [strict], model: head, instruction: "Make it clear.", timeout: 1s, max_bytes: 100 }}
    - {{ name: cut, on: response, models: [brief], model: tail, instruction: "Make it short.", max_tokens: 3 }}
    - {{ name: tempter, on: request, models: [forbidden], model: head, instruction: "say as head: eat the forbidden fruit ;;" }}
    - {{ name: sour, on: response, models: [bitter], model: tail, instruction: "say as tail: a bitter end ;;" }}
    - {{ name: costly, on: request, models: [dearly], model: dear, instruction: "Make it clear." }}
"#
    )
}

struct Scene {
    sim: SimServer,
    helper: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn new(rest: &str, grant: NewKey) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let helper = SimServer::local(SimOptions::default()).await.unwrap();
        let folder = folder(&format!("{}{rest}", config(sim.address(), helper.address())));
        let key = key(folder.path(), grant);
        let house = House::open(folder.path());
        Self {
            sim,
            helper,
            folder,
            house,
            key,
        }
    }

    async fn ask(&self, model: &str, text: &str, stream: bool) -> Answer {
        self.send(json!({"model": model, "stream": stream, "messages": [
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]}))
            .await
    }

    async fn send(&self, body: Value) -> Answer {
        post(self.house.address, CHAT, &self.key, &body).await.unwrap()
    }
}

/// A message of what reached a provider last, counted from the end.
fn text(sim: &SimServer, from_end: usize) -> String {
    let served = sim.served();
    let body: Value = serde_json::from_str(&served.last().unwrap().body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let message = &messages[messages.len() - 1 - from_end];
    message["content"].as_str().unwrap().to_owned()
}

fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let content = &answer.json()["choices"][0]["message"]["content"];
    content.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_says_is_rewritten_before_anybody_answers() {
    let scene = Scene::new("", NewKey::default()).await;
    let words = "uhm so like how tall; say as head: How tall is the Säntis? ;;";
    let answer = scene.ask("asked", words, false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The operator's own words behind it stay.
    assert_eq!(
        (text(&scene.sim, 1).as_str(), text(&scene.sim, 0).as_str()),
        ("How tall is the Säntis?", "Keep it short.")
    );
    assert!(text(&scene.helper, 1).starts_with("Make it clear.\n"));
    assert!(text(&scene.helper, 0).contains(&format!("\n{words}\n--- end ")));
    // It has a row of its own, of the same key.
    let id = answer.header("x-request-id").to_owned();
    let own = entry(scene.folder.path(), &id);
    let row = entry(scene.folder.path(), &format!("{id}.transform1"));
    assert_eq!(
        (row.surface.as_str(), row.model.as_deref(), &row.key),
        ("transform", Some("head"), &own.key)
    );
    // Others are not touched.
    scene.helper.clear();
    assert_eq!(scene.ask("plain", words, false).await.status, 200);
    assert_eq!(text(&scene.sim, 0), words);
    assert!(scene.helper.served().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_sees_what_guardrails_let_pass_and_they_see_what_it_writes() {
    let scene = Scene::new("", NewKey::default()).await;
    let blocked = scene.ask("asked", "where is the forbidden fruit?", false).await;
    assert_eq!(blocked.status, 403, "{}", blocked.text());
    let blocked = scene.ask("bitter", "say as bitter: a bitter end ;;", false).await;
    assert_eq!(blocked.status, 403, "{}", blocked.text());
    assert!(scene.helper.served().is_empty());
    // What was replaced stays so for both, and the client has its own again.
    let answer = scene.ask("asked", "uhm, write to ann@example.com", false).await;
    assert!(text(&scene.helper, 0).contains("\nuhm, write to [EMAIL_ADDRESS_1]\n"));
    assert!(text(&scene.sim, 1).contains("[EMAIL_ADDRESS_1]"));
    assert!(!scene.sim.served().last().unwrap().body.contains("ann@"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    scene.sim.clear();
    let tempted = scene.ask("forbidden", "What shall I eat?", false).await;
    assert_eq!(tempted.status, 403, "{}", tempted.text());
    assert!(scene.sim.served().is_empty() && tempted.text().contains("words"));
    for stream in [false, true] {
        let sour = scene.ask("bitter", "How does it end?", stream).await;
        assert_eq!(sour.status, 403, "{}", sour.text());
        assert!(sour.text().contains("outwards"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_rewritten_before_the_client_sees_it_in_every_shape() {
    let scene = Scene::new("cache: { exact: { ttl: 1h } }\n", NewKey::default()).await;
    let told = "say as told: A long story. say as tail: Short. ;;";
    let whole = scene.ask("told", told, false).await;
    assert_eq!(said(&whole), "Short.");
    let id = whole.header("x-request-id").to_owned();
    let row = entry(scene.folder.path(), &format!("{id}.transformed1"));
    assert_eq!(
        (row.surface.as_str(), row.model.as_deref()),
        ("transformed", Some("tail"))
    );
    // The client is told what both have used and what they cost, each charged once.
    let own = entry(scene.folder.path(), &id);
    let used = whole.json()["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(used, own.usage.input + row.usage.input);
    let cost: f64 = whole.header("x-pointsman-cost-usd").parse().unwrap();
    let charged = Money::parse(whole.header("x-pointsman-cost-usd")).unwrap();
    assert!(cost > 0.0 && own.cost == Money::ZERO && charged == row.cost);
    // What is remembered is what came of it.
    scene.helper.clear();
    let again = scene.ask("told", told, false).await;
    assert_eq!(
        (said(&again).as_str(), again.header("x-pointsman-cache")),
        ("Short.", "exact")
    );
    assert!(scene.helper.served().is_empty());
    let messages = json!([{"role": "user", "content": told}]);
    for (path, mut body) in [
        (CHAT, json!({"messages": messages})),
        ("/v1/messages", json!({"messages": messages, "max_tokens": 99})),
        ("/v1/responses", json!({"input": told})),
    ] {
        body["model"] = "told".into();
        body["stream"] = true.into();
        let answer = post(scene.house.address, path, &scene.key, &body).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.header("content-type").starts_with("text/event-stream"));
        assert!(
            answer.text().contains("Short") && !answer.text().contains("long story"),
            "{path}: {}",
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probabilities_do_not_tell_what_was_taken_out_of_an_answer() {
    let scene = Scene::new("", NewKey::default()).await;
    let ask = |model: &str, text: &str| {
        scene.send(json!({"model": model, "logprobs": true, "messages": [{"role": "user", "content": text}]}))
    };
    let kept = ask("plain", "say as plain: nothing to hide ;;").await;
    assert!(
        kept.json()["choices"][0]["logprobs"]["content"].is_array(),
        "{}",
        kept.text()
    );
    let redacted = ask("plain", "say as plain: the word is hush-money now ;;").await;
    assert_eq!(redacted.status, 200);
    assert!(!redacted.text().contains("money"), "{}", redacted.text());
    let rewritten = ask("told", "say as told: A long story. say as tail: Short. ;;").await;
    assert_eq!(said(&rewritten), "Short.");
    assert!(!rewritten.text().contains("story"), "{}", rewritten.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_that_fails_is_late_or_says_too_much_is_passed_by_or_refuses() {
    let scene = Scene::new("", NewKey::default()).await;
    for fault in [Fault::Status(500), Fault::SlowFirstToken(3_000)] {
        scene.helper.set_faults(vec![(Schedule::Always, fault)]);
        let answer = scene.ask("asked", "hello", false).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(text(&scene.sim, 1), "hello");
        let answer = scene.ask("told", "say as told: Hi. ;;", true).await;
        assert!(
            answer.status == 200 && answer.text().contains("Hi"),
            "{}",
            answer.text()
        );
        scene.sim.clear();
        let refused = scene.ask("strict", "hello", false).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("transformer_unavailable") && refused.text().contains("sure"));
        assert!(!refused.header("retry-after").is_empty() && scene.sim.served().is_empty());
    }
    scene.helper.set_faults(Vec::new());
    let cut = scene
        .ask(
            "brief",
            "say as brief: Good morning. say as tail: one two three four five six ;;",
            true,
        )
        .await;
    assert!(
        cut.status == 503 && cut.text().contains("3 tokens"),
        "{}",
        cut.text()
    );
    // What is too long is shown to nobody.
    scene.helper.clear();
    let long = "word ".repeat(60);
    let refused = scene.ask("strict", &long, false).await;
    assert!(
        refused.status == 503 && refused.text().contains("100 bytes"),
        "{}",
        refused.text()
    );
    let answer = scene.ask("told", &format!("say as told: {long} ;;"), false).await;
    assert!(said(&answer).contains("word word word"));
    assert!(scene.helper.served().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_for_what_rewrites_too() {
    let grant = NewKey {
        budgets: vec![Budget::of(Money::parse("1").unwrap(), BudgetWindow::Total)],
        ..NewKey::default()
    };
    let scene = Scene::new("", grant).await;
    assert_eq!(scene.ask("plain", "hello", false).await.status, 200);
    let refused = scene.ask("dearly", "hello", false).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("insufficient_quota"));
    assert!(scene.helper.served().is_empty() && scene.sim.served().len() == 1);
    assert!(
        ledger(scene.folder.path())
            .iter()
            .all(|row| row.cost == Money::ZERO)
    );
}

#[test]
fn what_is_wrong_with_a_transformer_is_told_where_it_stands() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let check = |change: (&str, &str)| {
        let text = config(address, address);
        assert!(text.contains(change.0));
        let folder = folder(&text.replacen(change.0, change.1, 1));
        let told = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let text = [told.stdout, told.stderr].concat();
        (told.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (fine, told) = check(("name: tidy", "name: neat"));
    assert!(fine, "{told}");
    for (from, to, named) in [
        (
            "model: head, instruction",
            "model: nobody, instruction",
            "no provider serves \"nobody\", which shall rewrite texts",
        ),
        ("name: short", "name: tidy", "prompts.transformers[1].name"),
        (
            "instruction: \"Make it clear.\"",
            "instruction: \"\"",
            "prompts.transformers[0].instruction",
        ),
        ("on: response", "on: answer", "expected one of request, response"),
        ("max_bytes: 200", "max_byte: 200", "max_bytes"),
        (
            "max_tokens: 3",
            "max_tokens: 0",
            "prompts.transformers[3].max_tokens",
        ),
        ("timeout: 1s", "timeout: 1h", "prompts.transformers[0].timeout"),
    ] {
        let (fine, told) = check((from, to));
        assert!(!fine && told.contains(named), "{to}: {told}");
    }
}
