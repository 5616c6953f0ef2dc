//! Agents that decisions choose: who answers, who takes over, what it costs, who may not, and what cannot be configured.

use std::process::Command;

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow};

use super::*;

const CHAT: &str = "/v1/chat/completions";

/// Agents and a model, and decisions that choose them.
struct Town {
    agent: A2aAgent,
    model: SimServer,
    folder: TempDir,
    house: House,
    client: Client,
}

impl Town {
    async fn open() -> Self {
        let agent = A2aAgent::local(&["rpc"]).await.unwrap();
        let model = SimServer::local(SimOptions::default()).await.unwrap();
        let block = format!(
            "agents: {{ planner: {{ {}, price: 0.25 }}, closed: {{ {}, allow: {{ keys: [nobody] }} }} }}",
            at(&agent),
            at(&agent)
        );
        let beside = format!(
            "providers: {{ fleet: {{ kind: vllm, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
             models: {{ usual: {{ targets: [ {{ provider: fleet, model: m }} ] }} }}\n\
             cache: {{ exact: {{ ttl: 1h }} }}\n{DECISIONS}",
            model.address()
        );
        let (folder, house, key) = open(&block, &beside);
        let client = Client::new(&house, &key);
        Self {
            agent,
            model,
            folder,
            house,
            client,
        }
    }

    async fn ask(&self, text: &str) -> Answer {
        ask(&self.client, text, false).await
    }
}

async fn ask(client: &Client, text: &str, stream: bool) -> Answer {
    let body =
        json!({ "model": "auto", "stream": stream, "messages": [{ "role": "user", "content": text }] });
    client.send(Method::POST, CHAT, &body.to_string(), &[]).await
}

const DECISIONS: &str = r"
routing:
  default_model: usual
  signals:
    keywords:
      - { name: trips, operator: OR, keywords: [trip] }
      - { name: secrets, operator: OR, keywords: [secret] }
      - { name: doors, operator: OR, keywords: [door] }
  decisions:
    - { name: plans, priority: 9, rules: { type: keyword, name: trips }, modelRefs: [ { model: a2a/planner }, { model: usual } ], algorithm: { type: static } }
    - { name: shut, priority: 8, rules: { type: keyword, name: doors }, modelRefs: [ { model: a2a/closed }, { model: usual } ], algorithm: { type: static } }
    - { name: hidden, priority: 7, rules: { type: keyword, name: secrets }, modelRefs: [ { model: a2a/closed } ] }
";

