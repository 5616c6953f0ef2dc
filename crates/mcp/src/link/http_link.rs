//! A link over streamable HTTP: each message is a POST, answers are JSON or a stream of events.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request as HttpRequest, Response as HttpResponse, StatusCode, header,
};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use pointsman_upstream::{Client, SendErrorKind, Timeouts, UpstreamBody};
use pointsman_wire::sse::SseDecoder;
use tokio::sync::oneshot;

use super::{Ask, Failed, Link, Told};
use crate::message::{self, Id, Incoming, Message, Object, Response};
use crate::meta;
use crate::oauth::Account;
use crate::server::{Server, Web};
use crate::version::Version;

/// How long a stream that waits for news may be quiet.
const QUIET: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon a stream that ended is opened again.
const REOPEN: Duration = Duration::from_secs(2);
/// How soon at the latest, whatever its server says.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often the stream of one answer is taken up again.
const MAX_RESUMED: usize = 64;
/// The header of the event behind which a stream is taken up again.
const LAST_EVENT_ID: http::HeaderName = http::HeaderName::from_static("last-event-id");
/// How often a request is sent again with something else that was granted.
const MAX_GRANTS: usize = 2;
/// How long a message that wants no answer may take.
const SEND_TIME: Duration = Duration::from_secs(30);

/// The state of a link over HTTP.
#[derive(Debug, Default)]
pub struct HttpLink {
    session: Mutex<Option<HeaderValue>>,
}

/// What is sent besides a body.
pub struct Head<'a> {
    /// The version that is spoken; none before that is agreed on.
    pub version: Option<Version>,
    /// The session.
    pub session: Option<HeaderValue>,
    /// Other headers.
    pub more: &'a [(http::HeaderName, HeaderValue)],
}

impl HttpLink {
    /// A link in this session, if it has any.
    #[must_use]
    pub fn in_session(session: Option<HeaderValue>) -> Self {
        Self {
            session: Mutex::new(session),
        }
    }

    /// The session there.
    pub fn session(&self) -> Option<String> {
        let session = self.session.lock();
        session
            .as_ref()
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned)
    }

    fn head<'a>(&self, link: &Link, more: &'a [(http::HeaderName, HeaderValue)]) -> Head<'a> {
        Head {
            version: Some(link.version),
            session: self.session.lock().clone(),
            more,
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(
        &self,
        link: &Arc<Link>,
        client: &Client,
        (id, text): (u64, String),
        ask: &Ask,
    ) -> Result<Response, Failed> {
        if let Some(from) = ask.resume.as_ref().and_then(|resume| resume.from.as_deref()) {
            let from = HeaderValue::try_from(from).map_err(|_| ended())?;
            let events = resume(link, client, &from).await?;
            return read_on(link, client, &Id::from(id), events).await;
        }
        let mut more = ask.headers.clone();
        if link.version.is_modern() {
            more.extend(repeated(&ask.method, &ask.params));
        }
        let timeouts = Timeouts {
            first_byte: ask.timeout,
            between_chunks: ask.timeout,
            total: ask.timeout,
            ..Timeouts::default()
        };
        let head = self.head(link, &more);
        let in_session = head.session.is_some();
        let response = post(&link.server, client, head, text, &timeouts).await?;
        if response.status() == StatusCode::NOT_FOUND && in_session {
            return Err(Failed::Lost);
        }
        read(link, client, id, response).await
    }

    /// Sends what wants no answer.
    ///
    /// # Errors
    /// When it does not arrive.
    pub async fn send(&self, link: &Link, client: &Client, text: String) -> Result<(), Failed> {
        let timeouts = Timeouts {
            first_byte: SEND_TIME,
            total: SEND_TIME,
            ..Timeouts::default()
        };
        let response = post(&link.server, client, self.head(link, &[]), text, &timeouts).await?;
        let status = response.status();
        let body = collect(response, 64 * 1024).await;
        if status.is_success() {
            return body.map(|_| ());
        }
        Err(Failed::Broken(format!("the server answered {}", status.as_u16())))
    }

    /// Gives the session back.
    pub async fn close(&self, client: &Client, link: &Link) {
        let Some(session) = self.session.lock().take() else {
            return;
        };
        let head = Head {
            version: Some(link.version),
            session: Some(session),
            more: &[],
        };
        let timeouts = Timeouts {
            first_byte: Duration::from_secs(5),
            total: Duration::from_secs(5),
            ..Timeouts::default()
        };
        // A server that keeps its sessions to itself ends them by itself.
        let _ = exchange(
            &link.server,
            client,
            (Method::DELETE, head),
            Bytes::new(),
            &timeouts,
        )
        .await;
    }
}

