//! What replicas share of a session and of the requests in it: enough that another one goes on where one has died.
//!
//! Names of fields: `h:` who holds a log, `r:` its request, `c:` up to where its server was heard, `q:` the log of a
//! request's id; `a:` a question that waits for the client's answer; `l:` a conversation with a server, `w:` who listens
//! to it, `C:` up to where; `listener` who has the client's own stream, `d` what of that was delivered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pointsman_store::sessions::{Append, LogBounds};
use pointsman_store::{SharedError, SharedSessions};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::message::{self, Id, Object, Request};
use crate::replay::{MAX_BYTES, MAX_EVENTS};

/// The log of what servers say unasked.
pub const NEWS: &str = "g";
/// How long the events of a request are kept behind its answer.
pub const AFTERWARDS: Duration = Duration::from_secs(60);

/// What is shared, and how long a session lasts that nobody uses.
#[derive(Debug, Clone)]
pub struct Shelf {
    /// Where.
    pub sessions: Arc<dyn SharedSessions>,
    /// The session, as it is called there: its id is nobody's business.
    pub key: String,
    /// How long it lasts.
    pub life: Duration,
}

/// What is known of a request that is under way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// The request, as a message.
    pub request: String,
    /// The server it was sent to.
    pub server: Option<String>,
    /// Its id there.
    pub upstream: Option<u64>,
}

/// A question of a server that waits for the client's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks; none where it is the gateway.
    pub server: Option<String>,
    /// By which id the server knows it.
    pub id: Option<Id>,
    /// The process that alone can answer it: its link is no conversation that others know.
    pub process: Option<String>,
}

/// A conversation with a server that others can go on with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keepsake {
    /// The session there.
    pub session: String,
    /// The version that is spoken.
    pub version: String,
    /// What the server can do.
    pub capabilities: Object,
    /// How it wants to be used.
    pub instructions: Option<String>,
}

/// What one process tells another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Letter {
    /// A client answers a question: a response, as a message.
    Answer {
        /// The session, as it is called among processes.
        session: String,
        /// The message.
        text: String,
    },
    /// A client cancels a request.
    Cancel {
        /// The session.
        session: String,
        /// The request.
        id: Id,
    },
    /// There is news for the client who listens here.
    News {
        /// The session.
        session: String,
    },
}