/// Who answered what was asked, what it cost, and how many were asked, one after the other.
fn told(folder: &TempDir) -> Vec<(String, String, u16)> {
    // The ledger tells the newest first.
    let told = ledger(folder.path()).into_iter().rev().map(|one| {
        assert_eq!(one.model_requested, "auto");
        (
            one.provider.unwrap_or_default(),
            one.cost.usd_decimal(),
            one.attempts,
        )
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_chooses_an_agent_and_another_takes_over() {
    let town = Town::open().await;
    // Twice the same, because an agent does things: nothing is told from memory.
    for _ in 0..2 {
        let planned = town.ask("plan a trip").await;
        assert_eq!(planned.status, 200, "{}", planned.text());
        assert_eq!(
            planned.json()["choices"][0]["message"]["content"],
            "echo: plan a trip"
        );
        assert_eq!(planned.header("x-pointsman-decision"), "plans");
        assert_eq!(planned.header("x-pointsman-provider"), "planner");
        assert_eq!(planned.header("x-pointsman-cost-usd"), "0.25");
        assert!(!planned.header("x-pointsman-context").is_empty());
    }
    assert_eq!(town.agent.served().len(), 2);
    let served = town.model.served();
    assert!(served.iter().all(|one| !one.body.contains("trip")));
    let streamed = ask(&town.client, "chunks trip |one", true).await;
    assert!(
        streamed.text().contains("\"trip \"") && streamed.text().ends_with("data: [DONE]\n\n"),
        "{}",
        streamed.text()
    );
    let other = town.ask("write a poem").await;
    assert_eq!(other.header("x-pointsman-provider"), "fleet");
    // Its task fails: the model answers, and the agent has its price.
    for stream in [false, true] {
        let taken_over = ask(&town.client, "fail this trip", stream).await;
        assert_eq!(taken_over.status, 200, "{}", taken_over.text());
        assert_eq!(taken_over.header("x-pointsman-provider"), "fleet");
    }
    // What it rejects is nobody else's.
    let rejected = town.ask("reject this trip").await;
    assert_eq!(rejected.status, 422, "{}", rejected.text());
    assert_eq!(rejected.json()["error"]["code"], "agent_task_rejected");
    let Town {
        agent, folder, house, ..
    } = town;
    drop(agent);
    let gone = ask(&town.client, "a trip without anybody", false).await;
    assert_eq!(
        (gone.status.as_u16(), gone.header("x-pointsman-provider")),
        (200, "fleet"),
        "{}",
        gone.text()
    );
    house.stop();
    let told = told(&folder);
    let (price, nothing) = (|| "0.25".to_owned(), || "0".to_owned());
    let one = |provider: &str, cost: String, attempts| (provider.to_owned(), cost, attempts);
    assert_eq!(
        told,
        [
            one("planner", price(), 1),
            one("planner", price(), 1),
            one("planner", price(), 1),
            one("fleet", nothing(), 1),
            one("fleet", price(), 2),
            one("fleet", price(), 2),
            one("planner", price(), 1),
            one("fleet", nothing(), 2),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_lets_nobody_in_whom_an_agent_does_not() {
    let town = Town::open().await;
    let shut = town.ask("knock at the door").await;
    assert_eq!(
        (shut.status.as_u16(), shut.header("x-pointsman-provider")),
        (200, "fleet"),
        "{}",
        shut.text()
    );
    let hidden = town.ask("tell a secret").await;
    assert_eq!(hidden.status, 403, "{}", hidden.text());
    assert!(town.agent.served().is_empty());
    // Its price is set aside before.
    let poor = NewKey {
        budgets: vec![Budget::of(Money::parse("0.3").unwrap(), BudgetWindow::Total)],
        ..named("poor")
    };
    let poor = Client::new(&town.house, &key(town.folder.path(), poor));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&poor, "plan a trip", false).await.status, 200);
    assert_eq!(ask(&poor, "plan a trip", false).await.status, 429);
    assert_eq!(town.agent.served().len(), 1);
}

#[test]
fn what_agents_cannot_be_chosen_for_is_told() {
    for (agents, decision, said) in [
        (
            "",
            "{ name: d, rules: { operator: AND, conditions: [] }, modelRefs: [ { model: a2a/nobody } ] }",
            "there is no agent \"a2a/nobody\"",
        ),
        (
            ", writer: { model: { name: usual } }",
            "{ name: d, rules: { operator: AND, conditions: [] }, modelRefs: [ { model: a2a/writer } ] }",
            "stands for the model \"usual\"",
        ),
        (
            "",
            "{ name: d, rules: { operator: AND, conditions: [] }, modelRefs: [ { model: a2a/planner }, { model: usual } ], \
             algorithm: { type: ratings, ratings: { max_concurrent: 1 } } }",
            "can only be chosen to answer alone",
        ),
    ] {
        let folder = folder(&format!(
            "a2a: {{ agents: {{ planner: {{ url: \"http://127.0.0.1:9\" }}{agents} }} }}\n\
             providers: {{ fleet: {{ kind: vllm, base_url: \"http://127.0.0.1:9/v1\" }} }}\n\
             models: {{ usual: {{ targets: [ {{ provider: fleet, model: m }} ] }} }}\n\
             routing: {{ decisions: [ {decision} ] }}\n"
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