/// Headers that repeat what the body says.
pub fn repeated(method: &str, params: &Object) -> Vec<(http::HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    if let Ok(value) = HeaderValue::try_from(method) {
        headers.push((meta::METHOD_HEADER, value));
    }
    let name = meta::named_by(method).and_then(|field| params.text(field));
    if let Some(value) = name.and_then(|name| meta::encoded(&name)) {
        headers.push((meta::NAME_HEADER, value));
    }
    headers
}

/// Posts a message.
///
/// # Errors
/// When there is no response head.
pub async fn post(
    server: &Server,
    client: &Client,
    head: Head<'_>,
    text: String,
    timeouts: &Timeouts,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    exchange(server, client, (Method::POST, head), text.into(), timeouts).await
}

/// Sends a message.
///
/// # Errors
/// When there is no response head.
pub async fn exchange(
    server: &Server,
    client: &Client,
    message: (Method, Head<'_>),
    body: Bytes,
    timeouts: &Timeouts,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    let path = server.web().map_or("", |web| web.path.as_str());
    exchange_at(server, client, path, message, body, timeouts).await
}

/// The same at another path of the server's.
///
/// # Errors
/// When there is no response head.
pub async fn exchange_at(
    server: &Server,
    client: &Client,
    path: &str,
    (method, head): (Method, Head<'_>),
    body: Bytes,
    timeouts: &Timeouts,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    let Some(web) = server.web() else {
        return Err(Failed::Unreachable("the server has no URL".to_owned()));
    };
    let mut request = HttpRequest::new(body);
    *request.uri_mut() = web
        .endpoint
        .uri(path)
        .map_err(|error| Failed::Unreachable(error.to_string()))?;
    *request.headers_mut() = headers(web, &method, head);
    *request.method_mut() = method;
    if let Some(account) = server.account() {
        return granted(web, (account, client), &request, timeouts).await;
    }
    web.credential
        .authorize(client, &web.endpoint, &mut request, 0)
        .await
        .map_err(|error| Failed::Unreachable(format!("there is no credential for the server: {error}")))?;
    sent(web, client, request, timeouts).await
}

async fn sent(
    web: &Web,
    client: &Client,
    request: HttpRequest<Bytes>,
    timeouts: &Timeouts,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    let sent = Box::pin(client.send(&web.endpoint, request, timeouts)).await;
    sent.map_err(|error| match error.kind() {
        SendErrorKind::Timeout(_) => Failed::Late,
        _ => Failed::Unreachable(error.to_string()),
    })
}

/// Sends a request with what was granted at its server; once more where that gives something else for it.
async fn granted(
    web: &Web,
    (account, client): (&Account, &Client),
    request: &HttpRequest<Bytes>,
    timeouts: &Timeouts,
) -> Result<HttpResponse<UpstreamBody>, Failed> {
    let mut tries = 0;
    loop {
        let mut request = request.clone();
        let used = account.authorize(client, request.headers_mut()).await;
        let response = sent(web, client, request, timeouts).await?;
        let status = response.status();
        let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !is_refused || tries == MAX_GRANTS {
            return Ok(response);
        }
        tries += 1;
        let refused = Box::pin(account.refused(client, used, (status, response.headers())));
        if !refused.await? {
            return Ok(response);
        }
    }
}

/// The headers of a request: nothing of the caller's is among them.
fn headers(web: &Web, method: &Method, head: Head<'_>) -> HeaderMap {
    let mut headers = web.headers.clone();
    let accept = if *method == Method::GET {
        "text/event-stream"
    } else {
        "application/json, text/event-stream"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if *method == Method::POST {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(version) = head.version {
        headers.insert(meta::VERSION_HEADER, HeaderValue::from_static(version.name()));
    }
    if let Some(session) = head.session {
        headers.insert(meta::SESSION_HEADER, session);
    }
    for (name, value) in head.more {
        headers.insert(name, value.clone());
    }
    headers
}

/// The answer to `id` on a stream, before there is anybody who could hear the rest.
///
/// # Errors
/// When it is not there.
pub async fn answer_on(
    response: HttpResponse<UpstreamBody>,
    limit: usize,
    id: &Id,
) -> Result<Response, Failed> {
    let mut events = Events::new(response, limit);
    while let Some(event) = events.next().await? {
        let answer = event.messages()?.into_iter().find_map(|message| match message {
            Message::Response(answer) if answer.id.as_ref() == Some(id) => Some(answer),
            _ => None,
        });
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
    Err(Failed::Broken(
        "the server ended its stream without an answer".to_owned(),
    ))
}

/// Whether a response is a stream of events.
pub fn is_stream(response: &HttpResponse<UpstreamBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/event-stream")
    })
}

/// The whole of a body.
///
/// # Errors
/// When it is too large, or breaks off.
pub async fn collect(response: HttpResponse<UpstreamBody>, limit: usize) -> Result<String, Failed> {
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Failed::Broken(format!(
                "the server's answer is larger than {limit} bytes"
            )));
        }
        bytes.extend_from_slice(&data);
    }
    String::from_utf8(bytes.into()).map_err(|_| Failed::Broken("the server's answer is not UTF-8".to_owned()))
}

