//! Agents as models: what chats in every format make of them, what they cost, whose contexts are whose, and who cancels.

use pointsman_catalog::Money;
use pointsman_store::{Budget, BudgetWindow};

use super::*;

const CHAT: &str = "/v1/chat/completions";

fn chat(text: &str) -> Value {
    json!({ "model": "a2a/planner", "messages": [{ "role": "user", "content": text }] })
}

fn streamed(text: &str) -> Value {
    let mut body = chat(text);
    body["stream"] = json!(true);
    body
}

impl Client {
    async fn chat(&self, body: &Value, more: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, CHAT, &body.to_string(), more).await
    }
}

fn answered(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let message = &answer.json()["choices"][0]["message"];
    message["content"].as_str().unwrap().to_owned()
}

/// The texts of a stream, and of what the agent said of its work.
fn pieces(answer: &Answer) -> (Vec<String>, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let lines = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let chunks: Vec<Value> = lines
        .filter(|line| *line != "[DONE]")
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let all = |field: &str| -> Vec<String> {
        let said = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str());
        said.filter(|said| !said.is_empty()).map(str::to_owned).collect()
    };
    (all("content"), all("reasoning_content").concat())
}

async fn planner(interfaces: &[&str], more: &str, beside: &str) -> (A2aAgent, TempDir, House, Client) {
    let agent = A2aAgent::local(interfaces).await.unwrap();
    let block = format!("agents: {{ planner: {{ {}{more} }} }}", at(&agent));
    let (folder, house, key) = open(&block, beside);
    let client = Client::new(&house, &key);
    (agent, folder, house, client)
}

/// What the agent was told last.
fn heard(agent: &A2aAgent) -> Value {
    let served = agent.served();
    let body = served.last().unwrap().body.clone();
    if body["params"].is_null() {
        body
    } else {
        body["params"].clone()
    }
}

