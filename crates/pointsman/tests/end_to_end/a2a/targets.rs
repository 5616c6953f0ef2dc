//! Agents among the targets of models: who is asked first, who takes over, who rests, what it costs, who may not, and what
//! cannot be configured.

use std::process::Command;

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow};

use super::*;

const CHAT: &str = "/v1/chat/completions";

/// Two agents, a provider, and models that have them as targets.
struct Town {
    planner: A2aAgent,
    painter: A2aAgent,
    fleet: SimServer,
    folder: TempDir,
    house: House,
    client: Client,
}

const MODELS: &str = "
  first: { targets: [ { agent: planner }, { provider: fleet, model: m, priority: 1 } ] }
  even: { targets: [ { agent: planner }, { agent: painter }, { provider: fleet, model: m } ] }
  last: { targets: [ { provider: gone, model: m }, { agent: painter, priority: 1 } ] }
  shut: { targets: [ { agent: closed }, { provider: fleet, model: m, priority: 1 } ] }
  hidden: { targets: [ { agent: closed } ] }
  alone: { targets: [ { agent: planner } ] }
  behind: { targets: [ { provider: gone, model: m } ], fallback: { any: [alone] } }
";

impl Town {
    async fn open() -> Self {
        let (planner, painter) = (
            A2aAgent::local(&["rpc"]).await.unwrap(),
            A2aAgent::local(&["rpc"]).await.unwrap(),
        );
        let fleet = SimServer::local(SimOptions::default()).await.unwrap();
        let block = format!(
            "agents: {{ planner: {{ {}, price: 0.25 }}, painter: {{ {} }}, closed: {{ {}, allow: {{ keys: [nobody] }} }} }}",
            at(&planner),
            at(&painter),
            at(&planner)
        );
        let beside = format!(
            "providers:\n  fleet: {{ kind: vllm, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }}\n  \
             gone: {{ kind: vllm, base_url: \"http://127.0.0.1:{}/v1\" }}\n\
             cache: {{ exact: {{ ttl: 1h }} }}\nmodels:{MODELS}",
            fleet.address(),
            free_port()
        );
        let (folder, house, key) = open(&block, &beside);
        let client = Client::new(&house, &key);
        Self {
            planner,
            painter,
            fleet,
            folder,
            house,
            client,
        }
    }

    async fn ask(&self, model: &str, text: &str) -> Answer {
        self.send(&chat(model, text), &[]).await
    }

    async fn send(&self, body: &Value, more: &[(&str, &str)]) -> Answer {
        self.client
            .send(Method::POST, CHAT, &body.to_string(), more)
            .await
    }
}

