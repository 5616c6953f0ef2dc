//! A conversation with one server: asked, told, listened to, in whichever era it speaks.

mod agent;
mod api;
mod greet;
mod http_link;
mod process;
mod sse;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use pointsman_upstream::Client;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::message::{self, Id, Message, Notification, Object, Raw, Request, Response};
use crate::meta;
use crate::oauth::Needed;
use crate::server::Server;
use crate::trail::{Keepsake, Question, Resume, Trail};
use crate::version::Version;

pub use api::{Api, brought, fetched, own_base};
pub use greet::{adopted, open};
pub use http_link::HttpLink;
pub use process::Process;
use sse::Sse;

/// Answers under way on one link, at most.
const MAX_PENDING: usize = 1_024;

/// How long a server is waited for to say that it is listened to.
const LISTENING: Duration = Duration::from_millis(500);

/// Where that goes which a server says while it is asked something.
pub type Sink = mpsc::Sender<Told>;

/// What a server says while it is asked something.
#[derive(Debug)]
pub enum Told {
    /// A message for the client, ready to be sent.
    Message(String),
    /// A question for the client, ready to be sent, and by what its answer finds its way.
    Asked {
        /// The message.
        text: String,
        /// By which id the client knows it.
        id: Id,
        /// Whose it is.
        question: Question,
    },
    /// What comes next was said in this event of the server: behind it, its stream can be taken up again.
    At(String),
    /// The answer; the last that is said of a request.
    End(Id, Box<crate::call::Answered>),
    /// A question that the client answers in its next request.
    Question {
        /// Who asks.
        link: Arc<Link>,
        /// The question.
        request: Request,
    },
}

/// Whoever a link belongs to: hears what its server says unasked.
pub trait Owner: Send + Sync {
    /// A notification. The sink is of the request that it came with, if any.
    fn told(&self, link: &Arc<Link>, told: Notification, sink: Option<&Sink>);

    /// A request of the server; an answer that can be given at once.
    fn asked(&self, link: &Arc<Link>, asked: Request, sink: Option<&Sink>) -> Option<Result<Raw, Raw>>;
}

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It does not know the session any more; nothing was done.
    #[error("the server has lost the session")]
    Lost,
    /// It cannot be reached, or its credential cannot be had.
    #[error("{0}")]
    Unreachable(String),
    /// It answered with something that is no MCP.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("the server did not answer in time")]
    Late,
    /// Too much is under way, or too many processes run.
    #[error("{0}")]
    Full(&'static str),
    /// A user has to let the gateway in first; nothing was done.
    #[error("the server wants a user's consent first")]
    Consent(Box<Needed>),
}

/// What is asked of a server.
#[derive(Debug)]
pub struct Ask {
    /// The method.
    pub method: String,
    /// The parameters; a progress token in them is the client's.
    pub params: Object,
    /// Headers beside those of the protocol.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where that goes which it says meanwhile.
    pub sink: Option<Sink>,
    /// How long it may take.
    pub timeout: Duration,
    /// What other replicas know of it.
    pub trail: Option<Arc<Trail>>,
    /// Where an answer goes on that another replica has heard the beginning of.
    pub resume: Option<Resume>,
}

/// How a server is spoken to.
#[derive(Debug)]
enum Transport {
    Http(HttpLink),
    Process(Process),
    Sse(Sse),
    Api(Arc<Api>),
    /// Of this name.
    Agent(String),
}

/// What is under way.
#[derive(Debug)]
struct Pending {
    sink: Option<Sink>,
    /// The client's progress token.
    token: Option<Raw>,
    /// Whether others are to know how far its server was heard.
    trailed: bool,
}

/// What a server says of itself.
#[derive(Debug, Default)]
pub struct Greeting {
    /// What it can do.
    pub capabilities: Object,
    /// What it is.
    pub info: Option<Raw>,
    /// How it wants to be used.
    pub instructions: Option<String>,
}

