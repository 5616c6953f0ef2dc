//! The session of a client: whose it is, its links to servers, and what is under way in it.

mod shared;
mod tasks;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_store::SharedSessions;
use pointsman_upstream::Client;
use tokio::sync::{OnceCell, oneshot};

use crate::call::replied;
use crate::catalog::Kind;
use crate::error::RpcError;
use crate::judge::Judge;
use crate::link::{self, Failed, Link, Owner, Sink, Told};
use crate::message::{self, Id, Notification, Object, Raw, Request, Response};
use crate::replay::{Reader, Stream};
use crate::server::Server;
use crate::trail::{self, Question, Shelf};
use crate::version::Version;
use crate::view::View;

/// Streams that are kept for a client who may ask for what it has missed, and for how long behind their end.
const MAX_STREAMS: usize = 2 * MAX_UNDER_WAY;
/// Questions that wait for a client's answer.
const MAX_ASKED: usize = 256;
/// Requests of a client under way.
const MAX_UNDER_WAY: usize = 256;

use shared::{About, Post, Sharing};

/// From which level on a client gets logs that has not said it.
const UNSAID_LEVEL: &str = "info";

/// The session of a client.
pub struct Session {
    /// Its id: nobody can guess it.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// The version that is spoken.
    pub version: Version,
    /// The one server it is with, at `/mcp/{server}`.
    pub scope: Option<String>,
    /// What the client is and can do, as servers are told.
    described: Object,
    view: Mutex<Arc<View>>,
    links: Mutex<HashMap<String, Arc<OnceCell<Arc<Link>>>>>,
    asked: Mutex<HashMap<Id, Asked>>,
    next: AtomicU64,
    under_way: Mutex<HashMap<Id, oneshot::Sender<()>>>,
    /// Streams that answer requests, by their names.
    streams: Mutex<HashMap<String, Arc<Stream>>>,
    /// What servers say unasked.
    news: Mutex<Arc<Stream>>,
    used: Mutex<Instant>,
    /// What is shared with other replicas, where there are any.
    sharing: Option<Sharing>,
    level: Mutex<Option<String>>,
    /// Tasks that were begun here: servers, and what they call them.
    tasks: Mutex<VecDeque<(String, String)>>,
    this: Weak<Self>,
}

/// Who waits for an answer of the client.
enum Asked {
    /// A server.
    Server(Arc<Link>, Id),
    /// The gateway itself.
    Here(oneshot::Sender<Result<Raw, Raw>>),
}

impl Drop for Session {
    fn drop(&mut self) {
        for cell in self.links.get_mut().values() {
            if let Some(link) = cell.get() {
                link.shut();
            }
        }
    }
}

/// A client as `initialize` describes it, with these capabilities.
#[must_use]
pub fn described(capabilities: &serde_json::Value) -> Object {
    let mut described = Object::default();
    described.set("capabilities", capabilities);
    let info = serde_json::json!({ "name": "pointsman", "version": env!("CARGO_PKG_VERSION") });
    described.set("clientInfo", &info);
    described
}

/// A request of a client that is not over: the other side of what cancels it.
pub struct UnderWay {
    session: Arc<Session>,
    id: Id,
    /// Ready when the client cancels it.
    pub cancelled: oneshot::Receiver<()>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.session.under_way.lock().remove(&self.id);
    }
}

