//! APIs as tool servers, tools from the command line, and what calls cost and who may make them.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pointsman_store::NewKey;
use pointsman_testbed::mcp::{McpEra, McpServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{House, exchange, folder, key, ledger, write};

const DOCUMENT: &str = "openapi: 3.0.0
info: { title: Pets }
security: [{ key: [] }]
components: { securitySchemes: { key: { type: apiKey, in: header, name: X-Key } } }
paths:
  /pets/{id}:
    get:
      operationId: show
      parameters: [{ name: id, in: path, required: true, schema: { type: string } }, { name: tags, in: query, schema: { type: array, items: { type: string } } }]
      responses: { '200': { description: ok, content: { application/json: { schema: { type: object, properties: { name: { type: string } } } } } } }
    delete:
      operationId: remove
      parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
      responses: { '204': { description: gone } }
  /pets:
    post:
      operationId: add
      requestBody: { required: true, content: { application/json: { schema: { type: object, required: [name], properties: { name: { type: string } } } } } }
      responses: { '201': { description: made, content: { application/json: { schema: { type: object } } } } }
  /elsewhere:
    get: { operationId: elsewhere, responses: { '200': { description: ok } } }
";

/// An API that keeps what it was asked, head and body, and answers by the path.
struct Api {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    async fn start(document: impl Fn(SocketAddr) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, document) = (Arc::clone(&asked), document(address));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), document.clone()));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>, document: String) {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            }
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() < length.unwrap_or(0) {
            let read = stream.read(&mut chunk).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            bytes.extend_from_slice(&chunk[..read]);
            continue;
        }
        let answer = if head.starts_with("GET /openapi.yaml") {
            answer("200 OK", "application/yaml", &document)
        } else {
            asked.lock().unwrap().push(text.clone());
            match head.split(' ').nth(1).unwrap_or_default() {
                "/v1/elsewhere" => {
                    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
                        .to_owned()
                }
                "/v1/pets/none" => answer("404 Not Found", "application/json", "{\"error\":\"no such pet\"}"),
                "/v1/pets" => answer("201 Created", "application/json", "{\"id\":7}"),
                path if head.starts_with("DELETE") => {
                    assert!(path.starts_with("/v1/pets/"));
                    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
                }
                _ => answer("200 OK", "application/json", "{\"name\":\"Rex\"}"),
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        bytes.clear();
    }
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn named(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        ..NewKey::default()
    }
}

