//! Several models for one answer, through the built binary: each call in the ledger to the nano-dollar, whatever becomes of it.

mod answers;
mod limits;
mod members;

use pointsman_store::{LedgerEntry, NewKey, Outcome};
use pointsman_testbed::{Served, SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, folder, key, ledger, post};

/// Models of different price. What makes them fail stands in the names that the provider gets.
const MODELS: &str = r#"
models:
  small: { targets: [ { provider: o, model: small-unsure } ], price: { input: 1, output: 2 } }
  middle: { targets: [ { provider: o, model: middle } ], price: { input: 3, output: 7 } }
  large: { targets: [ { provider: o, model: large } ], price: { input: 10, output: 30 } }
  planner: { targets: [ { provider: o, model: planner } ], price: { input: 5, output: 11 } }
  broken: { targets: [ { provider: b1, model: broken+fault=status:500 } ], price: { input: 3, output: 7 } }
  slow: { targets: [ { provider: b2, model: slow+fault=stall-before-head } ], price: { input: 3, output: 7 } }
  cut: { targets: [ { provider: b3, model: cut+fault=cut-abort } ], price: { input: 3, output: 7 } }
  shy: { targets: [ { provider: o, model: shy-declines } ], price: { input: 3, output: 7 } }
"#;

/// A gateway whose models `l-…` are loops.
pub struct Scene {
    pub sim: SimServer,
    pub folder: TempDir,
    pub key: String,
    pub house: House,
}

impl Scene {
    /// With loops, each by its name: its models and its algorithm.
    pub async fn new(loops: &[(&str, &str, &str)], grant: NewKey) -> Self {
        Self::with(loops, grant, "").await
    }

    /// The same with more in the `routing` block.
    pub async fn with(loops: &[(&str, &str, &str)], grant: NewKey, routing: &str) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let recipe = |(name, models, algorithm): &(&str, &str, &str)| {
            let refs: Vec<String> = models
                .split(' ')
                .map(|model| format!("{{ model: {model} }}"))
                .collect();
            format!(
                "    - {{ name: r-{name}, routing: {{ decisions: [ {{ name: {name}, modelRefs: [ {} ], {algorithm} }} ] }} }}\n",
                refs.join(", ")
            )
        };
        let entry = |(name, ..): &(&str, &str, &str)| {
            format!("    - {{ model_names: [ l-{name} ], recipe: r-{name} }}\n")
        };
        let recipes: String = loops.iter().map(recipe).collect();
        let entries: String = loops.iter().map(entry).collect();
        // Those that fail have endpoints of their own, so that nobody else's rest after failures.
        let provider = |name: &str| {
            let url = format!("http://{}/v1", sim.address());
            format!(
                "  {name}: {{ kind: openai-compatible, base_url: \"{url}\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n"
            )
        };
        let providers: String = ["o", "b1", "b2", "b3"].into_iter().map(provider).collect();
        let folder = folder(&format!(
            "providers:\n{providers}{MODELS}routing:\n  default_model: small\n  modelCards: [ {{ name: small, param_size: 1B }}, {{ name: middle, param_size: 8B }}, {{ name: large, param_size: 70B }} ]\n{routing}  \
             recipes:\n{recipes}  entrypoints:\n{entries}"
        ));
        let key = key(folder.path(), grant);
        let house = House::open(folder.path());
        Self {
            sim,
            folder,
            key,
            house,
        }
    }

    /// Asks a loop, with more in the body.
    pub async fn ask(&self, name: &str, text: &str, more: Value) -> Answer {
        self.sim.clear();
        let mut body = json!({
            "model": format!("l-{name}"),
            "messages": [ { "role": "user", "content": text } ],
            "max_tokens": 200,
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post(self.house.address, "/v1/chat/completions", &self.key, &body)
            .await
            .unwrap()
    }

    /// The rows of an answer: its own, and those of its calls in their order.
    pub fn rows(&self, id: &str, calls: usize) -> (LedgerEntry, Vec<LedgerEntry>) {
        let own = entry(self.folder.path(), id);
        let calls = (1..=calls).map(|number| entry(self.folder.path(), &format!("{id}.{number}")));
        let calls: Vec<LedgerEntry> = calls.collect();
        let all = ledger(self.folder.path());
        let of = all
            .iter()
            .filter(|entry| entry.id.as_str().starts_with(&format!("{id}.")));
        assert_eq!(of.count(), calls.len(), "no other call was made");
        (own, calls)
    }

    /// What the provider served, by what it was asked.
    pub fn served(&self) -> Vec<Served> {
        self.sim.served()
    }
}

/// What a served request costs, in nano-dollars: prices are dollars for a million tokens.
pub fn cost(served: &Served) -> i64 {
    let (input, output) = match served.model.split(['-', '+']).next().unwrap() {
        "small" => (1, 2),
        "large" => (10, 30),
        "planner" => (5, 11),
        _ => (3, 7),
    };
    (served.input * input * 1_000 + served.output * output * 1_000).cast_signed()
}

/// Checks that every call is a row with what the provider says it served, and that the request's own row has nothing of it.
pub fn checked(scene: &Scene, answer: &Answer, models: &[&str]) -> Vec<LedgerEntry> {
    let (own, calls) = scene.rows(answer.header("x-request-id"), models.len());
    let named: Vec<&str> = calls
        .iter()
        .map(|call| call.model.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(named, models);
    assert_eq!((own.cost.nanodollars(), own.usage.total()), (0, 0), "{own:?}");
    let mut served = scene.served();
    for call in &calls {
        assert_eq!(
            (call.surface.as_str(), call.decision.as_ref()),
            ("loop", own.decision.as_ref())
        );
        let place = served.iter().position(|served| {
            Some(served.model.as_str()) == call.model.as_deref() && served.input == call.usage.input
        });
        let served = served.remove(place.unwrap_or_else(|| panic!("{call:?} was never served")));
        assert_eq!(call.outcome, Outcome::Complete, "{call:?}");
        assert_eq!(
            (call.usage.output, call.cost.nanodollars()),
            (served.output, cost(&served))
        );
    }
    assert!(served.is_empty(), "{served:?} is in no row");
    calls
}

/// Texts and other fields of the chunks of a stream of OpenAI.
pub fn chunks(answer: &Answer) -> Vec<Value> {
    assert!(
        answer.header("content-type").starts_with("text/event-stream"),
        "{}",
        answer.text()
    );
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let lines = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    lines
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The text of one choice of a stream.
pub fn text_of(chunks: &[Value], choice: u64) -> String {
    let deltas = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].as_array())
        .flatten()
        .filter(|told| told["index"] == choice);
    deltas
        .filter_map(|told| told["delta"]["content"].as_str())
        .collect()
}