/// The answer to `id` out of a response; everything else in it is heard.
///
/// # Errors
/// When it is not there.
async fn read(
    link: &Arc<Link>,
    client: &Client,
    id: u64,
    response: HttpResponse<UpstreamBody>,
) -> Result<Response, Failed> {
    let status = response.status();
    let id = Id::from(id);
    if !is_stream(&response) {
        let text = collect(response, link.server.limit).await?;
        return answer_in(&text, &id, status);
    }
    let events = Events::new(response, link.server.limit);
    read_on(link, client, &id, events).await
}

/// The answer to `id` out of a stream, taken up again where it breaks.
async fn read_on(link: &Arc<Link>, client: &Client, id: &Id, mut events: Events) -> Result<Response, Failed> {
    for _ in 0..=MAX_RESUMED {
        let found = events.answer(link, client, id).await;
        if let Ok(Some(answer)) = found {
            return Ok(answer);
        }
        // A stream may end, or break, before its answer: where it says so, it is taken up again.
        let Some((from, pause)) = events.resumes().filter(|_| !link.version.is_modern()) else {
            return Err(found.err().unwrap_or_else(ended));
        };
        tokio::time::sleep(pause).await;
        events = resume(link, client, &from).await?;
    }
    Err(ended())
}

fn ended() -> Failed {
    Failed::Broken("the server ended its stream without an answer".to_owned())
}

/// A stream from behind an event on.
async fn resume(link: &Arc<Link>, client: &Client, from: &HeaderValue) -> Result<Events, Failed> {
    let super::Transport::Http(http) = &link.transport else {
        return Err(ended());
    };
    let more = [(LAST_EVENT_ID, from.clone())];
    let head = http.head(link, &more);
    let patient = patient();
    let response = exchange(&link.server, client, (Method::GET, head), Bytes::new(), &patient).await?;
    if response.status().is_success() && is_stream(&response) {
        return Ok(Events::new(response, link.server.limit));
    }
    Err(ended())
}

async fn hear(link: &Arc<Link>, client: &Client, message: Message, id: &Id) {
    let with = match id {
        Id::Number(id) => u64::try_from(*id).ok(),
        Id::Text(_) => None,
    };
    if let Some(answer) = link.hear(message, with.or(Some(u64::MAX))) {
        // A server that does not take an answer waits until its own patience ends.
        let _ = link.send(client, answer).await;
    }
}

/// The answer in a body that is one.
///
/// # Errors
/// When it is none.
pub fn answer_in(text: &str, id: &Id, status: StatusCode) -> Result<Response, Failed> {
    let found = messages(text).ok().and_then(|messages| {
        messages.into_iter().find_map(|message| match message {
            Message::Response(answer) if answer.id.as_ref() == Some(id) => Some(answer),
            // An error that its server could not say whose it is.
            Message::Response(answer) if answer.id.is_none() && answer.outcome.is_err() => Some(answer),
            _ => None,
        })
    });
    found.ok_or_else(|| match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::Broken(format!(
            "the server refused the gateway's credential ({})",
            status.as_u16()
        )),
        status if status.is_success() => Failed::Broken("the server's answer is no MCP".to_owned()),
        status => Failed::Broken(format!("the server answered {}", status.as_u16())),
    })
}

fn messages(text: &str) -> Result<Vec<Message>, Failed> {
    match message::decode(text) {
        Ok(Incoming::One(message)) => Ok(vec![message]),
        Ok(Incoming::Batch(batch)) => Ok(batch.into_iter().filter_map(Result::ok).collect()),
        Err(error) => Err(Failed::Broken(format!(
            "the server's answer is no MCP: {}",
            error.message
        ))),
    }
}

/// The events of a response.
pub struct Events {
    body: UpstreamBody,
    decoder: SseDecoder,
    ready: VecDeque<Event>,
    limit: usize,
}

/// An event.
pub struct Event {
    /// Its type, where it says one.
    pub kind: Option<String>,
    /// What it says; nothing where it only says from where to go on.
    pub text: String,
    /// Behind which event the stream can be taken up again once this one is heard.
    id: Option<String>,
}

impl Event {
    /// The messages that it brings.
    ///
    /// # Errors
    /// When it is none.
    pub fn messages(&self) -> Result<Vec<Message>, Failed> {
        if self.text.is_empty() {
            return Ok(Vec::new());
        }
        messages(&self.text)
    }
}

