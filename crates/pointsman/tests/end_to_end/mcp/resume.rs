//! Streams that broke are taken up again: nothing is heard twice, and nothing is missing.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::*;

/// An event of a stream.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its id.
    pub id: String,
    /// Its message; nothing for an event that only says from where to go on.
    pub message: Value,
}

/// What came of a request before its connection ended, or enough was heard.
#[derive(Debug, Default)]
pub struct Piece {
    /// The status; none where there was no answer at all.
    pub status: Option<u16>,
    /// The session, as the head names it.
    pub session: Option<String>,
    /// Events, or the one message of an answer that is none.
    pub heard: Vec<Heard>,
}

impl Piece {
    /// Whether the answer to the request is there.
    pub fn is_answered(&self) -> bool {
        self.heard.iter().any(|one| one.message.get("id").is_some())
    }
}

/// Sends a request on a connection of its own, and hears events until `enough` of them have a message, or it ends.
pub async fn hear(
    address: SocketAddr,
    (method, headers, body): (Method, Vec<(&'static str, String)>, String),
    enough: usize,
) -> Piece {
    let mut piece = Piece::default();
    let asked = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        let driving = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp")
            .header("host", "localhost");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = sender.send_request(request).await.ok()?;
        piece.status = Some(response.status().as_u16());
        let said = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        piece.session = said("mcp-session-id");
        let is_stream = said("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut body = response.into_body();
        let mut text = String::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            text.push_str(std::str::from_utf8(&data).unwrap());
            while is_stream && let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                piece.heard.extend(read(&event));
            }
            if piece.heard.iter().filter(|one| !one.message.is_null()).count() >= enough {
                driving.abort();
                return None;
            }
        }
        if !is_stream && let Ok(message) = serde_json::from_str(&text) {
            piece.heard.push(Heard {
                id: String::new(),
                message,
            });
        }
        driving.abort();
        Some(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), asked).await;
    piece
}

fn read(event: &str) -> Option<Heard> {
    let field = |name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let data = field("data:")?;
    Some(Heard {
        id: field("id:").unwrap_or_default().to_owned(),
        message: serde_json::from_str(data).unwrap_or_default(),
    })
}

/// Headers of a client.
pub fn headers(
    key: &str,
    session: Option<&str>,
    more: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let own = [
        ("authorization", format!("Bearer {key}")),
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        ("mcp-protocol-version", "2025-11-25".to_owned()),
    ];
    let session = session.map(|id| ("mcp-session-id", id.to_owned()));
    own.into_iter()
        .chain(session)
        .chain(more.iter().cloned())
        .collect()
}

/// A call that counts.
pub fn counting(id: u64, (to, pause): (u64, u64), key: &str) -> String {
    let arguments = json!({ "to": to, "pause_ms": pause, "key": key });
    let params = json!({ "name": "a_test_count", "arguments": arguments, "_meta": { "progressToken": id } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

/// The numbers that were counted.
pub fn numbers(heard: &[Heard]) -> Vec<u64> {
    let counted = heard
        .iter()
        .filter(|one| one.message["method"] == "notifications/progress");
    counted
        .map(|one| one.message["params"]["progress"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_goes_on_where_it_broke() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let (_folder, house, key) = open(&format!("servers: {{ a: {{ {} }} }}", at(&server)));
    let begun = hear(
        house.address,
        (Method::POST, headers(&key, None, &[]), initialize("2025-11-25")),
        9,
    )
    .await;
    let session = begun.session.unwrap();
    let asked = (
        Method::POST,
        headers(&key, Some(&session), &[]),
        counting(1, (20, 20), "x"),
    );
    let first = hear(house.address, asked, 5).await;
    assert!(
        first.heard[0].message.is_null(),
        "the first event says from where to go on: {:?}",
        first.heard[0]
    );
    assert_eq!(numbers(&first.heard), [1, 2, 3, 4, 5]);
    // All of the rest, though nobody listened for a while.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let last = first.heard.last().unwrap().id.clone();
    let more = [("last-event-id", last.clone())];
    let asked = (Method::GET, headers(&key, Some(&session), &more), String::new());
    let second = hear(house.address, asked, 1_000).await;
    assert_eq!(numbers(&second.heard), (6..=20).collect::<Vec<_>>());
    assert_eq!(second.heard.last().unwrap().message["id"], 1);
    // Again, also when it is over; but not behind what there never was, nor for somebody else.
    let asked = (Method::GET, headers(&key, Some(&session), &more), String::new());
    assert_eq!(numbers(&hear(house.address, asked, 1_000).await.heard).len(), 15);
    for (id, status) in [("p00.1", 400), ("nonsense", 400), (&*format!("{last}99"), 400)] {
        let more = [("last-event-id", id.to_owned())];
        let asked = (Method::GET, headers(&key, Some(&session), &more), String::new());
        assert_eq!(hear(house.address, asked, 1).await.status, Some(status), "{id}");
    }
    let called = server
        .served()
        .into_iter()
        .filter(|served| served.body["method"] == "tools/call");
    assert_eq!(called.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unasked_news_goes_on_where_it_broke() {
    let server = McpServer::local(McpEra::Legacy).await.unwrap();
    let (_folder, house, key) = open(&format!("servers: {{ a: {{ {} }} }}", at(&server)));
    let mut client = Client::new(&house, &key);
    client.begin().await;
    let watched = json!({ "uri": "a+test://watched-resource" });
    assert!(client.ask("resources/subscribe", watched).await["result"].is_object());
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        server.update("test://watched-resource");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let session = client.session.clone().unwrap();
    let asked = (Method::GET, headers(&key, Some(&session), &[]), String::new());
    let first = hear(house.address, asked, 2).await;
    let id = first.heard[first.heard.len() - 1].id.clone();
    let more = [("last-event-id", id)];
    let asked = (Method::GET, headers(&key, Some(&session), &more), String::new());
    let second = hear(house.address, asked, 3).await;
    let ids: Vec<&String> = first
        .heard
        .iter()
        .chain(&second.heard)
        .filter(|one| !one.message.is_null())
        .map(|one| &one.id)
        .collect();
    let news: Vec<String> = (1..=5).map(|number| format!("g.{number}")).collect();
    assert_eq!(ids, news.iter().collect::<Vec<_>>());
}
