//! Clients of the transport of 2024-11-05: one stream for all answers, and an address for messages.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::*;

/// A stream, and where its messages are posted.
struct Stream {
    address: SocketAddr,
    key: String,
    place: String,
    body: Incoming,
    text: String,
    driving: tokio::task::JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl Stream {
    async fn open(address: SocketAddr, key: &str, path: &str) -> Result<Self, u16> {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let driving = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::get(path)
            .header("host", "localhost")
            .header("accept", "text/event-stream")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response: Response<Incoming> = sender.send_request(request).await.unwrap();
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        let mut opened = Self {
            address,
            key: key.to_owned(),
            place: String::new(),
            body: response.into_body(),
            text: String::new(),
            driving,
        };
        let (kind, place) = opened.event().await.unwrap();
        assert_eq!(kind, "endpoint");
        opened.place = place;
        Ok(opened)
    }

    /// The next event, signs of life left out; nothing at the end.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                if let (Some(kind), Some(data)) = (field("event: "), field("data: ")) {
                    return Some((kind, data));
                }
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame())
                .await
                .unwrap()?;
            let Ok(data) = frame.ok()?.into_data() else {
                continue;
            };
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn message(&mut self) -> Value {
        let (kind, data) = self.event().await.unwrap();
        assert_eq!(kind, "message");
        serde_json::from_str(&data).unwrap()
    }

    async fn post(&self, message: &Value) -> u16 {
        post_as(self.address, &self.key, &self.place, message).await
    }

    /// Asks, and hears everything up to the answer.
    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Vec<Value> {
        let asked = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.post(&asked).await, 202);
        let mut heard = Vec::new();
        loop {
            heard.push(self.message().await);
            if heard.last().unwrap()["id"] == id && heard.last().unwrap()["method"].is_null() {
                return heard;
            }
        }
    }

    async fn begin(&mut self, version: &str) -> Value {
        let params = json!({ "protocolVersion": version, "capabilities": { "sampling": {} }, "clientInfo": { "name": "t", "version": "1" } });
        let greeting = self.ask(0, "initialize", params).await.pop().unwrap();
        let begun = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&begun).await, 202);
        greeting
    }
}

async fn post_as(address: SocketAddr, key: &str, place: &str, message: &Value) -> u16 {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let answer = exchange(address, Method::POST, place, headers, message.to_string().into()).await;
    answer.unwrap().status.as_u16()
}