#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_answers_chats_of_every_format_and_costs_what_is_said() {
    for interfaces in [["rpc"], ["rest"], ["old"]] {
        let (agent, folder, house, client) = planner(&interfaces, ", price: 0.25", "").await;
        let whole = client.chat(&chat("hello"), &[]).await;
        assert_eq!(answered(&whole), "hello yourself");
        assert_eq!(whole.header("x-pointsman-provider"), "planner");
        assert_eq!(whole.header("x-pointsman-cost-usd"), "0.25");
        assert!(whole.json()["usage"]["completion_tokens"].as_u64().unwrap() > 0);
        let parts = client.chat(&streamed("chunks one |two |three"), &[]).await;
        assert_eq!(pieces(&parts).0, ["one ", "two ", "three"]);
        let thinks = client.chat(&streamed("think hard"), &[]).await;
        let (said, thought) = pieces(&thinks);
        assert_eq!(
            (said.concat(), thought.as_str()),
            ("echo: think hard".to_owned(), "think hard\n")
        );
        assert_eq!(
            answered(&client.chat(&chat("think hard"), &[]).await),
            "echo: think hard"
        );
        assert!(
            answered(&client.chat(&chat("picture"), &[]).await)
                .ends_with("\n\n![fox.png](data:image/png;base64,iVBORw0KGgo=)")
        );

        let claude = json!({ "model": "a2a/planner", "max_tokens": 9, "messages": [{ "role": "user", "content": "hello" }] });
        let claude = client
            .send(Method::POST, "/v1/messages", &claude.to_string(), &[])
            .await;
        assert_eq!(
            claude.json()["content"][0]["text"],
            "hello yourself",
            "{}",
            claude.text()
        );
        assert_eq!(claude.header("x-pointsman-losses"), "max_tokens");
        let events = json!({ "model": "a2a/planner", "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": "chunks a|b" }] });
        let events = client
            .send(Method::POST, "/v1/messages", &events.to_string(), &[])
            .await;
        assert_eq!(
            events.text().matches("text_delta").count(),
            2,
            "{}",
            events.text()
        );
        assert!(events.text().contains("message_stop"), "{}", events.text());
        let response = json!({ "model": "a2a/planner", "input": "hello" });
        let response = client
            .send(Method::POST, "/v1/responses", &response.to_string(), &[])
            .await;
        assert_eq!(
            response.json()["output"][0]["content"][0]["text"],
            "hello yourself",
            "{}",
            response.text()
        );

        let models = client.send(Method::GET, "/v1/models", "", &[]).await;
        assert!(models.text().contains("\"a2a/planner\""), "{}", models.text());
        let one = client
            .send(Method::GET, "/v1/models/a2a%2Fplanner", "", &[])
            .await;
        assert_eq!(one.status, 200, "{}", one.text());
        drop(agent);
        house.stop();
        let entries = ledger(folder.path());
        let paid = entries.iter().filter(|one| one.model_requested == "a2a/planner");
        let paid: Vec<_> = paid.collect();
        assert_eq!(paid.len(), 8);
        for one in paid {
            assert_eq!(
                (one.cost.usd_decimal().as_str(), one.outcome),
                ("0.25", Outcome::Complete)
            );
            assert_eq!(one.provider.as_deref(), Some("planner"));
            assert!(
                one.usage.input > 0 && one.usage.output > 0 && one.usage_estimated,
                "{one:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_wants_to_know_goes_on_in_its_context() {
    let (agent, folder, house, client) = planner(&["rpc"], "", "").await;
    let other = Client::new(&house, &key(folder.path(), named("two")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asks = client.chat(&chat("ask me"), &[]).await;
    assert_eq!(answered(&asks), "which one?");
    let context = asks.header("x-pointsman-context").to_owned();
    assert_eq!(heard(&agent)["message"]["contextId"], Value::Null);
    let thief = other
        .chat(&chat("the other"), &[("x-pointsman-context", &context)])
        .await;
    assert_eq!(thief.status, 400, "{}", thief.text());
    let goes_on = json!({ "model": "a2a/planner", "stream": true, "messages": [
        { "role": "system", "content": "Be brief." }, { "role": "user", "content": "ask me" },
        { "role": "assistant", "content": "which one?" }, { "role": "user", "content": "the first" }] });
    let told = client.chat(&goes_on, &[("x-pointsman-context", &context)]).await;
    assert_eq!(pieces(&told).0.concat(), "echo: the first");
    assert_eq!(told.header("x-pointsman-context"), context);
    let message = heard(&agent)["message"].clone();
    assert!(message["taskId"].is_string(), "{message}");
    assert_eq!(message["contextId"], context.as_str());
    assert_eq!(message["parts"], json!([{ "text": "the first" }]));
    // It waits for nothing any more; and who names no context tells all of the conversation.
    client.chat(&goes_on, &[("x-pointsman-context", &context)]).await;
    assert_eq!(heard(&agent)["message"]["taskId"], Value::Null);
    client.chat(&goes_on, &[]).await;
    let message = heard(&agent)["message"].clone();
    assert_eq!(
        message["parts"],
        json!([{ "text": "Be brief." },
            { "text": "What was said before:\n\nUser: ask me\n\nAgent: which one?" }, { "text": "the first" }])
    );
    // A context may be named by the client, and a conversation of responses is one.
    let own = client
        .chat(&chat("hello"), &[("x-pointsman-context", "mine")])
        .await;
    assert_eq!(own.header("x-pointsman-context"), "mine");
    let conversation = client
        .send(Method::POST, "/v1/conversations", "{}", &[])
        .await
        .json();
    let body = json!({ "model": "a2a/planner", "input": "hello", "conversation": conversation["id"] });
    let kept = client
        .send(Method::POST, "/v1/responses", &body.to_string(), &[])
        .await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    assert_eq!(heard(&agent)["message"]["contextId"], conversation["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_are_no_answers_are_told_as_failures() {
    let (agent, folder, house, client) = planner(&["rpc"], "", "").await;
    for (text, status, code) in [
        ("fail because", 502, "agent_task_failed"),
        ("reject it", 422, "agent_task_rejected"),
        ("die", 502, ""),
    ] {
        for body in [chat(text), streamed(text)] {
            let answer = client.chat(&body, &[]).await;
            assert_eq!(answer.status, status, "{text}: {}", answer.text());
            if !code.is_empty() {
                let error = answer.json()["error"].clone();
                assert_eq!(error["code"], code);
                assert!(error["message"].as_str().unwrap().ends_with(text), "{error}");
            }
        }
    }
    let pair =
        json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }]);
    // Tasks that nobody waits for any more may still be cancelled meanwhile.
    let told = || {
        let served = agent.served();
        let told = served.iter().filter(|one| one.body["method"] != "CancelTask");
        told.count()
    };
    let before = told();
    for (field, value, param) in [
        ("n", json!(2), "n"),
        ("tool_choice", json!("required"), "tool_choice"),
    ] {
        let mut body = chat("hello");
        body["tools"] = pair.clone();
        body[field] = value;
        let answer = client.chat(&body, &[]).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.json()["error"]["param"], param);
    }
    assert_eq!(told(), before);
    let nobody = json!({ "model": "a2a/nobody", "messages": [{ "role": "user", "content": "hello" }] });
    assert_eq!(client.chat(&nobody, &[]).await.status, 404);
    drop(agent);
    assert_eq!(client.chat(&chat("hello"), &[]).await.status, 503);
    house.stop();
    let failed = ledger(folder.path());
    assert!(failed.iter().any(|one| one.outcome == Outcome::ProviderFailed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_has_its_task_cancelled() {
    let (agent, folder, house, client) = planner(&["rpc"], "", "").await;
    let cancelled = |agent: &A2aAgent| {
        let served = agent.served();
        served
            .iter()
            .filter(|one| one.body["method"] == "CancelTask")
            .count()
    };
    for (at, body) in [chat("wait"), streamed("wait")].into_iter().enumerate() {
        let left = tokio::time::timeout(Duration::from_secs(1), client.chat(&body, &[])).await;
        assert!(left.is_err());
        until(|| cancelled(&agent) == at + 1).await;
    }
    // An answer that was told whole is nobody's to cancel.
    assert_eq!(
        answered(&client.chat(&chat("hello"), &[]).await),
        "hello yourself"
    );
    answered(&client.chat(&chat("echo"), &[]).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cancelled(&agent), 2);
    until(|| {
        let entries = ledger(folder.path());
        entries
            .iter()
            .filter(|one| one.outcome == Outcome::Cancelled)
            .count()
            == 2
    })
    .await;
    drop(house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_does_not_stream_is_looked_after_until_it_is_done() {
    let (agent, _folder, _house, client) = planner(&["rpc"], "", "").await;
    agent.change_card(|card| card["capabilities"]["streaming"] = json!(false));
    assert_eq!(answered(&client.chat(&chat("one"), &[]).await), "echo: one");
    let told = client.chat(&streamed("two"), &[]).await;
    assert_eq!(pieces(&told).0.concat(), "echo: two");
    assert!(
        agent
            .served()
            .iter()
            .all(|one| one.body["method"] == "SendMessage")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_for_chats_holds_for_agents() {
    let beside = "guardrails:\n\
        - { name: in, type: regex, on: [input], action: block, deny: [launch] }\n\
        - { name: out, type: regex, on: [output], action: redact, deny: [secret] }\n\
        cache: { exact: { ttl: 1h } }\n";
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let block = format!(
        "agents: {{ planner: {{ {}, price: 2 }}, closed: {{ {}, allow: {{ keys: [nobody] }} }} }}",
        at(&agent),
        at(&agent)
    );
    let (folder, house, key) = open(&block, beside);
    let client = Client::new(&house, &key);
    let poor = NewKey {
        models: vec!["a2a/planner".to_owned()],
        budgets: vec![Budget::of(Money::parse("3").unwrap(), BudgetWindow::Total)],
        ..named("poor")
    };
    let poor = Client::new(&house, &crate::harness::key(folder.path(), poor));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.chat(&chat("launch it"), &[]).await.status, 403);
    assert!(agent.served().is_empty());
    for body in [chat("a secret"), streamed("a secret")] {
        let answer = client.chat(&body, &[]).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    // Nothing that an agent said is told again.
    for _ in 0..2 {
        client.chat(&chat("again"), &[]).await;
    }
    assert_eq!(agent.served().len(), 4);
    let mut closed = chat("hello");
    closed["model"] = json!("a2a/closed");
    assert_eq!(client.chat(&closed, &[]).await.status, 404);
    let listed = client.send(Method::GET, "/v1/models", "", &[]).await;
    assert!(!listed.text().contains("a2a/closed"), "{}", listed.text());
    assert_eq!(poor.chat(&chat("hello"), &[]).await.status, 200);
    assert_eq!(poor.chat(&chat("hello"), &[]).await.status, 429);
    // A message to the agent itself costs the same.
    assert_eq!(
        client.say("planner", "hello").await["message"]["parts"][0]["text"],
        "hello yourself"
    );
    house.stop();
    let direct = ledger(folder.path());
    let direct = direct.iter().find(|one| one.surface == "/a2a/{agent}").unwrap();
    assert_eq!(direct.cost.usd_decimal(), "2");
}