impl Session {
    /// A new session of `owner`, who said `initialize` with `params`.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn begin(
        owner: String,
        (version, params): (Version, &Object),
        (view, scope): (Arc<View>, Option<String>),
        shared: Option<(Arc<dyn SharedSessions>, Duration)>,
    ) -> Result<Arc<Self>, RpcError> {
        let mut chance = [0_u8; 32];
        getrandom::fill(&mut chance)
            .map_err(|error| RpcError::internal(format!("no randomness: {error}")))?;
        let id = chance.iter().fold(String::with_capacity(64), |mut id, byte| {
            for half in [byte >> 4, byte & 15] {
                id.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
            id
        });
        let mut described = Object::default();
        for field in ["capabilities", "clientInfo"] {
            if let Some(said) = params.get(field) {
                described.set(field, said);
            }
        }
        let about = About {
            id,
            owner,
            version,
            scope,
            described,
        };
        Ok(Self::new(about, view, shared))
    }

    fn new(about: About, view: Arc<View>, shared: Option<(Arc<dyn SharedSessions>, Duration)>) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            sharing: shared.map(|(sessions, life)| {
                let key = trail::key_of(&about.id);
                Sharing::begin(Shelf { sessions, key, life })
            }),
            id: about.id,
            owner: about.owner,
            version: about.version,
            scope: about.scope,
            described: about.described,
            view: Mutex::new(view),
            links: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(0),
            under_way: Mutex::default(),
            streams: Mutex::default(),
            news: Mutex::new(Stream::new(trail::NEWS, 0)),
            used: Mutex::new(Instant::now()),
            level: Mutex::default(),
            tasks: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Notes that it is used.
    pub fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// When it was used last.
    pub fn last_used(&self) -> Instant {
        *self.used.lock()
    }

    /// Whether its client listens here to what servers say unasked.
    pub fn is_listening(&self) -> bool {
        self.news.lock().is_read()
    }

    /// Whether nobody has used it for so long. One whose client listens is in use.
    pub fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        !self.is_listening()
            && now.saturating_duration_since(self.last_used()) > idle
            && self.under_way.lock().is_empty()
    }

    /// What it sees, by the configuration of now.
    pub fn see(&self, view: &Arc<View>) {
        *self.view.lock() = Arc::clone(view);
    }

    /// Whether it sees a server.
    pub fn sees(&self, server: &str) -> bool {
        self.view.lock().has(server)
    }

    /// Whether it has a link of its own to a server.
    pub fn has_link(&self, server: &str) -> bool {
        self.links
            .lock()
            .get(server)
            .is_some_and(|cell| cell.initialized())
    }

    /// The links it has.
    pub fn links(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock();
        links.values().filter_map(|cell| cell.get().cloned()).collect()
    }

    /// Its link to a server, opened if there is none.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn link(&self, client: &Client, server: &Arc<Server>) -> Result<Arc<Link>, Failed> {
        let cell = {
            let mut links = self.links.lock();
            let is_over = links
                .get(&server.name)
                .and_then(|cell| cell.get())
                .is_some_and(|link| {
                    // Ended, or to a server of an earlier configuration.
                    let over = !link.is_alive() || !Arc::ptr_eq(&link.server, server);
                    if over {
                        link.shut();
                    }
                    over
                });
            if is_over {
                links.remove(&server.name);
            }
            Arc::clone(links.entry(server.name.clone()).or_default())
        };
        let opening = cell.get_or_try_init(|| async {
            let link = self.opened(client, server).await?;
            let level = self.level.lock().clone();
            set_level(&link, client, level.as_deref()).await;
            Ok(link)
        });
        Box::pin(opening).await.cloned()
    }

    async fn opened(&self, client: &Client, server: &Arc<Server>) -> Result<Arc<Link>, Failed> {
        let owner: Weak<dyn Owner> = self.this.clone();
        match &self.sharing {
            None => link::open(server, client, self.described.clone(), owner).await,
            Some(sharing) => sharing.link(client, server, (&self.described, owner)).await,
        }
    }

    /// A link is not used any more.
    pub async fn drop_link(&self, lost: &Arc<Link>) {
        {
            let mut links = self.links.lock();
            let is_it = links
                .get(&lost.server.name)
                .and_then(|cell| cell.get())
                .is_some_and(|link| Arc::ptr_eq(link, lost));
            if !is_it {
                return;
            }
            links.remove(&lost.server.name);
        }
        lost.shut();
        if let (Some(sharing), Some(kept)) = (&self.sharing, lost.keepsake()) {
            sharing.shelf.lose_link(&lost.server.name, &kept.session).await;
        }
    }

    /// From which level on the client wants logs.
    pub async fn set_level(&self, client: &Client, level: &str) {
        *self.level.lock() = Some(level.to_owned());
        if let Some(sharing) = &self.sharing {
            sharing.note("level", level).await;
        }
        for link in self.links() {
            set_level(&link, client, Some(level)).await;
        }
    }

    /// What the client can do.
    #[must_use]
    pub fn capabilities(&self) -> Object {
        self.described.object("capabilities").unwrap_or_default()
    }

    /// Notes a request that the client may cancel.
    ///
    /// # Errors
    /// When the id is in use, or too many are under way.
    pub fn begin_request(self: &Arc<Self>, id: &Id) -> Result<UnderWay, RpcError> {
        let (sender, cancelled) = oneshot::channel();
        let mut under_way = self.under_way.lock();
        if under_way.len() >= MAX_UNDER_WAY {
            return Err(RpcError::request("too many requests of this session are under way").of(id));
        }
        if under_way.contains_key(id) {
            return Err(RpcError::request(format!("a request with the id {id} is under way")).of(id));
        }
        under_way.insert(id.clone(), sender);
        Ok(UnderWay {
            session: Arc::clone(self),
            id: id.clone(),
            cancelled,
        })
    }

    /// The client cancels a request.
    pub fn cancel(&self, id: &Id) {
        if let Some(sender) = self.under_way.lock().remove(id) {
            let _ = sender.send(());
        }
    }

    /// The client answers a question.
    pub async fn answered(&self, client: &Client, answer: Response, judge: Option<&dyn Judge>) {
        let id = answer.id.clone();
        let waiting = id.as_ref().and_then(|id| self.asked.lock().remove(id));
        if let (Some(sharing), Some(id)) = (&self.sharing, &id) {
            let question = sharing.shelf.asked(id).await;
            if waiting.is_none()
                && let Some(question) = question
            {
                return self.answered_elsewhere(client, (question, answer), judge).await;
            }
        }
        match waiting {
            Some(Asked::Server(link, id)) => {
                let outcome = match answer.outcome.map(|said| self.of_task(&link.server, said)) {
                    Ok(said) => replied(judge, &link.server, said)
                        .await
                        .map_err(|blocked| RpcError::from(blocked).raw()),
                    Err(error) => Err(error),
                };
                let outcome = outcome.as_deref().map_err(AsRef::as_ref);
                if let Err(error) = link.answer(client, &id, outcome).await {
                    tracing::debug!(server = link.server.name, %error, "an answer could not be passed on");
                }
            }
            Some(Asked::Here(sender)) => drop(sender.send(answer.outcome)),
            None => {}
        }
    }

    /// Asks the client on behalf of the gateway.
    pub fn ask(
        &self,
        method: &str,
        params: &Object,
        sink: &Sink,
    ) -> Option<oneshot::Receiver<Result<Raw, Raw>>> {
        let (sender, answer) = oneshot::channel();
        let question = Question {
            server: None,
            id: None,
            process: self.process(),
        };
        let (id, text) = self.question(method, params, Asked::Here(sender))?;
        sink.try_send(Told::Asked { text, id, question }).ok()?;
        Some(answer)
    }

    /// The text of a question with an id of ours.
    fn question(&self, method: &str, params: &Object, whose: Asked) -> Option<(Id, String)> {
        let mut asked = self.asked.lock();
        if asked.len() >= MAX_ASKED {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Other replicas ask in the same session.
        let id = Id::Text(match &self.sharing {
            None => format!("pm-{number}"),
            Some(sharing) => format!("pm-{}-{number}", sharing.name),
        });
        let text = message::request(&id, method, params);
        asked.insert(id.clone(), whose);
        Some((id, text))
    }

    /// Puts a message into the stream that the client listens on; kept for a while until it does.
    pub fn post(&self, text: String) {
        match &self.sharing {
            None => drop(self.news.lock().offer(None, &text)),
            Some(sharing) => sharing.post(Post { text, asked: None }),
        }
    }

    /// The stream of what servers say unasked, from behind an event on, or else from where it was left. Whoever listened
    /// before hears nothing any more.
    #[must_use]
    pub fn listen(&self, after: Option<u64>) -> Option<Reader> {
        self.touch();
        let news = self.news.lock();
        news.reader(after.unwrap_or_else(|| news.left_at()))
    }

    /// Keeps a stream for whoever may ask for what they have missed.
    pub fn keep_stream(&self, stream: &Arc<Stream>) {
        let now = Instant::now();
        let mut streams = self.streams.lock();
        streams.retain(|_, stream| !stream.is_over(now, trail::AFTERWARDS));
        if streams.len() < MAX_STREAMS {
            streams.insert(stream.name.clone(), Arc::clone(stream));
        }
    }

    /// A stream is not kept any more: its client has what there is to say.
    pub fn drop_stream(&self, name: &str) {
        self.streams.lock().remove(name);
    }

    /// A stream that answers requests.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams.lock().get(name).cloned()
    }

    /// Ends it: links are given back.
    pub async fn close(&self, client: &Client) {
        self.news.lock().finish();
        let links: Vec<_> = self.links.lock().drain().collect();
        for (_, cell) in links {
            if let Some(link) = cell.get() {
                link.close(client).await;
            }
        }
    }
}

