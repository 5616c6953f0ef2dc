//! Agents as servers: what their skills are as tools, by whose right they are asked, what that costs, and where it ends.

use pointsman_store::{BudgetWindow, Counted, Outcome, Quota};
use pointsman_testbed::a2a::A2aAgent;

use super::*;

/// An agent with two skills, and a gateway where it is a server.
struct Scene {
    agent: A2aAgent,
    folder: TempDir,
    house: House,
    key: String,
}

impl Scene {
    async fn new(of_agent: &str, of_server: &str, rest: &str) -> Self {
        let agent = A2aAgent::local(&["rpc"]).await.unwrap();
        agent.change_card(|card| {
            card["skills"] = json!([
                { "id": "echo", "name": "Echo", "description": "Echoes.", "tags": ["test"] },
                { "id": "plan trip", "name": "Plan", "description": "Plans a trip.", "tags": [], "examples": ["To Oslo"] },
            ]);
        });
        let at = agent.address();
        let folder = folder(&format!(
            "a2a: {{ agents: {{ planner: {{ url: \"http://{at}\"{of_agent} }} }} }}\n\
             mcp: {{ servers: {{ p: {{ agent: planner{of_server} }} }} }}\n{rest}\n"
        ));
        let key = key(folder.path(), named("agent"));
        let house = House::open(folder.path());
        Self {
            agent,
            folder,
            house,
            key,
        }
    }

    async fn client(&self, key: &str) -> Client {
        let mut client = Client::new(&self.house, key);
        client.begin().await;
        client
    }

    /// What reached the agent: method and parameters.
    fn served(&self) -> Vec<(String, Value)> {
        let served = self.agent.served().into_iter().map(|served| served.body);
        served
            .map(|body| {
                (
                    body["method"].as_str().unwrap_or_default().to_owned(),
                    body["params"].clone(),
                )
            })
            .collect()
    }
}

async fn ask(client: &Client, tool: &str, arguments: Value) -> Value {
    client
        .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skills_are_tools_and_calls_are_messages() {
    let scene = Scene::new(", price: 0.02", ", tools: { price: { \"*\": 0.001 } }", "").await;
    let client = scene.client(&scene.key).await;
    let listed = client.ask("tools/list", json!({})).await["result"]["tools"].clone();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["p_echo", "p_plan_trip"], "{listed}");
    assert_eq!(listed[1]["description"], "Plans a trip.\n\nFor example: To Oslo");
    is_a_message(&scene, &client).await;
    // What is wrong is told as tools tell their errors, and no agent hears of it.
    let before = scene.served().len();
    for wrong in [
        json!({}),
        json!({ "message": 1 }),
        json!({ "message": "x", "more": 1 }),
    ] {
        let answer = ask(&client, "p_echo", wrong.clone()).await;
        assert_eq!(answer["result"]["isError"], true, "{wrong}: {answer}");
    }
    assert_eq!(scene.served().len(), before);
    let failed = ask(&client, "p_echo", json!({ "message": "fail to do it" })).await["result"].clone();
    assert_eq!(
        (&failed["isError"], &failed["structuredContent"]["state"]),
        (&json!(true), &json!("failed"))
    );
    assert_eq!(failed["content"][0]["text"], "fail to do it");
    // The era without sessions, at the server's own address.
    let mut alone = Client::new(&scene.house, &scene.key);
    alone.path = "/mcp/p";
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" }, "io.modelcontextprotocol/clientCapabilities": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": { "name": "echo", "arguments": { "message": "chunks one |two" }, "_meta": meta } });
    let more = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    let said = last(&alone.send(Method::POST, &body.to_string(), &more).await);
    assert_eq!(said["result"]["structuredContent"]["text"], "one two", "{said}");
    let Scene { folder, house, .. } = scene;
    house.stop();
    paid_for_both(&ledger(folder.path()));
}

