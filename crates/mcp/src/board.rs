//! Who is to be told of changes: sessions, and listeners of the era without sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pointsman_store::SharedSessions;
use pointsman_upstream::Client;
use tokio::sync::mpsc;

use crate::flows::Asked;
use crate::link::Link;
use crate::message::{self, Id, Message, Object};
use crate::meta;
use crate::oauth::{Grants, Vault};
use crate::session::Session;
use crate::trail::Letter;
use crate::view::View;

/// Most listeners.
const MAX_LISTENERS: usize = 10_000;
/// How often the letters of other replicas are read.
const LETTERS: Duration = Duration::from_millis(50);
/// How often sessions that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// Sessions and listeners. Outlives a configuration.
#[derive(Default)]
pub struct Board {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    listeners: Mutex<HashMap<u64, Listener>>,
    next: AtomicU64,
    swept: Mutex<Option<Instant>>,
    /// Where sessions are shared with other replicas, if there are any.
    shared: Option<Arc<dyn SharedSessions>>,
    /// What servers have granted.
    vault: Arc<Vault>,
    /// Who has asked which server, as far as flows are forbidden.
    pub asked: Asked,
    /// Whether the letters of other replicas are read.
    reads: AtomicBool,
}

/// Somebody who listens without a session.
struct Listener {
    /// The id of their request.
    id: Id,
    /// What they see.
    view: Arc<View>,
    /// Notifications they want.
    methods: Vec<&'static str>,
    /// Resources they want to hear of, as clients call them.
    uris: Vec<String>,
    /// Tasks they want to hear of: servers, what those call them, and what clients do.
    tasks: Vec<WatchedTask>,
    sender: mpsc::Sender<News>,
}

/// A task that somebody wants to hear of.
pub struct WatchedTask {
    /// Who has it.
    pub server: String,
    /// What its server calls it.
    pub id: String,
    /// What its client calls it.
    pub shown: String,
}

/// What a listener hears.
pub enum News {
    /// A message, ready to be sent.
    Message(String),
    /// Something is new of the task that its client calls this.
    Task(String),
}

/// Listens as long as it is there.
pub struct Listening {
    board: Arc<Board>,
    number: u64,
    /// What comes.
    pub receiver: mpsc::Receiver<News>,
}

/// Reads letters as long as it is there.
struct Reading(Arc<Board>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reads.store(false, Ordering::Release);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.board.listeners.lock().remove(&self.number);
    }
}

impl Board {
    /// A board of sessions that other replicas can go on with; what servers grant lasts in `grants`.
    #[must_use]
    pub fn sharing(shared: Option<Arc<dyn SharedSessions>>, grants: Option<Arc<dyn Grants>>) -> Self {
        Self {
            shared,
            vault: Arc::new(Vault::new(grants)),
            ..Self::default()
        }
    }

    /// What servers have granted.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Where sessions are shared.
    #[must_use]
    pub fn shared(&self) -> Option<&Arc<dyn SharedSessions>> {
        self.shared.as_ref()
    }

    /// Reads what other replicas tell of sessions, until the thread ends that began to; one does at a time.
    pub fn read_letters(self: &Arc<Self>, client: &Client) {
        let Some(shared) = self.shared.clone() else { return };
        if self.reads.swap(true, Ordering::AcqRel) {
            return;
        }
        let reading = Reading(Arc::clone(self));
        let client = client.clone();
        tokio::spawn(async move {
            loop {
                match shared.letters().await {
                    Ok(letters) => {
                        for text in letters {
                            if let Ok(letter) = serde_json::from_str(&text) {
                                reading.0.read(&client, letter).await;
                            }
                        }
                    }
                    Err(error) => tracing::debug!(%error, "letters of other replicas could not be read"),
                }
                tokio::time::sleep(LETTERS).await;
            }
        });
    }

    async fn read(&self, client: &Client, letter: Letter) {
        let key = match &letter {
            Letter::Answer { session, .. } | Letter::Cancel { session, .. } | Letter::News { session } => {
                session
            }
        };
        let session = {
            let sessions = self.sessions.lock();
            let mut sessions = sessions.values();
            sessions
                .find(|session| session.shelf().is_some_and(|shelf| shelf.key == *key))
                .cloned()
        };
        let Some(session) = session else { return };
        match letter {
            // It was judged where it came in.
            Letter::Answer { text, .. } => {
                if let Ok(Message::Response(answer)) = message::decode_one(&text) {
                    session.answered(client, answer, None).await;
                }
            }
            Letter::Cancel { id, .. } => session.cancel(&id),
            Letter::News { .. } => session.has_news(),
        }
    }

