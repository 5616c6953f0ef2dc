//! The part of a session that other replicas can go on with.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use pointsman_store::sessions::Log;
use pointsman_store::{SharedError, SharedSessions};
use pointsman_upstream::Client;
use tokio::sync::{Notify, mpsc};

use super::Session;
use crate::call::replied;
use crate::error::RpcError;
use crate::judge::Judge;
use crate::link::{self, Failed, Link, Owner};
use crate::message::{self, Id, Object, Request, Response};
use crate::replay::{Reader, Stream};
use crate::server::Server;
use crate::trail::{Letter, NEWS, Question, Shelf, Trail};
use crate::version::Version;
use crate::view::View;

/// News on its way to the log; what is more is lost.
const MAX_POSTS: usize = 256;
/// News that nobody has heard and that is kept for who says nothing of what they heard.
const MAX_UNHEARD: u64 = 256;
/// How often it is looked whether there is news, where nobody has said so.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether whoever listens to servers is still there.
const TEND: Duration = Duration::from_secs(3);

/// What a session is.
pub(super) struct About {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) version: Version,
    pub(super) scope: Option<String>,
    pub(super) described: Object,
}

/// What is shared of a session.
pub(super) struct Sharing {
    pub(super) shelf: Shelf,
    /// What the ids of its questions begin with.
    pub(super) name: String,
    posts: mpsc::Sender<Post>,
    /// There is news.
    news: Arc<Notify>,
}

/// News for the client.
pub(super) struct Post {
    pub(super) text: String,
    /// The question that it is.
    pub(super) asked: Option<(Id, Question)>,
}

impl Sharing {
    /// Begins to share. News is written one after the other, by a task that ends with the session.
    pub(super) fn begin(shelf: Shelf) -> Self {
        let (posts, mut posted) = mpsc::channel::<Post>(MAX_POSTS);
        let own = shelf.clone();
        tokio::spawn(async move {
            while let Some(Post { text, asked }) = posted.recv().await {
                if let Some((id, question)) = asked {
                    own.ask(&id, &question).await;
                }
                own.news(&text, None).await;
            }
        });
        let name = shelf.sessions.process().to_owned();
        Self {
            shelf,
            name,
            posts,
            news: Arc::default(),
        }
    }

    pub(super) fn post(&self, post: Post) {
        if self.posts.try_send(post).is_err() {
            tracing::warn!("news for a client comes faster than it can be written: some is lost");
        }
    }

    pub(super) async fn note(&self, field: &str, value: &str) {
        let fields = [(field.to_owned(), value.to_owned())];
        if let Err(error) = self.shelf.sessions.set(&self.shelf.key, &fields).await {
            tracing::debug!(%error, "a session could not be told to other replicas");
        }
    }

    /// The conversation with a server that there is, or else a new one.
    pub(super) async fn link(
        &self,
        client: &Client,
        server: &Arc<Server>,
        (described, owner): (&Object, Weak<dyn Owner>),
    ) -> Result<Arc<Link>, Failed> {
        if server.web().is_some()
            && let Some(kept) = self.shelf.link(&server.name).await
            && let Ok(link) = link::adopted(server, kept, described.clone(), owner.clone())
        {
            self.listen_if_nobody_does(&link, client).await;
            return Ok(link);
        }
        let link = link::open(server, client, described.clone(), owner.clone()).await?;
        let Some(kept) = link.keepsake() else {
            return Ok(link);
        };
        match self.shelf.keep_link(&server.name, &kept).await {
            Ok(true) => {
                let listener = format!("w:{}", server.name);
                self.note(&listener, self.shelf.sessions.process()).await;
                Ok(link)
            }
            Ok(false) => {
                // Another replica was faster.
                let Some(theirs) = self.shelf.link(&server.name).await else {
                    return Ok(link);
                };
                link.close(client).await;
                let link = link::adopted(server, theirs, described.clone(), owner)?;
                self.listen_if_nobody_does(&link, client).await;
                Ok(link)
            }
            Err(error) => {
                tracing::warn!(%error, "a conversation with a server could not be told to other replicas");
                Ok(link)
            }
        }
    }

    async fn listen_if_nobody_does(&self, link: &Arc<Link>, client: &Client) {
        let Ok(Some(fields)) = self.shelf.sessions.fields(&self.shelf.key, self.shelf.life).await else {
            return;
        };
        if self.shelf.listens(&link.server.name, &fields).await {
            link.listen(client).await;
        }
    }
}