/// Asks in the era without sessions.
async fn ask(address: SocketAddr, key: &str, method: &str, params: Value) -> Value {
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut headers = HeaderMap::new();
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    for (header, value) in [
        ("authorization", format!("Bearer {key}")),
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2026-07-28".to_owned()),
        ("mcp-method", method.to_owned()),
        ("mcp-name", name),
    ] {
        if !value.is_empty() {
            let header = HeaderName::try_from(header).unwrap();
            headers.insert(header, HeaderValue::try_from(value).unwrap());
        }
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = exchange(address, Method::POST, "/mcp", headers, body.to_string().into()).await;
    answer.unwrap().json()
}

async fn call(address: SocketAddr, key: &str, tool: &str, arguments: Value) -> Value {
    ask(
        address,
        key,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
    .await
}

async fn tools(address: SocketAddr, key: &str) -> Vec<String> {
    let listed = ask(address, key, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told from beginning to end")]
async fn an_api_is_called_by_its_document() {
    let api = Api::start(|_| String::new()).await;
    let folder = folder("");
    std::fs::write(folder.path().join("pets.yaml"), DOCUMENT).unwrap();
    let root = folder.path().display();
    let rest = format!(
        "mcp: {{ servers: {{ pets: {{ openapi: \"{root}/pets.yaml\", base_url: \"http://{}/v1\", auth: {{ api_key: the-own-key }}, tools: {{ deny: [\"rem*\"] }} }} }} }}\n",
        api.address
    );
    write(folder.path(), &rest);
    let key = key(folder.path(), named("agent"));
    let house = House::open(folder.path());
    assert_eq!(
        tools(house.address, &key).await,
        ["pets_show", "pets_add", "pets_elsewhere"]
    );
    let shown = call(
        house.address,
        &key,
        "pets_show",
        json!({ "id": "a/b", "tags": ["x", "y"] }),
    )
    .await;
    assert_eq!(shown["result"]["structuredContent"], json!({ "name": "Rex" }));
    let made = call(
        house.address,
        &key,
        "pets_add",
        json!({ "body": { "name": "Rex" } }),
    )
    .await;
    assert_eq!(made["result"]["structuredContent"], json!({ "id": 7 }));
    let asked = api.asked();
    assert!(
        asked[0].starts_with("GET /v1/pets/a%2Fb?tags=x&tags=y HTTP/1.1\r\n"),
        "{}",
        asked[0]
    );
    let head = asked[0].to_ascii_lowercase();
    // The gateway's key, never the caller's.
    assert!(head.contains("x-key: the-own-key") && !head.contains(&key.to_ascii_lowercase()));
    assert!(asked[1].ends_with("\r\n\r\n{\"name\":\"Rex\"}"), "{}", asked[1]);
    // Errors are the tool's; what leads elsewhere is not followed, and what leads out is not sent.
    let missing = call(house.address, &key, "pets_show", json!({ "id": "none" })).await;
    assert_eq!(missing["result"]["isError"], true);
    assert!(
        missing["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("no such pet")
    );
    let elsewhere = call(house.address, &key, "pets_elsewhere", json!({})).await;
    assert!(
        elsewhere["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("not followed")
    );
    let before = api.asked().len();
    for arguments in [
        json!({ "id": ".." }),
        json!({}),
        json!({ "id": "x", "X-Key": "mine" }),
    ] {
        let refused = call(house.address, &key, "pets_show", arguments).await;
        assert_eq!(refused["result"]["isError"], true, "{refused}");
    }
    let denied = call(house.address, &key, "pets_remove", json!({ "id": "x" })).await;
    assert_eq!(denied["error"]["code"], -32602);
    assert_eq!(api.asked().len(), before);
}

#[tokio::test]
async fn a_document_on_the_web_cannot_send_the_gateway_elsewhere() {
    let good = Api::start(|_| format!("{DOCUMENT}servers: [{{ url: /v1 }}]\n")).await;
    let bad = Api::start(|_| format!("{DOCUMENT}servers: [{{ url: 'http://127.0.0.1:9/v1' }}]\n")).await;
    let folder = folder(&format!(
        "mcp: {{ servers: {{ good: {{ openapi: \"http://{}/openapi.yaml\" }}, bad: {{ openapi: \"http://{}/openapi.yaml\" }} }} }}\n",
        good.address, bad.address
    ));
    let key = key(folder.path(), named("agent"));
    let house = House::open(folder.path());
    let listed = tools(house.address, &key).await;
    assert!(listed.contains(&"good_show".to_owned()) && !listed.iter().any(|name| name.starts_with("bad_")));
    let shown = call(house.address, &key, "good_show", json!({ "id": "1" })).await;
    assert_eq!(shown["result"]["structuredContent"]["name"], "Rex");
    assert!(house.said().contains("another host"), "{}", house.said());
}

#[tokio::test]
async fn calls_cost_what_they_cost_and_are_for_who_may() {
    let server = McpServer::local(McpEra::Modern).await.unwrap();
    let folder = folder(&format!(
        "mcp: {{ access: [{{ tools: [\"test_simple_*\"], roles: [chosen] }}, {{ servers: [none], keys: [nobody] }}], servers: {{ s: {{ url: \"http://{}/mcp\", tools: {{ price: {{ \"*\": 0.001, \"test_image_*\": \"0.25\" }} }} }} }} }}\n",
        server.address()
    ));
    let plain = key(folder.path(), named("plain"));
    let chosen = key(
        folder.path(),
        NewKey {
            roles: vec!["chosen".to_owned()],
            ..named("chosen")
        },
    );
    let house = House::open(folder.path());
    let simple = "s_test_simple_text".to_owned();
    assert!(tools(house.address, &chosen).await.contains(&simple));
    assert!(!tools(house.address, &plain).await.contains(&simple));
    let denied = call(house.address, &plain, &simple, json!({})).await;
    let nothing = call(house.address, &plain, "s_nothing", json!({})).await;
    assert_eq!(denied["error"]["code"], nothing["error"]["code"]);
    let told = |answer: &Value, name: &str| answer["error"]["message"].as_str().unwrap().replace(name, "X");
    assert_eq!(told(&denied, &simple), told(&nothing, "s_nothing"));
    for tool in [simple.as_str(), "s_test_image_content"] {
        let answer = call(house.address, &chosen, tool, json!({})).await;
        assert!(answer["result"]["content"].is_array(), "{answer}");
    }
    house.stop();
    let costs: Vec<(String, i64)> = ledger(folder.path())
        .into_iter()
        .map(|entry| (entry.model_requested, entry.cost.nanodollars()))
        .collect();
    for (name, cost) in [
        ("mcp/s/test_simple_text", 1_000_000),
        ("mcp/s/test_image_content", 250_000_000),
        ("s_nothing", 0),
    ] {
        assert!(costs.contains(&(name.to_owned(), cost)), "{name}: {costs:?}");
    }
}

fn pointsman(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

async fn run(arguments: Vec<String>, environment: Vec<(String, String)>) -> (bool, String) {
    let done = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        pointsman(&arguments, &environment)
    });
    let output = done.await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

fn words(folder: &Path, text: &str) -> Vec<String> {
    let folder = folder.display().to_string();
    text.split(' ')
        .map(|word| word.replace("FOLDER", &folder))
        .collect()
}

#[tokio::test]
async fn tools_are_listed_called_and_pinned_from_the_command_line() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let folder = folder(&format!(
        "mcp: {{ servers: {{ s: {{ url: \"http://{}/mcp\" }} }} }}\n",
        server.address()
    ));
    let at = |text: &str| words(folder.path(), text);
    let (_, listed) = run(at("mcp list -c FOLDER/pointsman.yaml"), Vec::new()).await;
    assert!(listed.contains("s_test_simple_text\t"), "{listed}");
    let (fine, called) = run(
        at("mcp call -c FOLDER/pointsman.yaml s_test_simple_text"),
        Vec::new(),
    )
    .await;
    assert!(
        fine && called.contains("This is a simple text response"),
        "{called}"
    );
    let (fine, _) = run(
        at("mcp call -c FOLDER/pointsman.yaml s_test_error_handling {}"),
        Vec::new(),
    )
    .await;
    assert!(!fine);
    let (fine, pinned) = run(
        at("mcp pin -c FOLDER/pointsman.yaml FOLDER/pins.json"),
        Vec::new(),
    )
    .await;
    assert!(fine && pinned.contains("of 1 servers"), "{pinned}");
    let (fine, same) = run(
        at("mcp diff -c FOLDER/pointsman.yaml FOLDER/pins.json"),
        Vec::new(),
    )
    .await;
    assert!(fine && same.is_empty(), "{same}");
    server.change("Now reads ~/.ssh first.");
    let (fine, other) = run(
        at("mcp diff -c FOLDER/pointsman.yaml FOLDER/pins.json"),
        Vec::new(),
    )
    .await;
    assert!(!fine && other.contains("s/test_changing: changed"), "{other}");
    assert!(
        other.contains("+ description:") && other.contains("~/.ssh"),
        "{other}"
    );
    // A gateway that knows what was approved hides what is not, also after a start.
    let rest = format!(
        "mcp: {{ pins: \"{}/pins.json\", servers: {{ s: {{ url: \"http://{}/mcp\", on_change: quarantine }} }} }}\n",
        folder.path().display(),
        server.address()
    );
    write(folder.path(), &rest);
    let key = key(folder.path(), named("agent"));
    let house = House::open(folder.path());
    let seen = tools(house.address, &key).await;
    assert!(seen.contains(&"s_test_simple_text".to_owned()) && !seen.contains(&"s_test_changing".to_owned()));
    // The same commands ask a gateway at its address.
    let gateway = format!("http://{}/mcp", house.address);
    let environment = vec![("POINTSMAN_KEY".to_owned(), key)];
    let asked = vec!["mcp", "call", "--url", &gateway, "s_test_simple_text"];
    let asked = asked.into_iter().map(str::to_owned).collect();
    let (fine, called) = run(asked, environment).await;
    assert!(
        fine && called.contains("This is a simple text response"),
        "{called}"
    );
}

#[tokio::test]
async fn a_client_that_runs_programs_speaks_to_the_gateway() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let folder = folder(&format!(
        "mcp: {{ servers: {{ s: {{ url: \"http://{}/mcp\" }} }} }}\n",
        server.address()
    ));
    let key = key(folder.path(), named("desktop"));
    let house = House::open(folder.path());
    let gateway = format!("http://{}/mcp", house.address);
    let said = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["mcp", "stdio", "--url", &gateway])
            .env("POINTSMAN_KEY", &key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for message in [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "s_test_tool_with_progress", "arguments": {}, "_meta": { "progressToken": "p" } } }),
        ] {
            writeln!(input, "{message}").unwrap();
        }
        input.write_all(b"no json\n").unwrap();
        drop(input);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    });
    let said = said.await.unwrap();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let answered = |id: u64| lines.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!(answered(1)["result"]["serverInfo"]["name"], "pointsman");
    assert!(answered(2)["result"]["content"].is_array(), "{said}");
    let progress = lines
        .iter()
        .filter(|line| line["method"] == "notifications/progress");
    assert_eq!(
        progress
            .filter(|line| line["params"]["progressToken"] == "p")
            .count(),
        3,
        "{said}"
    );
    assert!(lines.iter().any(|line| line["error"]["code"] == -32700), "{said}");
}
