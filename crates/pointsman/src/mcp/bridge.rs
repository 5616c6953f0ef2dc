//! From standard input and output to a gateway's `/mcp`: for clients that run a program in place of calling an address.
//!
//! One message a line goes to the gateway as a POST of its own; what comes back, as JSON or as events, is written a line
//! each. Sessions are the gateway's: their id is kept here, since the client of a program knows of none.

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::message::{self, Id, Message, Object};
use pointsman_mcp::meta;
use pointsman_upstream::{
    Client, ClientOptions, Endpoint, EndpointConfig, HealthConfig, Timeouts, UpstreamBody, UpstreamConfig,
};
use pointsman_wire::sse::SseDecoder;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, mpsc};
use url::Url;

use super::reach::Gateway;

/// Messages on their way out.
const QUEUE: usize = 256;
/// Messages of the client under way.
const UNDER_WAY: usize = 64;
/// Most bytes of a message.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How long the gateway may take to end a session.
const FAREWELL: Duration = Duration::from_secs(5);
/// How soon a stream that ended is opened again.
const REOPEN: Duration = Duration::from_secs(2);

/// The gateway, and what is known of the conversation.
struct Bridge {
    endpoint: Arc<Endpoint>,
    path: String,
    client: Client,
    key: Option<SecretString>,
    out: mpsc::Sender<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<HeaderValue>,
    listens: bool,
}

pub(super) async fn run(gateway: &Gateway) -> Result<ExitCode, String> {
    let (out, lines) = mpsc::channel(QUEUE);
    let bridge = Arc::new(Bridge::new(gateway, out)?);
    let writing = tokio::task::spawn_blocking(move || output(lines));
    read(&bridge).await?;
    bridge.end().await;
    drop(bridge);
    // Whatever still runs ends with the program.
    let _ = tokio::time::timeout(FAREWELL, writing).await;
    Ok(ExitCode::SUCCESS)
}

/// Takes the client's messages until there are none any more.
async fn read(bridge: &Arc<Bridge>) -> Result<(), String> {
    let (sender, mut lines) = mpsc::channel(QUEUE);
    let reading = tokio::task::spawn_blocking(move || input(&sender));
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    while let Some(line) = lines.recv().await {
        let Ok(text) = std::str::from_utf8(&line).map(str::trim) else {
            bridge
                .say(RpcError::parse("the message is not UTF-8").answer(None))
                .await;
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let message = match message::decode_one(text) {
            Ok(message) => message,
            Err(error) => {
                bridge.say(error.answer(None)).await;
                continue;
            }
        };
        // What comes after a greeting needs its session.
        let is_greeting = matches!(&message, Message::Request(request) if request.method == "initialize");
        let text = text.to_owned();
        if is_greeting {
            bridge.pass(message, text).await;
            continue;
        }
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let bridge = Arc::clone(bridge);
        tokio::spawn(async move {
            bridge.pass(message, text).await;
            drop(place);
        });
    }
    // Answers that are on their way are waited for, but not for ever.
    let all = u32::try_from(UNDER_WAY).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(FAREWELL, places.acquire_many(all)).await;
    reading.await.map_err(|error| error.to_string())?
}

/// Reads lines until the input ends.
fn input(lines: &mpsc::Sender<Vec<u8>>) -> Result<(), String> {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut input).take(MAX_MESSAGE as u64 + 1);
        match bounded.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) if line.len() > MAX_MESSAGE => {
                return Err(format!("a message is larger than {MAX_MESSAGE} bytes"));
            }
            Ok(_) if lines.blocking_send(line).is_err() => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(format!("standard input cannot be read: {error}")),
        }
    }
}

/// Writes lines until nobody has any more.
fn output(mut lines: mpsc::Receiver<String>) {
    let mut output = std::io::stdout().lock();
    while let Some(text) = lines.blocking_recv() {
        // One message a line, whatever its own line breaks.
        let mut line = text.replace(['\n', '\r'], " ");
        line.push('\n');
        if output.write_all(line.as_bytes()).is_err() || output.flush().is_err() {
            return;
        }
    }
}

