//! Streams that are open: whose they are, what is on its way to them, and what ends with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use pointsman_mcp::board::Board;
use pointsman_mcp::error::RpcError;
use pointsman_mcp::replay::{Reader, Step};
use pointsman_mcp::session::Session;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::road::mcp::stream::{Next, Source};
use crate::worker::Worker;

/// Messages on their way to a client.
const QUEUE: usize = 64;
/// Work that is under way for one stream.
const MAX_WORK: usize = 512;
/// How long a stream may be open without a session.
const PATIENCE: Duration = Duration::from_secs(30);

/// All streams, by their ids. Outlast a configuration.
#[derive(Default)]
pub struct Pipes(Arc<Mutex<HashMap<String, Arc<Pipe>>>>);

/// A stream, as messages are posted for it.
pub struct Pipe {
    owner: String,
    scope: Option<String>,
    out: mpsc::Sender<Said>,
    own: Mutex<Own>,
}

/// What ends with a stream.
#[derive(Default)]
struct Own {
    session: Option<Arc<Session>>,
    work: Vec<AbortHandle>,
    /// Its client has left: nothing begins any more.
    is_over: bool,
}

/// One owner may have this part of all streams: nobody takes them from everybody else.
const OWN_SHARE: usize = 4;

/// What is said on a stream.
enum Said {
    Message(String),
    End,
}

/// A stream that was opened.
pub struct Opened {
    /// Its id: nobody can guess it.
    pub id: String,
    pipe: Arc<Pipe>,
    said: mpsc::Receiver<Said>,
    all: Arc<Mutex<HashMap<String, Arc<Pipe>>>>,
}

impl Pipes {
    /// A new stream of an owner, at an address.
    ///
    /// # Errors
    /// When there are `most`, or too many of the owner's own, or the system has no randomness.
    pub fn open(&self, (owner, scope): (String, Option<String>), most: usize) -> Result<Opened, RpcError> {
        let mut chance = [0_u8; 32];
        getrandom::fill(&mut chance)
            .map_err(|error| RpcError::internal(format!("no randomness: {error}")))?;
        let id: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let (out, said) = mpsc::channel(QUEUE);
        let pipe = Arc::new(Pipe {
            owner,
            scope,
            out,
            own: Mutex::default(),
        });
        let mut all = self.0.lock();
        let own = all.values().filter(|other| other.owner == pipe.owner).count();
        if all.len() >= most || own >= most.div_ceil(OWN_SHARE) {
            let error =
                RpcError::internal("there are too many streams (`mcp.max_sessions`); come back later");
            return Err(error.with(StatusCode::SERVICE_UNAVAILABLE));
        }
        all.insert(id.clone(), Arc::clone(&pipe));
        Ok(Opened {
            id,
            pipe,
            said,
            all: Arc::clone(&self.0),
        })
    }

    /// The stream of this id, if it is this owner's, at this address.
    pub fn find(&self, id: &str, (owner, scope): (&str, Option<&str>)) -> Option<Arc<Pipe>> {
        let all = self.0.lock();
        let pipe = all.get(id)?;
        (pipe.owner == owner && pipe.scope.as_deref() == scope).then(|| Arc::clone(pipe))
    }
}

impl Pipe {
    /// Its session, once it has begun.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.own.lock().session.clone()
    }

    /// Begins its session; false where it has one, or its client has left meanwhile: then the session is nobody's.
    pub fn begin(&self, session: &Arc<Session>) -> bool {
        let mut own = self.own.lock();
        if own.is_over || own.session.is_some() {
            return false;
        }
        own.session = Some(Arc::clone(session));
        true
    }

    /// Says a message; waits while its client does not read.
    pub async fn tell(&self, text: String) {
        // A client that is gone misses it.
        let _ = self.out.send(Said::Message(text)).await;
    }

    /// Nothing comes any more.
    pub async fn end(&self) {
        let _ = self.out.send(Said::End).await;
    }

    /// Passes on what servers say unasked, as long as the session lasts.
    pub async fn pass_news(&self, mut news: Reader) {
        while let Step::Event { text, .. } = news.next().await {
            self.tell(text.to_string()).await;
        }
        self.end().await;
    }

    /// Whether there is room for one more request.
    pub fn has_room(&self) -> bool {
        let mut own = self.own.lock();
        own.work.retain(|work| !work.is_finished());
        own.work.len() < MAX_WORK
    }

    /// Keeps work that ends with the stream.
    pub fn keep(&self, work: AbortHandle) {
        let mut own = self.own.lock();
        if own.is_over {
            return work.abort();
        }
        own.work.push(work);
    }

    /// Its client has left: all that is under way ends. Gives its session.
    fn leave(&self) -> Option<Arc<Session>> {
        let mut own = self.own.lock();
        own.is_over = true;
        own.work.drain(..).for_each(|work| work.abort());
        own.session.take()
    }
}

/// A stream on its way. Dropped, because its client is gone, it ends its session with all that is under way.
pub struct Events {
    opened: Opened,
    /// Where messages are posted.
    place: Option<String>,
    worker: Arc<Worker>,
    board: Arc<Board>,
    until: Instant,
}

impl Events {
    /// The events of a stream that was opened, whose messages are posted at `place`.
    pub fn new(worker: &Arc<Worker>, board: &Arc<Board>, opened: Opened, place: String) -> Self {
        Self {
            opened,
            place: Some(place),
            worker: Arc::clone(worker),
            board: Arc::clone(board),
            until: Instant::now() + PATIENCE,
        }
    }
}

impl Source for Events {
    async fn next(&mut self) -> Next {
        if let Some(place) = self.place.take() {
            return Next::Place(place);
        }
        let said = if self.opened.pipe.session().is_none() {
            match tokio::time::timeout_at(self.until, self.opened.said.recv()).await {
                Ok(said) => said,
                Err(_) if self.opened.pipe.session().is_some() => self.opened.said.recv().await,
                Err(_) => None,
            }
        } else {
            self.opened.said.recv().await
        };
        match said {
            Some(Said::Message(text)) => Next::Message(text),
            Some(Said::End) | None => Next::End,
        }
    }

    fn farewell(&mut self) -> Option<Option<String>> {
        let own = self.opened.pipe.own.lock();
        // One of them listens to what is new.
        let is_busy = own.work.iter().filter(|work| !work.is_finished()).count() > 1;
        (!is_busy && self.opened.said.is_empty()).then_some(None)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.opened.all.lock().remove(&self.opened.id);
        let Some(session) = self.opened.pipe.leave() else {
            return;
        };
        self.board.end(&session);
        let client = self.worker.client.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { session.close(&client).await });
        }
    }
}