impl Session {
    /// What is shared of it, where anything is.
    #[must_use]
    pub fn shelf(&self) -> Option<&Shelf> {
        self.sharing.as_ref().map(|sharing| &sharing.shelf)
    }

    /// The trail of a request, where others may have to go on with it.
    #[must_use]
    pub fn trail(&self, log: &str, request: &Request) -> Option<Arc<Trail>> {
        self.shelf().map(|shelf| Trail::new(shelf.clone(), log, request))
    }

    pub(super) fn process(&self) -> Option<String> {
        self.shelf().map(|shelf| shelf.sessions.process().to_owned())
    }

    /// Tells others that it is there.
    ///
    /// # Errors
    /// When they cannot be told.
    pub async fn share(&self) -> Result<(), SharedError> {
        let Some(shelf) = self.shelf() else { return Ok(()) };
        let fields = [
            ("owner".to_owned(), self.owner.clone()),
            ("version".to_owned(), self.version.name().to_owned()),
            ("scope".to_owned(), self.scope.clone().unwrap_or_default()),
            ("described".to_owned(), self.described.raw().get().to_owned()),
        ];
        shelf.sessions.create(&shelf.key, &fields, shelf.life).await
    }

    /// A session that another replica has begun, from what it told; none where that cannot be understood.
    #[must_use]
    pub fn restored(
        id: &str,
        fields: &HashMap<String, String>,
        view: Arc<View>,
        shared: (Arc<dyn SharedSessions>, Duration),
    ) -> Option<Arc<Self>> {
        let about = About {
            id: id.to_owned(),
            owner: fields.get("owner")?.clone(),
            version: Version::from_name(fields.get("version")?)?,
            scope: fields.get("scope").filter(|scope| !scope.is_empty()).cloned(),
            described: Object::parse(fields.get("described")?).ok()?,
        };
        let session = Self::new(about, view, Some(shared));
        *session.level.lock() = fields.get("level").cloned();
        Some(session)
    }

    /// Forgets it here: others go on with it, and with its conversations.
    pub fn leave(&self) {
        self.news.lock().finish();
        for link in self.links() {
            link.shut();
        }
    }

    /// Takes it from all replicas.
    pub async fn unshare(&self) {
        let Some(shelf) = self.shelf() else { return };
        if let Err(error) = shelf.sessions.remove(&shelf.key).await {
            tracing::warn!(%error, "a session could not be ended at other replicas: it ends by itself");
        }
    }

    pub(super) fn ask_unasked(&self, text: String, id: Id, question: Question) {
        match &self.sharing {
            None => self.post(text),
            Some(sharing) => sharing.post(Post {
                text,
                asked: Some((id, question)),
            }),
        }
    }

    /// The answer to a question that another replica has put.
    pub(super) async fn answered_elsewhere(
        &self,
        client: &Client,
        (question, answer): (Question, Response),
        judge: Option<&dyn Judge>,
    ) {
        let Some(shelf) = self.shelf() else { return };
        let server = question.server.as_deref();
        let server = server.and_then(|name| self.view.lock().server(name).cloned());
        let outcome = match (answer.outcome, &server) {
            (Ok(said), Some(server)) => replied(judge, server, said)
                .await
                .map_err(|blocked| RpcError::from(blocked).raw()),
            (outcome, _) => outcome,
        };
        if let Some(process) = &question.process {
            let outcome = outcome.as_deref().map_err(AsRef::as_ref);
            let letter = Letter::Answer {
                session: shelf.key.clone(),
                text: message::response(answer.id.as_ref(), outcome),
            };
            return shelf.tell(process, &letter).await;
        }
        let (Some(server), Some(id)) = (server, question.id) else {
            return;
        };
        let sent = async {
            let link = self.link(client, &server).await?;
            link.answer(client, &id, outcome.as_deref().map_err(AsRef::as_ref))
                .await
        };
        if let Err(error) = Box::pin(sent).await {
            tracing::debug!(server = server.name, %error, "an answer could not be passed on");
        }
    }

