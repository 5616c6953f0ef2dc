//! What decisions do beside choosing a model, as clients and providers see it.

mod cached;
mod changed;
mod classed;
mod imagined;
mod judged;
mod known;
mod looked_up;
mod picked;
mod remembering;
mod scored;
mod shadowed;
mod shelved;

use http::{HeaderMap, Method, Request, header};
use pointsman_store::NewKey;
use pointsman_testbed::{SimOptions, SimServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin::TOKEN;
use crate::harness::{Answer, House, exchange, folder, key, post, send, write};

const PATH: &str = "/v1/chat/completions";

/// A gateway with two models behind a router, before a simulated provider.
struct Scene {
    sim: SimServer,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    /// With this `routing` block.
    async fn new(routing: &Value) -> Self {
        Self::with_providers(routing, "", "").await
    }

    /// With this `routing` block, more providers, and other blocks.
    async fn with_providers(routing: &Value, providers: &str, rest: &str) -> Self {
        Self::with_all(routing, (providers, rest), &[]).await
    }

    /// With these environment variables.
    async fn with_environment(routing: &Value, environment: &[(&str, &str)]) -> Self {
        Self::with_all(routing, ("", ""), environment).await
    }

    /// With more providers, other blocks and environment variables.
    async fn with_all(routing: &Value, more: (&str, &str), environment: &[(&str, &str)]) -> Self {
        Self::in_folder(folder(""), routing, more, environment).await
    }

    /// In a folder that is there already.
    async fn in_folder(
        folder: TempDir,
        routing: &Value,
        (providers, rest): (&str, &str),
        environment: &[(&str, &str)],
    ) -> Self {
        let sim = SimServer::local(SimOptions::default()).await.unwrap();
        let blocks = format!(
            "providers:\n  o: {{ kind: openai-compatible, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}\n{providers}\
             models: {{ small: {{ targets: [ {{ provider: o, model: small }} ], price: {{ input: 1, output: 1 }} }},\n  \
             large: {{ targets: [ {{ provider: o, model: large }} ], price: {{ input: 10, output: 10 }} }},\n  \
             painter: {{ targets: [ {{ provider: o, model: gpt-image-1 }} ], price: {{ input: 5, output: 40 }} }} }}\n\
             routing: {routing}\n{rest}",
            sim.address()
        );
        write(folder.path(), &blocks);
        let key = key(folder.path(), NewKey::default());
        let house = House::open_with(folder.path(), environment);
        Self {
            sim,
            folder,
            house,
            key,
        }
    }

    async fn ask(&self, body: &Value) -> Answer {
        post(self.house.address, PATH, &self.key, body).await.unwrap()
    }

    /// With one more header.
    async fn ask_with(&self, header: (&str, &str), body: &Value) -> Answer {
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {}", self.key))
            .header(header.0, header.1)
            .body(body.to_string())
            .unwrap();
        send(self.house.address, request).await.unwrap()
    }

    /// What reached the provider since it was asked for last.
    fn served(&self) -> Vec<Value> {
        let served = self.sim.served().into_iter();
        let served = served
            .map(|served| serde_json::from_str(&served.body).unwrap())
            .collect();
        self.sim.clear();
        served
    }
}

fn say(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

/// A decision for prompts with a word, of the small model.
fn decision(name: &str, plugins: Value) -> Value {
    json!({
        "name": name, "priority": 9, "rules": {"type": "keyword", "name": name},
        "modelRefs": [{"model": "small"}], "plugins": plugins
    })
}

/// A router with these decisions, each for prompts with its name.
fn routing(decisions: Vec<Value>) -> Value {
    let words = decisions
        .iter()
        .map(|decision| json!({"name": decision["name"], "keywords": [decision["name"]]}));
    json!({
        "default_model": "large",
        "signals": {"keywords": words.collect::<Vec<_>>()},
        "decisions": decisions
    })
}

/// The recorded decision of a request, where it is recorded.
async fn recorded(house: &House, request: &str) -> Option<Value> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
    let path = format!("/admin/v1/decisions/{request}");
    let answer = exchange(house.admin, Method::GET, &path, headers, Default::default())
        .await
        .unwrap();
    (answer.status == 200).then(|| answer.json())
}
