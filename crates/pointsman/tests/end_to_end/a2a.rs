//! A2A agents through the gateway: whose tasks are whose, what of an agent is shown, where credentials go, what breaks.

mod chats;
mod decisions;
mod replicas;
mod targets;
mod told;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use pointsman_store::{NewKey, Outcome};
use pointsman_testbed::a2a::A2aAgent;
use pointsman_testbed::{SimOptions, SimServer, load};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, House, entry, exchange, folder, key, ledger};

struct Client {
    address: SocketAddr,
    key: String,
}

impl Client {
    fn new(house: &House, key: &str) -> Self {
        Self {
            address: house.address,
            key: key.to_owned(),
        }
    }

    fn headers(&self, more: &[(&str, &str)]) -> HeaderMap {
        let bearer = format!("Bearer {}", self.key);
        let own = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("a2a-version", "1.0"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in own.iter().chain(more) {
            let name = HeaderName::try_from(*name).unwrap();
            headers.insert(name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    async fn send(&self, method: Method, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
        let body = Bytes::from(body.to_owned());
        exchange(self.address, method, path, self.headers(more), body)
            .await
            .unwrap()
    }

    /// Over JSON-RPC, in 1.0.
    async fn ask(&self, agent: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = self
            .send(Method::POST, &format!("/a2a/{agent}"), &body.to_string(), &[])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["id"], 7);
        answer
    }

    async fn say(&self, agent: &str, text: &str) -> Value {
        self.ask(agent, "SendMessage", said(text)).await["result"].clone()
    }
}

fn said(text: &str) -> Value {
    json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": text }] }, "configuration": { "returnImmediately": text.starts_with("wait") } })
}

fn events(answer: &Answer) -> Vec<Value> {
    let lines = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn at(agent: &A2aAgent) -> String {
    format!("url: \"http://{}\"", agent.address())
}

fn named(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        ..Default::default()
    }
}

/// A gateway with this `a2a` block and these blocks beside it.
fn open(block: &str, beside: &str) -> (TempDir, House, String) {
    let folder = folder(&format!("a2a: {{ {block} }}\n{beside}\n"));
    let key = key(folder.path(), named("one"));
    let house = House::open(folder.path());
    (folder, house, key)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never came about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_shows_the_gateway_and_nothing_of_the_agent() {
    let agent = A2aAgent::local(&["rest", "rpc"]).await.unwrap();
    let place = agent.address().to_string();
    let (_folder, house, key) = open(&format!("agents: {{ planner: {{ {} }} }}", at(&agent)), "");
    let client = Client::new(&house, &key);
    let path = "/a2a/planner/.well-known/agent-card.json";
    let open = exchange(house.address, Method::GET, path, HeaderMap::new(), Bytes::new())
        .await
        .unwrap();
    assert_eq!(open.status, 200);
    let text = open.text();
    for hidden in [place.as_str(), "inner", "signature"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    let card = open.json();
    let own = format!("http://{}/a2a/planner", house.address);
    let interfaces = card["supportedInterfaces"].as_array().unwrap();
    let bindings: Vec<&str> = interfaces
        .iter()
        .map(|one| one["protocolBinding"].as_str().unwrap())
        .collect();
    assert_eq!(
        bindings,
        ["HTTP+JSON", "JSONRPC", "GRPC", "JSONRPC", "HTTP+JSON", "GRPC"]
    );
    let ours = house.address.to_string();
    // Over gRPC of 0.3 nobody is named: it is the default agent.
    let is_named = |one: &Value| one["tenant"] == "planner" || one["protocolVersion"] == "0.3";
    let is_ours = |one: &Value| one["url"] == own.as_str() || one["url"] == ours.as_str() && is_named(one);
    assert!(interfaces.iter().all(is_ours));
    assert!(card.get("url").is_none());
    assert!(
        card["securityRequirements"]
            .as_array()
            .is_some_and(|some| !some.is_empty())
    );
    // Nobody has said where agents reach the gateway.
    assert_eq!(card["capabilities"]["pushNotifications"], false);

    let old = client
        .send(Method::GET, path, "", &[("a2a-version", "0.3")])
        .await
        .json();
    assert_eq!(
        (&old["url"], &old["preferredTransport"]),
        (&json!(own), &json!("JSONRPC"))
    );
    let pure = client.send(Method::GET, path, "", &[]).await;
    let etag = pure.header("etag").to_owned();
    let again = client
        .send(Method::GET, path, "", &[("if-none-match", &etag)])
        .await;
    assert_eq!(again.status, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_listed_and_the_only_one_is_the_gateways() {
    let agent = A2aAgent::local(&["rest", "rpc"]).await.unwrap();
    let place = agent.address().to_string();
    let (_folder, house, key) = open(&format!("agents: {{ planner: {{ {} }} }}", at(&agent)), "");
    let client = Client::new(&house, &key);
    let own = format!("http://{}/a2a/planner", house.address);
    let only = client
        .send(Method::GET, "/.well-known/agent-card.json", "", &[])
        .await;
    assert_eq!(only.json()["name"], "Simulated agent");
    let list = client.send(Method::GET, "/a2a", "", &[]).await.json();
    assert_eq!(list["agents"][0]["name"], "planner");
    assert_eq!(list["agents"][0]["url"], own.as_str());
    let nobody = exchange(house.address, Method::GET, "/a2a", HeaderMap::new(), Bytes::new())
        .await
        .unwrap();
    assert_eq!(nobody.status, 401);
    let known = client.ask("planner", "GetExtendedAgentCard", json!({})).await;
    assert_eq!(known["result"]["description"], "For those who are known.");
    assert!(!known.to_string().contains(&place));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a2a_is_refused_as_it_should_be() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (_folder, house, key) = open(
        &format!("agents: {{ a: {{ {} }} }}, message_limit: 20000", at(&agent)),
        "",
    );
    let client = Client::new(&house, &key);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{{"id":{}}}}}"#,
        "[".repeat(5_000)
    );
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"a","id":"b"}}"#;
    let spelled = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"a","Id":"b"}}"#;
    let empty = r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"m","parts":[]}}}"#;
    let get = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"a"}}"#;
    let old = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"a"}}"#;
    for (body, version, code) in [
        ("{", "1.0", -32700),
        (deep.as_str(), "1.0", -32700),
        ("[]", "1.0", -32600),
        (twice, "1.0", -32602),
        (spelled, "1.0", -32602),
        (empty, "1.0", -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"Nothing"}"#, "1.0", -32601),
        (get, "99.0", -32009),
        (get, "", -32009),
        (get, "1.0", -32001),
        (old, "1.0", -32601),
        (old, "", -32001),
        (old, "0.3.0", -32001),
    ] {
        let answer = client
            .send(Method::POST, "/a2a/a", body, &[("a2a-version", version)])
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json()["error"]["code"],
            code,
            "{version:?} {}",
            &body[..body.len().min(80)]
        );
    }
    let large = said(&"x".repeat(30_000)).to_string();
    assert_eq!(client.send(Method::POST, "/a2a/a", &large, &[]).await.status, 413);
    for (method, path, version, status) in [
        (Method::GET, "/a2a/a/tasks/none", "1.0", 404),
        (Method::GET, "/a2a/a/tasks/none", "", 400),
        (Method::GET, "/a2a/a/tasks/..%2F..%2Fadmin", "1.0", 404),
        (Method::GET, "/a2a/a/tasks/%2E%2E", "1.0", 404),
        (Method::POST, "/a2a/a/tasks/none%3Acancel", "1.0", 404),
        (Method::GET, "/a2a/a/tasks?pageSize=0", "1.0", 400),
        (Method::POST, "/a2a/a/anything", "1.0", 404),
        (Method::POST, "/a2a/none", "1.0", 404),
    ] {
        let answer = client
            .send(method.clone(), path, "", &[("a2a-version", version)])
            .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    assert!(agent.served().is_empty(), "{:?}", agent.served());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_its_keys_alone() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (folder, house, first) = open(&format!("agents: {{ a: {{ {} }} }}", at(&agent)), "");
    let second = key(folder.path(), named("two"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (owner, thief) = (Client::new(&house, &first), Client::new(&house, &second));
    let task = owner.say("a", "wait").await["task"].clone();
    let id = &task["id"];
    let before = agent.served().len();
    let goes_on = |field: &str, value: &Value| {
        let mut params = said("echo");
        params["message"][field] = value.clone();
        params
    };
    for (method, params) in [
        ("GetTask", json!({ "id": id })),
        ("CancelTask", json!({ "id": id })),
        ("SubscribeToTask", json!({ "id": id })),
        (
            "CreateTaskPushNotificationConfig",
            json!({ "taskId": id, "url": "https://example.com" }),
        ),
        ("ListTaskPushNotificationConfigs", json!({ "taskId": id })),
        ("SendMessage", goes_on("taskId", id)),
        ("SendMessage", goes_on("task_id", id)),
        ("SendMessage", goes_on("TASKID", id)),
        ("GetTask", json!({ "ID": id })),
        ("SendStreamingMessage", goes_on("taskId", id)),
        ("SendMessage", goes_on("referenceTaskIds", &json!([id]))),
    ] {
        let told = thief.ask("a", method, params).await;
        assert_eq!(told["error"]["code"], -32001, "{method}: {told}");
        assert_eq!(told["error"]["message"], "Task not found");
    }
    let joined = thief
        .ask("a", "SendMessage", goes_on("contextId", &task["contextId"]))
        .await;
    assert_eq!(joined["error"]["code"], -32602, "{joined}");
    assert_eq!(agent.served().len(), before, "the agent has not heard of it");
    assert_eq!(
        thief.ask("a", "ListTasks", json!({})).await["result"]["totalSize"],
        0
    );
    let own = owner.ask("a", "ListTasks", json!({})).await["result"].clone();
    assert_eq!(own["tasks"][0]["id"], *id);
    // Over the other binding it is the same task.
    let path = format!("/a2a/a/tasks/{}", id.as_str().unwrap());
    assert_eq!(owner.send(Method::GET, &path, "", &[]).await.json()["id"], *id);
    let refused = thief.send(Method::GET, &path, "", &[]).await;
    assert_eq!(refused.json()["error"]["details"][0]["reason"], "TASK_NOT_FOUND");
    assert_eq!(refused.status, 404);
    assert_eq!(
        owner.ask("a", "CancelTask", json!({ "id": id })).await["result"]["status"]["state"],
        "TASK_STATE_CANCELED"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_stays_at_its_instance_and_a_dead_one_is_passed_over() {
    let (one, two) = (
        A2aAgent::local(&["rpc"]).await.unwrap(),
        A2aAgent::local(&["rest"]).await.unwrap(),
    );
    let urls = format!(
        "urls: [\"http://{}\", \"http://{}\", \"http://127.0.0.1:9\"]",
        one.address(),
        two.address()
    );
    let (_folder, house, key) = open(&format!("agents: {{ a: {{ {urls} }} }}"), "");
    let client = Client::new(&house, &key);
    let mut tasks = Vec::new();
    for _ in 0..9 {
        tasks.push(client.say("a", "ask").await["task"].clone());
    }
    let (first, second) = (one.served().len(), two.served().len());
    assert!(
        first >= 3 && second >= 3 && first + second == 9,
        "{first} {second}"
    );
    for task in &tasks {
        let found = client.ask("a", "GetTask", json!({ "id": task["id"] })).await;
        assert_eq!(found["result"]["id"], task["id"], "{found}");
        // A context, too, stays where it began.
        let mut params = said("echo");
        params["message"]["contextId"] = task["contextId"].clone();
        let more = client.ask("a", "SendMessage", params).await["result"]["task"]["id"].clone();
        let port = |id: &Value| id.as_str().unwrap().rsplit('-').next().unwrap().to_owned();
        assert_eq!(port(&more), port(&task["id"]));
    }
    let list = client.ask("a", "ListTasks", json!({ "pageSize": 5 })).await["result"].clone();
    assert_eq!(
        (&list["totalSize"], list["tasks"].as_array().unwrap().len()),
        (&json!(18), 5)
    );
    // A task of an instance that is gone is asked for nowhere else.
    let of_one = tasks.iter().find(|task| {
        task["id"]
            .as_str()
            .unwrap()
            .ends_with(&format!("-{}", one.address().port()))
    });
    let before = two.served().len();
    drop(one);
    let gone = client
        .ask("a", "GetTask", json!({ "id": of_one.unwrap()["id"] }))
        .await;
    assert_eq!(gone["error"]["code"], -32603, "{gone}");
    assert_eq!(two.served().len(), before);
    // New ones begin at what is left.
    for _ in 0..4 {
        assert_eq!(
            client.say("a", "ask").await["task"]["status"]["state"],
            "TASK_STATE_INPUT_REQUIRED"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_go_where_the_operator_says_and_nowhere_else() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let elsewhere = A2aAgent::local(&["rpc"]).await.unwrap();
    let agents = format!(
        "agents: {{ a: {{ {}, auth: {{ api_key: sesame }}, headers: {{ x-own: \"1\" }} }}, b: {{ {}, auth: {{ api_key: sesame }} }} }}",
        at(&agent),
        at(&elsewhere)
    );
    let (_folder, house, key) = open(&agents, "");
    let client = Client::new(&house, &key);
    client.say("a", "echo").await;
    let served = agent.served();
    let headers = &served.last().unwrap().headers;
    assert_eq!(headers["authorization"], "Bearer sesame");
    assert_eq!(headers["x-own"], "1");
    assert!(!format!("{headers:?}").contains(&key));

    // A card that leads to another host, by its interfaces or by a redirect.
    elsewhere.change_card(|card| {
        card["supportedInterfaces"] = json!([{ "url": format!("http://localhost:{}/rpc", agent.address().port()), "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }]);
    });
    let before = agent.served().len();
    let told = client.ask("b", "SendMessage", said("echo")).await;
    assert_eq!(told["error"]["code"], -32603);
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("interface_hosts"),
        "{told}"
    );
    assert_eq!(agent.served().len(), before);
    house.hears("card cannot be fetched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_that_cannot_be_used_are_refused_by_name() {
    let (pigeon, moved, strange) = (
        A2aAgent::local(&["pigeon"]).await.unwrap(),
        A2aAgent::local(&["rpc"]).await.unwrap(),
        A2aAgent::local(&["rpc"]).await.unwrap(),
    );
    moved.move_card("http://169.254.169.254/latest/agent-card.json");
    strange.change_card(|card| *card = json!([1]));
    let agents = format!(
        "agents: {{ g: {{ {} }}, m: {{ {} }}, s: {{ {} }} }}, card_timeout: 2s",
        at(&pigeon),
        at(&moved),
        at(&strange)
    );
    let (_folder, house, key) = open(&agents, "");
    let client = Client::new(&house, &key);
    for (agent, why) in [
        ("g", "spoken here"),
        ("m", "redirected to another host"),
        ("s", "object"),
    ] {
        let told = client.ask(agent, "SendMessage", said("echo")).await;
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{agent}: {message}");
        let card = client
            .send(
                Method::GET,
                &format!("/a2a/{agent}/.well-known/agent-card.json"),
                "",
                &[],
            )
            .await;
        assert_eq!(card.status, 503, "{agent}");
    }
    let list = client.send(Method::GET, "/a2a", "", &[]).await.json();
    assert_eq!(list["agents"].as_array().unwrap().len(), 3);
    assert_eq!(list["agents"][0]["reachable"], false);
}

/// Whether a stream of this agent is in the ledger.
fn is_recorded(folder: &std::path::Path, answer: &Answer, name: &str) {
    let entry = entry(folder, answer.header("x-request-id"));
    assert_eq!((entry.outcome, entry.streamed), (Outcome::Complete, true));
    assert_eq!(entry.provider.as_deref(), Some(name));
    assert_eq!(entry.model.as_deref(), Some("SendStreamingMessage"));
    assert_eq!(entry.model_requested, format!("a2a/{name}"));
    assert_eq!(entry.surface, "/a2a/{agent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_come_as_they_are_in_every_combination() {
    let agents = [
        ("rpc", A2aAgent::local(&["rpc"]).await.unwrap()),
        ("rest", A2aAgent::local(&["rest"]).await.unwrap()),
        ("old", A2aAgent::local(&["old"]).await.unwrap()),
    ];
    let block: Vec<String> = agents
        .iter()
        .map(|(name, agent)| format!("{name}: {{ {} }}", at(agent)))
        .collect();
    let (folder, house, key) = open(&format!("agents: {{ {} }}", block.join(", ")), "");
    let client = Client::new(&house, &key);
    for (name, _) in &agents {
        let new = json!({ "jsonrpc": "2.0", "id": "s", "method": "SendStreamingMessage", "params": said("chunks a|b|c") });
        let answer = client
            .send(Method::POST, &format!("/a2a/{name}"), &new.to_string(), &[])
            .await;
        assert!(
            answer.header("content-type").starts_with("text/event-stream"),
            "{name}: {}",
            answer.text()
        );
        let told = events(&answer);
        let texts: Vec<&str> = told
            .iter()
            .filter_map(|event| event["result"]["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str())
            .collect();
        assert_eq!(texts, ["a", "b", "c"], "{name}: {told:?}");
        assert!(told.iter().all(|event| event["id"] == "s"));
        let last = &told.last().unwrap()["result"]["statusUpdate"]["status"]["state"];
        assert_eq!(last, "TASK_STATE_COMPLETED");
        is_recorded(folder.path(), &answer, name);

        let body = said("chunks a|b").to_string();
        let rest = client
            .send(Method::POST, &format!("/a2a/{name}/message%3Astream"), &body, &[])
            .await;
        let told = events(&rest);
        assert!(
            told[0].get("task").is_some() && told.last().unwrap().get("statusUpdate").is_some(),
            "{told:?}"
        );

        let old = json!({ "jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": { "message": { "kind": "message", "messageId": "m", "role": "user", "parts": [{ "kind": "text", "text": "chunks a|b" }] } } });
        let answer = client
            .send(
                Method::POST,
                &format!("/a2a/{name}"),
                &old.to_string(),
                &[("a2a-version", "")],
            )
            .await;
        let told = events(&answer);
        assert_eq!(told[0]["result"]["kind"], "task", "{name}: {told:?}");
        let last = &told.last().unwrap()["result"];
        assert_eq!(
            (&last["kind"], &last["final"], &last["status"]["state"]),
            (&json!("status-update"), &json!(true), &json!("completed"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_does_not_end_cleanly_and_one_that_is_left_is_given_up() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (folder, house, key) = open(&format!("agents: {{ a: {{ {} }} }}", at(&agent)), "");
    let client = Client::new(&house, &key);
    let stream = |text: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": said(text) })
            .to_string()
    };
    let broken = client.send(Method::POST, "/a2a/a", &stream("die"), &[]).await;
    let told = events(&broken);
    assert!(told.last().unwrap()["error"]["code"].is_number(), "{told:?}");
    let found = entry(folder.path(), broken.header("x-request-id"));
    assert_eq!(found.outcome, Outcome::ProviderFailed);

    let mut sender = load::connect(house.address).await.unwrap();
    let mut request = http::Request::post("/a2a/a")
        .body(Full::new(Bytes::from(stream("wait"))))
        .unwrap();
    *request.headers_mut() = client.headers(&[("host", "127.0.0.1")]);
    let mut response = sender.send_request(request).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    drop((response, sender));
    until(|| agent.left() > 0).await;
    until(|| ledger(folder.path()).iter().any(|entry| entry.id.as_str() == id)).await;
    assert_eq!(entry(folder.path(), &id).outcome, Outcome::Cancelled);
}

/// What a client was told.
type Told = std::sync::Arc<std::sync::Mutex<Vec<(HeaderMap, Value)>>>;

/// Listens where a client is told.
async fn hook() -> (SocketAddr, Told) {
    use hyper::service::service_fn;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told: Told = std::sync::Arc::default();
    let kept = std::sync::Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = std::sync::Arc::clone(&kept);
            tokio::spawn(async move {
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let kept = std::sync::Arc::clone(&kept);
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        kept.lock()
                            .unwrap()
                            .push((parts.headers, serde_json::from_slice(&body).unwrap_or_default()));
                        Ok::<_, hyper::Error>(http::Response::new(Full::new(Bytes::new())))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, told)
}

/// A gateway that an agent reaches, at a port that is said; the port, and what keeps it.
fn reachable(agent: &A2aAgent) -> (TempDir, House, Client, u16) {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let text = format!(
        "listeners: {{ api: {{ address: \"127.0.0.1:{port}\" }}, admin: {{ address: \"127.0.0.1:0\" }} }}\n\
         stores: {{ database: \"sqlite://{root}/p.db\", blobs: \"file://{root}\" }}\n\
         a2a: {{ agents: {{ a: {{ {} }} }}, push: {{ private_hosts: [\"127.0.0.1\"], plain_http: true }} }}\n",
        at(agent)
    );
    std::fs::write(folder.path().join("pointsman.yaml"), text).unwrap();
    let key = key(folder.path(), named("one"));
    let house = House::open(folder.path());
    let client = Client::new(&house, &key);
    (folder, house, client, port)
}

fn push_config(hook: SocketAddr) -> Value {
    json!({ "url": format!("http://{hook}/in"), "token": "t0ken", "authentication": { "scheme": "Bearer", "credentials": "s3cret" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_told_through_the_gateway() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (hook, told) = hook().await;
    let (_folder, _house, client, port) = reachable(&agent);
    let config = push_config(hook);
    let mut params = said("echo told");
    params["configuration"]["taskPushNotificationConfig"] = config.clone();
    let task = client.ask("a", "SendMessage", params).await["result"]["task"].clone();
    let done = || {
        let told = told.lock().unwrap();
        let mut ends = told
            .iter()
            .filter(|(_, event)| event.to_string().contains("COMPLETED"));
        ends.next().cloned()
    };
    until(|| done().is_some()).await;
    let (headers, event) = done().unwrap();
    assert_eq!(headers["x-a2a-notification-token"], "t0ken");
    assert_eq!(headers["authorization"], "Bearer s3cret");
    assert_eq!(event["statusUpdate"]["taskId"], task["id"]);
    // The agent knows the gateway's address and its own secret, and nothing of the client's.
    let seen = agent.served().last().unwrap().body.to_string();
    assert!(seen.contains(&format!("127.0.0.1:{port}/a2a/a/push/")), "{seen}");
    for hidden in [hook.to_string().as_str(), "t0ken", "s3cret"] {
        assert!(!seen.contains(hidden), "{hidden}: {seen}");
    }
    let listed = client
        .ask(
            "a",
            "ListTaskPushNotificationConfigs",
            json!({ "taskId": task["id"] }),
        )
        .await;
    for field in ["url", "token", "authentication"] {
        assert_eq!(listed["result"]["configs"][0][field], config[field]);
    }
    // Whoever knows the address alone tells nobody anything.
    let sealed = seen.split("/push/").nth(1).unwrap().split('"').next().unwrap();
    let before = told.lock().unwrap().len();
    for (path, token) in [
        (format!("/a2a/a/push/{sealed}"), "guessed"),
        (format!("/a2a/a/push/{}", &sealed[1..]), "guessed"),
        ("/a2a/a/push/x".to_owned(), ""),
    ] {
        let shown = [("x-a2a-notification-token", token), ("authorization", "Bearer x")];
        let answer = client.send(Method::POST, &path, "{}", &shown).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    assert_eq!(told.lock().unwrap().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_clients_lead_nowhere_they_should_not() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (_folder, _house, client, _) = reachable(&agent);
    let task = client.say("a", "wait").await["task"].clone();
    let before = agent.served().len();
    for url in [
        "http://169.254.169.254/latest",
        "http://10.1.2.3/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://0x7f000002/",
        "file:///etc/passwd",
        "http://u:p@127.0.0.1/",
        "",
    ] {
        let params = json!({ "taskId": task["id"], "url": url });
        let refused = client.ask("a", "CreateTaskPushNotificationConfig", params).await;
        assert_eq!(refused["error"]["code"], -32602, "{url}: {refused}");
    }
    assert_eq!(agent.served().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_place_for_agents_nobody_is_told() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (_folder, house, key) = open(&format!("agents: {{ a: {{ {} }} }}", at(&agent)), "");
    let client = Client::new(&house, &key);
    let mut params = said("echo");
    params["configuration"]["taskPushNotificationConfig"] = json!({ "url": "https://example.com/in" });
    let told = client.ask("a", "SendMessage", params).await;
    assert_eq!(told["error"]["code"], -32003);
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("a2a.public_url"),
        "{told}"
    );
    assert!(agent.served().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guardrails_see_messages_and_what_agents_tell() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let guardrails = "guardrails:\n  - { name: words, type: regex, on: [input], action: block, deny: [forbidden] }\n  - { name: falcon, type: regex, on: [output], action: redact, deny: [\"project falcon\"] }";
    let (folder, house, key) = open(&format!("agents: {{ a: {{ {} }} }}", at(&agent)), guardrails);
    let client = Client::new(&house, &key);
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": said("this is forbidden") });
    let blocked = client.send(Method::POST, "/a2a/a", &body.to_string(), &[]).await;
    assert_eq!(blocked.status, 403, "{}", blocked.text());
    assert!(agent.served().is_empty());
    assert_eq!(
        entry(folder.path(), blocked.header("x-request-id")).outcome,
        Outcome::Blocked
    );

    let whole = client.say("a", "about project falcon").await.to_string();
    assert!(
        !whole.contains("project falcon") && whole.contains("echo: about"),
        "{whole}"
    );
    let stream = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": said("chunks it is pro|ject fal|con indeed") });
    let answer = client
        .send(Method::POST, "/a2a/a", &stream.to_string(), &[])
        .await;
    let texts: String = events(&answer)
        .iter()
        .filter_map(|event| {
            event["result"]["artifactUpdate"]["artifact"]["parts"][0]["text"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert!(
        texts.starts_with("it is ") && texts.ends_with(" indeed"),
        "{texts}"
    );
    assert!(!texts.contains("project"), "{texts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_call_the_agents_they_may_and_no_others_are_there() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let at = at(&agent);
    let block = format!(
        "agents: {{ open: {{ {at} }}, own: {{ {at}, allow: {{ keys: [\"ops-*\"] }} }}, shy: {{ {at}, private_card: true }} }}"
    );
    let (folder, house, plain) = open(&block, "limits: { default: { requests_per_minute: 4 } }");
    let ops = key(folder.path(), named("ops-1"));
    let narrow = key(
        folder.path(),
        NewKey {
            models: vec!["gpt-*".to_owned(), "a2a/shy".to_owned()],
            ..named("narrow")
        },
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (key, agents) in [(&plain, "open shy"), (&ops, "open own shy"), (&narrow, "shy")] {
        let client = Client::new(&house, key);
        let list = client.send(Method::GET, "/a2a", "", &[]).await.json();
        let names: Vec<&str> = list["agents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), agents);
        for name in ["open", "own", "shy", "none"] {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": { "id": "x" } })
                .to_string();
            let answer = client
                .send(Method::POST, &format!("/a2a/{name}"), &body, &[])
                .await;
            let expected = if names.contains(&name) { 200 } else { 404 };
            assert_eq!(answer.status, expected, "{name}: {}", answer.text());
        }
    }
    for (name, expected) in [("open", 200), ("own", 401), ("shy", 401)] {
        let path = format!("/a2a/{name}/.well-known/agent-card.json");
        let card = exchange(house.address, Method::GET, &path, HeaderMap::new(), Bytes::new())
            .await
            .unwrap();
        assert_eq!(card.status, expected, "{name}");
    }
    let client = Client::new(&house, &narrow);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(
            client
                .send(Method::GET, "/a2a/shy/tasks/x", "", &[])
                .await
                .status
                .as_u16(),
        );
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_hangs_is_not_waited_for_forever() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let (folder, house, key) = open(&format!("agents: {{ a: {{ {}, timeout: 1s }} }}", at(&agent)), "");
    let client = Client::new(&house, &key);
    client.say("a", "echo").await;
    agent.hush();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": said("echo") }).to_string();
    let answer = client.send(Method::POST, "/a2a/a", &body, &[]).await;
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("in time"),
        "{}",
        answer.text()
    );
    assert_eq!(
        entry(folder.path(), answer.header("x-request-id")).outcome,
        Outcome::ProviderFailed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_not_signed_as_it_must_be_is_not_used() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    let key = "{ kty: EC, crv: P-256, kid: k1, x: \"q-0HapVAzMR4T89vWfskYqL1Uq_oCIbnIpnk3Y22Sro\", y: \"S9oB5YsIOv6OkmImjNWLzfKwhRLELDoqKM5fvexhPMw\" }";
    let at = at(&agent);
    // The agent's card has a signature, by nobody.
    let (_folder, house, client_key) = open(
        &format!("agents: {{ a: {{ {at} }}, b: {{ {at}, signatures: {{ keys: [{key}] }} }} }}"),
        "",
    );
    let client = Client::new(&house, &client_key);
    assert!(client.ask("a", "SendMessage", said("echo")).await["result"].is_object());
    let refused = client.ask("b", "SendMessage", said("echo")).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("none of its signatures"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skills_are_for_who_may_use_them() {
    let agent = A2aAgent::local(&["rpc"]).await.unwrap();
    agent.change_card(|card| {
        card["skills"] = json!([
            { "id": "echo", "name": "Echo", "description": "Echoes.", "tags": [] },
            { "id": "pay-out", "name": "Pay", "description": "Pays.", "tags": [] },
        ]);
    });
    let block = format!(
        "agents: {{ a: {{ {}, skills: {{ \"pay-*\": {{ keys: [\"ops-*\"] }} }} }} }}",
        at(&agent)
    );
    let (folder, house, plain) = open(&block, "");
    let ops = key(folder.path(), named("ops-1"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asking = |skill: Option<&str>, deep: bool| {
        let mut params = said("echo");
        if let Some(skill) = skill {
            let at = if deep { &mut params["message"] } else { &mut params };
            at["metadata"] = json!({ "skillId": skill });
        }
        params
    };
    let path = "/a2a/a/.well-known/agent-card.json";
    let everybodys = exchange(house.address, Method::GET, path, HeaderMap::new(), Bytes::new())
        .await
        .unwrap();
    assert_eq!(everybodys.json()["skills"].as_array().unwrap().len(), 1);
    for (key, may) in [(&plain, false), (&ops, true)] {
        let client = Client::new(&house, key);
        for (skill, deep, passes) in [
            (Some("pay-out"), true, may),
            (Some("pay-out"), false, may),
            (Some("echo"), true, true),
            // An agent chooses by itself where nobody says which.
            (None, true, may),
        ] {
            let before = agent.served().len();
            let answer = client.ask("a", "SendMessage", asking(skill, deep)).await;
            assert_eq!(answer["result"].is_object(), passes, "{skill:?}: {answer}");
            assert_eq!(agent.served().len() > before, passes);
        }
        // Two that are named must both be allowed.
        let mut both = asking(Some("echo"), true);
        both["metadata"] = json!({ "skill": "pay-out" });
        assert_eq!(
            client.ask("a", "SendMessage", both).await["result"].is_object(),
            may
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_stands_in_the_place_of_an_agent() {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    let beside = format!(
        "providers: {{ o: {{ kind: openai, base_url: \"http://{}/v1\", auth: {{ api_key: sk-sim }} }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: o, model: gpt-5-mini }} ] }} }}\n\
         guardrails: [ {{ name: words, type: regex, on: [input], action: block, deny: [launch] }} ]\n",
        sim.address()
    );
    let (folder, house, key) = open(
        "agents: { writer: { model: { name: m, description: Writes. } }, none: { model: { name: gone } } }",
        &beside,
    );
    let narrow = crate::harness::key(
        folder.path(),
        NewKey {
            models: vec!["a2a/*".to_owned()],
            ..named("narrow")
        },
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = Client::new(&house, &key);
    let card = client
        .send(Method::GET, "/a2a/writer/.well-known/agent-card.json", "", &[])
        .await
        .json();
    assert_eq!(
        (&card["name"], &card["skills"][0]["id"]),
        (&json!("writer"), &json!("chat"))
    );
    let answer = client.ask("writer", "SendMessage", said("repeat 3 words")).await;
    let text = answer["result"]["message"]["parts"][0]["text"].as_str();
    assert!(text.is_some_and(|text| !text.is_empty()), "{answer}");
    let streamed = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": said("repeat 3 words") });
    let streamed = client
        .send(Method::POST, "/a2a/writer", &streamed.to_string(), &[])
        .await;
    let events = events(&streamed);
    assert_eq!(events.len(), 1, "{}", streamed.text());
    assert!(events[0]["result"]["message"]["parts"][0]["text"].is_string());
    let missing = client.ask("writer", "GetTask", json!({ "id": "x" })).await;
    assert_eq!(missing["error"]["code"], -32001);
    // All that holds for chats holds here.
    for (key, agent, text, status) in [
        (&key, "writer", "launch it", 403),
        (&key, "none", "hello", 404),
        (&narrow, "writer", "hello", 403),
    ] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": said(text) });
        let answer = Client::new(&house, key)
            .send(Method::POST, &format!("/a2a/{agent}"), &body.to_string(), &[])
            .await;
        assert_eq!(answer.status, status, "{agent} {text}: {}", answer.text());
    }
    house.stop();
    let entries = ledger(folder.path());
    let paid: Vec<_> = entries.iter().filter(|one| one.usage.output > 0).collect();
    assert_eq!(paid.len(), 2);
    assert!(
        paid.iter()
            .all(|one| one.model_requested == "m" && one.cost.nanodollars() > 0)
    );
}