/// What is said before an answer, and answers of several requests.
async fn comes_as_it_is_said(stream: &mut Stream) {
    // Progress comes on the way, questions of servers are answered with a message, and several are asked at once.
    let params =
        json!({ "name": "a_test_tool_with_progress", "arguments": {}, "_meta": { "progressToken": "p" } });
    let heard = stream.ask(5, "tools/call", params).await;
    assert!(
        heard
            .iter()
            .any(|one| one["method"] == "notifications/progress" && one["params"]["progressToken"] == "p"),
        "{heard:?}"
    );
    let asked = json!({ "jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": { "name": "a_test_sampling", "arguments": { "prompt": "hi" } } });
    assert_eq!(stream.post(&asked).await, 202);
    let question = stream.message().await;
    assert_eq!(question["method"], "sampling/createMessage", "{question}");
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "role": "assistant", "model": "m", "content": { "type": "text", "text": "hello there" } } });
    assert_eq!(stream.post(&answer).await, 202);
    let said = stream.message().await;
    assert!(
        said.to_string().contains("hello there") && said["id"] == 6,
        "{said}"
    );
    for id in 10..20 {
        let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "a_test_echo", "arguments": { "text": format!("number {id}") } } });
        assert_eq!(stream.post(&asked).await, 202);
    }
    for _ in 10..20 {
        let said = stream.message().await;
        let id = said["id"].as_u64().unwrap();
        assert_eq!(
            said["result"]["content"][0]["text"],
            format!("number {id}"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_answered_on_the_stream() {
    let (old, new) = (
        McpServer::local(McpEra::Legacy).await.unwrap(),
        McpServer::local(McpEra::Modern).await.unwrap(),
    );
    let (folder, house, key) = open(&format!(
        "servers: {{ a: {{ {}, tools: {{ deny: [\"delete_*\"], price: {{ \"*\": 0.01 }} }} }}, b: {{ {} }} }}",
        at(&old),
        at(&new)
    ));
    let mut stream = Stream::open(house.address, &key, "/sse").await.unwrap();
    let early = stream.ask(9, "tools/list", json!({})).await.pop().unwrap();
    assert!(early["error"].is_object(), "{early}");
    let greeting = stream.begin("2024-11-05").await;
    assert_eq!(greeting["result"]["protocolVersion"], "2024-11-05", "{greeting}");
    let listed = stream.ask(1, "tools/list", json!({})).await.pop().unwrap();
    let names = listed["result"]["tools"].to_string();
    assert!(
        names.contains("a_test_simple_text") && names.contains("b_test_simple_text"),
        "{listed}"
    );
    for (id, tool) in [(2, "a_test_simple_text"), (3, "b_test_simple_text")] {
        let said = stream
            .ask(id, "tools/call", json!({ "name": tool, "arguments": {} }))
            .await
            .pop()
            .unwrap();
        assert_eq!(said["result"]["content"][0]["type"], "text", "{said}");
    }
    let denied = stream
        .ask(
            4,
            "tools/call",
            json!({ "name": "a_delete_everything", "arguments": {} }),
        )
        .await;
    assert!(denied[0]["error"].is_object(), "{denied:?}");
    comes_as_it_is_said(&mut stream).await;
    // What servers say unasked comes, too.
    old.change("Another description.");
    let told = stream.message().await;
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    drop(stream);
    house.stop();
    let paid = ledger(folder.path())
        .into_iter()
        .filter(|one| one.model_requested.starts_with("mcp/a/"));
    assert!(paid.filter(|one| one.cost.nanodollars() == 10_000_000).count() >= 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_first_transport_is_its_keys_alone() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let (folder, house, first) = open(&format!(
        "servers: {{ a: {{ {} }} }}, max_sessions: 3",
        at(&server)
    ));
    let second = key(folder.path(), named("other"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        Stream::open(house.address, "pm-nobody", "/sse").await.err(),
        Some(401)
    );
    assert_eq!(
        Stream::open(house.address, &first, "/sse/none").await.err(),
        Some(404)
    );
    let mut stream = Stream::open(house.address, &first, "/sse/a").await.unwrap();
    assert!(stream.place.starts_with("/sse/a?sessionId="), "{}", stream.place);
    let id = stream.place.split('=').nth(1).unwrap().to_owned();
    assert!(id.len() >= 32, "{id}");
    stream.begin("2025-06-18").await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (key, place, status) in [
        (&second, stream.place.clone(), 404),
        (&first, format!("/sse?sessionId={id}"), 404),
        (&first, "/sse/a?sessionId=guessed".to_owned(), 404),
        (&first, "/sse/a".to_owned(), 404),
        (&"pm-nobody".to_owned(), stream.place.clone(), 401),
    ] {
        assert_eq!(
            post_as(house.address, key, &place, &list).await,
            status,
            "{place}"
        );
    }
    // A name of this transport is no session of the other one.
    let mut thief = Client::new(&house, &first);
    (thief.session, thief.path) = (Some(id), "/mcp/a");
    assert_eq!(thief.send(Method::POST, &list.to_string(), &[]).await.status, 404);
    let own = stream.ask(2, "tools/list", json!({})).await.pop().unwrap();
    assert!(
        own["result"]["tools"]
            .to_string()
            .contains("\"test_simple_text\""),
        "{own}"
    );
    // There is room for so many of one key, whatever others have, and a stream that ends makes some, with all that it had.
    assert_eq!(Stream::open(house.address, &first, "/sse").await.err(), Some(503));
    let others = Stream::open(house.address, &second, "/sse").await;
    assert!(others.is_ok());
    let place = stream.place.clone();
    drop(stream);
    let end = Instant::now() + Duration::from_secs(10);
    while post_as(house.address, &first, &place, &list).await != 404 {
        assert!(Instant::now() < end, "the stream outlasts its connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(Stream::open(house.address, &first, "/sse").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_told_on_the_stream() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let folder = folder(&format!(
        "limits: {{ default: {{ requests_per_minute: 2 }} }}\nmcp: {{ servers: {{ a: {{ {} }} }} }}\n",
        at(&server)
    ));
    let key = key(folder.path(), named("agent"));
    let house = House::open(folder.path());
    let mut stream = Stream::open(house.address, &key, "/sse").await.unwrap();
    stream.begin("2025-03-26").await;
    let mut outcomes = Vec::new();
    for id in 1..=3 {
        let said = stream
            .ask(
                id,
                "tools/call",
                json!({ "name": "a_test_simple_text", "arguments": {} }),
            )
            .await;
        outcomes.push(said.last().unwrap()["result"].is_object());
    }
    assert_eq!(outcomes, [true, true, false]);
    // Whoever cancels hears nothing more of it, and a page of elsewhere opens nothing.
    let evil = Request::get("/sse")
        .header("host", house.address.to_string())
        .header("origin", "http://evil.example.com")
        .header("authorization", format!("Bearer {key}"))
        .body(String::new())
        .unwrap();
    assert_eq!(
        crate::harness::send(house.address, evil).await.unwrap().status,
        403
    );
}

/// A server that takes connections and says nothing.
async fn silent() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_a_session_begins_leaves_none() {
    // What is said of servers waits so long for one that says nothing: the session begins behind it.
    let server = silent().await;
    let (folder, house, first) = open(&format!(
        "servers: {{ a: {{ url: \"http://{server}/mcp\" }} }}, list_timeout: 3s, max_sessions: 1"
    ));
    let second = key(folder.path(), named("other"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stream = Stream::open(house.address, &first, "/sse").await.unwrap();
    let (address, place) = (house.address, stream.place.clone());
    let asked = tokio::spawn(async move {
        let params = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let asked = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        post_as(address, &first, &place, &asked).await
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(stream);
    assert_eq!(asked.await.unwrap(), 202);
    // There is room for one session, and nobody has it.
    let mut other = Client::new(&house, &second);
    let begun = other.begin().await;
    assert_eq!(begun.status, 200, "{}", begun.text());
}