impl Bridge {
    fn new(gateway: &Gateway, out: mpsc::Sender<String>) -> Result<Self, String> {
        let url = Url::parse(&gateway.url).map_err(|error| format!("{}: {error}", gateway.url))?;
        let place = EndpointConfig::new(&url[..url::Position::BeforePath]);
        let endpoint = Endpoint::new(&place, &HealthConfig::default()).map_err(|error| error.problem)?;
        let options =
            ClientOptions::compile(&UpstreamConfig::default()).map_err(|error| error.to_string())?;
        Ok(Self {
            endpoint,
            path: url[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            client: Client::new(options),
            key: gateway.key(),
            out,
            state: Mutex::default(),
        })
    }

    async fn say(&self, text: String) {
        // A client that is gone misses it.
        let _ = self.out.send(text).await;
    }

    /// Passes a message on, and what comes of it back.
    async fn pass(self: &Arc<Self>, message: Message, text: String) {
        let id = match &message {
            Message::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let headers = headers(&message);
        if let Err(why) = self.exchange(headers, text, id.as_ref()).await
            && let Some(id) = id
        {
            self.say(RpcError::internal(why).answer(Some(&id))).await;
        }
        if matches!(&message, Message::Notification(told) if told.method == "notifications/initialized") {
            self.listen();
        }
    }

    async fn exchange(&self, headers: HeaderMap, text: String, id: Option<&Id>) -> Result<(), String> {
        let response = self.send(Method::POST, headers, text.into()).await?;
        self.note(&response);
        let status = response.status();
        if is_stream(&response) {
            return self.relay(response).await;
        }
        let bytes = whole(response).await?;
        let text = String::from_utf8_lossy(&bytes);
        if message::decode(&text).is_ok() {
            self.say(text.into_owned()).await;
        } else if id.is_some() {
            let said: String = text.chars().take(500).collect();
            return Err(format!("the gateway answered {status}: {said}"));
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<UpstreamBody>, String> {
        let accept = if method == Method::GET {
            "text/event-stream"
        } else {
            "application/json, text/event-stream"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        {
            let state = self.state.lock();
            if let Some(session) = &state.session {
                headers.insert(meta::SESSION_HEADER, session.clone());
            }
        }
        if let Some(key) = &self.key {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut value = value.map_err(|_| "the key cannot be sent".to_owned())?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.endpoint.uri(&self.path).map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let timeouts = Timeouts {
            first_byte: PATIENCE,
            between_chunks: PATIENCE,
            total: 24 * PATIENCE,
            ..Timeouts::default()
        };
        let sent = Box::pin(self.client.send(&self.endpoint, request, &timeouts)).await;
        sent.map_err(|error| format!("the gateway cannot be reached: {error}"))
    }

    /// Notes the session that a greeting began.
    fn note(&self, response: &Response<UpstreamBody>) {
        let Some(session) = response.headers().get(meta::SESSION_HEADER) else {
            return;
        };
        let mut state = self.state.lock();
        state.session = Some(session.clone());
    }

    /// Writes the events of a response.
    async fn relay(&self, response: Response<UpstreamBody>) -> Result<(), String> {
        let mut body = response.into_body();
        let mut decoder = SseDecoder::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            let Ok(data) = frame.into_data() else { continue };
            let mut events = Vec::new();
            decoder
                .push(&data, &mut events)
                .map_err(|error| error.to_string())?;
            for event in events.iter().filter(|event| !event.data.is_empty()) {
                self.say(event.data.to_string()).await;
            }
        }
        Ok(())
    }

    /// Writes what is said unasked in the session, as long as there is one.
    fn listen(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            if state.session.is_none() || std::mem::replace(&mut state.listens, true) {
                return;
            }
        }
        let bridge = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(bridge) = bridge.upgrade() {
                match bridge.send(Method::GET, HeaderMap::new(), Bytes::new()).await {
                    Ok(response) if response.status().is_client_error() => return,
                    Ok(response) if is_stream(&response) => {
                        let _ = bridge.relay(response).await;
                    }
                    _ => {}
                }
                drop(bridge);
                tokio::time::sleep(REOPEN).await;
            }
        });
    }

    /// Gives the session back.
    async fn end(&self) {
        if self.state.lock().session.is_none() {
            return;
        }
        let ending = self.send(Method::DELETE, HeaderMap::new(), Bytes::new());
        // A gateway that is gone has no sessions either.
        let _ = tokio::time::timeout(FAREWELL, ending).await;
    }
}

/// Headers that repeat what a message of the era without sessions says.
fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (method, params) = match message {
        Message::Request(request) => (&request.method, &request.params),
        Message::Notification(told) => (&told.method, &told.params),
        Message::Response(_) => return headers,
    };
    let Some(version) = version(params) else {
        return headers;
    };
    headers.insert(meta::VERSION_HEADER, version);
    if let Ok(method) = HeaderValue::try_from(method.as_str()) {
        headers.insert(meta::METHOD_HEADER, method);
    }
    let name = meta::named_by(method).and_then(|field| params.text(field));
    if let Some(name) = name.and_then(|name| meta::encoded(&name)) {
        headers.insert(meta::NAME_HEADER, name);
    }
    headers
}

/// The version that a message says of itself.
fn version(params: &Object) -> Option<HeaderValue> {
    let said = meta::of(params).text(meta::PROTOCOL_VERSION)?;
    HeaderValue::try_from(said).ok()
}

fn is_stream(response: &Response<UpstreamBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    response.status() == StatusCode::OK
        && kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
}

async fn whole(response: Response<UpstreamBody>) -> Result<Bytes, String> {
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_MESSAGE {
            return Err(format!("the gateway's answer is larger than {MAX_MESSAGE} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_say_everything_themselves_say_it_in_headers_too() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ä","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let headers = headers(&message::decode_one(text).unwrap());
        let said = |name| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!(said(meta::VERSION_HEADER), "2026-07-28");
        assert_eq!(said(meta::METHOD_HEADER), "tools/call");
        assert_eq!(said(meta::NAME_HEADER), "=?base64?w6Q=?=");
        let older = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert!(super::headers(&message::decode_one(older).unwrap()).is_empty());
    }
}
