//! The session of a client: whose it is, its links to servers, and what is under way in it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_upstream::Client;
use tokio::sync::{OnceCell, mpsc, oneshot};

use crate::catalog::Kind;
use crate::error::RpcError;
use crate::link::{self, Failed, Link, Owner, Sink, Told};
use crate::message::{self, Id, Notification, Object, Raw, Request, Response};
use crate::server::Server;
use crate::version::Version;
use crate::view::View;

/// Messages that wait for a client that does not listen; the oldest go first.
const MAX_WAITING: usize = 64;
/// Questions that wait for a client's answer.
const MAX_ASKED: usize = 256;
/// Requests of a client under way.
const MAX_UNDER_WAY: usize = 256;

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
    outbox: Mutex<Outbox>,
    level: Mutex<Option<String>>,
    this: Weak<Self>,
}

/// Who waits for an answer of the client.
enum Asked {
    /// A server.
    Server(Arc<Link>, Id),
    /// The gateway itself.
    Here(oneshot::Sender<Result<Raw, Raw>>),
}

struct Outbox {
    sender: Option<mpsc::Sender<String>>,
    waiting: VecDeque<String>,
    used: Instant,
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
        Ok(Arc::new_cyclic(|this| Self {
            id,
            owner,
            version,
            scope,
            described,
            view: Mutex::new(view),
            links: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(0),
            under_way: Mutex::default(),
            outbox: Mutex::new(Outbox {
                sender: None,
                waiting: VecDeque::new(),
                used: Instant::now(),
            }),
            level: Mutex::default(),
            this: this.clone(),
        }))
    }

    /// Notes that it is used.
    pub fn touch(&self) {
        self.outbox.lock().used = Instant::now();
    }

    /// When it was used last.
    pub fn last_used(&self) -> Instant {
        self.outbox.lock().used
    }

    /// Whether nobody has used it for so long. One whose client listens is in use.
    pub fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        let outbox = self.outbox.lock();
        let listens = outbox.sender.as_ref().is_some_and(|sender| !sender.is_closed());
        !listens && now.saturating_duration_since(outbox.used) > idle && self.under_way.lock().is_empty()
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
            let owner: Weak<dyn Owner> = self.this.clone();
            let link = link::open(server, client, self.described.clone(), owner).await?;
            let level = self.level.lock().clone();
            set_level(&link, client, level.as_deref()).await;
            Ok(link)
        });
        Box::pin(opening).await.cloned()
    }

    /// A link is not used any more.
    pub fn drop_link(&self, lost: &Arc<Link>) {
        let mut links = self.links.lock();
        let is_it = links
            .get(&lost.server.name)
            .and_then(|cell| cell.get())
            .is_some_and(|link| Arc::ptr_eq(link, lost));
        if is_it {
            links.remove(&lost.server.name);
            lost.shut();
        }
    }

    /// From which level on the client wants logs.
    pub async fn set_level(&self, client: &Client, level: &str) {
        *self.level.lock() = Some(level.to_owned());
        for link in self.links() {
            set_level(&link, client, Some(level)).await;
        }
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
    pub async fn answered(&self, client: &Client, answer: Response) {
        let waiting = answer.id.and_then(|id| self.asked.lock().remove(&id));
        match waiting {
            Some(Asked::Server(link, id)) => {
                let outcome = answer.outcome.as_deref().map_err(AsRef::as_ref);
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
        let text = self.question(method, params, Asked::Here(sender))?;
        sink.try_send(Told::Message(text)).ok()?;
        Some(answer)
    }

    /// The text of a question with an id of ours.
    fn question(&self, method: &str, params: &Object, whose: Asked) -> Option<String> {
        let mut asked = self.asked.lock();
        if asked.len() >= MAX_ASKED {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = Id::Text(format!("pm-{number}"));
        let text = message::request(&id, method, params);
        asked.insert(id, whose);
        Some(text)
    }

    /// Puts a message into the stream that the client listens on, or keeps it until it does.
    pub fn post(&self, text: String) {
        let mut outbox = self.outbox.lock();
        let text = match &outbox.sender {
            None => text,
            Some(sender) => match sender.try_send(text) {
                Ok(()) => return,
                Err(error) => error.into_inner(),
            },
        };
        if outbox.waiting.len() >= MAX_WAITING {
            outbox.waiting.pop_front();
        }
        outbox.waiting.push_back(text);
    }

    /// The client listens; what waited comes first. Whoever listened before hears nothing any more.
    pub fn listen(&self) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel(2 * MAX_WAITING);
        let mut outbox = self.outbox.lock();
        outbox.used = Instant::now();
        while let Some(text) = outbox.waiting.pop_front() {
            let _ = sender.try_send(text);
        }
        outbox.sender = Some(sender);
        receiver
    }

    /// Ends it: links are given back.
    pub async fn close(&self, client: &Client) {
        self.outbox.lock().sender = None;
        let links: Vec<_> = self.links.lock().drain().collect();
        for (_, cell) in links {
            if let Some(link) = cell.get() {
                link.close(client).await;
            }
        }
    }

    /// A notification, as its client sees it.
    fn shown(&self, link: &Link, mut told: Notification) -> String {
        if told.method == "notifications/resources/updated"
            && let Some(uri) = told.params.text("uri")
        {
            let shown = self.view.lock().show_uri(&link.server.name, &uri);
            told.params.set("uri", &shown);
        }
        message::notification(&told.method, &told.params)
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
    };
    if let Err(error) = link.ask(client, ask).await {
        tracing::debug!(server = link.server.name, %error, "the log level could not be set");
    }
}

impl Owner for Session {
    fn told(&self, link: &Arc<Link>, mut told: Notification, sink: Option<&Sink>) {
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
        let is_news = !changed.is_empty() || told.method == "notifications/resources/updated";
        let text = self.shown(link, told);
        match sink.filter(|_| !is_news) {
            Some(sink) => drop(sink.try_send(Told::Message(text))),
            None => self.post(text),
        }
    }

    fn asked(&self, link: &Arc<Link>, asked: Request, sink: Option<&Sink>) -> Option<Result<Raw, Raw>> {
        let whose = Asked::Server(Arc::clone(link), asked.id);
        let Some(text) = self.question(&asked.method, &asked.params, whose) else {
            return Some(Err(
                RpcError::internal("too many questions wait for the client").raw()
            ));
        };
        match sink {
            Some(sink) => {
                if let Err(error) = sink.try_send(Told::Message(text))
                    && let Told::Message(text) = error.into_inner()
                {
                    self.post(text);
                }
            }
            None => self.post(text),
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