/// What a session is called among processes.
#[must_use]
pub fn key_of(session: &str) -> String {
    let digest = Sha256::digest(session.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Shelf {
    /// Sends another process a letter.
    pub async fn tell(&self, process: &str, letter: &Letter) {
        let Ok(text) = serde_json::to_string(letter) else {
            return;
        };
        if let Err(error) = self.sessions.mail(process, &text).await {
            tracing::debug!(%error, "another replica could not be told of a session");
        }
    }

    /// Notes a question that waits for an answer.
    pub async fn ask(&self, id: &Id, question: &Question) {
        let Ok(text) = serde_json::to_string(question) else {
            return;
        };
        let fields = [(format!("a:{id}"), text)];
        if let Err(error) = self.sessions.set(&self.key, &fields).await {
            tracing::debug!(%error, "a question could not be told to other replicas");
        }
    }

    /// Takes a question that waits for an answer.
    pub async fn asked(&self, id: &Id) -> Option<Question> {
        let taken = self.sessions.take(&self.key, &format!("a:{id}")).await;
        serde_json::from_str(&taken.ok()??).ok()
    }

    /// The conversation with a server.
    pub async fn link(&self, server: &str) -> Option<Keepsake> {
        let fields = self.sessions.fields(&self.key, self.life).await.ok()??;
        serde_json::from_str(fields.get(&format!("l:{server}"))?).ok()
    }

    /// Keeps the conversation with a server, unless another is kept.
    pub async fn keep_link(&self, server: &str, link: &Keepsake) -> Result<bool, SharedError> {
        let text = serde_json::to_string(link).unwrap_or_default();
        let field = format!("l:{server}");
        self.sessions.swap(&self.key, &field, None, Some(&text)).await
    }

    /// The conversation with a server is over.
    pub async fn lose_link(&self, server: &str, session: &str) {
        let Some(kept) = self.link(server).await.filter(|kept| kept.session == session) else {
            return;
        };
        let text = serde_json::to_string(&kept).unwrap_or_default();
        let field = format!("l:{server}");
        let _ = self.sessions.swap(&self.key, &field, Some(&text), None).await;
    }

    /// Whether this process is now the one that listens to a server: nobody did, or who did is dead.
    pub async fn listens(&self, server: &str, fields: &HashMap<String, String>) -> bool {
        let field = format!("w:{server}");
        let before = fields.get(&field).map(String::as_str);
        if let Some(before) = before
            && self.sessions.is_alive(before).await.unwrap_or(true)
        {
            return false;
        }
        let own = Some(self.sessions.process());
        self.sessions
            .swap(&self.key, &field, before, own)
            .await
            .unwrap_or(false)
    }

    /// Writes to the log of what servers say unasked.
    pub async fn news(&self, text: &str, mark: Option<(String, String)>) {
        let event = Append {
            session: &self.key,
            log: NEWS,
            holder: None,
            text,
            marks: mark.into_iter().collect(),
            last: false,
            bounds: bounds(self.life),
        };
        match self.sessions.append(event).await {
            Ok(Some(written)) => {
                if let Some(listener) = written.listener {
                    let session = self.key.clone();
                    self.tell(&listener, &Letter::News { session }).await;
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "news for a client could not be shared: they are lost"),
        }
    }
}

fn bounds(life: Duration) -> LogBounds {
    LogBounds {
        events: MAX_EVENTS,
        bytes: MAX_BYTES,
        life,
    }
}

/// From where a request that another process had under way goes on.
#[derive(Debug, Clone)]
pub struct Resume {
    /// The server it was sent to.
    pub server: String,
    /// Its id there.
    pub id: u64,
    /// The last event of that server; none where it said nothing that could be asked for again.
    pub from: Option<String>,
}

/// The trail of a request: what others need to know of it to go on with it.
#[derive(Debug)]
pub struct Trail {
    shelf: Shelf,
    log: String,
    id: Id,
    request: String,
    recorded: AtomicBool,
    resume: Mutex<Option<Resume>>,
}

impl Trail {
    /// The trail of a new request, whose events are in this log.
    #[must_use]
    pub fn new(shelf: Shelf, log: &str, request: &Request) -> Arc<Self> {
        Arc::new(Self {
            shelf,
            log: log.to_owned(),
            id: request.id.clone(),
            request: message::request(&request.id, &request.method, &request.params),
            recorded: AtomicBool::new(false),
            resume: Mutex::new(None),
        })
    }

    /// The trail of a request that another process had under way.
    #[must_use]
    pub fn resumed(shelf: Shelf, log: &str, request: &Request, resume: Option<Resume>) -> Arc<Self> {
        let mut trail = Self::new(shelf, log, request);
        if let Some(own) = Arc::get_mut(&mut trail) {
            own.recorded = AtomicBool::new(true);
            own.resume = Mutex::new(resume);
        }
        trail
    }

    /// From where it goes on; told once.
    pub fn resume(&self) -> Option<Resume> {
        self.resume.lock().take()
    }

    /// Notes that it is sent to a server, before it is.
    pub async fn dispatching(&self, server: &str, upstream: u64) {
        self.record(Some((server, upstream))).await;
    }

    /// Notes that it is there, if that is not noted.
    pub async fn keep(&self) {
        if !self.recorded.load(Ordering::Acquire) {
            self.record(None).await;
        }
    }

    async fn record(&self, sent: Option<(&str, u64)>) {
        let record = Record {
            request: self.request.clone(),
            server: sent.map(|(server, _)| server.to_owned()),
            upstream: sent.map(|(_, id)| id),
        };
        let Ok(text) = serde_json::to_string(&record) else {
            return;
        };
        let fields = [
            (
                format!("h:{}", self.log),
                self.shelf.sessions.process().to_owned(),
            ),
            (format!("r:{}", self.log), text),
            (format!("c:{}", self.log), String::new()),
            (format!("q:{}", self.id), self.log.clone()),
        ];
        match self.shelf.sessions.set(&self.shelf.key, &fields).await {
            Ok(_) => self.recorded.store(true, Ordering::Release),
            Err(error) => tracing::warn!(%error, "a request could not be told to other replicas"),
        }
    }

    /// Notes how far its server was heard before it said anything. What is noted with its events is further, and stays,
    /// however late this comes.
    pub async fn mark(&self, from: &str) {
        let field = format!("c:{}", self.log);
        let (sessions, key) = (&self.shelf.sessions, &self.shelf.key);
        if let Err(error) = sessions.swap(key, &field, Some(""), Some(from)).await {
            tracing::debug!(%error, "it could not be noted how far a server was heard");
        }
    }

    /// Writes an event; gives its number. None where another process has this request now.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn append(
        &self,
        text: &str,
        from: Option<String>,
        last: bool,
    ) -> Result<Option<u64>, SharedError> {
        self.keep().await;
        let event = Append {
            session: &self.shelf.key,
            log: &self.log,
            holder: Some(self.shelf.sessions.process()),
            text,
            marks: from
                .into_iter()
                .map(|from| (format!("c:{}", self.log), from))
                .collect(),
            last,
            bounds: bounds(if last { AFTERWARDS } else { self.shelf.life }),
        };
        let written = self.shelf.sessions.append(event).await?;
        Ok(written.map(|written| written.number))
    }

    /// Notes a question that it asks.
    pub async fn ask(&self, id: &Id, question: &Question) {
        self.shelf.ask(id, question).await;
    }

    /// Its id leads to it no more: its client has the answer.
    pub async fn answered(&self) {
        let _ = self
            .shelf
            .sessions
            .take(&self.shelf.key, &format!("q:{}", self.id))
            .await;
    }

    /// It is over, and its client has the answer.
    pub async fn forget(&self) {
        if !self.recorded.swap(false, Ordering::AcqRel) {
            return;
        }
        let fields = [
            format!("r:{}", self.log),
            format!("c:{}", self.log),
            format!("q:{}", self.id),
        ];
        let forgotten = self.shelf.sessions.forget(&self.shelf.key, &self.log, &fields);
        if let Err(error) = forgotten.await {
            tracing::debug!(%error, "a request could not be forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_session_does_not_tell_its_id() {
        let key = key_of("secret");
        assert_eq!(key.len(), 32);
        assert!(!key.contains("secret"));
        assert_ne!(key, key_of("secret2"));
    }
}
