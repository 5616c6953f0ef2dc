//! Events on their way to a client, as they come: noted, judged, translated, with a sign of life while there are none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use pointsman_a2a::book::{Book, Holder, Keeping};
use pointsman_a2a::call;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::Raw;
use pointsman_a2a::link::Events;
use pointsman_a2a::operation::Operation;
use pointsman_a2a::version::Version;
use pointsman_store::Outcome;

use super::Desk;
use super::judge::Judge;
use super::speech::Speech;
use super::work::{self, Begun};
use crate::reply::{Reply, ReplyBody};
use crate::road::Ticket;

/// How long a stream is silent at most.
const SILENCE: Duration = Duration::from_secs(15);

/// A stream on its way. Dropped, because its client is gone, it gives the agent's stream up, and its ticket settles
/// itself as cancelled.
struct Flow {
    speech: Speech,
    events: Option<Box<Events>>,
    from: Version,
    operation: Operation,
    keeper: Keeper,
    judge: Judge,
    /// Gone once it is settled.
    ticket: Option<Ticket>,
    ready: VecDeque<Frame<Bytes>>,
    is_over: bool,
}

/// Notes what is begun.
struct Keeper {
    book: Arc<Book>,
    owner: String,
    agent: String,
    instance: u64,
    keeping: Keeping,
    last: Option<String>,
}

impl Keeper {
    async fn keep(&mut self, event: &Event) {
        let Some(task) = event.task_id() else { return };
        if self.last.as_ref() == Some(&task) {
            return;
        }
        let holder = Holder {
            owner: &self.owner,
            agent: &self.agent,
        };
        let context = event.context_id();
        let begun = (Some(task.as_str()), context.as_deref());
        self.book.begun(holder, begun, self.instance, self.keeping).await;
        self.last = Some(task);
    }
}

/// A stream as a reply.
pub fn reply(
    desk: &Desk<'_>,
    speech: Speech,
    (ticket, judge, operation): (Ticket, Judge, Operation),
    begun: Begun,
) -> Reply {
    let flow = Flow {
        speech,
        events: begun.events,
        from: begun.from,
        operation,
        keeper: Keeper {
            book: Arc::clone(&desk.lasting().book),
            owner: desk.owner(),
            agent: desk.agent.name.clone(),
            instance: begun.instance,
            keeping: desk.keeping(),
            last: None,
        },
        judge,
        ticket: Some(ticket),
        ready: VecDeque::new(),
        is_over: false,
    };
    let kind = flow.speech.stream_type();
    let state = (flow, begun.first);
    let told = stream::unfold(state, |(mut flow, first)| async move {
        if let Some(first) = first {
            flow.take(&first).await;
        }
        let frame = flow.next().await?;
        Some((frame, (flow, None)))
    });
    let mut reply = Reply::new(ReplyBody::Framed(told.boxed()));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    reply
}

impl Flow {
    async fn next(&mut self) -> Option<Frame<Bytes>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.is_over {
                return None;
            }
            let Some(events) = &mut self.events else {
                self.end(None);
                continue;
            };
            match tokio::time::timeout(SILENCE, events.next()).await {
                Err(_) => {
                    if let Some(sign) = self.speech.silence() {
                        return Some(sign);
                    }
                }
                Ok(Ok(Some(Ok(raw)))) => self.take(&raw).await,
                Ok(Ok(Some(Err(error)))) => self.end(Some((error, Outcome::Complete))),
                Ok(Ok(None)) => self.finish(),
                Ok(Err(failed)) => self.end(Some((failed.into(), Outcome::ProviderFailed))),
            }
        }
    }

    /// Takes an event of the agent.
    async fn take(&mut self, raw: &Raw) {
        if let Some(ticket) = &mut self.ticket
            && ticket.facts.first_content.is_none()
        {
            ticket.facts.first_content = Some(Instant::now());
        }
        let Some(event) = Event::open(raw, self.from) else {
            // Of a later version, perhaps: it has no texts that are known.
            self.tell(raw);
            return;
        };
        if self.operation == Operation::Stream {
            self.keeper.keep(&event).await;
        }
        let is_last = event.is_last();
        if self.judge.is_idle() {
            self.settle_before(is_last);
            self.tell(raw);
            return;
        }
        match self.judge.next(event, self.from).await {
            Ok(events) => {
                self.settle_before(is_last);
                events.into_iter().for_each(|event| self.tell(&event.close()));
            }
            Err(failure) => self.block(&failure),
        }
    }

    fn tell(&mut self, raw: &Raw) {
        if self.is_over {
            return;
        }
        let to = self.speech.version();
        let told = call::result(self.operation, raw, self.from, to);
        self.ready.push_back(self.speech.event(Ok(&told)));
    }

    fn block(&mut self, failure: &pointsman_wire::form::Failure) {
        let error = A2aError::new(Kind::Internal, failure.message.clone());
        self.end(Some((error, Outcome::Blocked)));
    }

    /// Clients leave with the last event: it is recorded before they can see it.
    fn settle_before(&mut self, is_last: bool) {
        if is_last && let Some(error) = self.settle(Outcome::Complete, None) {
            self.end(Some((error, Outcome::Complete)));
        }
    }

    /// The agent is done.
    fn finish(&mut self) {
        match self.judge.rest(self.from) {
            Ok(events) => {
                events.into_iter().for_each(|event| self.tell(&event.close()));
                self.end(None);
            }
            Err(failure) => self.block(&failure),
        }
    }

    fn end(&mut self, error: Option<(A2aError, Outcome)>) {
        if self.is_over {
            return;
        }
        let (error, outcome) = match error {
            Some((error, outcome)) => (Some(error), outcome),
            None => (None, Outcome::Complete),
        };
        let unsettled = self.settle(outcome, error.as_ref());
        let last = match unsettled.or(error) {
            Some(error) => Some(self.speech.event(Err(&error))),
            None => self.speech.end(),
        };
        self.ready.extend(last);
        self.is_over = true;
        self.events = None;
    }

    /// Settles once; an error where it cannot be recorded.
    fn settle(&mut self, outcome: Outcome, error: Option<&A2aError>) -> Option<A2aError> {
        let mut ticket = self.ticket.take()?;
        ticket.facts.flags.append(&mut self.judge.flags);
        let refusal = work::settle(ticket, outcome, error).err()?;
        Some(A2aError::new(Kind::Internal, refusal.failure.message))
    }
}