fn chat(model: &str, text: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

/// Who answered.
fn by(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-pointsman-provider").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_of_a_model_answers_and_a_provider_takes_over() {
    let town = Town::open().await;
    // Twice the same, because an agent does things: nothing is told from memory.
    for _ in 0..2 {
        let answer = town.ask("first", "plan a trip").await;
        assert_eq!(by(&answer), "planner");
        assert_eq!(answer.header("x-pointsman-cost-usd"), "0.25");
        let said = answer.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(said, "echo: plan a trip");
    }
    let mut stream = chat("first", "chunks one |two");
    stream["stream"] = json!(true);
    let streamed = town.send(&stream, &[]).await;
    assert_eq!(by(&streamed), "planner");
    assert!(
        streamed.text().contains("\"one \"") && streamed.text().ends_with("data: [DONE]\n\n"),
        "{}",
        streamed.text()
    );
    // Its task fails: the provider answers, and the agent has its price.
    for is_streamed in [false, true] {
        let mut body = chat("first", "fail this trip");
        body["stream"] = json!(is_streamed);
        assert_eq!(by(&town.send(&body, &[]).await), "fleet");
    }
    // What it rejects is nobody else's.
    let rejected = town.ask("first", "reject this trip").await;
    assert_eq!(rejected.status, 422, "{}", rejected.text());
    // It also takes over, from a provider and from another model.
    assert_eq!(by(&town.ask("last", "paint a fox").await), "painter");
    let behind = town.ask("behind", "plan a feast").await;
    assert_eq!(by(&behind), "planner");
    let Town { folder, house, .. } = town;
    house.stop();
    let told = ledger(folder.path()).into_iter().rev().map(|one| {
        (
            one.model_requested,
            one.provider.unwrap_or_default(),
            one.cost.usd_decimal(),
            one.attempts,
        )
    });
    let told: Vec<(String, String, String, u16)> = told.collect();
    let one = |model: &str, provider: &str, cost: &str, attempts| {
        (model.to_owned(), provider.to_owned(), cost.to_owned(), attempts)
    };
    assert_eq!(told[..3], vec![one("first", "planner", "0.25", 1); 3]);
    assert_eq!(told[3..5], vec![one("first", "fleet", "0.25", 2); 2]);
    assert_eq!(told[5], one("first", "planner", "0.25", 1));
    assert_eq!(told[6], one("last", "painter", "0", 2));
    assert_eq!((&*told[7].1, &*told[7].2), ("planner", "0.25"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_gone_rests_as_a_provider_does() {
    let Town {
        planner,
        painter: _painter,
        fleet,
        folder,
        house,
        client,
    } = Town::open().await;
    let ask = async |text: &str| {
        let body = chat("first", text).to_string();
        client.send(Method::POST, CHAT, &body, &[]).await
    };
    assert_eq!(by(&ask("plan a trip").await), "planner");
    drop(planner);
    // Five failures one after another open its breaker; then it is not asked at all.
    for _ in 0..5 {
        let answer = ask("plan a trip").await;
        assert_eq!(
            (by(&answer).as_str(), answer.header("x-pointsman-attempts")),
            ("fleet", "2")
        );
    }
    let answer = ask("plan a trip").await;
    assert_eq!(
        (by(&answer).as_str(), answer.header("x-pointsman-attempts")),
        ("fleet", "1")
    );
    assert_eq!(fleet.served().len(), 6);
    // Nobody is left of a model that has nothing else.
    let body = chat("alone", "plan a trip").to_string();
    let alone = client.send(Method::POST, CHAT, &body, &[]).await;
    assert_eq!(alone.status, 503, "{}", alone.text());
    house.stop();
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_shared_and_a_conversation_stays_with_its_agent() {
    let town = Town::open().await;
    let mut answered: Vec<String> = Vec::new();
    for _ in 0..60 {
        answered.push(by(&town.ask("even", "hello").await));
    }
    for who in ["planner", "painter", "fleet"] {
        let share = answered.iter().filter(|one| *one == who).count();
        assert!((6..=40).contains(&share), "{who} {share}");
    }
    // An agent that wants to know more is told what is said next, wherever the balance lies.
    let asking = loop {
        let answer = town.ask("even", "ask me").await;
        if by(&answer) != "fleet" {
            break answer;
        }
    };
    let (who, context) = (by(&asking), asking.header("x-pointsman-context").to_owned());
    assert!(!context.is_empty());
    for _ in 0..12 {
        let next = town
            .send(&chat("even", "ask me more"), &[("x-pointsman-context", &context)])
            .await;
        assert_eq!(by(&next), who);
    }
    let agent = if who == "planner" {
        &town.planner
    } else {
        &town.painter
    };
    let served = agent.served();
    let message = &served.last().unwrap().body["params"]["message"];
    assert_eq!(message["contextId"], context.as_str());
    assert!(message["taskId"].is_string(), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_call_an_agent_and_what_it_cannot_be_told_goes_to_others() {
    let town = Town::open().await;
    assert_eq!(by(&town.ask("shut", "knock").await), "fleet");
    let hidden = town.ask("hidden", "knock").await;
    assert_eq!(hidden.status, 403, "{}", hidden.text());
    // Two answers of one request are nothing that an agent can give.
    let mut twice = chat("first", "hello");
    twice["n"] = json!(2);
    assert_eq!(by(&town.send(&twice, &[]).await), "fleet");
    twice["model"] = json!("alone");
    let refused = town.send(&twice, &[]).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]["param"]),
        (400, &json!("n")),
        "{}",
        refused.text()
    );
    assert!(town.planner.served().is_empty());
    // Agents hold conversations, and nothing else.
    let texts = json!({ "model": "alone", "input": "hello" }).to_string();
    let vectors = town
        .client
        .send(Method::POST, "/v1/embeddings", &texts, &[])
        .await;
    assert_eq!(vectors.status, 400, "{}", vectors.text());
    assert!(vectors.text().contains("agents"), "{}", vectors.text());
    let listed = town.client.send(Method::GET, "/v1/models", "", &[]).await.json();
    let owner = |name: &str| {
        let all = listed["data"].as_array().unwrap();
        let one = all.iter().find(|one| one["id"] == name);
        one.unwrap()["owned_by"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (owner("alone").as_str(), owner("first").as_str()),
        ("a2a", "fleet")
    );
    // The price of whoever may be asked is set aside before.
    let poor = NewKey {
        budgets: vec![Budget::of(Money::parse("0.3").unwrap(), BudgetWindow::Total)],
        ..named("poor")
    };
    let poor = Client::new(&town.house, &key(town.folder.path(), poor));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ask = async || {
        let body = chat("first", "plan a trip").to_string();
        poor.send(Method::POST, CHAT, &body, &[]).await.status.as_u16()
    };
    assert_eq!((ask().await, ask().await), (200, 429));
    assert_eq!(town.planner.served().len(), 1);
}

#[test]
fn what_is_no_target_is_told() {
    for (models, beside, said) in [
        (
            "m: { targets: [ { agent: plannr } ] }",
            "",
            "there is no agent \"plannr\"",
        ),
        (
            "m: { targets: [ { agent: planner, provider: fleet, model: m } ] }",
            "",
            "is for providers",
        ),
        (
            "m: { targets: [ { provider: fleet } ] }",
            "",
            "models.m.targets[0].model: is missing",
        ),
        (
            "m: { targets: [ { agent: writer } ] }",
            "",
            "stands for the model \"usual\"",
        ),
        (
            "m: { targets: [ { agent: planner } ] }",
            "routing: { decisions: [ { name: d, rules: { operator: AND, conditions: [] }, modelRefs: [ { model: m }, { model: usual } ], \
             algorithm: { type: ratings, ratings: { max_concurrent: 1 } } } ] }",
            "can only be chosen to answer alone",
        ),
    ] {
        let folder = folder(&format!(
            "a2a: {{ agents: {{ planner: {{ url: \"http://127.0.0.1:9\" }}, writer: {{ model: {{ name: usual }} }} }} }}\n\
             providers: {{ fleet: {{ kind: vllm, base_url: \"http://127.0.0.1:9/v1\" }} }}\n\
             models:\n  usual: {{ targets: [ {{ provider: fleet, model: m }} ] }}\n  {models}\n{beside}\n"
        ));
        let checked = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(!checked.status.success() && told.contains(said), "{told}");
    }
}