/// A call with all that it can have is a message of the skill, and what the agent tells is the result.
async fn is_a_message(scene: &Scene, client: &Client) {
    let arguments = json!({ "message": "picture a fox", "data": { "days": 3 }, "contextId": "c7",
        "files": [{ "name": "map.png", "mediaType": "image/png", "bytes": "AAAA" }] });
    let said = ask(client, "p_plan_trip", arguments).await["result"].clone();
    assert_eq!(said["isError"], false, "{said}");
    let structured = &said["structuredContent"];
    assert_eq!(structured["text"], "echo: picture a fox", "{said}");
    assert_eq!(
        (&structured["state"], &structured["contextId"]),
        (&json!("completed"), &json!("c7"))
    );
    assert!(
        structured["taskId"].is_string() && structured["artifacts"][0]["artifactId"] == "a",
        "{said}"
    );
    let kinds: Vec<&str> = said["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["text", "image", "text"], "{said}");
    let (method, params) = scene.served().pop().unwrap();
    assert_eq!(method, "SendStreamingMessage");
    let message = &params["message"];
    assert_eq!(message["metadata"]["skillId"], "plan trip");
    assert_eq!(message["contextId"], "c7");
    assert_eq!(
        message["parts"],
        json!([{ "text": "picture a fox" }, { "data": { "days": 3 } },
            { "raw": "AAAA", "mediaType": "image/png", "filename": "map.png" }])
    );
    let headers = scene.agent.served().pop().unwrap().headers;
    assert_eq!(headers["x-pointsman-hops"], "1");
    assert!(
        !format!("{headers:?}").contains(&scene.key),
        "the caller's key went to the agent"
    );
}

/// The tool is paid, and so is the agent, each in its own row.
fn paid_for_both(entries: &[pointsman_store::LedgerEntry]) {
    let of = |model: &str| -> Vec<_> {
        let rows = entries.iter().filter(|one| one.model_requested == model);
        rows.map(|one| (one.surface.clone(), one.cost.nanodollars(), one.outcome))
            .collect()
    };
    let agent = of("a2a/planner");
    assert_eq!(agent.len(), 3, "{agent:?}");
    assert!(
        agent
            .iter()
            .all(|row| row == &("/a2a/{agent}".to_owned(), 20_000_000, Outcome::Complete)),
        "{agent:?}"
    );
    let tool = of("mcp/p/plan_trip");
    assert_eq!(tool, [("/mcp".to_owned(), 1_000_000, Outcome::Complete)]);
    let ids: Vec<&str> = entries.iter().map(|one| one.id.as_str()).collect();
    assert!(ids.iter().any(|id| id.ends_with(".agent1")), "{ids:?}");
}

/// A caller sees and calls these tools, and no others.
async fn may_use(scene: &Scene, key: &str, tools: &[&str]) {
    let client = scene.client(key).await;
    assert_eq!(client.tools().await, tools);
    for tool in ["p_echo", "p_plan_trip"] {
        let before = scene.served().len();
        let answer = ask(&client, tool, json!({ "message": "hi" })).await;
        let may = tools.contains(&tool);
        assert_eq!(answer["result"].is_object(), may, "{tool}: {answer}");
        assert_eq!(scene.served().len() - before, usize::from(may));
        if !may {
            let nothing = ask(&client, "p_nothing", json!({})).await;
            assert_eq!(answer["error"]["code"], nothing["error"]["code"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_the_agent_hold_for_its_tools() {
    let scene = Scene::new(
        ", allow: { keys: [\"agent*\"] }, skills: { \"plan*\": { keys: [agent-chief] } }",
        "",
        "guardrails:\n  - { name: words, type: regex, on: [input], action: block, deny: [forbidden] }\n  - { name: falcon, type: regex, on: [output], action: redact, deny: [\"project falcon\"] }",
    )
    .await;
    let chief = key(scene.folder.path(), named("agent-chief"));
    let other = key(scene.folder.path(), named("other"));
    let narrow = key(
        scene.folder.path(),
        NewKey {
            models: vec!["gpt-*".to_owned()],
            ..named("agent-narrow")
        },
    );
    let limited = key(
        scene.folder.path(),
        NewKey {
            quotas: vec![Quota {
                of: Counted::Requests,
                amount: 1,
                window: BudgetWindow::Total,
                zone: None,
                models: vec!["a2a/planner".to_owned()],
                providers: Vec::new(),
                cel: None,
                unit: None,
            }],
            // The call keeps its place while its agent is asked.
            concurrency: Some(1),
            ..named("agent-limited")
        },
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (key, tools) in [
        (&scene.key, vec!["p_echo"]),
        (&chief, vec!["p_echo", "p_plan_trip"]),
        (&other, vec![]),
        (&narrow, vec![]),
    ] {
        may_use(&scene, key, &tools).await;
    }
    let client = scene.client(&limited).await;
    let first = ask(&client, "p_echo", json!({ "message": "once" })).await;
    assert_eq!(first["result"]["isError"], false, "{first}");
    let before = scene.served().len();
    let second = ask(&client, "p_echo", json!({ "message": "twice" })).await;
    assert!(second["error"].is_object(), "{second}");
    assert_eq!(scene.served().len(), before);
    let client = scene.client(&scene.key).await;
    let blocked = ask(&client, "p_echo", json!({ "message": "this is forbidden" })).await;
    assert_eq!(blocked["error"]["code"], -32010, "{blocked}");
    assert_eq!(scene.served().len(), before);
    let redacted = ask(
        &client,
        "p_echo",
        json!({ "message": "chunks it is pro|ject fal|con indeed" }),
    )
    .await;
    let text = redacted["result"]["structuredContent"]["text"].as_str().unwrap();
    assert!(
        text.starts_with("it is ") && text.ends_with(" indeed") && !text.contains("project falcon"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_and_who_cancels_stops_the_agent() {
    let scene = Scene::new("", "", "").await;
    let client = scene.client(&scene.key).await;
    let body = |id: u64, text: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "p_echo",
            "arguments": { "message": text }, "_meta": { "progressToken": "mine" } } })
        .to_string()
    };
    let answer = client.send(Method::POST, &body(1, "think of it"), &[]).await;
    let lines = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let told: Vec<Value> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let progress: Vec<&Value> = told
        .iter()
        .filter(|one| one["method"] == "notifications/progress")
        .map(|one| &one["params"])
        .collect();
    assert_eq!(progress.len(), 1, "{}", answer.text());
    assert_eq!(progress[0]["progressToken"], "mine");
    assert_eq!(progress[0]["message"], "think of it");
    // Neither who cancels nor whose connection breaks in the era without sessions leaves work behind.
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2 } });
    let asked = body(2, "wait for it");
    let (answer, ()) = tokio::join!(client.send(Method::POST, &asked, &[]), async {
        until(|| {
            scene
                .served()
                .iter()
                .any(|(_, params)| params["message"]["parts"][0]["text"] == "wait for it")
        })
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(
            client
                .send(Method::POST, &cancelled.to_string(), &[])
                .await
                .status,
            202
        );
    });
    assert!(!answer.text().contains("result"), "{}", answer.text());
    let cancels = || {
        scene
            .served()
            .iter()
            .filter(|(method, _)| method == "CancelTask")
            .count()
    };
    until(|| cancels() == 1).await;
}

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never came about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_waits_goes_on_with_the_next_call_of_the_same_caller() {
    let scene = Scene::new("", "", "").await;
    let other = key(scene.folder.path(), named("other"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (client, thief) = (scene.client(&scene.key).await, scene.client(&other).await);
    let asked = ask(&client, "p_echo", json!({ "message": "ask me" })).await["result"].clone();
    assert_eq!(asked["isError"], false, "{asked}");
    let waits = &asked["structuredContent"];
    assert_eq!(
        (&waits["state"], &waits["text"]),
        (&json!("input-required"), &json!("which one?"))
    );
    let goes_on =
        json!({ "message": "this one", "taskId": waits["taskId"], "contextId": waits["contextId"] });
    let before = scene.served().len();
    let stolen = ask(&thief, "p_echo", goes_on.clone()).await["result"].clone();
    assert_eq!(stolen["isError"], true, "{stolen}");
    assert_eq!(scene.served().len(), before);
    let done = ask(&client, "p_echo", goes_on).await["result"]["structuredContent"].clone();
    assert_eq!(
        (&done["state"], &done["taskId"]),
        (&json!("completed"), &waits["taskId"])
    );
    // Agents that do not stream are waited for, too, and looked after where they do not wait themselves.
    let scene = Scene::new("", "", "").await;
    scene
        .agent
        .change_card(|card| card["capabilities"]["streaming"] = json!(false));
    let client = scene.client(&scene.key).await;
    let said = ask(&client, "p_echo", json!({ "message": "hi" })).await["result"].clone();
    assert_eq!(said["structuredContent"]["text"], "echo: hi", "{said}");
    assert_eq!(scene.served()[0].0, "SendMessage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_call_each_other_in_a_circle_are_stopped() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let folder = tempfile::tempdir().unwrap();
    let write = |auth: &str| {
        let root = folder.path().display();
        let text = format!(
            "listeners: {{ api: {{ address: \"127.0.0.1:{port}\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             stores: {{ database: \"sqlite://{root}/p.db\", blobs: \"file://{root}\" }}\n\
             a2a: {{ agents: {{ a: {{ url: \"http://{}\"{auth} }} }} }}\n\
             mcp: {{ servers: {{ p: {{ agent: a }} }} }}\n",
            agent.address()
        );
        std::fs::write(folder.path().join("pointsman.yaml"), text).unwrap();
    };
    write("");
    let key = key(folder.path(), named("agent"));
    write(&format!(", auth: {{ api_key: \"{key}\" }}"));
    // The agent is the gateway's own address of itself.
    agent.change_card(|card| {
        card["supportedInterfaces"][0]["url"] = json!(format!("http://127.0.0.1:{port}/a2a/a"));
    });
    let house = House::open(folder.path());
    let mut client = Client::new(&house, &key);
    client.begin().await;
    assert_eq!(client.tools().await, ["p_echo"]);
    let answer = ask(&client, "p_echo", json!({ "message": "go round" })).await;
    let why = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("in a circle"), "{answer}");
    house.stop();
    let rounds = ledger(folder.path())
        .into_iter()
        .filter(|one| one.model_requested == "a2a/a");
    assert_eq!(rounds.count(), 9);
}

#[test]
fn an_agent_that_is_none_is_told_when_the_configuration_is_read() {
    for (server, says) in [
        ("{ agent: painter }", "is the name of no agent"),
        ("{ agent: planner, url: \"http://a/mcp\" }", "not several"),
        ("{ agent: planner, headers: { a: b } }", "stand with the agent"),
    ] {
        let folder = folder(&format!(
            "a2a: {{ agents: {{ planner: {{ url: \"http://127.0.0.1:9\" }} }} }}\nmcp: {{ servers: {{ p: {server} }} }}\n"
        ));
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .arg("check")
            .arg(folder.path().join("pointsman.yaml"))
            .output()
            .unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!checked.status.success() && said.contains(says), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_request_are_each_their_own_in_the_ledger_and_for_the_agent() {
    let scene = Scene::new(", price: 0.02", "", "").await;
    let mut client = Client::new(&scene.house, &scene.key);
    let begun = client.send(Method::POST, &initialize("2025-03-26"), &[]).await;
    client.session = Some(begun.header("mcp-session-id").to_owned());
    let call = |id: u32| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "p_echo", "arguments": { "message": "hi" } } })
    };
    let batch = json!([call(1), call(2), call(3)]).to_string();
    let answer = client.send(Method::POST, &batch, &[]).await;
    assert_eq!(
        answer.text().matches("\"result\"").count(),
        3,
        "{}",
        answer.text()
    );
    let served = scene.served().into_iter();
    let mut told: Vec<String> = served
        .map(|(_, params)| params["message"]["messageId"].to_string())
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 3, "{told:?}");
    let Scene { folder, house, .. } = scene;
    house.stop();
    let entries = ledger(folder.path());
    let agents = entries.iter().filter(|one| one.model_requested == "a2a/planner");
    let mut ids: Vec<&str> = agents.map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}
