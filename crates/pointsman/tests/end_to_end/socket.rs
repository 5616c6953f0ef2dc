//! A client of realtime sessions.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::harness::{Answer, exchange};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session, as its client sees it.
pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    pub head: HeaderMap,
}

/// What a client hears.
#[derive(Debug)]
pub enum Heard {
    Event(Value),
    Closed(Option<u16>),
    Broke,
}

impl Client {
    /// Opens a session; nothing when it is refused.
    pub async fn try_open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> Option<Self> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).unwrap();
        let opened = timeout(PATIENCE, tokio_tungstenite::client_async(request, stream));
        let (socket, response) = opened.await.unwrap().ok()?;
        let head = response.headers().clone();
        Some(Self { socket, head })
    }

    /// Opens a session with a model, with a key as SDKs send it.
    pub async fn open(address: SocketAddr, model: &str, key: &str) -> Self {
        Self::attempt(address, model, key)
            .await
            .expect("the session was refused")
    }

    pub async fn attempt(address: SocketAddr, model: &str, key: &str) -> Option<Self> {
        let path = format!("/v1/realtime?model={model}");
        Self::try_open(address, &path, &[("authorization", format!("Bearer {key}"))]).await
    }

    /// The request's id.
    pub fn id(&self) -> String {
        self.head["x-request-id"].to_str().unwrap().to_owned()
    }

    pub async fn say(&mut self, event: Value) {
        // One that cannot be said is noticed when its answer is waited for.
        let _ = self.socket.send(Message::Text(event.to_string().into())).await;
    }

    pub async fn hear(&mut self) -> Heard {
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .expect("nothing is heard any more");
            return match message {
                Some(Ok(Message::Text(text))) => Heard::Event(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => {
                    Heard::Closed(frame.map(|CloseFrame { code, .. }| u16::from(code)))
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Heard::Broke,
            };
        }
    }

    /// The next event of a kind.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Event(event) if event["type"] == kind => return event,
                Heard::Event(event) => assert!(
                    event["type"] != "error",
                    "{kind} is waited for, and this comes: {event}"
                ),
                end => panic!("{kind} is waited for, and the session ends: {end:?}"),
            }
        }
    }

    /// Says a text and asks for an answer to it.
    pub async fn ask(&mut self, text: &str) {
        self.say(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}})).await;
        self.say(json!({"type": "response.create"})).await;
    }

    /// The end: the error that was told before it, and the code that it closed with.
    pub async fn end(&mut self) -> (Option<Value>, Option<u16>) {
        let mut error = None;
        loop {
            match self.hear().await {
                Heard::Event(event) if event["type"] == "error" => error = Some(event["error"].clone()),
                Heard::Event(_) => {}
                Heard::Closed(code) => return (error, code),
                Heard::Broke => return (error, None),
            }
        }
    }

    /// Says goodbye and waits until it is answered.
    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while !matches!(self.hear().await, Heard::Closed(_) | Heard::Broke) {}
    }
}

/// What a client is told whose session is refused.
pub async fn refused(address: SocketAddr, path: &str, key: &str) -> Answer {
    let mut headers = HeaderMap::new();
    let mut put =
        |name: HeaderName, value: &str| drop(headers.insert(name, HeaderValue::from_str(value).unwrap()));
    put(header::CONNECTION, "Upgrade");
    put(header::UPGRADE, "websocket");
    put(header::SEC_WEBSOCKET_VERSION, "13");
    put(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    if !key.is_empty() {
        put(header::AUTHORIZATION, &format!("Bearer {key}"));
    }
    exchange(address, Method::GET, path, headers, bytes::Bytes::new())
        .await
        .unwrap()
}