    /// Cancels a request that another replica has under way.
    pub async fn cancel_elsewhere(&self, id: &Id) {
        let Some(shelf) = self.shelf() else { return };
        let Ok(Some(fields)) = shelf.sessions.fields(&shelf.key, shelf.life).await else {
            return;
        };
        let log = fields.get(&format!("q:{id}"));
        if let Some(holder) = log.and_then(|log| fields.get(&format!("h:{log}"))) {
            let letter = Letter::Cancel {
                session: shelf.key.clone(),
                id: id.clone(),
            };
            shelf.tell(holder, &letter).await;
        }
    }

    /// Whether a request is under way here.
    pub fn has_request(&self, id: &Id) -> bool {
        self.under_way.lock().contains_key(id)
    }

    /// There is news in the log.
    pub fn has_news(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.news.notify_one();
        }
    }

    /// The stream of what servers say unasked, wherever it was said, from behind an event on or else from where it was
    /// left; followed as long as somebody reads it.
    pub async fn listen_shared(self: &Arc<Self>, client: &Client, after: Option<u64>) -> Option<Reader> {
        let shelf = self.shelf()?.clone();
        self.touch();
        let fields = shelf.sessions.fields(&shelf.key, shelf.life).await.ok()??;
        let number = |field: &str| {
            fields
                .get(field)
                .and_then(|number| number.parse().ok())
                .unwrap_or(0_u64)
        };
        let (delivered, newest) = (number("d"), number("n:g"));
        // Who says nothing hears what nobody has heard, unless that is more than is kept.
        let left_at = if newest - delivered.min(newest) > MAX_UNHEARD {
            newest
        } else {
            delivered
        };
        let after = after.unwrap_or(left_at);
        let own = [("listener".to_owned(), shelf.sessions.process().to_owned())];
        shelf.sessions.set(&shelf.key, &own).await.ok()?;
        let stream = Stream::new(NEWS, after);
        let reader = stream.reader(after);
        let before = std::mem::replace(&mut *self.news.lock(), Arc::clone(&stream));
        before.finish();
        tokio::spawn(follow_news(
            Arc::downgrade(self),
            client.clone(),
            (shelf, stream, after),
        ));
        reader
    }

    /// Takes over what dead replicas listened to.
    async fn tend(&self, client: &Client, fields: &HashMap<String, String>) {
        let Some(sharing) = &self.sharing else { return };
        for name in fields.keys().filter_map(|field| field.strip_prefix("l:")) {
            let Some(server) = self.view.lock().server(name).cloned() else {
                continue;
            };
            if self.has_link(name) {
                for link in self.links().iter().filter(|link| link.server.name == name) {
                    if sharing.shelf.listens(name, fields).await {
                        link.listen(client).await;
                    }
                }
            } else {
                // Whoever adopts it listens, if nobody else does.
                let _ = Box::pin(self.link(client, &server)).await;
            }
        }
    }
}

/// Copies the log of news into a stream, as long as somebody reads it.
async fn follow_news(
    session: Weak<Session>,
    client: Client,
    (shelf, stream, mut after): (Shelf, Arc<Stream>, u64),
) {
    let mut delivered = after;
    let mut tended = Instant::now();
    loop {
        let Some(held) = session.upgrade().filter(|_| stream.is_read()) else {
            break;
        };
        let news = held.sharing.as_ref().map(|sharing| Arc::clone(&sharing.news));
        let Some(news) = news else { break };
        match shelf.sessions.events(&shelf.key, NEWS, after).await {
            Ok(Log::Events(found)) if !found.events.is_empty() => {
                for (number, text) in found.events {
                    stream.push(Some(number), &text).await;
                    after = number;
                }
                continue;
            }
            Ok(Log::Gone) => {
                tracing::warn!("a client has missed more of what servers said unasked than is kept");
                break;
            }
            Ok(Log::Events(_) | Log::Unknown) | Err(_) => {}
        }
        if stream.read() > delivered {
            delivered = stream.read();
            let mark = [("d".to_owned(), delivered.to_string())];
            let _ = shelf.sessions.set(&shelf.key, &mark).await;
        }
        if tended.elapsed() >= TEND {
            tended = Instant::now();
            held.touch();
            match shelf.sessions.fields(&shelf.key, shelf.life).await {
                Ok(Some(fields)) => {
                    let listener = fields.get("listener").map(String::as_str);
                    if listener.is_some_and(|listener| listener != shelf.sessions.process()) {
                        // The client listens elsewhere now.
                        break;
                    }
                    held.tend(&client, &fields).await;
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        drop(held);
        let _ = tokio::time::timeout(LOOK, news.notified()).await;
    }
    stream.finish();
}
