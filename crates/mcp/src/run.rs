//! Requests of a session under way: what is said of them becomes the events of a stream, whether or not somebody listens.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::call::Refused;
use crate::link::Told;
use crate::replay::Stream;
use crate::session::Session;
use crate::trail::{AFTERWARDS, Trail};

/// Requests that are answered on one stream.
pub struct Run {
    /// Their session.
    pub session: Arc<Session>,
    /// What is said of them.
    pub told: mpsc::Receiver<Told>,
    /// How many there are.
    pub left: usize,
    /// Where that goes.
    pub stream: Arc<Stream>,
    /// What other replicas know of it.
    pub trail: Option<Arc<Trail>>,
    /// Who has them answered.
    pub work: Vec<AbortHandle>,
}

/// How an answer begins.
#[derive(Debug)]
pub enum First {
    /// It is all there is to say.
    Whole(String, StatusCode),
    /// There is more to come, on the stream.
    Stream,
    /// There is none: it was cancelled.
    Nothing,
}

impl Run {
    /// Writes what is said, to the end. Whoever waits is told how it begins; one who waits no more reads the stream, as all
    /// do where nobody waits because it has begun elsewhere.
    pub async fn pump(mut self, mut first: Option<oneshot::Sender<First>>) {
        // The last event of the server behind what comes next.
        let mut from = None;
        // The first one is written down at once: from then on nothing has to be done twice.
        let mut marked = false;
        while let Some(told) = self.told.recv().await {
            let text = match told {
                Told::At(id) => {
                    if let Some(trail) = self.trail.as_ref().filter(|_| !marked) {
                        trail.mark(&id).await;
                    }
                    marked = true;
                    from = Some(id);
                    continue;
                }
                Told::Question { .. } => continue,
                Told::Message(text) => text,
                Told::Asked { text, id, question } => {
                    if let Some(trail) = &self.trail {
                        trail.ask(&id, &question).await;
                    }
                    text
                }
                Told::End(id, answered) => {
                    let text = answered.text(&id);
                    self.left -= 1;
                    if self.left == 0 {
                        let status = answered
                            .outcome
                            .as_ref()
                            .map_or_else(Refused::status, |_| StatusCode::OK);
                        return self.end(first, (text, status), from).await;
                    }
                    text
                }
            };
            self.announce(&mut first).await;
            if !self.put(&text, from.take(), false).await {
                return;
            }
        }
        self.stream.finish();
        self.forget();
        if let Some(first) = first {
            let _ = first.send(First::Nothing);
        }
    }

    /// The last answer.
    async fn end(
        mut self,
        mut first: Option<oneshot::Sender<First>>,
        (text, status): (String, StatusCode),
        from: Option<String>,
    ) {
        if let Some(waiting) = first.take_if(|waiting| !waiting.is_closed()) {
            let text = match waiting.send(First::Whole(text, status)) {
                Ok(()) => {
                    self.session.drop_stream(&self.stream.name);
                    self.forget();
                    return;
                }
                Err(First::Whole(text, _)) => text,
                Err(_) => return,
            };
            self.session.keep_stream(&self.stream);
            return self.last(&text, from).await;
        }
        self.announce(&mut first).await;
        self.last(&text, from).await;
    }

    async fn last(&mut self, text: &str, from: Option<String>) {
        self.put(text, from, true).await;
        self.stream.finish();
        let Some(trail) = self.trail.take() else { return };
        if self.stream.is_read() {
            trail.answered().await;
        }
        tokio::spawn(async move {
            tokio::time::sleep(AFTERWARDS).await;
            trail.forget().await;
        });
    }

    /// From now on it is a stream.
    async fn announce(&mut self, first: &mut Option<oneshot::Sender<First>>) {
        let Some(first) = first.take() else { return };
        self.session.keep_stream(&self.stream);
        if let Some(trail) = &self.trail {
            trail.keep().await;
        }
        let _ = first.send(First::Stream);
    }

    /// Writes an event; false where another replica has these requests now.
    async fn put(&mut self, text: &str, from: Option<String>, last: bool) -> bool {
        let number = match &self.trail {
            None => None,
            Some(trail) => match trail.append(text, from, last).await {
                Ok(Some(number)) => Some(number),
                Ok(None) => {
                    tracing::warn!("another replica has taken a request over that was taken for dead here");
                    self.work.drain(..).for_each(|work| work.abort());
                    self.stream.finish();
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, "an event could not be shared: it is lost if this replica dies now");
                    None
                }
            },
        };
        self.stream.push(number, text).await;
        true
    }

    fn forget(&mut self) {
        if let Some(trail) = self.trail.take() {
            tokio::spawn(async move { trail.forget().await });
        }
    }
}