    /// Keeps a session.
    ///
    /// # Errors
    /// Gives it back when there are too many; of a caller's own, the one that was not used for longest makes room.
    pub fn keep(
        &self,
        session: Arc<Session>,
        most: usize,
        idle: Duration,
    ) -> Result<Vec<Arc<Session>>, Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let mut gone: Vec<Arc<Session>> = Vec::new();
        if sessions.len() >= most {
            let now = Instant::now();
            gone.extend(
                sessions
                    .extract_if(|_, other| other.is_idle(now, idle))
                    .map(|(_, session)| session),
            );
        }
        if sessions.len() >= most {
            let own = sessions.values().filter(|other| other.owner == session.owner);
            let Some(oldest) = own
                .min_by_key(|other| other.last_used())
                .map(|other| other.id.clone())
            else {
                return Err(session);
            };
            gone.extend(sessions.remove(&oldest));
        }
        sessions.insert(session.id.clone(), session);
        Ok(gone)
    }

    /// The session of this id, if it is the caller's and not over.
    pub fn session(&self, id: &str, owner: &str, idle: Duration) -> Option<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get(id)?;
        if session.owner != owner {
            return None;
        }
        if session.is_idle(Instant::now(), idle) {
            sessions.remove(id);
            return None;
        }
        session.touch();
        Some(Arc::clone(session))
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        self.sessions.lock().remove(&session.id);
    }

    /// Sessions that nobody uses any more; looked for now and then.
    pub fn sweep(&self, idle: Duration) -> Vec<Arc<Session>> {
        let now = Instant::now();
        let last = self.swept.lock().replace(now);
        if let Some(last) = last.filter(|last| now.saturating_duration_since(*last) < SWEEP) {
            *self.swept.lock() = Some(last);
            return Vec::new();
        }
        let mut sessions = self.sessions.lock();
        sessions
            .extract_if(|_, other| other.is_idle(now, idle))
            .map(|(_, session)| session)
            .collect()
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Registers somebody who listens.
    pub fn listen(
        self: &Arc<Self>,
        id: Id,
        view: Arc<View>,
        (methods, uris, tasks): (Vec<&'static str>, Vec<String>, Vec<WatchedTask>),
    ) -> Option<Listening> {
        let (sender, receiver) = mpsc::channel(64);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut listeners = self.listeners.lock();
        if listeners.len() >= MAX_LISTENERS {
            return None;
        }
        let listener = Listener {
            id,
            view,
            methods,
            uris,
            tasks,
            sender,
        };
        listeners.insert(number, listener);
        Some(Listening {
            board: Arc::clone(self),
            number,
            receiver,
        })
    }

    /// A server's list has changed: told to all who see the server.
    pub fn changed(&self, server: &str, method: &str) {
        let params = Object::default();
        let sessions: Vec<Arc<Session>> = self.sessions.lock().values().cloned().collect();
        for session in sessions {
            // Who has a link of their own hears of it there.
            // Replicas that share it hear the same: the one its client listens at tells.
            let tells = session.shelf().is_none() || session.is_listening();
            if tells && session.sees(server) && !session.has_link(server) {
                session.post(message::notification(method, &params));
            }
        }
        for listener in self.listeners.lock().values() {
            if listener.view.has(server) && listener.methods.contains(&method) {
                listener.tell(method, Object::default());
            }
        }
    }

    /// Something is new of a task, and the house was told.
    pub fn task(&self, link: &Link, id: &str) {
        for listener in self.listeners.lock().values() {
            let sees = listener.view.asks(&link.server);
            let mut tasks = listener.tasks.iter();
            let watched = tasks.find(|task| sees && task.server == link.server.name && task.id == id);
            if let Some(task) = watched {
                let _ = listener.sender.try_send(News::Task(task.shown.clone()));
            }
        }
    }

    /// A resource has changed, and the house was told.
    pub fn updated(&self, link: &Link, uri: &str) {
        for listener in self.listeners.lock().values() {
            // What a server says on behalf of one user is for that user.
            let sees = listener.view.asks(&link.server);
            let shown = listener.view.show_uri(&link.server.name, uri);
            if sees && listener.uris.contains(&shown) {
                let mut params = Object::default();
                params.set("uri", &shown);
                listener.tell("notifications/resources/updated", params);
            }
        }
    }
}

impl Listener {
    fn tell(&self, method: &str, mut params: Object) {
        let mut meta = Object::default();
        meta.set(meta::SUBSCRIPTION_ID, &self.id);
        params.set("_meta", &meta);
        // Who does not read will read the lists again anyway.
        let _ = self
            .sender
            .try_send(News::Message(message::notification(method, &params)));
    }
}