impl Events {
    /// Those of a response.
    pub fn new(response: HttpResponse<UpstreamBody>, limit: usize) -> Self {
        Self {
            body: response.into_body(),
            decoder: SseDecoder::default(),
            ready: VecDeque::new(),
            limit,
        }
    }

    /// The answer to `id`, if it comes; everything else is heard.
    async fn answer(
        &mut self,
        link: &Arc<Link>,
        client: &Client,
        id: &Id,
    ) -> Result<Option<Response>, Failed> {
        while let Some(event) = self.next().await? {
            if let (Some(at), Some(sink)) = (event.id.clone(), link.trail(id)) {
                // Room for what comes, so that none of it is lost while whoever writes it down is slow.
                let _ = sink.reserve_many(sink.max_capacity().min(4)).await.map(drop);
                let _ = sink.send(Told::At(at)).await;
            }
            for message in event.messages()? {
                match message {
                    Message::Response(answer) if answer.id.as_ref() == Some(id) => return Ok(Some(answer)),
                    other => hear(link, client, other, id).await,
                }
            }
        }
        Ok(None)
    }

    /// From where on it can be asked for again, and after which pause.
    fn resumes(&self) -> Option<(HeaderValue, Duration)> {
        let from = HeaderValue::try_from(self.decoder.last_id()?).ok()?;
        let pause = self.decoder.retry().map_or(REOPEN, Duration::from_millis);
        Some((from, pause.min(LONGEST_PAUSE)))
    }

    /// Takes a line in.
    fn line(&mut self, line: &Bytes) -> Result<(), Failed> {
        let mut events = Vec::new();
        let before = self.decoder.last_id().map(str::to_owned);
        self.decoder
            .push(line, &mut events)
            .map_err(|error| Failed::Broken(error.to_string()))?;
        let id = self.decoder.last_id().map(str::to_owned);
        if let Some(event) = events.iter().find(|event| event.data.len() > self.limit) {
            return Err(Failed::Broken(format!(
                "an event of {} bytes is larger than {} bytes",
                event.data.len(),
                self.limit
            )));
        }
        // The first event of newer servers has no data: it says where to resume.
        events.retain(|event| !event.data.is_empty());
        if events.is_empty() && id.is_some() && id != before {
            let text = String::new();
            let kind = None;
            self.ready.push_back(Event { kind, text, id });
            return Ok(());
        }
        self.ready.extend(events.into_iter().map(|event| Event {
            kind: event.event.as_ref().map(ToString::to_string),
            text: event.data.to_string(),
            id: id.clone(),
        }));
        Ok(())
    }

    /// The next event.
    ///
    /// # Errors
    /// When the stream breaks, or says too much at once.
    pub async fn next(&mut self) -> Result<Option<Event>, Failed> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            // Line by line: the decoder knows the id of the last event alone.
            for line in data.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
                self.line(&data.slice_ref(line))?;
            }
        }
    }
}

/// Timeouts of a stream that waits for news.
pub fn patient() -> Timeouts {
    Timeouts {
        first_byte: QUIET,
        between_chunks: QUIET,
        total: 30 * QUIET,
        ..Timeouts::default()
    }
}

/// Listens on a stream of its own, as long as the link lasts. Says when it listens, or when it cannot.
pub async fn listen(link: Weak<Link>, client: Client, listens: oneshot::Sender<()>) {
    let patient = patient();
    let mut listens = Some(listens);
    loop {
        let Some(held) = link.upgrade() else { return };
        let super::Transport::Http(http) = &held.transport else {
            return;
        };
        let server = Arc::clone(&held.server);
        let head = http.head(&held, &[]);
        drop(held);
        let opened = exchange(&server, &client, (Method::GET, head), Bytes::new(), &patient).await;
        drop(listens.take());
        match opened {
            Ok(response) if response.status().is_success() && is_stream(&response) => {
                relay(&link, &client, Events::new(response, server.limit)).await;
            }
            Ok(response) if response.status().is_client_error() || response.status().is_success() => {
                // It has none, or knows the session no more.
                return;
            }
            // It is listened to again once somebody has let the gateway in.
            Err(Failed::Consent(_)) => return,
            _ => {}
        }
        tokio::time::sleep(REOPEN).await;
    }
}

async fn relay(link: &Weak<Link>, client: &Client, mut events: Events) {
    while let Ok(Some(event)) = events.next().await {
        let Some(link) = link.upgrade() else { return };
        for message in event.messages().unwrap_or_default() {
            // Nobody's request: it goes to whoever the link belongs to.
            hear(&link, client, message, &Id::Text(String::new())).await;
        }
    }
}