/// A conversation with one server.
pub struct Link {
    /// The server.
    pub server: Arc<Server>,
    /// The version that is spoken.
    pub version: Version,
    /// What the server says of itself.
    pub greeting: Greeting,
    /// What the client is and can do, for versions that say it with each request.
    client: Object,
    transport: Transport,
    owner: Weak<dyn Owner>,
    next: Arc<AtomicU64>,
    pending: Mutex<HashMap<u64, Pending>>,
    /// From which level on the client wants logs, for versions that say it with each request.
    level: Mutex<Option<String>>,
    tasks: Mutex<Vec<AbortHandle>>,
    watched: Mutex<HashMap<String, AbortHandle>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("server", &self.server.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Watches as long as it is there.
#[derive(Debug)]
pub struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that is not over; told to the server as cancelled when it is dropped.
struct UnderWay<'a> {
    link: &'a Arc<Link>,
    client: &'a Client,
    id: u64,
    over: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.link.pending.lock().remove(&self.id);
        if self.over {
            return;
        }
        if let Transport::Process(process) = &self.link.transport {
            process.forget(self.id);
        } else if let Transport::Sse(sse) = &self.link.transport {
            sse.forget(self.id);
        } else if self.link.version.is_modern() {
            // Its stream is closed, which says it.
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (link, client, id) = (Arc::clone(self.link), self.client.clone(), self.id);
        runtime.spawn(async move {
            let mut params = Object::default();
            params.set("requestId", &id);
            let told = link.tell(&client, "notifications/cancelled", params);
            let _ = tokio::time::timeout(Duration::from_secs(10), told).await;
        });
    }
}

impl Link {
    /// Whether it can still be used.
    pub fn is_alive(&self) -> bool {
        match &self.transport {
            Transport::Http(_) | Transport::Api(_) | Transport::Agent(_) => true,
            Transport::Process(process) => process.is_alive(),
            Transport::Sse(sse) => sse.is_alive(),
        }
    }

    /// Asks, and waits for the answer. Given up, it is cancelled.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(self: &Arc<Self>, client: &Client, mut ask: Ask) -> Result<Response, Failed> {
        let id = match &ask.resume {
            Some(resume) => resume.id,
            None => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let token = self.prepare(&mut ask.params, id);
        {
            let mut pending = self.pending.lock();
            if pending.len() >= MAX_PENDING {
                return Err(Failed::Full(
                    "too many requests to this server are under way in one session",
                ));
            }
            pending.insert(
                id,
                Pending {
                    sink: ask.sink.clone(),
                    token,
                    trailed: ask.trail.is_some(),
                },
            );
        }
        let mut under_way = UnderWay {
            link: self,
            client,
            id,
            over: false,
        };
        let text = message::request(&Id::from(id), &ask.method, &ask.params);
        let asked = async {
            if let Some(trail) = ask.trail.as_ref().filter(|_| ask.resume.is_none()) {
                trail.dispatching(&self.server.name, id).await;
            }
            match &self.transport {
                Transport::Http(http) => http.ask(self, client, (id, text), &ask).await,
                Transport::Process(process) => process.ask(id, text).await,
                Transport::Sse(sse) => sse.ask(&self.server, client, (id, text)).await,
                Transport::Api(api) => api.ask(&self.server, client, &ask).await,
                Transport::Agent(agent) => agent::ask(&self.server, client, agent, &ask).await,
            }
        };
        let answered = tokio::time::timeout(ask.timeout, Box::pin(asked)).await;
        let Ok(answered) = answered else {
            return Err(Failed::Late);
        };
        under_way.over = true;
        answered
    }

    /// Metadata of the era, and a progress token that is ours; gives the client's.
    fn prepare(&self, params: &mut Object, id: u64) -> Option<Raw> {
        let mut meta = meta::of(params);
        let token = meta.remove("progressToken");
        if token.is_some() {
            meta.set("progressToken", &id);
        }
        if self.version.is_modern() {
            meta.set(meta::PROTOCOL_VERSION, self.version.name());
            for (key, field) in [
                (meta::CLIENT_INFO, "clientInfo"),
                (meta::CLIENT_CAPABILITIES, "capabilities"),
            ] {
                if meta.get(key).is_none() {
                    match self.client.get(field) {
                        Some(said) => meta.set(key, said),
                        None => meta.set(key, &Object::default()),
                    }
                }
            }
            if let Some(level) = &*self.level.lock()
                && meta.get(meta::LOG_LEVEL).is_none()
            {
                meta.set(meta::LOG_LEVEL, level);
            }
        } else {
            for key in [
                meta::PROTOCOL_VERSION,
                meta::CLIENT_INFO,
                meta::CLIENT_CAPABILITIES,
                meta::LOG_LEVEL,
            ] {
                meta.remove(key);
            }
        }
        if meta.is_empty() {
            params.remove("_meta");
        } else {
            params.set("_meta", &meta);
        }
        token
    }