/// Tells a server from which level on its client wants logs. Of a client that has not said it, newer servers are told
/// one: without, they log nothing, and older ones would.
async fn set_level(link: &Arc<Link>, client: &Client, level: Option<&str>) {
    if link.greeting.capabilities.get("logging").is_none() {
        return;
    }
    if link.version.is_modern() {
        return link.log_from(level.unwrap_or(UNSAID_LEVEL));
    }
    let Some(level) = level else { return };
    let mut params = Object::default();
    params.set("level", level);
    let ask = link::Ask {
        method: "logging/setLevel".to_owned(),
        params,
        headers: Vec::new(),
        sink: None,
        timeout: Duration::from_secs(10),
        trail: None,
        resume: None,
    };
    if let Err(error) = link.ask(client, ask).await {
        tracing::debug!(server = link.server.name, %error, "the log level could not be set");
    }
}

impl Owner for Session {
    fn told(&self, link: &Arc<Link>, mut told: Notification, sink: Option<&Sink>) {
        if told.method == "notifications/subscriptions/acknowledged" {
            // That the gateway listens to a newer server is no news for its client.
            return;
        }
        if told.method == "notifications/cancelled" {
            // A server gives a question up: the client knows it by another id.
            let id = told
                .params
                .get("requestId")
                .and_then(|id| serde_json::from_str::<Id>(id.get()).ok());
            let ours = self.asked.lock().iter().find_map(|(ours, asked)| match asked {
                Asked::Server(other, theirs) if Arc::ptr_eq(other, link) && Some(theirs) == id.as_ref() => {
                    Some(ours.clone())
                }
                _ => None,
            });
            let Some(ours) = ours else { return };
            self.asked.lock().remove(&ours);
            told.params.set("requestId", &ours);
        }
        let changed = Kind::changed_by(&told.method);
        link.server.invalidate(changed);
        let is_news = !changed.is_empty()
            || matches!(
                told.method.as_str(),
                "notifications/resources/updated" | "notifications/tasks/status"
            );
        let text = self.shown(link, told);
        match sink.filter(|_| !is_news) {
            Some(sink) => drop(sink.try_send(Told::Message(text))),
            None => self.post(text),
        }
    }

    fn asked(&self, link: &Arc<Link>, mut asked: Request, sink: Option<&Sink>) -> Option<Result<Raw, Raw>> {
        self.names(&link.server)
            .show_related(&link.server.name, &mut asked.params);
        let question = Question {
            server: Some(link.server.name.clone()),
            id: Some(asked.id.clone()),
            process: self.process().filter(|_| link.keepsake().is_none()),
        };
        let whose = Asked::Server(Arc::clone(link), asked.id);
        let Some((id, text)) = self.question(&asked.method, &asked.params, whose) else {
            return Some(Err(
                RpcError::internal("too many questions wait for the client").raw()
            ));
        };
        let told = Told::Asked { text, id, question };
        let unsent = match sink {
            Some(sink) => sink.try_send(told).err().map(|error| error.into_inner()),
            None => Some(told),
        };
        if let Some(Told::Asked { text, id, question }) = unsent {
            self.ask_unasked(text, id, question);
        }
        None
    }
}

/// The subscriptions of the era without sessions: methods by the name of their switch.
pub const SWITCHES: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];

/// Names that are there once.
#[must_use]
pub fn once(names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .collect()
}