    /// From now on its requests want logs from this level on, in versions that say it with each request.
    pub fn log_from(&self, level: &str) {
        *self.level.lock() = Some(level.to_owned());
    }

    /// Tells the server something.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn tell(&self, client: &Client, method: &str, params: Object) -> Result<(), Failed> {
        self.send(client, message::notification(method, &params)).await
    }

    /// Answers a question of the server.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn answer(
        &self,
        client: &Client,
        id: &Id,
        outcome: Result<&RawValue, &RawValue>,
    ) -> Result<(), Failed> {
        self.send(client, message::response(Some(id), outcome)).await
    }

    async fn send(&self, client: &Client, text: String) -> Result<(), Failed> {
        match &self.transport {
            Transport::Http(http) => http.send(self, client, text).await,
            Transport::Process(process) => process.send(text).await,
            Transport::Sse(sse) => sse.send(&self.server, client, text).await,
            // They hear nothing but requests.
            Transport::Api(_) | Transport::Agent(_) => Ok(()),
        }
    }

    /// Where it is noted how far the server was heard, of requests that others may have to go on with.
    fn trail(&self, id: &Id) -> Option<Sink> {
        let Id::Number(id) = id else { return None };
        let pending = self.pending.lock();
        let pending = pending.get(&u64::try_from(*id).ok()?)?;
        pending.sink.clone().filter(|_| pending.trailed)
    }

    /// What others need to go on with the conversation; none where they cannot.
    #[must_use]
    pub fn keepsake(&self) -> Option<Keepsake> {
        let Transport::Http(http) = &self.transport else {
            return None;
        };
        Some(Keepsake {
            session: http.session()?,
            version: self.version.name().to_owned(),
            capabilities: self.greeting.capabilities.clone(),
            instructions: self.greeting.instructions.clone(),
        })
    }

    /// Hears what the server says; an answer to what it asks, where that can be given at once.
    fn hear(self: &Arc<Self>, message: Message, with: Option<u64>) -> Option<String> {
        let sink = || {
            let pending = self.pending.lock();
            let own = with.and_then(|id| pending.get(&id));
            // A process has one stream for everything: only while one alone waits is it sure whom something is for.
            let only = || {
                let mut waiting = pending.values().filter(|pending| pending.sink.is_some());
                waiting.next().filter(|_| waiting.next().is_none())
            };
            let pending = if with.is_some() { own } else { only() };
            pending.and_then(|pending| pending.sink.clone())
        };
        match message {
            Message::Response(_) => None,
            Message::Notification(told) if told.method == "notifications/progress" => {
                self.progress(told);
                None
            }
            Message::Notification(told) => {
                if let Some(owner) = self.owner.upgrade() {
                    owner.told(self, told, sink().as_ref());
                }
                None
            }
            Message::Request(asked) => {
                let id = asked.id.clone();
                let answer = if asked.method == "ping" {
                    Some(Ok(Object::default().raw()))
                } else {
                    let gone = || Some(Err(crate::error::RpcError::internal("the client is gone").raw()));
                    let owner = self.owner.upgrade();
                    owner.map_or_else(gone, |owner| owner.asked(self, asked, sink().as_ref()))
                };
                let answer = answer?;
                Some(message::response(
                    Some(&id),
                    answer.as_deref().map_err(AsRef::as_ref),
                ))
            }
        }
    }

    /// Progress goes where it belongs, with the token that the client knows.
    fn progress(&self, mut told: Notification) {
        let token = told.params.get("progressToken");
        let Some(id) = token.and_then(|token| token.get().parse::<u64>().ok()) else {
            return;
        };
        let known = {
            let pending = self.pending.lock();
            let known = pending.get(&id);
            known.and_then(|pending| Some((pending.sink.clone()?, pending.token.clone()?)))
        };
        if let Some((sink, token)) = known {
            told.params.set("progressToken", &token);
            let text = message::notification(&told.method, &told.params);
            // A client that does not read misses progress, not answers.
            let _ = sink.try_send(Told::Message(text));
        }
    }

    /// Listens to what the server says unasked, as long as the link lasts. Waits a moment until it does: what an older
    /// server says before that is lost.
    pub(crate) async fn listen(self: &Arc<Self>, client: &Client) {
        let (link, client) = (Arc::downgrade(self), client.clone());
        let (sender, listens) = oneshot::channel();
        let task = if self.version.is_modern() {
            let mut wanted = Object::default();
            for kind in ["toolsListChanged", "promptsListChanged", "resourcesListChanged"] {
                wanted.set(kind, &true);
            }
            tokio::spawn(greet::subscribe(link, client, wanted))
        } else if matches!(self.transport, Transport::Http(_)) {
            tokio::spawn(http_link::listen(link, client, sender))
        } else {
            return;
        };
        self.tasks.lock().push(task.abort_handle());
        if !self.version.is_modern() {
            // Said or dropped, it is settled.
            let _ = tokio::time::timeout(LISTENING, listens).await;
        }
    }

    /// Asks to be told when a resource changes.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn watch(
        self: &Arc<Self>,
        client: &Client,
        uri: &str,
        timeout: Duration,
    ) -> Result<Response, Failed> {
        if !self.version.is_modern() {
            return self
                .ask(client, Ask::about_uri("resources/subscribe", uri, timeout))
                .await;
        }
        let mut wanted = Object::default();
        wanted.set("resourceSubscriptions", &[uri]);
        let task = tokio::spawn(greet::subscribe(Arc::downgrade(self), client.clone(), wanted));
        if let Some(before) = self.watched.lock().insert(uri.to_owned(), task.abort_handle()) {
            before.abort();
        }
        Ok(Response::empty())
    }

    /// Asks to be told of a task, in the newer era; as long as the returned watch lasts.
    #[must_use]
    pub fn watch_task(self: &Arc<Self>, client: &Client, id: &str) -> Watch {
        let mut wanted = Object::default();
        wanted.set("taskIds", &[id]);
        let task = tokio::spawn(greet::subscribe(Arc::downgrade(self), client.clone(), wanted));
        Watch(task.abort_handle())
    }

    /// The opposite.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn unwatch(
        self: &Arc<Self>,
        client: &Client,
        uri: &str,
        timeout: Duration,
    ) -> Result<Response, Failed> {
        if !self.version.is_modern() {
            return self
                .ask(client, Ask::about_uri("resources/unsubscribe", uri, timeout))
                .await;
        }
        if let Some(task) = self.watched.lock().remove(uri) {
            task.abort();
        }
        Ok(Response::empty())
    }

    /// Listens no more. A subscription holds its link, so that whoever owns one must end it.
    pub fn shut(&self) {
        let tasks: Vec<AbortHandle> = self.tasks.lock().drain(..).collect();
        let watched: Vec<AbortHandle> = self.watched.lock().drain().map(|(_, task)| task).collect();
        for task in tasks.into_iter().chain(watched) {
            task.abort();
        }
    }

    /// Ends it: a session is given back, a process is told to stop.
    pub async fn close(&self, client: &Client) {
        self.shut();
        match &self.transport {
            Transport::Http(http) => http.close(client, self).await,
            Transport::Process(process) => process.stop(),
            Transport::Sse(sse) => sse.stop(),
            Transport::Api(_) | Transport::Agent(_) => {}
        }
    }
}

impl Ask {
    /// A question with a URI.
    #[must_use]
    pub fn about_uri(method: &str, uri: &str, timeout: Duration) -> Self {
        let mut params = Object::default();
        params.set("uri", uri);
        Self::plain(method, params, timeout)
    }

    /// A question that nobody but this replica knows of.
    pub(crate) fn plain(method: &str, params: Object, timeout: Duration) -> Self {
        Self {
            method: method.to_owned(),
            params,
            headers: Vec::new(),
            sink: None,
            timeout,
            trail: None,
            resume: None,
        }
    }
}

impl Response {
    /// An answer that says nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            id: None,
            outcome: Ok(Object::default().raw()),
        }
    }
}
